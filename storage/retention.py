"""What is kept for a while only."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, select

from storage.schema import message_raw
from storage.sql import among, to_ms

ROWS = 500  # a longer delete would hold up the writer


def prune_raw(connection: Connection, before: datetime) -> int:
    """Delete up to ROWS raw payloads stored before then, the oldest first. Returns how many."""
    oldest = (
        select(message_raw.c.message_id)
        .where(message_raw.c.stored_at < to_ms(before))
        .order_by(message_raw.c.message_id)
        .limit(ROWS)
    )
    ids = connection.execute(oldest).scalars().all()
    if not ids:
        return 0
    gone = among(message_raw.c.message_id, ids)
    return connection.execute(delete(message_raw).where(gone)).rowcount
