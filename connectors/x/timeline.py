"""Walks over posts: from the newest down to what is known, and apart from that through what was before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from aggregator.model import Gap, Message, Page
from connectors.base import Now
from connectors.fields import parse_time
from connectors.payload import mapping, native
from connectors.x.client import Client, Found
from connectors.x.cursor import Cursor, Walk, instant, moment, read_cursor
from connectors.x.ids import earlier, id_at, later, number, time_of
from connectors.x.people import People
from connectors.x.posts import Includes, post_message
from connectors.x.prices import BACKFILL, Ledger
from connectors.x.refusals import Denied, Refused

OVERLAP = timedelta(minutes=2)  # posts show up a little out of order, and late
NEAR = timedelta(seconds=2)  # ids rise with time only roughly
HISTORY = timedelta(days=30)
SEARCHABLE = timedelta(days=7)
FUTURE = timedelta(minutes=1)  # an id from beyond is no watermark: nothing would be new any more
SMALL, LARGE = 20, 100
SPARE = 0.5  # of a window: history leaves so much to what is new


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of posts. `most`: what lies deeper is not given, None if only time bounds it; `again`: the
    query that finds the same posts, where the list has `most` and does not reach far enough.
    """

    stream: str
    ask: Callable[..., Found]
    kind: str
    least: int
    most: int | None
    ours: bool = False
    again: Callable[[], str] = str


class Timeline:
    """One listing, read a page a poll."""

    def __init__(
        self,
        listing: Listing,
        *,
        client: Client,
        ledger: Ledger,
        people: People,
        me: str,
        now: Now,
    ) -> None:
        self._listing = listing
        self._client = client
        self._ledger = ledger
        self._people = people
        self._me = me
        self._now = now

    def poll(self, cursor: str | None) -> Page:
        """One page. since_id stays the same for the whole walk, as X asks."""
        at = read_cursor(cursor)
        if at is None:
            at = Cursor(walk=Walk(first=True))
        walk = at.walk or Walk()
        if not (walk.since or walk.start or walk.first):
            walk = self._bounded(walk, at)
        wanted = self._listing.least if walk.first else SMALL
        try:
            found = self._ask(walk, LARGE if walk.token or walk.until else wanted)
        except Refused as error:
            return Page((), replace(at, walk=self._after(error, walk)).text(), more=True)
        except Denied as error:
            known = self._known(at)
            if not walk.via or known is None or walk.floor is None:
                raise
            why = (
                f"X keeps only {self._listing.most}, and lets us search for no more: {error.reason}"
            )
            gap = Gap(known, time_of(walk.floor), why, recoverable=False)
            return Page((), self._over(at, walk).text(), gaps=(gap,))
        return self._page(at, walk, found)

    def backfill(self, cursor: str | None) -> Page:
        """One page of what was before, newest first, as far down as X goes or a month."""
        at = read_cursor(cursor) or Cursor()
        walk = at.walk or Walk(start=moment(self._now() - self._history()))
        try:
            found = self._ask(walk, LARGE, who=BACKFILL, spare=SPARE)
        except Refused as error:
            return Page((), replace(at, walk=self._after(error, walk)).text(), more=True)
        messages = self._messages(found, BACKFILL)
        walk = advanced(walk, found)
        most = self._listing.most
        done = found.token is None or (most is not None and walk.found >= most)
        return Page(messages, Cursor(walk=walk).text(), more=not done)

    def _ask(self, walk: Walk, wanted: int, *, who: str | None = None, spare: float = 0.0) -> Found:
        listing = self._listing
        who = who or listing.stream
        kind = "post" if walk.via else listing.kind
        least = 10 if walk.via else listing.least
        where = {
            "max_results": self._ledger.size(who, max(wanted, least), least=least, kind=kind),
            "since_id": walk.since,
            "start_time": None if walk.start is None else stamp(instant(walk.start)),
            "until_id": walk.until,
            "pagination_token": walk.token,
        }
        if walk.via:
            found = self._client.search(listing.again(), spare=spare, **where)
        else:
            found = listing.ask(spare=spare, **where)
        self._ledger.read(who, kind, found.data, found.includes)
        return found

    def _page(self, at: Cursor, walk: Walk, found: Found) -> Page:
        messages = self._messages(found, self._listing.stream)
        walk = advanced(walk, found)
        if walk.first:
            return self._first(at, walk, found, messages)
        if found.token is not None:
            return Page(messages, replace(at, walk=walk).text(), more=True)
        deeper, gaps = self._end(at, walk)
        if deeper is not None:
            return Page(messages, replace(at, walk=deeper).text(), more=True)
        return Page(messages, self._over(at, walk).text(), gaps=gaps)

    def _first(self, at: Cursor, walk: Walk, found: Found, messages: tuple[Message, ...]) -> Page:
        """What is new begins a little before X's clock at the first answer; the rest is history."""
        line = instant(at.start) if at.start else found.at - OVERLAP
        at = replace(at, start=at.start or moment(line))
        below = [one for one in numbers(found) if (time_of(one) or line) < line]
        new = tuple(
            one
            for one in messages
            if one.sent_at is None or one.sent_at >= line.replace(microsecond=0)
        )
        if found.token is None or below:
            if walk.top is not None and walk.top < id_at(line):
                walk = replace(walk, top=None)  # nothing is new: the window stays where it is
            return Page(new, self._over(at, walk).text())
        return Page(new, replace(at, walk=walk).text(), more=True)

    def _bounded(self, walk: Walk, at: Cursor) -> Walk:
        """Where a walk ends: a little before what is known, or where history begins."""
        if at.high is not None:
            return replace(walk, since=earlier(at.high, OVERLAP))
        return replace(walk, start=at.start or moment(self._now() - self._history()))

    def _after(self, error: Refused, walk: Walk) -> Walk:
        """How to go on after a 400: without the token that has died, or without the id that is too old."""
        if "since_id" in error.reason and walk.since is not None:
            oldest = _oldest(error)
            known = time_of(walk.since)
            search = walk.via or self._listing.stream == "search"
            start = oldest + timedelta(minutes=1) if search or known is None else known
            return Walk(
                start=moment(max(start, known or start)),
                refused=moment(oldest),
                until=walk.floor and later(walk.floor, NEAR),
                top=walk.top,
                floor=walk.floor,
                found=walk.found,
                began=walk.began,
                via=walk.via,
            )
        first = moment(_oldest(error) + timedelta(minutes=1))
        if "start_time" in error.reason and walk.start is not None and walk.start < first:
            return replace(walk, token=None, start=first, refused=walk.refused or first)
        if walk.token is not None:
            return replace(walk, token=None, until=walk.floor and later(walk.floor, NEAR))
        raise error

    def _end(self, at: Cursor, walk: Walk) -> tuple[Walk | None, tuple[Gap, ...]]:
        """The list has ended: what else can be asked for, or what could not be read."""
        known = self._known(at)
        if known is None:
            return None, ()
        since = max(known, instant(at.seen)) if at.seen else known
        floor = None if walk.floor is None else time_of(walk.floor)
        most = self._listing.most
        if most and floor and not walk.via and walk.found >= most * 0.95 and floor > known:
            oldest = instant(walk.began or moment(self._now())) - SEARCHABLE + timedelta(minutes=1)
            if floor <= oldest:
                return None, (
                    Gap(since, floor, f"X keeps only {most} {self._listing.stream}", False),
                )
            return Walk(
                start=moment(max(known - OVERLAP, oldest)),
                refused=moment(oldest) if oldest > known else None,
                until=later(walk.floor or 0, NEAR),
                top=walk.top,
                floor=walk.floor,
                began=walk.began,
                via=True,
            ), ()
        until = None if walk.refused is None else instant(walk.refused)
        if until is None or until <= since or (floor is not None and floor < until - OVERLAP):
            return None, ()  # X said it would give nothing from before, and gave it
        return None, (
            Gap(since, until, f"X gives no {self._listing.stream} from so long ago", False),
        )

    def _known(self, at: Cursor) -> datetime | None:
        if at.high is not None:
            return time_of(at.high)
        return instant(at.start) if at.start else None

    def _over(self, at: Cursor, walk: Walk) -> Cursor:
        high = max((one for one in (at.high, walk.top) if one is not None), default=None)
        return Cursor(high, at.start, walk.began or at.seen)

    def _history(self) -> timedelta:
        return SEARCHABLE - timedelta(hours=1) if self._listing.stream == "search" else HISTORY

    def _messages(self, found: Found, who: str) -> tuple[Message, ...]:
        found = self._people.introduce(who, found)
        includes = Includes(found.includes)
        ours = self._listing.ours
        messages = [
            post_message(raw, includes, me=self._me, ours=ours)
            for raw in map(mapping, found.data)
            if raw
        ]
        return in_order(self._people.named(who, messages))


def advanced(walk: Walk, found: Found) -> Walk:
    values = [
        value for value in numbers(found) if (time_of(value) or found.at) <= found.at + FUTURE
    ]
    return replace(
        walk,
        token=found.token,
        top=walk.top or max(values, default=None),
        floor=min([*values, *([walk.floor] if walk.floor else [])], default=None),
        found=walk.found + len(found.data),
        began=walk.began or moment(found.at),
    )


def in_order(messages: Iterable[Message]) -> tuple[Message, ...]:
    """As they were written; a page comes newest first, and direct messages in no promised order."""
    return tuple(
        sorted(
            messages,
            key=lambda one: (
                one.sent_at or datetime.min.replace(tzinfo=UTC),
                number(one.native_id) or 0,
            ),
        )
    )


def numbers(found: Found) -> list[int]:
    every = (number(native(mapping(raw).get("id"))) for raw in found.data)
    return [value for value in every if value is not None]


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _oldest(error: Refused) -> datetime:
    """From when on X gives posts: as the refusal says, else the week of a search."""
    _, _, told = error.reason.partition("created after")
    found = parse_time(told.strip(" [").split("]")[0].split(" ")[0].rstrip(".,;)"))
    return found or error.at - SEARCHABLE
