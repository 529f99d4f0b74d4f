"""What the tables are made of, the same for SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.schema import SchemaItem

# STRICT tables know five type names only, and an INTEGER PRIMARY KEY is the rowid itself.
INT = BigInteger().with_variant(Integer(), "sqlite")
SMALL = SmallInteger().with_variant(Integer(), "sqlite")  # 0 to 3, or 0 and 1 for a flag
FLOAT: Double[float] = Double().with_variant(REAL(), "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def a_table(name: str, *parts: SchemaItem, rowid: bool = True) -> Table:
    return Table(name, metadata, *parts, sqlite_strict=True, sqlite_with_rowid=rowid)


def an_id(name: str = "id") -> Column[int]:
    return Column(name, INT, primary_key=True, autoincrement=False)


def a_key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def a_text(name: str, *, null: bool = True) -> Column[str]:
    return Column(name, Text, nullable=null)


def an_int(name: str, *, null: bool = True) -> Column[int]:
    return Column(name, INT, nullable=null)


def a_flag(name: str) -> Column[int]:
    return Column(name, SMALL, nullable=False, server_default=text("0"))


def a_part(name: str, target: str) -> Column[int]:
    """A key column of a row that goes when its owner goes."""
    return Column(
        name, INT, ForeignKey(target, ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
