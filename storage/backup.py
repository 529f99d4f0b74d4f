"""A copy of the store that can be trusted, and a look at whether the store itself can be."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import Connection, func, select

from aggregator.errors import SettingsError
from storage.engine import Database
from storage.schema import clock, conversation, dedup, delivery, message

PAGES = 2000  # copied at a time, so that the daemon gets its turn


def backup(
    db: Database, path: Path, *, told: Callable[[int, int], None] = lambda _done, _all: None
) -> None:
    """Write a consistent copy to `path` while the daemon runs; an older copy there is replaced only by a good one.

    `told` hears how many pages of how many are copied, along the way.
    Raises SettingsError where that cannot be done, with PostgreSQL too: its own tools do it better.
    """
    if db.dialect != "sqlite":
        raise SettingsError("database: PostgreSQL is backed up with pg_dump, not by inboxd")
    source = Path(str(db.url.database))
    if path.is_dir():
        raise SettingsError(f"{path}: is a folder; name the file to write")
    if path.exists() and path.samefile(source):
        raise SettingsError(f"{path}: is the database itself; name another file")
    half = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        half.unlink(missing_ok=True)
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as here,
            closing(sqlite3.connect(half)) as there,
        ):
            here.backup(there, pages=PAGES, progress=lambda _, left, all: told(all - left, all))
            problems = [row[0] for row in there.execute("PRAGMA quick_check")]
            there.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
        if problems != ["ok"]:
            raise SettingsError(f"{path}: the copy is damaged: {'; '.join(problems[:3])}")
        _to_disk(half)
        half.replace(path)
        _to_disk(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise SettingsError(f"{path}: cannot be written: {error}") from error
    finally:
        with suppress(OSError):
            half.unlink()


def check(db: Database) -> list[str]:
    """What is wrong with the store, a line each; empty when it is sound."""
    problems: list[str] = []
    with db.read() as connection:
        if db.dialect == "sqlite":
            found = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
            problems += [f"integrity: {line}" for line in found if line != "ok"]
            for row in connection.exec_driver_sql("PRAGMA foreign_key_check"):
                problems.append(f"integrity: {row[0]} {row[1]} refers to a missing {row[2]}")
        problems += _loose_ends(connection)
    return problems


def _loose_ends(connection: Connection) -> list[str]:
    """What refers to something that is not there."""
    looks = {
        "dedup keys without a message": select(func.count())
        .select_from(dedup)
        .where(dedup.c.message_id.not_in(select(message.c.id))),
        "messages without their dedup key": select(func.count())
        .select_from(message)
        .where(message.c.id.not_in(select(dedup.c.message_id))),
        "messages without their conversation": select(func.count())
        .select_from(message)
        .where(
            message.c.conversation_id.is_not(None),
            message.c.conversation_id.not_in(select(conversation.c.id)),
        ),
        "clocks without their conversation": select(func.count())
        .select_from(clock)
        .where(clock.c.conversation_id.not_in(select(conversation.c.id))),
        "deliveries without their conversation": select(func.count())
        .select_from(delivery)
        .where(
            delivery.c.conversation_id.is_not(None),
            delivery.c.conversation_id.not_in(select(conversation.c.id)),
        ),
    }
    counts = {what: connection.execute(look).scalar_one() for what, look in looks.items()}
    return [f"{count} {what}" for what, count in counts.items() if count]


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
