"""The course of one clock: what it was held to, when that changed, and when its deadline passed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from aggregator.model import Aim, ClockEvent, ClockKind, Priority
from aggregator.sla.calendar import ALWAYS, BusinessCalendar
from aggregator.sla.policy import Targets
from aggregator.sla.waits import Pause, Turn, whole_ms

RETARGET = "retarget"
NEW_RULES = "rules changed"


@dataclass(frozen=True, slots=True)
class Step:
    """From `at` on, the clock is held to this; `ms` None: to nothing.

    `due` and `past` are set where they are known already: the deadline that a stored clock has, and the
    events that led to it.
    """

    at: datetime
    ms: int | None
    calendar: BusinessCalendar
    policy: str
    priority: Priority
    due: datetime | None = None
    past: tuple[ClockEvent, ...] = ()


@dataclass(slots=True)
class Course:
    """Where a clock stands; `dropped_at`: since when it is held to nothing.

    `pieces`: the calendars that it was counted by, each from when on.
    """

    start: datetime
    step: Step
    due: datetime
    breached_at: datetime | None = None
    dropped_at: datetime | None = None
    paused_since: datetime | None = None
    paused: list[tuple[datetime, datetime]] = field(default_factory=list)
    events: list[ClockEvent] = field(default_factory=list)
    pieces: list[tuple[datetime, BusinessCalendar]] = field(default_factory=list)

    def business_ms(self, end: datetime) -> int:
        """Open time from the start to `end` without the pauses, each piece by the calendar that held then."""
        pieces = self.pieces or [(self.start, self.step.calendar)]
        total = 0
        for number, (since, calendar) in enumerate(pieces):
            last = number + 1 == len(pieces)
            until = end if last else min(end, pieces[number + 1][0])
            total += calendar.elapsed(since, until) - sum(
                calendar.elapsed(max(begin, since), min(over, until)) for begin, over in self.paused
            )
        return total

    def due_by(self, step: Step) -> datetime:
        """The deadline under `step`: counted from the start, with the pauses so far."""
        if step.due is not None:
            return step.due
        off = sum(step.calendar.elapsed(begin, end) for begin, end in self.paused)
        return step.calendar.add(self.start, (step.ms or 0) + off)

    def change(self, step: Step, *, reason: str) -> None:
        """Hold the clock to `step` from its moment on."""
        if step.ms is None:
            self.dropped_at = self.dropped_at or step.at
            return
        due = self.due_by(step)
        if (due, step.policy, step.priority) != (self.due, self.step.policy, self.step.priority):
            self.events.append(ClockEvent("retarget", step.at, reason=reason))
        if step.calendar != self.step.calendar:
            self.pieces = [
                *(self.pieces or [(self.start, self.step.calendar)]),
                (step.at, step.calendar),
            ]
        self.step, self.due, self.dropped_at = step, due, None
        if due < step.at and self.paused_since is None:
            self.due = self.breached_at = step.at
            self.events.append(ClockEvent("breach", step.at, reason=RETARGET))

    def passed(self, at: datetime) -> bool:
        """Whether the deadline lies before `at`; if so, the clock breached then."""
        if self.breached_at is None:
            if self.paused_since is not None or self.dropped_at is not None or self.due >= at:
                return False
            self.breached_at = self.due
            self.events.append(ClockEvent("breach", self.due))
        return True

    def pause(self, pause: Pause) -> None:
        self.paused_since = pause.begin
        self.events.append(_said("pause", pause.begin, pause.begun_by, pause.first))

    def resume(self, at: datetime) -> None:
        """The time off is over, and the deadline later by it."""
        if self.paused_since is None:
            return
        self.paused.append((self.paused_since, at))
        self.paused_since = None
        self.due = self.due_by(replace(self.step, due=None))


def _said(event: str, at: datetime, cause: int | None, turn: Turn | None) -> ClockEvent:
    if turn is None:
        return ClockEvent(event, at, cause)
    return ClockEvent(event, at, cause, by=turn.by, way=turn.way)


def steps(
    aims: Iterable[Aim], targets: Targets, kind: ClockKind, start: datetime, version: str
) -> list[Step]:
    """What the clock was held to, in order. What held before the first aim is the first aim."""
    rows = sorted((whole_ms(aim.at), index, aim) for index, aim in enumerate(aims))
    past = [row for row in rows if row[0] <= start]
    return [
        step_of(aim, targets, kind, version, at) for at, _, aim in (*past[-1:], *rows[len(past) :])
    ]


def step_of(aim: Aim, targets: Targets, kind: ClockKind, version: str, at: datetime) -> Step:
    target = targets.targets.get(aim.target) if aim.target is not None else None
    if target is None:
        return Step(at, None, ALWAYS, f"{aim.target}@{version}", aim.priority)
    owed = target.ms(kind, aim.priority)
    return Step(at, owed, target.calendar, f"{target.name}@{version}", aim.priority)


def run(
    held_to: Sequence[Step],
    *,
    start: datetime,
    cause: int,
    stopped_at: datetime | None,
    now: datetime,
    pauses: Sequence[Pause] = (),
) -> Course | None:
    """Follow a clock from `start` to where it stopped, or to `now`; None where it was held to nothing.

    A change applies from its moment on, with the deadline recomputed from the start: where that is past,
    the deadline is the moment of the change and the clock breaches then. Nothing changes a deadline that
    has passed. While the clock is paused no deadline passes.
    """
    course: Course | None = None
    for at, _, fact in _points(held_to, pauses, stopped_at, now):
        if isinstance(fact, Step):
            if course is None:
                course = _begun(fact, held_to[0], start, cause, stopped_at)
            elif not course.passed(at):
                course.change(fact, reason=_words(course.step, fact))
        elif course is not None and not course.passed(at):
            if at == fact.end:
                course.resume(at)
                course.events.append(_said("resume", at, fact.ended_by, fact.last))
            else:
                course.pause(fact)
    if course is not None:
        if stopped_at is not None:
            course.resume(stopped_at)
        course.passed(now if stopped_at is None else stopped_at)
    return course


_Point = tuple[datetime, int, Step | Pause]


def _points(
    held_to: Sequence[Step], pauses: Sequence[Pause], stopped_at: datetime | None, now: datetime
) -> list[_Point]:
    """The first step, then everything before the end. What falls on the end itself comes too late."""
    points: list[_Point] = [(step.at, 2, step) for step in held_to[1:]]
    for pause in pauses:
        points.append((pause.begin, 1, pause))
        if pause.end is not None:
            points.append((pause.end, 0, pause))
    points = [
        one for one in points if one[0] <= now and (stopped_at is None or one[0] < stopped_at)
    ]
    points.sort(key=lambda one: one[:2])
    return [(one.at, 2, one) for one in held_to[:1]] + points


def _begun(
    step: Step, first: Step, start: datetime, cause: int, stopped_at: datetime | None
) -> Course | None:
    if step.due is not None:
        past = [one for one in step.past if stopped_at is None or one.at < stopped_at]
        late = next((one.at for one in past if one.event == "breach"), None)
        return Course(start, step, step.due, breached_at=late, events=past)
    if step.ms is None:
        return None
    course = Course(start, first, start, events=[ClockEvent("activate", start, cause)])
    if step is first:
        course.due = course.due_by(step)
    else:  # held to nothing until now
        course.change(step, reason=_words(first, step))
        course.pieces = []
    return course


def _words(before: Step, after: Step) -> str:
    """What changed: `standard P3 -> urgent P1`, or the numbers behind the same words."""
    old, new = before.policy.rpartition("@")[0], after.policy.rpartition("@")[0]
    if (old, before.priority) == (new, after.priority):
        return NEW_RULES
    return f"{old} {before.priority} -> {new} {after.priority}"
