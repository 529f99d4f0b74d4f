"""Response clocks: how long customers waited, computed from a conversation's messages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from aggregator.model import Act, Aim, Clock, ClockEvent, ClockKind, Entry, Outcome
from aggregator.sla.facts import Facts, dropped
from aggregator.sla.policy import Targets
from aggregator.sla.resolution import resolution
from aggregator.sla.response import response
from aggregator.sla.standing import Standing, standing
from aggregator.sla.waits import (
    CLOSED,
    NOT_NEEDED,
    RESOLVED,
    End,
    episodes,
    in_order,
    waits,
    whole_ms,
)


def clocks(
    entries: Sequence[Entry],
    aims: Sequence[Aim],
    targets: Targets,
    *,
    version: str,
    now: datetime,
    stored: Sequence[Clock] = (),
    resolved_at: datetime | None = None,
    closed_at: datetime | None = None,
    acts: Sequence[Act] = (),
) -> tuple[Clock, ...]:
    """Every clock of one conversation as it stands at `now`, whatever order its messages arrived in.

    `acts`: what people did with it; `resolved_at` and `closed_at`: as the conversation has it, whoever did it.
    `stored` are its clocks so far. A finished one stays as it is, under whatever rules it was made, unless
    a fact dated at or before its stop is new. A running one that was made under other rules keeps its
    deadline; if the rules that hold now owe another, that applies from `now` on.

    A clock that was answered is `met` if and only if the answer is not later than `due_at`, else
    `breached`. One that was not answered has no durations: it is `withdrawn`, `unanswered_closed` or
    `not_needed` (whether or not its deadline had passed: `breached_at` says), `breached` where it runs on
    overdue, and None where it runs in time. `wall_ms` of a resolution counts the pauses, `business_ms`
    does not.
    """
    facts = Facts(targets, tuple(aims), version, whole_ms(now), stored)
    ordered = in_order(one for one in entries if not one.undelivered)
    stands = standing(acts, ordered)
    ends = _ends(stands, stored, resolved_at, closed_at)
    found = [response(wait, facts) for wait in waits(ordered, ends)]
    if any(target.resolution for target in targets.targets.values()):
        found += [resolution(episode, facts) for episode in episodes(ordered, ends, stands.turns)]
    return _numbered(clock for clock in found if clock is not None)


def breach(clock: Clock, now: datetime) -> Clock | None:
    """The clock with its deadline passed, if it runs, is not paused and `due_at` lies before `now`; else None."""
    if clock.stopped_at is not None or clock.breached_at is not None or clock.due_at >= now:
        return None
    if paused(clock):
        return None
    return replace(
        clock,
        breached_at=clock.due_at,
        outcome=Outcome.BREACHED,
        events=(*clock.events, ClockEvent("breach", clock.due_at)),
    )


def paused(clock: Clock) -> bool:
    """Whether the clock waits for the customer: its deadline cannot pass."""
    changes = [one.event for one in clock.events if one.event in ("pause", "resume")]
    return clock.stopped_at is None and changes[-1:] == ["pause"]


def _ends(
    stands: Standing,
    stored: Iterable[Clock],
    resolved_at: datetime | None,
    closed_at: datetime | None,
) -> list[End]:
    """When waits were called off: by somebody's act, by ours, and earlier as the stored clocks remember."""
    ends = {one.at: one for one in stands.ends}
    for at, reason in ((resolved_at, RESOLVED), (closed_at, CLOSED)):
        if at is not None:
            ends.setdefault(at, End(at, reason, "inboxd", "intake"))
    for clock in stored:
        called_off = _called_off(clock)
        at = clock.stopped_at
        if at is not None and called_off is not None and at not in stands.undone:
            last = clock.events[-1] if clock.events else None
            by, way = (last.by, last.way) if last is not None else (None, None)
            ends.setdefault(at, End(at, called_off, by, way))
    return list(ends.values())


def _called_off(clock: Clock) -> str | None:
    if dropped(clock):
        return None
    if clock.outcome is Outcome.UNANSWERED_CLOSED:
        return RESOLVED if clock.events and clock.events[-1].reason == RESOLVED else CLOSED
    if clock.outcome is Outcome.NOT_NEEDED:
        return NOT_NEEDED
    if clock.kind is ClockKind.RESOLUTION and clock.outcome is not Outcome.WITHDRAWN:
        return RESOLVED
    return None


def _numbered(found: Iterable[Clock]) -> tuple[Clock, ...]:
    """Cycles are counted from 1, for each kind apart, in the order of their starts."""
    counts: dict[ClockKind, int] = {}
    rows = []
    for clock in found:
        cycle = counts[clock.kind] = counts.get(clock.kind, 0) + 1
        rows.append(clock if clock.cycle == cycle else replace(clock, cycle=cycle))
    return tuple(rows)
