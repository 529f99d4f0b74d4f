"""How each destination does: paused until when, and what went wrong last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from storage.schema import destination as destinations
from storage.sql import clean, opt_time, to_ms

_STATE = select(destinations).where(destinations.c.name == bindparam("name"))


@dataclass(frozen=True, slots=True)
class DestinationState:
    name: str
    paused_until: datetime | None
    last_error: str | None
    last_success_at: datetime | None
    failures: int


def pause(connection: Connection, destination: str, until: datetime, reason: str) -> None:
    """Leave `destination` alone until then."""
    note(connection, destination, paused_until=to_ms(until), last_error=clean(reason))


def destination_state(connection: Connection, destination: str) -> DestinationState | None:
    """How `destination` does; None where nothing was ever sent to it."""
    row = connection.execute(_STATE, {"name": destination}).one_or_none()
    if row is None:
        return None
    return DestinationState(
        name=row.name,
        paused_until=opt_time(row.paused_until),
        last_error=row.last_error,
        last_success_at=opt_time(row.last_success_at),
        failures=row.failures,
    )


def note(connection: Connection, name: str, **values: Any) -> None:
    """A success ends the count of failures, anything else adds to it."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    well = "last_success_at" in values
    changed = {"failures": 0 if well else destinations.c.failures + 1, **values}
    if well:
        changed["last_error"] = None
    connection.execute(
        dialect.insert(destinations)
        .values(name=name, failures=0 if well else 1, **values)
        .on_conflict_do_update(index_elements=[destinations.c.name], set_=changed)
    )
