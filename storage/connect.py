"""Opens the database that a URL names: one engine that writes and one that reads."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from aggregator.errors import SettingsError

READERS = 4
CONNECT_TIMEOUT_S = 10

# https://sqlite.org/wal.html: WAL needs shared memory, which a network file system does not give.
NETWORK_FILE_SYSTEMS = {
    0x6969: "NFS",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB",
    0x517B: "SMB",
    0x65735546: "FUSE",
    0x01021997: "9P",
    0x5346414F: "AFS",
    0x00C36400: "Ceph",
}

# The WAL-reset bug: two connections that write or checkpoint at once may damage the file, very rarely.
WAL_RESET_BUG = ((3, 7, 0), (3, 51, 2))
WAL_RESET_BUG_BACKPORTS = ((3, 44, 6), (3, 50, 7))

STRICT_TABLES_SINCE = (3, 37, 0)


def parse(url: str) -> URL:
    """The URL, or SettingsError; only SQLite files and PostgreSQL with psycopg 3 are known."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise SettingsError(
            "database: this is not a database URL; write sqlite:///data/inboxd.db or "
            "postgresql://user@host/inboxd"
        ) from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if parsed.database in (None, "", ":memory:") or str(parsed.database).startswith("file:"):
            raise SettingsError("database: SQLite needs a file; write sqlite:///data/inboxd.db")
        return parsed.set(drivername="sqlite+pysqlite")
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise SettingsError(f"database: {backend} is not supported; use sqlite or postgresql")


def shown(url: URL) -> str:
    """The URL as it may be printed: without any password."""
    hidden = {key: "***" if "pass" in key.lower() else value for key, value in url.query.items()}
    return url.set(query=hidden, drivername=url.get_backend_name()).render_as_string()


def engines(url: URL) -> tuple[Engine, Engine]:
    """(writer, reader). Nothing is connected yet. Raises SettingsError where the place cannot hold a database."""
    try:
        if url.get_backend_name() == "sqlite":
            return _sqlite(url)
        return _postgresql(url)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise SettingsError(
            'database: the PostgreSQL driver is missing; install it with pip install "inboxd[postgres]"'
        ) from error


def unusable(url: URL, error: Exception) -> SettingsError:
    """What to tell a person when the database does not answer; never holds a password."""
    cause = error.orig if isinstance(error, SQLAlchemyError) and hasattr(error, "orig") else error
    reason = " ".join(str(cause or error).split())
    for secret in _secrets(url):
        reason = reason.replace(secret, "***")
    if url.get_backend_name() == "sqlite":
        remedy = "check that the folder and the file can be read and written by this user"
    else:
        remedy = "check that the server runs, and the host, user, password and database name"
    return SettingsError(f"database: {shown(url)} cannot be opened: {reason}; {remedy}")


@contextmanager
def spoken(url: URL) -> Iterator[None]:
    """Trouble of the database inside is told as `unusable` tells it, for whoever has a person before them."""
    try:
        yield
    except SQLAlchemyError as error:
        raise unusable(url, error) from None


def sqlite_warnings(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> list[str]:
    """What a person should know about this machine's SQLite library."""
    first, last = WAL_RESET_BUG
    if not first <= version <= last or any(
        fixed[:2] == version[:2] and version >= fixed for fixed in WAL_RESET_BUG_BACKPORTS
    ):
        return []
    number = ".".join(map(str, version))
    return [
        f"SQLite {number} has the WAL-reset bug (3.7.0 to 3.51.2), which may damage the file, very rarely; "
        "use a library with 3.51.3 or later (or 3.50.7, 3.44.6), and let no second program checkpoint it"
    ]


def _secrets(url: URL) -> list[str]:
    found = [str(url.password)] if url.password else []
    for key, value in url.query.items():
        if "pass" in key.lower():
            found += [value] if isinstance(value, str) else list(value)
    return [secret for secret in found if secret]


# --- SQLite ---------------------------------------------------------------------------------------------


def _sqlite(url: URL) -> tuple[Engine, Engine]:
    path = Path(str(url.database))
    if sqlite3.sqlite_version_info < STRICT_TABLES_SINCE:
        raise SettingsError(
            f"database: SQLite {sqlite3.sqlite_version} is too old; 3.37 or later is needed"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(url, error) from error
    if path.is_dir():
        raise SettingsError(
            f"database: {path} is a folder; name a file in it, such as {path}/inboxd.db"
        )
    if (network := NETWORK_FILE_SYSTEMS.get(file_system(path.parent) or 0)) is not None:
        raise SettingsError(
            f"database: {path.parent} is on a network file system ({network}), where SQLite damages its file; "
            "use a local disk, or PostgreSQL"
        )
    return _sqlite_engine(url, writes=True), _sqlite_engine(url, writes=False)


def _sqlite_engine(url: URL, *, writes: bool) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=1 if writes else READERS,
        max_overflow=0 if writes else READERS,
        connect_args={"check_same_thread": False, "timeout": 5.0, "isolation_level": None},
    )
    # Without IMMEDIATE a transaction that reads first cannot wait for the write lock: it fails at once.
    begin = "BEGIN IMMEDIATE" if writes else "BEGIN"

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout = 5000")
        if writes:
            cursor.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts only before the first table
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.execute("PRAGMA synchronous = FULL")
            cursor.execute("PRAGMA foreign_keys = ON")
            cursor.execute("PRAGMA wal_autocheckpoint = 4000")
            cursor.execute("PRAGMA journal_size_limit = 67108864")
        else:
            cursor.execute("PRAGMA query_only = ON")
        cursor.execute(f"PRAGMA cache_size = {-65536 if writes else -8192}")
        cursor.execute("PRAGMA temp_store = MEMORY")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


class _Statfs(ctypes.Structure):
    """The first field of struct statfs is the magic number; the rest is room enough for any platform."""

    _fields_ = [("f_type", ctypes.c_long), ("rest", ctypes.c_char * 512)]


def file_system(folder: Path) -> int | None:
    """The magic number of the file system that `folder` is on. Linux only; elsewhere nothing is known."""
    if sys.platform != "linux":
        return None
    answer = _Statfs()
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(folder), ctypes.byref(answer)) != 0:
        return None
    return int(answer.f_type) & 0xFFFFFFFF


# --- PostgreSQL -----------------------------------------------------------------------------------------


def _postgresql(url: URL) -> tuple[Engine, Engine]:
    options: dict[str, Any] = {
        "pool_pre_ping": True,  # a server that was restarted costs no unit of work
        "connect_args": {
            "connect_timeout": CONNECT_TIMEOUT_S,
            # No server-side prepared statements: PgBouncer hands each transaction another connection.
            "prepare_threshold": None,
            # A server that vanished is noticed within a minute, not within two hours.
            "keepalives_idle": 20,
            "keepalives_interval": 5,
            "keepalives_count": 4,
            "tcp_user_timeout": 40_000,
        },
        "hide_parameters": True,
    }
    writer = create_engine(url, pool_size=1, max_overflow=0, **options)
    # One snapshot a transaction, as SQLite gives it: what is read together belongs together.
    reader = create_engine(
        url,
        pool_size=READERS,
        max_overflow=READERS,
        isolation_level="REPEATABLE READ",
        **options,
    )
    return writer, reader.execution_options(postgresql_readonly=True)
