"""What callbacks brought, stored raw before it is answered and drained by the account's poller."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from storage.schema import push
from storage.sql import bulk_insert, from_ms, to_ms


@dataclass(frozen=True, slots=True)
class StoredPush:
    id: int
    stream: str
    received_at: datetime
    body: bytes


def store_pushes(
    connection: Connection,
    account: str,
    stream: str,
    bodies: Sequence[bytes],
    now: datetime,
    *,
    new_id: Callable[[], int],
) -> int:
    """Store what is not waiting already. Returns how many were new."""
    rows = [(new_id(), account, stream, to_ms(now), body, _digest(stream, body)) for body in bodies]
    return bulk_insert(connection, push, rows, unless="account, digest")


def pushes(connection: Connection, account: str, stream: str, limit: int) -> list[StoredPush]:
    """The oldest that wait, in the order in which they came."""
    rows = connection.execute(
        select(push)
        .where(push.c.account == account, push.c.stream == stream)
        .order_by(push.c.id)
        .limit(limit)
    )
    return [StoredPush(row.id, row.stream, from_ms(row.received_at), row.body) for row in rows]


def count_pushes(connection: Connection) -> dict[str, int]:
    """Account → how many wait."""
    statement = select(push.c.account, func.count()).group_by(push.c.account)
    return {row[0]: row[1] for row in connection.execute(statement)}


def _digest(stream: str, body: bytes) -> str:
    return hashlib.sha256(stream.encode() + b"\0" + body).hexdigest()
