"""What every clock of a conversation is computed from, and how a course becomes a clock. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aggregator.model import Aim, Clock, ClockEvent, ClockKind, Entry, Outcome
from aggregator.sla.course import NEW_RULES, Course
from aggregator.sla.policy import Targets
from aggregator.sla.waits import OUTCOMES, WITHDRAWN, End

LATE = timedelta(minutes=10)  # received so long after it was sent, a message came late
NO_TARGET = "no target"

_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Facts:
    """`stored`: the clocks so far, made by these rules (`version`) or by others."""

    targets: Targets
    aims: tuple[Aim, ...]
    version: str
    now: datetime
    stored: Sequence[Clock]

    def before(self, kind: ClockKind, start: Entry) -> Clock | None:
        """The stored clock that `start` started."""
        for clock in self.stored:
            if clock.kind is kind and clock.started_by == start.message_id:
                return clock if clock.started_at == start.at else None
        return None

    def other_rules(self, clock: Clock) -> bool:
        """Whether other rules than these had a part in what the clock is held to."""
        return clock.policy.rpartition("@")[2] != self.version or any(
            one.reason == NEW_RULES for one in clock.events
        )

    def still_stopped(
        self, clock: Clock | None, stopped_at: datetime | None, answer: Entry | None
    ) -> bool:
        """Whether a stored clock is finished and nothing new is dated at or before its stop."""
        if clock is None or clock.stopped_at is None:
            return False
        if dropped(clock):
            late = stopped_at is None or stopped_at >= clock.stopped_at
            return late and self.other_rules(clock)
        answer_id = None if answer is None else answer.message_id
        return (clock.stopped_at, clock.stopped_by) == (stopped_at, answer_id)


def dropped(clock: Clock) -> bool:
    """Stopped because nothing is owed any more: the aims say so, it is not a person's word."""
    return bool(clock.events) and clock.events[-1].reason == NO_TARGET


def made(
    course: Course,
    kind: ClockKind,
    start: Entry,
    *,
    stopped_at: datetime | None,
    answer: Entry | None,
    reason: str | None,
    end: End | None = None,
) -> Clock:
    """The clock of a course that stopped by `answer`, or by being called off for `reason`, or runs.

    `end`: the word that stopped it, with whose word it was.
    """
    if course.dropped_at is not None:
        stopped_at, answer, reason, end = course.dropped_at, None, NO_TARGET, None
    by, way = (end.by, end.way) if end is not None else (None, None)
    outcome = None if course.breached_at is None else Outcome.BREACHED
    business_ms = wall_ms = None
    if stopped_at is not None and reason is not None:
        outcome = OUTCOMES.get(reason, Outcome.NOT_NEEDED)
        cause = start.message_id if reason == WITHDRAWN else None
        course.events.append(ClockEvent("cancel", stopped_at, cause, reason, by, way))
    elif stopped_at is not None:
        outcome = outcome or Outcome.MET
        business_ms = course.business_ms(stopped_at)
        wall_ms = (stopped_at - start.at) // _MS
        cause = None if answer is None else answer.message_id
        course.events.append(ClockEvent("fulfil", stopped_at, cause, by=by, way=way))
    return Clock(
        kind=kind,
        cycle=1,
        started_at=start.at,
        due_at=course.due,
        policy=course.step.policy,
        priority=course.step.priority,
        started_by=start.message_id,
        stopped_at=stopped_at,
        stopped_by=None if answer is None else answer.message_id,
        breached_at=course.breached_at,
        outcome=outcome,
        business_ms=business_ms,
        wall_ms=wall_ms,
        late_ingest=start.received_at - start.at > LATE and start.received_at > course.due,
        # The platform's time was not earlier than ours: it was in the future, or there was none.
        clamped=any(one is not None and one.at >= one.received_at for one in (start, answer)),
        events=tuple(course.events),
    )
