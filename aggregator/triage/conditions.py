"""When a rule fires: words found in a reading, and facts of the message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Literal, NamedTuple, Protocol

from aggregator.model import Author, Kind
from aggregator.sla.calendar import BusinessCalendar
from aggregator.triage.negation import Cover
from aggregator.triage.reading import Reading
from aggregator.triage.scan import Found, Hit


class Told(Protocol):
    """The facts of a message; None where the platform did not say."""

    @property
    def platform(self) -> str | None: ...
    @property
    def kind(self) -> Kind | None: ...
    @property
    def account(self) -> str | None: ...
    @property
    def lang(self) -> str | None: ...
    @property
    def author(self) -> Author | None: ...
    @property
    def sent_at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers between bounds; what is unknown is never between."""

    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None

    def hold(self, value: float | None) -> bool:
        return (
            value is not None
            and (self.gt is None or value > self.gt)
            and (self.gte is None or value >= self.gte)
            and (self.lt is None or value < self.lt)
            and (self.lte is None or value <= self.lte)
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """Conditions on the message itself; an empty one asks nothing, an unknown fact never holds."""

    platform: frozenset[str] = frozenset()
    kind: frozenset[str] = frozenset()
    account: frozenset[str] = frozenset()
    lang: frozenset[str] = frozenset()
    followers: Limits | None = None
    verified: bool | None = None
    calendar: BusinessCalendar | None = None
    open: bool = True  # what the calendar must be at sent_at

    def hold(self, told: Told) -> bool:
        author = told.author
        return (
            (not self.platform or told.platform in self.platform)
            and (not self.kind or told.kind in self.kind)
            and (not self.account or told.account in self.account)
            and (not self.lang or told.lang in self.lang)
            and (
                self.followers is None or self.followers.hold(author.followers if author else None)
            )
            and (self.verified is None or (author is not None and author.verified is self.verified))
            and (self.calendar is None or self._on_time(self.calendar, told.sent_at))
        )

    def _on_time(self, calendar: BusinessCalendar, at: datetime | None) -> bool:
        return at is not None and calendar.open_at(at) is self.open


@dataclass(frozen=True, slots=True)
class Group:
    """A list of keywords of which `least` different ones must be found."""

    slot: int
    least: int = 1


@dataclass(frozen=True, slots=True)
class Words:
    """Every group must hold; those from `near` on together, inside `within` folded characters."""

    groups: tuple[Group, ...] = ()
    near: int = 0
    within: int | None = None
    veto: int | None = None
    mask: int | None = None
    part: Literal["own", "quoted", "all"] = "own"
    negation: Literal["ignore", "block", "flip"] = "ignore"


@dataclass(frozen=True, slots=True)
class Condition:
    words: Words = field(default_factory=Words)
    facts: Facts = field(default_factory=Facts)
    sentiment: Limits | None = None
    # Any of one list in own words, with a mask or a veto perhaps, and nothing else: as most rules are.
    plain: bool = field(init=False)
    asks: bool = field(init=False)  # facts

    def __post_init__(self) -> None:
        words = self.words
        plain = len(words.groups) == 1 and words == Words(
            (Group(words.groups[0].slot),), words.near, mask=words.mask, veto=words.veto
        )
        asks = self.facts != Facts()
        object.__setattr__(self, "plain", plain and not asks and self.sentiment is None)
        object.__setattr__(self, "asks", asks)

    @property
    def sentiment_only(self) -> bool:
        return self.sentiment is not None and not self.words.groups and not self.asks


class Evidence(NamedTuple):
    """The hits that made a rule fire; `denied`: every one of them is negated, and the rule flips."""

    hits: tuple[Hit, ...] = ()
    denied: bool = False


_ALWAYS = Evidence()
_NOBODY: frozenset[Hit] = frozenset()
_new = tuple.__new__


def evidence(condition: Condition, reading: Reading, found: Found) -> Evidence | None:
    """What of the condition's words stands in the reading, or None where they do not hold."""
    words = condition.words
    rows: list[Sequence[Hit]] = []
    for group in words.groups:
        hits = found.get(group.slot)
        if hits is None:  # most rules end here
            return None
        rows.append(hits)
    if (
        words.veto is not None
        and words.veto in found
        and in_part(words, reading, found[words.veto])
    ):
        return None
    if not rows:
        return _ALWAYS
    if words.part != "own" or not reading.own_only:
        rows = [in_part(words, reading, row) for row in rows]
    if words.mask is not None and words.mask in found:
        masks = Cover(found[words.mask])
        rows = [[one for one in row if not masks.holds(one.start, one.end)] for row in rows]
    denied = negated(words, rows, reading)
    if denied and words.negation == "block":
        rows = [[one for one in row if one not in denied] for row in rows]
    for group, row in zip(words.groups, rows, strict=True):
        if not enough(group, row):
            return None
    if words.within is not None:
        window = window_of(words.groups[words.near :], rows[words.near :], words.within)
        if window is None:
            return None
        rows[words.near :] = [window]
    flat = _flat(rows)
    return Evidence(flat, words.negation == "flip" and all(one in denied for one in flat))


def plain_evidence(hits: Sequence[Hit]) -> Evidence:
    """That of a condition that is plain, in a reading that has own words only."""
    return _new(Evidence, (tuple(hits) if len(hits) == 1 else _flat((hits,)), False))


def _flat(rows: Sequence[Sequence[Hit]]) -> tuple[Hit, ...]:
    """The hits of all rows in the order of the text, each keyword once at a place."""
    if len(rows) == 1 and len(rows[0]) == 1:
        return (rows[0][0],)
    chosen = {(one.start, one.end, one.keyword.text): one for row in rows for one in row}
    return tuple([chosen[key] for key in sorted(chosen)])


def in_part(words: Words, reading: Reading, hits: Sequence[Hit]) -> Sequence[Hit]:
    """The hits in the rule's part: own words, quoted ones, or all."""
    if words.part == "all" or not hits:
        return hits
    if words.part == "own" and hits[-1].end <= reading.own_end:  # the last to end
        return hits
    return [one for one in hits if reading.part(one.start) == words.part]


def negated(words: Words, hits: Sequence[Sequence[Hit]], reading: Reading) -> frozenset[Hit]:
    if words.negation == "ignore":
        return _NOBODY
    negation = reading.negation
    if negation is None:
        return _NOBODY
    flat = [one for row in hits for one in row]
    denied = negation.deny(tuple([(one.start, one.end) for one in flat]))
    return frozenset([one for one, no in zip(flat, denied, strict=True) if no])


def enough(group: Group, hits: Sequence[Hit]) -> bool:
    if group.least == 1:
        return bool(hits)
    return len({one.keyword.folded for one in hits}) >= group.least


def window_of(
    groups: Sequence[Group], rows: Sequence[Sequence[Hit]], within: int
) -> list[Hit] | None:
    """The first window of `within` characters that satisfies every group."""
    opening = sorted(
        ((one.start, one.end, number, one) for number, row in enumerate(rows) for one in row),
        key=itemgetter(0, 1),
    )
    closing = sorted(range(len(opening)), key=lambda at: opening[at][1])
    inside: list[Counter[str]] = [Counter() for _ in groups]
    read = 0
    for at, (start, _, number, one) in enumerate(opening):
        while read < len(closing) and opening[closing[read]][1] <= start + within:
            if closing[read] >= at:
                _, _, of, further = opening[closing[read]]
                inside[of][further.keyword.folded] += 1
            read += 1
        if all(len(found) >= group.least for group, found in zip(groups, inside, strict=True)):
            last = start + within
            return sorted(
                (hit for begin, end, _, hit in opening[at:] if begin <= last and end <= last),
                key=itemgetter(1),
            )
        inside[number][one.keyword.folded] -= 1
        if (
            inside[number][one.keyword.folded] <= 0
        ):  # it goes; one longer than the window never was in
            del inside[number][one.keyword.folded]
    return None
