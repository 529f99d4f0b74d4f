"""Migrations make the schema of schema.py, once, and leave newer databases alone."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

import storage
from aggregator.errors import SettingsError
from storage import connect, migrate
from storage.engine import Database
from storage.schema import metadata

Now = Callable[[], datetime]


def shape(engine: Engine) -> dict[str, Any]:
    """Everything that the database knows of its tables, names of constraints too."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as conn:
            rows = conn.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
            return {name: " ".join(sql.split()) for name, sql in rows if name != "alembic_version"}
    found: dict[str, Any] = {}
    inspector = inspect(engine)
    for table in inspector.get_table_names():
        if table == "alembic_version":
            continue
        found[table] = {
            "columns": [
                {**column, "type": str(column["type"])} for column in inspector.get_columns(table)
            ],
            "primary key": inspector.get_pk_constraint(table),
            "foreign keys": inspector.get_foreign_keys(table),
            "unique": inspector.get_unique_constraints(table),
            "indexes": sorted(map(repr, inspector.get_indexes(table))),
        }
    return found


def normal(shapes: dict[str, Any]) -> dict[str, Any]:
    """SQLite keeps the words of CREATE TABLE; the order of constraints in them means nothing."""
    if not all(isinstance(one, str) for one in shapes.values()):
        return shapes
    return {
        name: sorted(sql.replace(",", " ").replace("(", " ").replace(")", " ").split())
        for name, sql in shapes.items()
    }


def test_the_migrations_make_the_schema_of_the_code(
    empty_url: str, tmp_path: Path, now: Now, request: pytest.FixtureRequest
) -> None:
    Database.open(empty_url, now=now).close()
    migrated, _ = connect.engines(connect.parse(empty_url))
    if migrated.dialect.name == "sqlite":
        other = f"sqlite:///{tmp_path}/other.db"
    else:
        other = request.getfixturevalue("postgres").empty()
    created, _ = connect.engines(connect.parse(other))
    metadata.create_all(created)
    assert normal(shape(migrated)) == normal(shape(created))
    assert len(shape(created)) >= len(metadata.tables)
    migrated.dispose()
    created.dispose()


def test_the_revisions_of_the_code_are_alembics() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [migrate.HEAD]
    known = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(known)) == migrate.REVISIONS


def test_a_database_that_a_newer_version_made_is_refused_and_left_alone(
    db_url: str, now: Now
) -> None:
    engine, _ = connect.engines(connect.parse(db_url))
    with engine.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    before = shape(engine)
    with pytest.raises(SettingsError, match="schema 9999 is newer"):
        Database.open(db_url, now=now)
    assert shape(engine) == before
    engine.dispose()


def test_several_that_start_together_migrate_once(empty_url: str, now: Now) -> None:
    start = threading.Barrier(3)
    opened: list[str] = []

    def run() -> None:
        start.wait(10)
        db = Database.open(empty_url, now=now)
        opened.append(db.revision)
        db.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert opened == [migrate.HEAD] * 3


def test_a_second_start_does_not_import_alembic(tmp_path: Path, sqlite_template: Path) -> None:
    """It costs a fifth of a second, at every start."""
    code = (
        "import sys; from datetime import UTC, datetime; from storage.engine import Database; "
        f"Database.open('sqlite:///{sqlite_template}', now=lambda: datetime.now(UTC)).close(); "
        "print('alembic' in sys.modules)"
    )
    root = Path(storage.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_opening_again_changes_nothing(db_url: str, now: Now) -> None:
    engine, _ = connect.engines(connect.parse(db_url))
    before = shape(engine)
    db = Database.open(db_url, now=now)
    assert db.revision == migrate.HEAD
    db.close()
    assert shape(engine) == before
    engine.dispose()
