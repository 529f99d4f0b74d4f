"""The clock of one wait: a first or a next response. Pure."""

from __future__ import annotations

from aggregator.model import Clock, ClockKind, Entry
from aggregator.sla.calendar import ALWAYS
from aggregator.sla.course import RETARGET, Step, run, step_of, steps
from aggregator.sla.facts import Facts, made
from aggregator.sla.waits import Wait, whole_ms


def response(wait: Wait, facts: Facts) -> Clock | None:
    """The clock, or None where nothing is owed; the stored one where it is finished and nothing is new."""
    before = facts.before(wait.kind, wait.start)
    if facts.still_stopped(before, wait.stopped_at, wait.answer):
        return before
    course = run(
        _held_to(wait.kind, wait.start, before, facts),
        start=wait.start.at,
        cause=wait.start.message_id,
        stopped_at=wait.stopped_at,
        now=facts.now,
    )
    if course is None:
        return None
    return made(
        course,
        wait.kind,
        wait.start,
        stopped_at=wait.stopped_at,
        answer=wait.answer,
        reason=wait.reason,
        end=wait.end,
    )


def _held_to(kind: ClockKind, start: Entry, before: Clock | None, facts: Facts) -> list[Step]:
    """What the clock is held to. One made under other rules begins with the deadline that it has."""
    if before is None or not facts.other_rules(before):
        return steps(facts.aims, facts.targets, kind, start.at, facts.version)
    name = before.policy.rpartition("@")[0]
    target = facts.targets.targets.get(name)
    past = tuple(
        one
        for one in before.events
        if one.event in ("activate", "retarget") or one.reason == RETARGET
    )
    had = Step(
        start.at,
        None,
        ALWAYS if target is None else target.calendar,
        before.policy,
        before.priority,
        due=before.due_at,
        past=past,
    )
    if before.stopped_at is not None or not facts.aims:
        return [had]
    aim = max(facts.aims, key=lambda one: one.at)
    if (aim.target, aim.priority) != (name, before.priority):
        at = max(whole_ms(aim.at), start.at)
        return [had, step_of(aim, facts.targets, kind, facts.version, at)]
    owed = step_of(aim, facts.targets, kind, facts.version, facts.now)
    if owed.ms is None or owed.calendar.add(start.at, owed.ms) == before.due_at:
        return [had]
    return [had, owed]
