"""The store as the daemon holds it: opened and migrated, one writer, some readers, ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from sqlalchemy import URL, Connection, Engine, delete, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from aggregator.errors import SettingsError
from storage import connect
from storage.ids import Ids
from storage.migrate import migrate
from storage.schema import meta, metadata
from storage.writer import Unit, Writer, outcome, reason

__all__ = ["Connection", "Database"]

T = TypeVar("T")

LIVE = "live"
SANDBOX = "sandbox"


class Database:
    """Made by `open`. `warnings`: what an operator should know. `new_id()`: a new id of ours, from any thread."""

    def __init__(
        self, url: URL, writer: Engine, reader: Engine, *, now: Callable[[], datetime]
    ) -> None:
        self.url = url
        self.dialect = writer.dialect.name
        self.warnings: tuple[str, ...] = ()
        self.revision = ""
        self.new_id = Ids(now)
        self._writing = writer
        self._reading = reader
        self._writer: Writer | None = None

    @classmethod
    def open(
        cls,
        url: str,
        *,
        now: Callable[[], datetime],
        owner_mark: str = LIVE,
        fresh: bool = False,
    ) -> Database:
        """Open the database at `url`, make it if need be, and bring its schema to this version.

        `owner_mark` is `live` or `sandbox`; a database that bears the other one is refused. `fresh` empties a
        sandbox's. Raises SettingsError, never with a password in it.
        """
        if fresh and owner_mark != SANDBOX:
            raise ValueError("only a sandbox database may be emptied")
        parsed = connect.parse(url)
        writer, reader = connect.engines(parsed)
        db = cls(parsed, writer, reader, now=now)
        try:
            with writer.connect():
                pass
            db.revision = migrate(writer, reader)
            _own(writer, reader, owner_mark, shown=connect.shown(parsed), fresh=fresh)
        except SQLAlchemyError as error:
            db.close()
            raise connect.unusable(parsed, error) from error
        except SettingsError:
            db.close()
            raise
        if db.dialect == "sqlite":
            db.warnings = tuple(connect.sqlite_warnings())
        db._writer = Writer(writer)
        return db

    def submit(self, unit: Unit[T]) -> Future[T]:
        """Queue a unit of work; the future resolves after the commit that holds it. Raises Unavailable when full."""
        return self._open_writer().submit(unit)

    def write(self, unit: Unit[T]) -> T:
        """Submit a unit and wait for its commit. Raises what the unit raised, or Unavailable."""
        return self._open_writer().write(unit)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that cannot write, in one transaction: what it reads belongs together. Keep it short."""
        try:
            with self._reading.connect() as connection, connection.begin():
                yield connection
        except SQLAlchemyError as error:
            if (told := outcome(error)) is error:
                raise
            raise told from error

    def healthy(self) -> str | None:
        """Why the database cannot be read or written just now; None when all is well."""
        if self._writer is None or not self._writer.alive:
            return "closed"
        if self._writer.trouble is not None:
            return self._writer.trouble
        try:
            with self._reading.connect() as connection:
                connection.execute(text("SELECT 1"))
        except SQLAlchemyError as error:
            return reason(error)
        return None

    def close(self, within_s: float = 8.0) -> None:
        """Commit what waits, then disconnect. Closing twice is harmless.

        A database that does not answer for so long is left: what was not acknowledged is not promised.
        """
        if self._writer is not None and not self._writer.close(within_s):
            return
        self._writing.dispose()
        self._reading.dispose()

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise RuntimeError("the database is not open")
        return self._writer


def _own(writer: Engine, reader: Engine, mark: str, *, shown: str, fresh: bool) -> None:
    """Put our mark on a new database; refuse one with the other's; empty it where that is asked for."""
    owner = select(meta.c.value).where(meta.c.key == "owner")
    with reader.connect() as connection:
        found = connection.execute(owner).scalar()
    if found is None:
        with writer.begin() as connection:
            found = connection.execute(owner).scalar()
            if found is None:
                connection.execute(insert(meta).values(key="owner", value=mark))
                found = mark
    if found != mark:
        raise SettingsError(
            f"database: {shown} holds {found} data and the settings say sandbox: "
            f"{'true' if mark == SANDBOX else 'false'}; name another database"
        )
    if fresh:
        with writer.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                if table is not meta:
                    connection.execute(delete(table))
