"""Brings a database to the schema of this version, under a lease; refuses one that a newer version made."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from aggregator.errors import SettingsError
from storage.leases import Fence, acquire, check, release
from storage.schema import lease

# All revisions in order, so that a start with nothing to do need not import alembic.
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
HEAD = REVISIONS[-1]

LEASE = "migration"
TTL_S = 300.0
WAIT_S = 60.0


def stored_revision(connection: Connection) -> str | None:
    """What schema the database has; None where it has none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrate(writer: Engine, reader: Engine) -> str:
    """Make the schema HEAD, once, though several processes start together. Returns HEAD.

    Raises SettingsError where a newer version made the database, or another process does not get done.
    """
    if _at_head(reader):
        return HEAD
    owner = uuid.uuid4().hex
    _make_lease_table(writer)
    deadline = time.monotonic() + WAIT_S
    while True:
        with writer.begin() as connection:
            fence = acquire(connection, LEASE, owner, TTL_S)
        if fence is not None:
            break
        if time.monotonic() > deadline:
            raise SettingsError(
                "database: another process is changing its schema and does not get done; "
                f"wait, or stop it (the lease {LEASE} ends by itself after {TTL_S:.0f} s)"
            )
        time.sleep(0.1)
        if _at_head(reader):
            return HEAD
    try:
        if not _at_head(reader):
            _run_alembic(writer, fence)
    finally:
        with writer.begin() as connection:
            release(connection, fence)
    return HEAD


def _at_head(reader: Engine) -> bool:
    with reader.connect() as connection:
        revision = stored_revision(connection)
    if revision is not None and revision not in REVISIONS:
        raise SettingsError(
            f"database: its schema {revision} is newer than this version of inboxd knows ({HEAD}); "
            "install the version that made it, or go back to a backup"
        )
    return revision == HEAD


def _make_lease_table(writer: Engine) -> None:
    """The one table that must be there before any migration. Two processes may make it at once."""
    try:
        with writer.begin() as connection:
            lease.create(connection, checkfirst=True)
    except (IntegrityError, ProgrammingError, OperationalError):
        with writer.begin() as connection:
            lease.create(connection, checkfirst=True)


def _run_alembic(writer: Engine, fence: Fence) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with writer.connect() as connection:
        sqlite = connection.dialect.name == "sqlite"
        if sqlite:
            # Changing a table copies it, which would cascade; and this counts outside a transaction only.
            _pragma(connection, "PRAGMA foreign_keys = OFF")
        try:
            with connection.begin():
                config.attributes["connection"] = connection
                command.upgrade(config, HEAD)
                check(connection, fence)
        finally:
            if sqlite:
                _pragma(connection, "PRAGMA foreign_keys = ON")


def _pragma(connection: Connection, statement: str) -> None:
    """Outside SQLAlchemy, which would begin a transaction first."""
    driver: Any = connection.connection.dbapi_connection
    driver.execute(statement)
