"""The server of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from storage.engine import Database
from tests.web.site import Site, serving


@pytest.fixture
def here(db: Database, now: Callable[[], datetime]) -> Iterator[Site]:
    """On both databases: what is about what is stored."""
    with serving(db, now) as site:
        yield site


@pytest.fixture
def door(sqlite_template: Path, tmp_path: Path, now: Callable[[], datetime]) -> Iterator[Site]:
    """On SQLite alone: what is about what is refused before any database is asked."""
    path = tmp_path / "door.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database.open(f"sqlite:///{path}", now=now)
    try:
        with serving(database, now) as site:
            yield site
    finally:
        database.close()
