"""Silences: what somebody does not want to hear of for a while. None is ever deleted: who, why and when stay."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, or_, select, update

from aggregator.model import Silence
from storage.schema import HELD, delivery, silence
from storage.sql import bulk_insert, clean, from_ms, opt_ms, opt_time, to_ms


def add_silence(connection: Connection, one: Silence) -> None:
    """It holds from the next notice on: senders read silences before each batch."""
    matchers = json.dumps({k: list(v) for k, v in one.matchers.items()}, ensure_ascii=False)
    row = (
        one.id,
        to_ms(one.created_at),
        clean(one.by),
        clean(one.why),
        clean(matchers),
        to_ms(one.starts_at),
        opt_ms(one.until),
        one.interval,
        opt_ms(one.ended_at),
        one.ended_by,
    )
    bulk_insert(connection, silence, [row])


def silences(connection: Connection, now: datetime | None = None) -> list[Silence]:
    """Every silence, oldest first; with `now` those that are not over then."""
    statement = select(silence).order_by(silence.c.id)
    if now is not None:
        statement = statement.where(
            silence.c.ended_at.is_(None),
            or_(silence.c.until.is_(None), silence.c.until > to_ms(now)),
        )
    return [_silence(row) for row in connection.execute(statement)]


def expire_silence(connection: Connection, id: int, *, by: str, now: datetime) -> bool:
    """End it now: what it held is told in a digest at the sender's next turn. False where it was over."""
    ended = connection.execute(
        update(silence)
        .where(
            silence.c.id == id,
            silence.c.ended_at.is_(None),
            or_(silence.c.until.is_(None), silence.c.until > to_ms(now)),
        )
        .values(ended_at=to_ms(now), ended_by=clean(by))
    ).rowcount
    connection.execute(
        update(delivery)
        .where(HELD, delivery.c.held_by == f"silence:{id}")
        .values(due_at=to_ms(now))
    )
    return bool(ended)


def _silence(row: Row[Any]) -> Silence:
    return Silence(
        id=row.id,
        created_at=from_ms(row.created_at),
        by=row.by,
        why=row.why,
        matchers={k: tuple(v) for k, v in json.loads(row.matchers).items()},
        starts_at=from_ms(row.starts_at),
        until=opt_time(row.until),
        interval=row.interval,
        ended_at=opt_time(row.ended_at),
        ended_by=row.ended_by,
    )
