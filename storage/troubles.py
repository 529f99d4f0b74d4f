"""Troubles that a person was told of: the row that tells and the note that it was told, in one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from aggregator.model import Delivery
from storage.enqueue import enqueue
from storage.schema import trouble
from storage.sql import bulk_insert, clean, to_ms


def open_troubles(connection: Connection) -> frozenset[str]:
    """The keys of those that nobody was told the end of."""
    return frozenset(connection.execute(select(trouble.c.key).where(trouble.c.open == 1)).scalars())


def begin_trouble(
    connection: Connection,
    key: str,
    text: str,
    *,
    now: datetime,
    not_since: datetime,
    changed: bool,
    over: bool,
    notice: Delivery | None,
    again: bool = False,
) -> bool:
    """Note a trouble and store the row that tells of it. False where there is nothing to tell.

    That is: it is open already (`changed`: and its words are the same; `again`: and was told after
    `not_since`), or was last told after `not_since`.
    `over`: it has passed already, and is noted as told only.
    """
    row = _row(connection, key)
    if row is not None:
        same = row.text == clean(text)
        due = again and row.told_at <= to_ms(not_since)
        if row.open and (same or not changed) and not due:
            return False
        if not row.open and row.told_at > to_ms(not_since) and (same or not changed):
            return False
    _write(connection, key, text, is_open=not over, told_at=to_ms(now))
    enqueue(connection, [notice] if notice is not None else [])
    return True


def end_trouble(connection: Connection, key: str, *, notice: Delivery | None) -> bool:
    """Note that it is over and store the row that says so. False where none was open."""
    row = _row(connection, key)
    if row is None or not row.open:
        return False
    _write(connection, key, row.text, is_open=False, told_at=row.told_at)
    enqueue(connection, [notice] if notice is not None else [])
    return True


def _row(connection: Connection, key: str) -> Any:
    # FOR UPDATE: of two processes that see it at once the second reads what the first has written.
    return connection.execute(
        select(trouble).where(trouble.c.key == key).with_for_update()
    ).one_or_none()


def _write(connection: Connection, key: str, text: str, *, is_open: bool, told_at: int) -> None:
    bulk_insert(connection, trouble, [(key, int(is_open), told_at, text)], replace="key")
