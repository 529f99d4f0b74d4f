"""Who waited for whom: the stretches of a conversation in which a customer has no answer yet. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum

from aggregator.model import ClockKind, Direction, Entry, Outcome

CLOSED, RESOLVED, NOT_NEEDED, WITHDRAWN = "closed", "resolved", "not_needed", "withdrawn"

OUTCOMES = {
    CLOSED: Outcome.UNANSWERED_CLOSED,
    RESOLVED: Outcome.UNANSWERED_CLOSED,
    NOT_NEEDED: Outcome.NOT_NEEDED,
    WITHDRAWN: Outcome.WITHDRAWN,
}


@dataclass(frozen=True, slots=True)
class End:
    """Whoever still waited at `at` waits no longer: closed, resolved or not_needed."""

    at: datetime
    reason: str
    by: str | None = None
    way: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """From `at` on it is for us to say something, or (`ours` False) for the customer, as somebody said."""

    at: datetime
    ours: bool
    by: str | None = None
    way: str | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """From the oldest message without an answer to what ended it; `reason` says what, if no answer did."""

    kind: ClockKind
    start: Entry
    stopped_at: datetime | None = None
    answer: Entry | None = None
    reason: str | None = None
    end: End | None = None  # somebody's word that ended it


@dataclass(frozen=True, slots=True)
class Pause:
    """From our answer to the customer's next message (None: not yet): we wait for the customer.

    Somebody's word may begin and end it as well: `first` and `last`.
    """

    begin: datetime
    begun_by: int | None
    end: datetime | None = None
    ended_by: int | None = None
    first: Turn | None = None
    last: Turn | None = None


@dataclass(frozen=True, slots=True)
class Episode:
    """From the first message that asks something of us to the end of the matter."""

    start: Entry
    pauses: tuple[Pause, ...]
    end: End | None = None
    withdrawn_at: datetime | None = None  # everything that was asked in it


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """By platform time, in the resolution that is stored; never later than the time received."""
    settled = []
    for entry in entries:
        at, received = whole_ms(entry.at), whole_ms(entry.received_at)
        at = min(at, received)
        if at != entry.at or received != entry.received_at:
            entry = replace(entry, at=at, received_at=received)  # noqa: PLW2901
        settled.append(entry)
    return sorted(settled, key=lambda one: (one.at, one.direction, one.message_id))


def whole_ms(at: datetime) -> datetime:
    odd = at.microsecond % 1000
    return at - timedelta(microseconds=odd) if odd else at


def waits(entries: Sequence[Entry], ends: Sequence[End]) -> list[Wait]:
    """The waits of a conversation, from entries `in_order`.

    A wait begins with the oldest message not yet answered; later ones belong to it. What came before an
    answer is answered by it, the same millisecond included. A message that is withdrawn before an answer
    ends its wait, and what the customer wrote after it begins one of its own. Until a first answer was
    given every wait is for the first response.
    """
    found: list[Wait] = []
    waiting: list[Entry] = []  # live messages without an answer, oldest first
    asked = answered = False
    for at, what, entry, end in _facts(entries, ends):
        kind = ClockKind.NEXT_RESPONSE if answered else ClockKind.FIRST_RESPONSE
        if what is _What.ASKED and entry is not None:
            asked = True
            if not entry.history:
                waiting.append(entry)
        elif what is _What.WITHDRAWN and entry is not None:
            if waiting and waiting[0] is entry:
                found.append(Wait(kind, entry, at, reason=WITHDRAWN))
            if entry in waiting:
                waiting.remove(entry)
        else:
            if waiting:
                reason = None if end is None else end.reason
                found.append(Wait(kind, waiting[0], at, entry, reason, end))
            waiting.clear()
            answered = answered or (asked and what is _What.ANSWERED)
    if waiting:
        kind = ClockKind.NEXT_RESPONSE if answered else ClockKind.FIRST_RESPONSE
        found.append(Wait(kind, waiting[0]))
    return found


def episodes(
    entries: Sequence[Entry], ends: Sequence[End], turns: Sequence[Turn] = ()
) -> list[Episode]:
    """The matters of a conversation, from entries `in_order`: each ends when it is resolved or closed."""
    found: list[Episode] = []
    marks = [end for end in sorted(ends, key=lambda one: one.at) if end.reason != NOT_NEEDED]
    rest = list(entries)
    for end in [*marks, None]:
        inside = [one for one in rest if end is None or one.at <= end.at]
        rest = rest[len(inside) :]
        asked = [one for one in inside if one.direction is Direction.INBOUND and not one.history]
        if asked:
            found.append(_episode(asked, inside, end, turns))
    return found


def _episode(
    asked: list[Entry], inside: list[Entry], end: End | None, turns: Sequence[Turn]
) -> Episode:
    start = asked[0]
    pauses: list[Pause] = []
    waiting = False
    facts: list[tuple[datetime, int, Entry | Turn]] = [
        (one.at, 0, one) for one in inside if one.at >= start.at and not one.history
    ]
    facts += [
        (one.at, 1, one) for one in turns if one.at >= start.at and (end is None or one.at < end.at)
    ]
    for at, _, fact in sorted(facts, key=lambda one: one[:2]):
        said = fact if isinstance(fact, Turn) else None
        id = fact.message_id if isinstance(fact, Entry) else None
        ours = (
            said.ours if said else isinstance(fact, Entry) and fact.direction is Direction.INBOUND
        )
        if not ours and not waiting:
            pauses.append(Pause(at, id, first=said))
            waiting = True
        elif ours and waiting:
            pauses[-1] = replace(pauses[-1], end=at, ended_by=id, last=said)
            waiting = False
    gone = [one.withdrawn_at for one in asked if one.withdrawn_at is not None]
    all_gone = len(gone) == len(asked) and not pauses
    return Episode(start, tuple(pauses), end, max(gone) if all_gone else None)


class _What(IntEnum):
    """Facts of the same millisecond are taken in this order."""

    ASKED = 0
    ANSWERED = 1
    WITHDRAWN = 2
    ENDED = 3


_Fact = tuple[datetime, _What, Entry | None, End | None]


def _facts(entries: Sequence[Entry], ends: Sequence[End]) -> list[_Fact]:
    facts: list[_Fact] = []
    for one in entries:
        inbound = one.direction is Direction.INBOUND
        facts.append((one.at, _What.ASKED if inbound else _What.ANSWERED, one, None))
        if inbound and one.withdrawn_at is not None and not one.history:
            gone_at = max(one.at, whole_ms(one.withdrawn_at))
            facts.append((gone_at, _What.WITHDRAWN, one, None))
    facts += [(whole_ms(end.at), _What.ENDED, None, end) for end in ends]
    facts.sort(key=lambda fact: fact[:2])
    return facts
