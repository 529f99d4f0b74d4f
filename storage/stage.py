"""Where a running sandbox's stand-ins are: noted in its own database, never in one with real data."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from storage.schema import meta
from storage.sql import bulk_insert

_KEY = "stage"


def set_stage(connection: Connection, told: str | None) -> None:
    """What another process of the sandbox needs to know; None when the stage is taken down."""
    if told is None:
        connection.execute(delete(meta).where(meta.c.key == _KEY))
    else:
        bulk_insert(connection, meta, [(_KEY, told)], replace="key")


def stage(connection: Connection) -> str | None:
    return connection.execute(select(meta.c.value).where(meta.c.key == _KEY)).scalar()
