"""What people corrected: stored beside the verdicts, which stay as they were made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from sqlalchemy import Connection, Row, select

from aggregator.model import Correction, Direction, Priority
from storage.message_rows import unwords
from storage.schema import correction, message
from storage.sql import among, bulk_insert, dumps, from_ms, to_ms


def correctable(connection: Connection, message_id: int) -> str | None:
    """Why there is nothing to correct of a message; None where there is."""
    columns = (message.c.direction, message.c.priority)
    row = connection.execute(select(*columns).where(message.c.id == message_id)).one_or_none()
    if row is None:
        return f"no message {message_id}; `inboxd export messages` lists the ids"
    if row.direction != Direction.INBOUND or row.priority is None:
        return f"message {message_id} was not judged: only what customers write is; name another"
    return None


def correct(connection: Connection, given: Correction) -> None:
    """Store one more correction; what was stored before stays."""
    row = (
        given.id,
        given.message_id,
        to_ms(given.at),
        given.by,
        given.why,
        given.priority,
        given.sentiment,
        dumps(list(given.added)),
        dumps(list(given.removed)),
    )
    bulk_insert(connection, correction, [row])


def corrections_of(
    connection: Connection, ids: Collection[int] | None = None
) -> dict[int, Sequence[Correction]]:
    """By message, in their order; of these messages, or all there are."""
    statement = select(correction).order_by(correction.c.id)
    if ids is not None:
        statement = statement.where(among(correction.c.message_id, ids))
    found: defaultdict[int, list[Correction]] = defaultdict(list)
    for row in connection.execute(statement):
        found[row.message_id].append(_correction(row))
    return dict(found)


def _correction(row: Row[tuple[object, ...]]) -> Correction:
    return Correction(
        id=row.id,
        message_id=row.message_id,
        at=from_ms(row.corrected_at),
        by=row.corrected_by,
        why=row.why,
        priority=Priority(row.priority) if row.priority else None,
        sentiment=row.sentiment,
        added=unwords(row.added),
        removed=unwords(row.removed),
    )
