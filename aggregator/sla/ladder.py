"""The ladder of a clock: at which moments somebody hears of it, and who. Pure.

The deadline, a claim without an answer and the platform's reply window have one each. Only the most severe
step that is past is told. A step of a business clock is told in its open hours: what falls outside them, or
is looked at outside them, waits for the opening. The platform's window does not wait, and neither do we.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from aggregator.model import Clock, ClockKind, Conversation, ConversationState
from aggregator.sla.calendar import ALWAYS, BusinessCalendar
from aggregator.sla.clock import paused
from aggregator.sla.duration import MINUTE_MS, in_short
from aggregator.sla.policy import ResponseTarget, Targets
from aggregator.sla.waits import whole_ms

WINDOW, CLAIM, RELEASE = "window", "claim", "release"
LATE_BY = timedelta(minutes=2)  # told so long after its time, a step is marked late
REMIND_MS, RELEASE_MS = 30 * MINUTE_MS, 45 * MINUTE_MS
NEARLY = timedelta(hours=2)  # before the platform's window closes

_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Step:
    """Told at `at`. `warns`: the destinations of the conversation hear of it; `to`: these are escalated to."""

    level: str
    at: datetime
    warns: bool = False
    to: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """`step`: what is to be told now, if anything; `then`: when to look again; `rest`: the steps above it."""

    step: Step | None = None
    then: datetime | None = None
    late: bool = False
    rest: tuple[Step, ...] = ()


def target_of(policy: str, targets: Targets) -> ResponseTarget | None:
    """The target that a clock's policy names, as the rules have it now."""
    return targets.targets.get(policy.rpartition("@")[0])


def steps(clock: Clock, target: ResponseTarget | None) -> tuple[Step, ...]:
    """The steps of a running clock, in order of severity; none where it is stopped, paused or nobody's."""
    if target is None or clock.stopped_at is not None or paused(clock):
        return ()
    calendar = target.calendar
    whole = calendar.elapsed(clock.started_at, clock.due_at)
    owed = whole - sum(calendar.elapsed(begin, end) for begin, end in _pauses(clock))
    found: dict[tuple[int, int], Step] = {}

    def add(place: tuple[int, int], more: Step) -> None:
        had = found.get(place, more)
        found[place] = Step(
            had.level,
            had.at,
            had.warns or more.warns,
            tuple(dict.fromkeys((*had.to, *more.to))),
            tuple(dict.fromkeys((*had.mentions, *more.mentions))),
        )

    def part(percent: int) -> datetime:
        at = calendar.add(clock.started_at, max(whole - owed * (100 - percent) // 100, 0))
        return calendar.add(at, 0)

    for percent in target.warn_at:
        add((0, percent), Step(f"{percent}%", part(percent), warns=True))
    for one in target.escalate:
        if one.percent is not None:
            step = Step(f"{one.percent}%", part(one.percent), to=one.to, mentions=one.mention)
            add((0, one.percent), step)
            continue
        # A deadline is met at its very moment: it has passed a millisecond later.
        passed = calendar.add(clock.due_at, one.after_due_ms) + _MS
        level = f"due+{in_short(one.after_due_ms)}" if one.after_due_ms else "due"
        step = Step(level, calendar.add(passed, 0), to=one.to, mentions=one.mention)
        add((1, one.after_due_ms), step)
    return tuple(found[place] for place in sorted(found))


def look(several: Sequence[Step], now: datetime, calendar: BusinessCalendar = ALWAYS) -> Look:
    """What of a ladder is to be told at `now`, and when to look again."""
    coming = min((one.at for one in several if one.at > now), default=None)
    past = [number for number, one in enumerate(several) if one.at <= now]
    if not past:
        return Look(then=coming)
    opens = calendar.add(now, 0)
    if opens > now:
        return Look(then=opens)
    step = several[past[-1]]
    return Look(step, coming, now - step.at > LATE_BY, tuple(several[past[-1] + 1 :]))


def planned(
    found: Iterable[Clock],
    before: Collection[Clock],
    targets: Targets,
    now: datetime,
    *,
    silent: Collection[int] = (),
) -> tuple[Clock, ...]:
    """The clocks with the moment at which each is next looked at.

    What is past of a clock that is new or was changed is looked at once, unless a message of `silent`
    started it; a look that is owed already stays so.
    """
    had = {(one.kind, one.started_at, one.started_by): one for one in before}
    rows = []
    for clock in found:
        earlier = had.get((clock.kind, clock.started_at, clock.started_by))
        several = steps(clock, target_of(clock.policy, targets))
        same = earlier is not None and _held_to(earlier) == _held_to(clock)
        owed = earlier.look_at if same and earlier is not None else None
        at = _first(several, now, owed, quiet=same or clock.started_by in silent)
        rows.append(clock if clock.look_at == at else replace(clock, look_at=at))
    return tuple(rows)


def window_steps(about: Conversation) -> tuple[Step, ...]:
    """Before the platform lets nobody answer any more: a quarter is left, two hours are, one message is."""
    if about.state is not ConversationState.OPEN or about.reply_window_left == 0:
        return ()
    begins = about.last_inbound_at or about.opened_at
    closes = about.reply_window_closes_at
    found = []
    if about.reply_window_left == 1:
        found.append(Step("last", begins, warns=True))
    if closes is not None and closes > begins:
        found.append(Step("25%", whole_ms(closes - (closes - begins) / 4), warns=True))
        if closes - NEARLY > begins:
            found.append(Step("2h", closes - NEARLY, warns=True))
    return tuple(sorted(found, key=lambda one: one.at))


def claim_steps(about: Conversation, clocks: Iterable[Clock], targets: Targets) -> tuple[Step, ...]:
    """Whoever claimed it and did not answer is reminded, then it is everybody's again."""
    if about.claimed_at is None or about.claimed_by is None or not waits(clocks):
        return ()
    if about.last_outbound_at is not None and about.last_outbound_at >= about.claimed_at:
        return ()
    calendar = calendar_of(about, targets)

    def after(ms: int) -> datetime:
        assert about.claimed_at is not None
        return calendar.add(calendar.add(about.claimed_at, ms), 0)

    return (Step(CLAIM, after(REMIND_MS), warns=True), Step(RELEASE, after(RELEASE_MS), warns=True))


def waits(clocks: Iterable[Clock]) -> bool:
    """Whether a customer waits for an answer."""
    return any(one.stopped_at is None and one.kind is not ClockKind.RESOLUTION for one in clocks)


def calendar_of(about: Conversation, targets: Targets) -> BusinessCalendar:
    """The calendar of what the conversation is held to now."""
    name = about.aims[-1].target if about.aims else None
    target = targets.targets.get(name) if name is not None else None
    return ALWAYS if target is None else target.calendar


def watched(
    about: Conversation,
    before: Conversation | None,
    clocks: Sequence[Clock],
    targets: Targets,
    now: datetime,
    *,
    silent: bool = False,
) -> Conversation:
    """The conversation with the moment at which its reply window and its claim are next looked at."""
    both = (window_steps(about), claim_steps(about, clocks, targets))
    same = before is not None and _told_of(before) == _told_of(about)
    owed = before.window_look_at if same and before is not None else None
    firsts = (_first(several, now, owed, quiet=same or silent) for several in both if several)
    return replace(about, window_look_at=min((at for at in firsts if at), default=None))


def _first(
    several: Sequence[Step], now: datetime, owed: datetime | None, *, quiet: bool
) -> datetime | None:
    if not several:
        return None
    found = [one.at for one in several if one.at > now]
    if owed is not None:
        found.append(owed)
    if not quiet and any(one.at <= now for one in several):
        found.append(whole_ms(now))
    return min(found, default=None)


def _pauses(clock: Clock) -> list[tuple[datetime, datetime]]:
    """The pauses that are over."""
    found, since = [], None
    for one in clock.events:
        if one.event == "pause":
            since = one.at
        elif one.event == "resume" and since is not None:
            found.append((since, one.at))
            since = None
    return found


def _held_to(clock: Clock) -> tuple[object, ...]:
    return (clock.due_at, clock.policy, clock.priority, paused(clock))


def _told_of(about: Conversation) -> tuple[object, ...]:
    return (
        about.state,
        about.reply_window_closes_at,
        about.reply_window_left,
        about.last_inbound_at,
        about.claimed_at,
    )
