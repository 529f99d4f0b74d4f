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


def id_at(seconds: float) -> int:
    """The least id that a post written at this second can have."""
    return max(int(seconds) - EPOCH_S, 0) << 22


def seconds_of(id: int) -> int:
    return (id >> 22) + EPOCH_S


@dataclass(frozen=True, slots=True)
class Walk:
    """From the newest down to `since` (exclusive), `below` being where the next page begins (inclusive).

    `seen`: the newest id of the last complete walk. `top`: the newest of this one. `left`: pages that a
    first walk may still take. `going`: there is a next page to ask for.
    """

    seen: int | None
    since: int
    below: int | None
    top: int
    left: int | None
    going: bool = True

    @classmethod
    def resume(cls, cursor: str | None, now: datetime) -> Walk:
        told = _told(cursor)
        seen = told.get("seen") if type(told.get("seen")) is int else None
        walk = mapping(told.get("walk"))
        if all(type(walk.get(one)) is int for one in ("since", "below", "top")):
            left = walk.get("left") if type(walk.get("left")) is int else None
            return cls(seen, walk["since"], walk["below"], walk["top"], left)
        if seen is None:
            since = id_at((now - FIRST).timestamp())
            return cls(None, since, None, since, FIRST_PAGES)
        newest = min(seconds_of(seen), now.timestamp())
        return cls(seen, id_at(newest - OVERLAP.total_seconds()), None, seen, None)

    def after(self, ids: list[int], *, last: bool, now: datetime) -> Walk:
        """The walk once a page with these ids is stored (0 for an item without one).

        A page may be short in the middle of a list: the end is an empty one, the platform's `last`, or
        nothing on it that is newer than `since`.
        """
        new = [id for id in ids if id > self.since]
        if not new and any(ids):
            last = True
        # An id from the future would carry `seen` past what is still to come.
        newest = id_at(now.timestamp() + 1)
        top = max(self.top, *(min(id, newest) for id in new), 0)
        left = None if self.left is None else self.left - 1
        if not ids or last or left == 0:
            return replace(self, seen=max(top, self.since), going=False)
        within = [id for id in new if self.below is None or id <= self.below]
        if not within:  # the list does not go on as it should: `seen` stays, all is asked for again
            return replace(self, going=False)
        below = min(within) - 1
        if below <= self.since:
            return replace(self, seen=max(top, self.since), going=False)
        return replace(self, below=below, top=top, left=left)

    def told(self) -> str:
        """The cursor."""
        walk = {"since": self.since, "below": self.below, "top": self.top, "left": self.left}
        return json.dumps({"seen": self.seen, "walk": walk if self.going else None})


def _told(cursor: str | None) -> dict[str, Any]:
    try:
        return mapping(json.loads(cursor or "{}"))
    except ValueError:
        return {}
