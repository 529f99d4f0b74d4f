"""The clock of one matter: from the first question until it is resolved, without the customer's pauses. Pure."""

from __future__ import annotations

from datetime import datetime

from aggregator.model import Clock, ClockEvent, ClockKind
from aggregator.sla.course import NEW_RULES, RETARGET, Course, run, steps
from aggregator.sla.facts import Facts, made
from aggregator.sla.waits import CLOSED, WITHDRAWN, Episode, whole_ms

KIND = ClockKind.RESOLUTION


def resolution(episode: Episode, facts: Facts) -> Clock | None:
    """The clock, or None where nothing is owed; the stored one where it is finished and nothing is new."""
    before = facts.before(KIND, episode.start)
    stopped_at, reason = _stop(episode)
    if facts.still_stopped(before, stopped_at, None):
        return before
    course = run(
        steps(facts.aims, facts.targets, KIND, episode.start.at, facts.version),
        start=episode.start.at,
        cause=episode.start.message_id,
        stopped_at=stopped_at,
        now=facts.now,
        pauses=episode.pauses,
    )
    if course is None:
        return before
    if before is None or not facts.other_rules(before):
        return made(
            course,
            KIND,
            episode.start,
            stopped_at=stopped_at,
            answer=None,
            reason=reason,
            end=episode.end,
        )
    if stopped_at is None:
        if before.breached_at is not None:
            return before
        _not_back_dated(course, before, facts.now)
    clock = made(
        course,
        KIND,
        episode.start,
        stopped_at=stopped_at,
        answer=None,
        reason=reason,
        end=episode.end,
    )
    owed, owed_before = ((one.due_at, one.outcome, len(one.events)) for one in (clock, before))
    return before if owed == owed_before else clock


def _stop(episode: Episode) -> tuple[datetime | None, str | None]:
    """When it ended, and why, unless it was resolved. Closed while we waited for the customer is resolved."""
    if episode.withdrawn_at is not None:
        return whole_ms(episode.withdrawn_at), WITHDRAWN
    if episode.end is None:
        return None, None
    ours = episode.pauses and episode.pauses[-1].end is None
    return whole_ms(episode.end.at), CLOSED if episode.end.reason == CLOSED and not ours else None


def _not_back_dated(course: Course, before: Clock, now: datetime) -> None:
    """What the rules of now owe earlier than those before did counts from now on."""
    if course.breached_at is not None and before.due_at >= now:
        course.events[-1] = ClockEvent("retarget", now, reason=NEW_RULES)
        course.events.append(ClockEvent("breach", now, reason=RETARGET))
        course.due = course.breached_at = now
