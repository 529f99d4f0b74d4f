"""Running response clocks whose deadline has passed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, func, select, update

from aggregator.model import Conversation, Outcome
from storage import conversation_rows
from storage.leases import Fence, check
from storage.rollup import rolled
from storage.schema import RUNNING, clock, clock_event, conversation
from storage.sql import among, bulk_insert, to_ms

BREACHES = 500  # in one transaction; the rest is found by the next look

_SAME_CLOCK = and_(
    clock_event.c.conversation_id == clock.c.conversation_id,
    clock_event.c.kind == clock.c.kind,
    clock_event.c.cycle == clock.c.cycle,
)


def breach_due(
    connection: Connection, *, fence: Fence, now: datetime, new_id: Callable[[], int] | None = None
) -> list[Conversation]:
    """Note, once, each running clock whose deadline lies before `now`. Returns their conversations, to be told of.

    An answer at the deadline itself meets it. A paused clock has no deadline. The conversations get a new
    version, so that a page that was decided on before is decided again. Raises LeaseLost.
    """
    check(connection, fence)
    last_change = (
        select(clock_event.c.event)
        .where(_SAME_CLOCK, clock_event.c.event.in_(("pause", "resume")))
        .order_by(clock_event.c.seq.desc())
        .limit(1)
        .scalar_subquery()
    )
    next_seq = (
        select(func.coalesce(func.max(clock_event.c.seq) + 1, 0))
        .where(_SAME_CLOCK)
        .scalar_subquery()
    )
    late = connection.execute(
        select(clock.c.conversation_id, clock.c.kind, clock.c.cycle, clock.c.due_at, next_seq)
        .where(
            RUNNING,
            clock.c.stopped_at.is_(None),
            clock.c.due_at < to_ms(now),
            func.coalesce(last_change, "resume") != "pause",
        )
        .order_by(clock.c.due_at)
        .limit(BREACHES)
    ).all()
    if not late:
        return []
    ids = sorted({row.conversation_id for row in late})
    connection.execute(
        update(conversation)
        .where(among(conversation.c.id, ids))
        .values(version=conversation.c.version + 1)
    )
    with rolled(connection, clocks=ids):
        for conversation_id, kind, cycle, _due_at, _seq in late:
            connection.execute(
                update(clock)
                .where(
                    clock.c.conversation_id == conversation_id,
                    clock.c.kind == kind,
                    clock.c.cycle == cycle,
                )
                .values(outcome=Outcome.BREACHED, breached_at=clock.c.due_at)
            )
    bulk_insert(
        connection,
        clock_event,
        [
            (id, kind, cycle, seq, "breach", due_at, None, None, None, None)
            for id, kind, cycle, due_at, seq in late
        ],
    )
    rows = connection.execute(
        select(conversation).where(among(conversation.c.id, ids)).order_by(conversation.c.id)
    )
    return [conversation_rows.conversation(row) for row in rows]


def may_breach(connection: Connection, now: datetime) -> bool:
    """Whether `breach_due` may find anything: cheap, for a look every second."""
    late = RUNNING & clock.c.stopped_at.is_(None) & (clock.c.due_at < bindparam("now"))
    found = select(clock.c.due_at).where(late).limit(1)
    return connection.execute(found, {"now": to_ms(now)}).first() is not None
