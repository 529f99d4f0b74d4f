"""What holds a notice back just before it is sent: a quiet interval, a silence, or that it was needless by then. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from aggregator.model import (
    Author,
    Clock,
    ClockKind,
    Conversation,
    ConversationState,
    Delivery,
    NoticeKind,
    Priority,
    Rung,
    Silence,
)
from aggregator.sla.interval import Interval
from aggregator.sla.ladder import CLAIM, WINDOW
from aggregator.sla.policy import Targets
from aggregator.triage.routes import Route, RouteRule

ANSWERED = "answered meanwhile"
RUNGS = (NoticeKind.WARNING, NoticeKind.ESCALATION)
FILTERED = (NoticeKind.CARD, NoticeKind.MESSAGE, NoticeKind.DIGEST, *RUNGS)


@dataclass(frozen=True, slots=True)
class About:
    """What a notice tells of, as it stands now.

    `carded`: its destination has the conversation's card; `shelved`: the card was held back when it began.
    """

    conversation: Conversation
    author: Author | None = None
    clocks: Sequence[Clock] = ()
    carded: bool = False
    shelved: bool = False

    def over(self) -> str | None:
        """Why nobody waits for an answer any more, in words; None while somebody does."""
        one = self.conversation
        if one.state is not ConversationState.OPEN:
            waits = one.state is ConversationState.WAITING
            return ANSWERED if waits else f"{one.state} meanwhile"
        responses = [c for c in self.clocks if c.kind is not ClockKind.RESOLUTION]
        if responses:
            return None if any(c.stopped_at is None for c in responses) else ANSWERED
        asked, said = one.last_inbound_at, one.last_outbound_at
        return ANSWERED if asked and said and said >= asked else None

    def rank(self) -> tuple[Priority, float, int]:
        """P1 first, then by the deadline; what has none comes last."""
        due = [c.due_at.timestamp() for c in self.clocks if c.stopped_at is None]
        return self.conversation.priority, min(due, default=float("inf")), self.conversation.id


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a notice does not go out now. `held_by`: what holds it, until then; None: it is not told at all."""

    reason: str
    held_by: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters in their order: quiet interval, silence, already told. `zone`: of the times in reasons."""

    routes: Sequence[RouteRule]
    targets: Targets
    silences: Sequence[Silence]
    zone: str
    now: datetime
    _ends: dict[str, datetime | None] = field(default_factory=dict, init=False, repr=False)

    def stop(self, row: Delivery, about: About) -> Stop | None:
        """What stands in the way of `row` now.

        The edit of a card that is there pages nobody and passes; so does what may have arrived already.
        """
        if row.kind not in FILTERED or row.unsure:
            return None
        if row.kind is NoticeKind.CARD and about.carded:
            return None
        return self.hold(row.destination, about) or _needless(row, about)

    def hold(self, destination: str, about: About) -> Stop | None:
        """What holds back whatever `destination` is to hear of this conversation."""
        return self._quiet(destination, about.conversation) or self._silence(about)

    # -- quiet intervals -------------------------------------------------------------------------

    def _quiet(self, destination: str, about: Conversation) -> Stop | None:
        """All routes that lead there are quiet now; P1 passes."""
        if about.priority is Priority.P1:
            return None
        mine = [rule.route for rule in self.routes if rule.route.id in about.routes]
        # Whoever is escalated to is on no route of it: the conversation's own ones count.
        leading = [route for route in mine if destination in route.to] or mine
        intervals = [self._covering(route) for route in leading]
        known = [one for one in intervals if one is not None]
        if not known or len(known) < len(intervals):
            return None
        ends = {one.name: self._end(one) for one in known}
        name = min(ends, key=lambda one: (ends[one] is None, ends[one]))
        return Stop(f"quiet: {name}{self._till(ends[name])}", f"quiet:{name}", ends[name])

    def _covering(self, route: Route) -> Interval | None:
        interval = self.targets.intervals.get(route.quiet or "")
        return interval if interval is not None and interval.covers(self.now) else None

    def _end(self, interval: Interval) -> datetime | None:
        if interval.name not in self._ends:
            self._ends[interval.name] = interval.until(self.now)
        return self._ends[interval.name]

    def _till(self, end: datetime | None) -> str:
        if end is None:
            return ""
        return f" until {end.astimezone(ZoneInfo(self.zone)):%Y-%m-%d %H:%M} {self.zone}"

    # -- silences --------------------------------------------------------------------------------

    def _silence(self, about: About) -> Stop | None:
        for one in self.silences:
            if self.holds_now(one) and fits(one.matchers, about):
                until = self._silent_until(one)
                said = f"silence {one.id} by {one.by}{self._till(until)}: {one.why}"
                return Stop(said, f"silence:{one.id}", until)
        return None

    def holds_now(self, one: Silence) -> bool:
        """Whether it is in force at this moment. One whose interval is gone from targets.yaml never is."""
        if one.over(self.now) or one.starts_at > self.now:
            return False
        if one.interval is None:
            return True
        interval = self.targets.intervals.get(one.interval)
        return interval is not None and interval.covers(self.now)

    def _silent_until(self, one: Silence) -> datetime | None:
        interval = self.targets.intervals.get(one.interval or "")
        ends = (one.until, None if interval is None else self._end(interval))
        return min((end for end in ends if end is not None), default=None)


def fits(matchers: Mapping[str, tuple[str, ...]], about: About) -> bool:
    """Every matcher has one of its values in the conversation; upper and lower case are the same."""
    return bool(matchers) and all(
        not {value.casefold() for value in values}.isdisjoint(
            found.casefold() for found in _values(name, about)
        )
        for name, values in matchers.items()
    )


def _values(name: str, about: About) -> Iterator[str]:
    one, author = about.conversation, about.author
    if name in ("platform", "account", "kind"):
        yield getattr(one, name)
    elif name == "priority":
        yield one.priority.value
    elif name == "label":
        yield from one.labels
    elif name == "route":
        yield from one.routes
    elif name == "conversation":
        yield str(one.id)
    elif name == "author" and author is not None:
        yield from (said for said in (author.native_id, author.name, author.handle) if said)


def _needless(row: Delivery, about: About) -> Stop | None:
    """A step of a clock that was answered between its time and its sending; a card nobody saw in time."""
    if about.shelved and not about.carded and (over := about.over()) is not None:
        return Stop(over)
    if row.kind not in RUNGS or not row.text:
        return None
    rung = Rung.of_json(row.text)
    if rung.level == CLAIM:
        return None
    if rung.clock == WINDOW:
        over = about.over()
        return None if over is None else Stop(over)
    running = any(c.kind == rung.clock and c.stopped_at is None for c in about.clocks)
    return None if running else Stop(about.over() or ANSWERED)
