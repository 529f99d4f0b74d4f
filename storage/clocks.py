"""Running response clocks whose deadline has passed, and clocks as reports read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, case, func, select, update

from aggregator.model import ClockKind, Conversation, Outcome, Priority
from storage import conversation_rows
from storage.leases import Fence, check
from storage.message_rows import unwords
from storage.rollup import rolled
from storage.schema import RUNNING, clock, clock_event, conversation, message
from storage.sql import among, bulk_insert, from_ms, opt_time, to_ms

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


@dataclass(frozen=True, slots=True)
class ClockRow:
    """One clock as a report groups it. `kind` is what the message that started it is (mention, comment, …).

    `priority`, `labels` and `routes` are the conversation's; `clock_priority` is what the clock is held to.
    """

    conversation_id: int
    clock: ClockKind
    cycle: int
    started_at: datetime
    due_at: datetime
    stopped_at: datetime | None
    breached_at: datetime | None
    outcome: Outcome | None
    business_ms: int | None
    wall_ms: int | None
    late_ingest: bool
    policy: str
    clock_priority: Priority
    account: str
    platform: str
    kind: str
    priority: Priority
    labels: tuple[str, ...]
    routes: tuple[str, ...]


def clock_rows(connection: Connection, since: datetime | None = None) -> Iterator[ClockRow]:
    """Every clock whose message was received since then, in the order of their conversations."""
    received = func.coalesce(message.c.received_at, clock.c.started_at)
    statement = (
        select(
            clock,
            conversation.c.account,
            conversation.c.platform,
            func.coalesce(
                message.c.kind,
                case((conversation.c.kind == "direct", "direct_message"), else_="comment"),
            ).label("message_kind"),
            conversation.c.priority.label("conversation_priority"),
            conversation.c.labels,
            conversation.c.routes,
        )
        .join(conversation, conversation.c.id == clock.c.conversation_id)
        .outerjoin(message, message.c.id == clock.c.started_by)
        .order_by(clock.c.conversation_id, clock.c.kind, clock.c.cycle)
        .execution_options(yield_per=500)
    )
    if since is not None:
        statement = statement.where(received >= to_ms(since))
    for row in connection.execute(statement):
        yield ClockRow(
            conversation_id=row.conversation_id,
            clock=ClockKind(row.kind),
            cycle=row.cycle,
            started_at=from_ms(row.started_at),
            due_at=from_ms(row.due_at),
            stopped_at=opt_time(row.stopped_at),
            breached_at=opt_time(row.breached_at),
            outcome=None if row.outcome is None else Outcome(row.outcome),
            business_ms=row.business_ms,
            wall_ms=row.wall_ms,
            late_ingest=bool(row.late_ingest),
            policy=row.policy,
            clock_priority=Priority(row.priority),
            account=row.account,
            platform=row.platform,
            kind=row.message_kind,
            priority=Priority(row.conversation_priority),
            labels=unwords(row.labels),
            routes=unwords(row.routes),
        )
