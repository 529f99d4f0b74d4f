"""How far a list has been read. Weibo's ids tell the time, so that a clock can say where to begin.

The rule of the ids was measured on recorded posts: Unix seconds = (id >> 22) + 515483463.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from connectors.payload import mapping

EPOCH_S = 515483463
FIRST = timedelta(days=3)
FIRST_PAGES = 10
OVERLAP = timedelta(
    minutes=20
)  # posts held back for review appear late, with the id of their writing
AGAIN = timedelta(days=7)  # and some of them later than that: once a day a walk goes further down
AGAIN_ITEMS = 200
_BEIJING = timedelta(hours=8)


def id_at(seconds: float) -> int:
    """The least id that a post written at this second can have."""
    return max(int(seconds) - EPOCH_S, 0) << 22


def seconds_of(id: int) -> int:
    return (id >> 22) + EPOCH_S


@dataclass(frozen=True, slots=True)
class Walk:
    """From the newest down to `since` (exclusive), `below` being where the next page begins (inclusive).

    `seen`: the newest id of the last complete walk, `known` if there really was such an item. `top`: the
    newest of this one. `need`: no walk ends above this, however few pages it has. `left`: pages that it
    may take. `met`: it came upon something as old as `seen`. `lowest`: the last id so far. `scanned`: the
    day of the last walk that went further down than was needed; `day`: this walk is that day's.
    `going`: there is a next page to ask for.
    """

    seen: int | None
    known: bool
    scanned: int
    since: int
    need: int
    below: int | None
    top: int
    left: int | None
    met: bool = False
    lowest: int | None = None
    day: int | None = None
    going: bool = True

    @classmethod
    def resume(
        cls,
        cursor: str | None,
        now: datetime,
        *,
        first: int = FIRST_PAGES,
        again: int = 1,
        overlap: int | None = None,
    ) -> Walk:
        """How many pages the `first` walk may take, the daily one `again`, and the others, before they do
        without the rest of the overlap (None: never). What is newer than `seen` they read in any case.
        """
        told = _told(cursor)
        seen, scanned = _int(told.get("seen")), _int(told.get("scanned")) or 0
        known = told.get("known") is True
        walk = mapping(told.get("walk"))
        if all(_int(walk.get(one)) is not None for one in ("since", "below", "top")):
            since = int(walk["since"])
            need = _int(walk.get("need"))
            return cls(
                *(seen, known, scanned, since, since if need is None else need),
                *(walk["below"], walk["top"], _int(walk.get("left"))),
                met=walk.get("met") is True,
                lowest=_int(walk.get("lowest")),
                day=_int(walk.get("day")),
            )
        today = (now + _BEIJING).toordinal()
        if seen is None:
            since = id_at((now - FIRST).timestamp())
            return cls(None, False, today, since, id_at(now.timestamp() + 3600), None, since, first)
        newest = min(seconds_of(seen), now.timestamp())
        since = id_at(newest - OVERLAP.total_seconds())
        need = max(since, min(seen, id_at(now.timestamp())))
        if scanned >= today:
            return cls(seen, known, scanned, since, need, None, seen, overlap)
        since = min(id_at((now - AGAIN).timestamp()), since)
        return cls(seen, known, scanned, since, need, None, seen, again, day=today)

    def after(
        self, ids: list[int], *, last: bool, now: datetime, following: int | None = None
    ) -> Walk:
        """The walk once a page with these ids is stored (0 for an item without one).

        A page may be short in the middle of a list, and empty where all of it is hidden: the end is the
        platform's `last`, nothing on it that is newer than `since`, or an empty one that leads nowhere.
        `following`: where the platform says that the next one begins.
        """
        new = [id for id in ids if id > self.since]
        if not new and any(ids):
            last = True
        # An id from the future would carry `seen` past what is still to come.
        newest = id_at(now.timestamp() + 1)
        top = max(self.top, *(min(id, newest) for id in new), 0)
        walk = replace(
            self,
            top=top,
            left=None if self.left is None else self.left - 1,
            met=self.met or (self.seen is not None and any(0 < id <= self.seen for id in ids)),
            lowest=min([id for id in (*new, self.lowest) if id], default=None),
        )
        if not ids and not last and self._leads_on(following):
            return replace(walk, below=following)
        if not ids or last:
            return walk._done(newest)
        within = [id for id in new if self.below is None or id <= self.below]
        if not within:  # the list does not go on as it should: `seen` stays, all is asked for again
            return replace(self, going=False)
        below = min(within) - 1
        if below <= self.since or (walk.left is not None and walk.left <= 0 and below <= self.need):
            return walk._done(newest)
        return replace(walk, below=below)

    def _leads_on(self, following: int | None) -> bool:
        if following is None or following <= self.since:
            return False
        if self.left is not None and self.left <= 1 and following <= self.need:
            return False
        return self.below is None or following < self.below

    def _done(self, newest: int) -> Walk:
        known = self.top < newest and (
            self.known if self.top == self.seen else self.top > self.since
        )
        scanned = self.scanned if self.day is None else self.day
        seen = max(self.top, self.since)
        return replace(self, seen=seen, known=known, scanned=scanned, going=False)

    def told(self, **more: Any) -> str:
        """The cursor, with what else is to be in it."""
        names = ("since", "need", "below", "top", "left", "met", "lowest", "day")
        walk = {one: getattr(self, one) for one in names}
        kept = {"seen": self.seen, "known": self.known, "scanned": self.scanned}
        return json.dumps({**kept, "walk": walk if self.going else None, **more})


def _told(cursor: str | None) -> dict[str, Any]:
    try:
        return mapping(json.loads(cursor or "{}"))
    except ValueError:
        return {}


def _int(value: Any) -> int | None:
    return value if type(value) is int else None
