"""The walk over direct messages: newest first, since X takes no since_id here."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from aggregator.model import Gap, Message, Page
from connectors.base import Now
from connectors.payload import items, mapping
from connectors.x.client import Client, Found
from connectors.x.cursor import Cursor, Walk, instant, moment, read_cursor
from connectors.x.direct import direct_message
from connectors.x.ids import earlier, id_at, time_of
from connectors.x.people import People
from connectors.x.posts import Includes
from connectors.x.prices import BACKFILL, Ledger
from connectors.x.refusals import Refused
from connectors.x.timeline import LARGE, SPARE, advanced, in_order, numbers

OVERLAP = timedelta(minutes=10)  # an empty answer right after a message is on record
KEPT = timedelta(days=30)
SMALL = 10  # what is returned is billed again every day, also what is known: so many more than last time
NAME = "direct_messages"
KIND = "dm_event"


class Inbox:
    """X bills every event that it returns, and allows 15 calls in 15 minutes: the first page is small, and
    the rest of a burst comes in large ones.
    """

    def __init__(
        self, *, client: Client, ledger: Ledger, people: People, me: str, now: Now
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._people = people
        self._me = me
        self._now = now

    def poll(self, cursor: str | None) -> Page:
        """One page; the walk is over once it came to what was known when the last one began."""
        at = read_cursor(cursor)
        if at is None:
            at = Cursor(walk=Walk(first=True))
        walk = at.walk or Walk()
        try:
            found = self._ask(walk, LARGE if walk.token else min(LARGE, SMALL + (at.busy or 0)))
        except Refused:
            if walk.token is None:
                raise
            again = replace(at, walk=Walk(first=walk.first))
            return Page((), again.text())  # from the newest again, and not at once: calls are few

        walk = advanced(walk, found)
        if walk.first and at.start is None:
            at = replace(at, start=moment(found.at - OVERLAP))
        line = self._line(at)
        known = earlier(at.high, OVERLAP) if at.high is not None else id_at(line)
        below = sum(1 for value in numbers(found) if value < known)
        reached = below > 0 and below >= min(3, len(found.data))  # one odd id ends no walk
        messages = tuple(
            one
            for one in self._messages(found)
            if one.sent_at is None or one.sent_at >= line.replace(microsecond=0)
        )
        if found.token is not None and not reached:
            return Page(messages, replace(at, walk=walk).text(), more=True)
        gaps = self._gap(at, found, reached=reached)
        over = replace(self._over(at, walk), busy=max(0, walk.found - below))
        return Page(messages, over.text(), gaps=gaps)

    def backfill(self, cursor: str | None) -> Page:
        """One page of the month that X keeps, newest first."""
        at = read_cursor(cursor) or Cursor()
        walk = at.walk or Walk()
        try:
            found = self._ask(walk, LARGE, who=BACKFILL, spare=SPARE)
        except Refused:
            if walk.token is None:
                raise
            return Page((), Cursor().text(), more=True)
        walk = advanced(walk, found)
        return Page(self._messages(found), Cursor(walk=walk).text(), more=found.token is not None)

    def _ask(self, walk: Walk, wanted: int, *, who: str = NAME, spare: float = 0.0) -> Found:
        size = self._ledger.size(who, wanted, least=1, kind=KIND)
        found = self._client.direct_messages(max_results=size, token=walk.token, spare=spare)
        self._ledger.read(who, KIND, found.data, found.includes)
        self._people.saw(items(found.includes.get("users")))
        return found

    def _line(self, at: Cursor) -> datetime:
        """Where history begins; an account that was read before there was such a line has none."""
        return instant(at.start) if at.start is not None else self._now() - 2 * KEPT

    def _over(self, at: Cursor, walk: Walk) -> Cursor:
        top = walk.top
        if walk.first and top is not None and top < id_at(self._line(at)):
            top = None
        high = max((one for one in (at.high, top) if one is not None), default=None)
        return Cursor(high, at.start, walk.began)

    def _gap(self, at: Cursor, found: Found, *, reached: bool) -> tuple[Gap, ...]:
        """X has forgotten what came between the last walk and the month that it keeps."""
        known = time_of(at.high) if at.high is not None else None
        seen = max(one for one in (known, instant(at.seen or 0)) if one is not None)
        oldest = found.at - KEPT
        if reached or at.seen is None or seen >= oldest:
            return ()
        return (Gap(seen, oldest, "X keeps direct messages for 30 days only", recoverable=False),)

    def _messages(self, found: Found) -> tuple[Message, ...]:
        includes = Includes(found.includes)
        read = (
            direct_message(raw, includes, me=self._me) for raw in map(mapping, found.data) if raw
        )
        return in_order(one for one in read if one is not None)
