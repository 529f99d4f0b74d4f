"""The few places where the two databases need different words, and inserts at the driver's own speed."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Table,
    any_,
    bindparam,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_POISON = re.compile("[\x00\ud800-\udfff]")
_POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def to_ms(at: datetime) -> int:
    """Epoch milliseconds of an aware time."""
    return (at - EPOCH) // _MS


def opt_ms(at: datetime | None) -> int | None:
    return None if at is None else (at - EPOCH) // _MS


def from_ms(ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=ms)


def opt_time(ms: int | None) -> datetime | None:
    return None if ms is None else EPOCH + timedelta(milliseconds=ms)


def dumps(value: Any) -> str:
    return _ENCODE(value)


def clean(text: str) -> str:
    """Without NUL and lone surrogates, which one database or the other cannot hold.

    Intake scrubs and marks; this only keeps a message that slipped through from stopping its page.
    """
    return _POISON.sub("\ufffd", text)


def opt_clean(text: str | None) -> str | None:
    return None if text is None else _POISON.sub("\ufffd", text)


def db_now(connection: Connection) -> ColumnElement[int]:
    """Epoch milliseconds by the database's clock (on SQLite: this machine's), whatever `now` the daemon runs on."""
    if connection.dialect.name == "sqlite":
        return literal_column("CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)")
    return literal_column("CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)")


def among(
    connection: Connection, column: ColumnElement[Any], values: Collection[Any]
) -> ColumnElement[bool]:
    """`column IN values` with one parameter, so that no number of values is too many."""
    if connection.dialect.name == "sqlite":
        each = func.json_each(_ENCODE(list(values))).table_valued("value")
        return column.in_(select(each.c.value))
    return column == any_(bindparam(None, list(values), type_=ARRAY(column.type)))


def bulk_insert(
    connection: Connection,
    table: Table,
    rows: Sequence[tuple[Any, ...]],
    *,
    unless: str | None = None,
    replace: str | None = None,
) -> int:
    """Insert rows that have a value for every column of `table`, in the table's order.

    `unless`: a row whose value of this unique column is there already is left out. `replace`: it takes the
    place of the row with this key instead. Several columns are named with commas. Returns how many were new
    or replaced.
    """
    if not rows:
        return 0
    statement = _insert(table, connection.dialect.name, unless, replace)
    if connection.dialect.name == "sqlite":
        return connection.exec_driver_sql(statement, list(rows)).rowcount
    names = [column.name for column in table.columns]
    records: Iterable[dict[str, Any]] = (dict(zip(names, row, strict=True)) for row in rows)
    if blobs := [column.name for column in table.columns if column.type.python_type is bytes]:
        records = ({**record, **{b: "\\x" + record[b].hex() for b in blobs}} for record in records)
    return connection.exec_driver_sql(statement, (dumps(list(records)),)).rowcount


@lru_cache(maxsize=64)
def _insert(table: Table, dialect: str, unless: str | None, replace: str | None) -> str:
    """SQLite is fastest with one row a statement; PostgreSQL with all rows as one JSON parameter.

    The names in it are ours, from schema.py.
    """
    names = [column.name for column in table.columns]
    columns = ", ".join(f'"{name}"' for name in names)
    if dialect == "sqlite":
        marks = ", ".join("?" for _ in names)
        sql = f'INSERT INTO "{table.name}" ({columns}) VALUES ({marks})'  # noqa: S608
    else:
        types = ", ".join(
            f'"{column.name}" {_POSTGRESQL.type_compiler_instance.process(column.type)}'
            for column in table.columns
        )
        sql = (
            f'INSERT INTO "{table.name}" ({columns}) '  # noqa: S608
            f"SELECT {columns} FROM json_to_recordset(%s) AS given({types})"
        )
    if unless is not None:
        sql += f" ON CONFLICT ({unless}) DO NOTHING"
    if replace is not None:
        others = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name != replace)
        sql += f" ON CONFLICT ({replace}) DO UPDATE SET {others}"
    return sql
