"""The few places where the two databases need different words, and inserts at the driver's own speed."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Dialect,
    Table,
    Text,
    TypeDecorator,
    bindparam,
    literal_column,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType, TypeEngine

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


def rfc3339(at: datetime) -> str:
    """In UTC, with milliseconds: as interface.md has it."""
    at = from_ms(to_ms(at))
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def dumps(value: Any) -> str:
    return _ENCODE(value)


def clean(text: str) -> str:
    """Without NUL and lone surrogates, which one database or the other cannot hold.

    Intake scrubs and marks; this only keeps a message that slipped through from stopping its page.
    """
    if text.isascii() and "\0" not in text:
        return text
    return _POISON.sub("\ufffd", text)


def db_now(connection: Connection) -> ColumnElement[int]:
    """Epoch milliseconds by the database's clock (on SQLite: this machine's), whatever `now` the daemon runs on."""
    if connection.dialect.name == "sqlite":
        return literal_column("CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)")
    return literal_column("CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)")


class among(FunctionElement[bool]):
    """`among(column, values)`: the column's value is one of these.

    One parameter, however many values; so no number of them is too many. A string instead of values names the
    parameter, for a statement that is made once.
    """

    inherit_cache = True
    type = Boolean()

    def __init__(self, column: ColumnElement[Any], values: Collection[Any] | str) -> None:
        if isinstance(values, str):
            super().__init__(column, bindparam(values, type_=_Listed()))
        else:
            super().__init__(column, bindparam(None, values, type_=_Listed()))

    def self_group(self, against: Any = None) -> Any:
        """Stand as it is: SQLAlchemy would write `= 1` behind it for SQLite, which then uses no index."""
        return self


class _Listed(TypeDecorator[Collection[Any]]):
    """Many values as one parameter: JSON for SQLite, an array for PostgreSQL."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(NullType() if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Collection[Any] | None, dialect: Dialect) -> Any:
        values = list(value or ())
        return values if dialect.name == "postgresql" else _ENCODE(values)


@compiles(among, "sqlite")
def _among_sqlite(element: among, compiler: Any, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in element.clauses)
    return f"({column} IN (SELECT value FROM json_each({values})))"  # noqa: S608


@compiles(among, "postgresql")
def _among_postgresql(element: among, compiler: Any, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in element.clauses)
    kind = compiler.dialect.type_compiler_instance.process(next(iter(element.clauses)).type)
    return f"({column} = ANY (CAST({values} AS {kind}[])))"


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
    rows = _clean_rows(table, rows)
    if connection.dialect.name == "sqlite":
        return connection.exec_driver_sql(statement, list(rows)).rowcount
    names = [column.name for column in table.columns]
    records: Iterable[dict[str, Any]] = (dict(zip(names, row, strict=True)) for row in rows)
    if blobs := [column.name for column in table.columns if column.type.python_type is bytes]:
        records = ({**record, **{b: "\\x" + record[b].hex() for b in blobs}} for record in records)
    return connection.exec_driver_sql(statement, (dumps(list(records)),)).rowcount


def bulk_update(
    connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]], *, where: tuple[str, ...]
) -> int:
    """Overwrite every column of the rows that are found by `where`, whose values stand at the end of each tuple.

    Returns how many were found.
    """
    if not rows:
        return 0
    statement = _update(table, connection.dialect.name, where)
    return connection.exec_driver_sql(statement, list(_clean_rows(table, rows))).rowcount


def _clean_rows(table: Table, rows: Sequence[tuple[Any, ...]]) -> Sequence[tuple[Any, ...]]:
    """One look at all the text together is ten times as fast as one at each."""
    places = _text_places(table)
    if not places:
        return rows
    texts = itemgetter(*places)
    if not _POISON.search("".join([text for row in rows for text in texts(row) if text])):
        return rows
    return [
        tuple(clean(value) if isinstance(value, str) else value for value in row) for row in rows
    ]


@lru_cache(maxsize=64)
def _text_places(table: Table) -> tuple[int, ...]:
    """Where text stands in a row; one place twice where there is one only, so that a tuple is taken of it."""
    places = [i for i, column in enumerate(table.columns) if isinstance(column.type, Text)]
    return tuple(places * 2 if len(places) == 1 else places)


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


@lru_cache(maxsize=64)
def _update(table: Table, dialect: str, where: tuple[str, ...]) -> str:
    mark = "?" if dialect == "sqlite" else "%s"
    values = ", ".join(f'"{column.name}" = {mark}' for column in table.columns)
    found = " AND ".join(f'"{name}" = {mark}' for name in where)
    return f'UPDATE "{table.name}" SET {values} WHERE {found}'  # noqa: S608
