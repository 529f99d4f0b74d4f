"""The rule sets that were ever in force, by version, and the text of each that was good last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, delete, select
from sqlalchemy.exc import SQLAlchemyError

from aggregator.errors import SettingsError
from aggregator.model import Direction, StoredMessage
from storage import connect
from storage.message_rows import stored_message
from storage.schema import message, meta, rule_file, rule_version
from storage.sql import bulk_insert, clean, dumps, from_ms, to_ms

_HELD, _APPROVED = "rules.held", "rules.approved"


@dataclass(frozen=True, slots=True)
class Held:
    """Rules that wait for a person, since when, and why."""

    version: str
    since: datetime
    why: str


def save_version(
    connection: Connection, version: str, sources: Mapping[str, str], now: datetime
) -> None:
    """Note that these files are in force, as `version`, and keep them as the last good ones."""
    texts = {clean(name): clean(text) for name, text in sorted(sources.items())}
    row = (version, to_ms(now), dumps(texts))
    bulk_insert(connection, rule_version, [row], replace="version")
    connection.execute(delete(rule_file))
    bulk_insert(connection, rule_file, [(name, text, to_ms(now)) for name, text in texts.items()])


def last_good(connection: Connection) -> dict[str, str]:
    """File name → text, of the rules that were in force last; empty before the first."""
    return {row.name: row.text for row in connection.execute(select(rule_file))}


def version_sources(connection: Connection, version: str) -> dict[str, str] | None:
    """The files of a version that was in force once; None where it never was."""
    found = connection.execute(
        select(rule_version.c.sources).where(rule_version.c.version == version)
    ).scalar()
    if found is None:
        return None
    texts: dict[str, str] = json.loads(found)
    return texts


def in_force(connection: Connection) -> str | None:
    """The version that went into force last; None before the first."""
    newest = select(rule_version.c.version).order_by(rule_version.c.activated_at.desc()).limit(1)
    return connection.execute(newest).scalar()


def recent(connection: Connection, limit: int) -> list[StoredMessage]:
    """The last so many messages of customers, the newest first."""
    statement = (
        select(message)
        .where(message.c.direction == Direction.INBOUND)
        .order_by(message.c.id.desc())
        .limit(limit)
    )
    return [stored_message(row) for row in connection.execute(statement)]


def message_named(connection: Connection, message_id: int) -> StoredMessage | None:
    row = connection.execute(select(message).where(message.c.id == message_id)).one_or_none()
    return None if row is None else stored_message(row)


def peek(url: str, limit: int) -> list[StoredMessage]:
    """`recent` of a store that is only looked at: nothing is made or migrated.

    None where there is no store, it does not answer, or it has another schema.
    """
    try:
        parsed = connect.parse(url)
        if parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).is_file():
            return []
        writer, reader = connect.engines(parsed)
    except SettingsError:
        return []
    try:
        with reader.connect() as connection:
            return recent(connection, limit)
    except SQLAlchemyError:
        return []
    finally:
        writer.dispose()
        reader.dispose()


def hold(connection: Connection, version: str, why: str, now: datetime) -> None:
    """Note that these rules wait for a person."""
    row = (_HELD, dumps({"version": version, "since": to_ms(now), "why": clean(why)}))
    bulk_insert(connection, meta, [row], replace="key")


def held(connection: Connection) -> Held | None:
    found = _meta(connection, _HELD)
    if found is None:
        return None
    row = json.loads(found)
    return Held(row["version"], from_ms(row["since"]), row["why"])


def release(connection: Connection) -> None:
    """Nothing waits any more."""
    connection.execute(delete(meta).where(meta.c.key == _HELD))


def approve(connection: Connection, version: str) -> None:
    bulk_insert(connection, meta, [(_APPROVED, version)], replace="key")


def approved(connection: Connection) -> str | None:
    """The version that a person approved last."""
    return _meta(connection, _APPROVED)


def _meta(connection: Connection, key: str) -> str | None:
    return connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar()
