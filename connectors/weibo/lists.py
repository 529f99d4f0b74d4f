"""The four lists of an account, and how each is read: what is new, what appeared late, what is history."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aggregator.errors import RateLimited, Unavailable
from aggregator.model import Gap, Message, Page
from connectors.base import Now
from connectors.payload import integer, items, mapping
from connectors.weibo.api import TWINS, Api
from connectors.weibo.longtext import LongTexts
from connectors.weibo.messages import comment, original, status
from connectors.weibo.planner import Planner
from connectors.weibo.walk import AGAIN_ITEMS, FIRST_PAGES, Walk, seconds_of

LISTED = 2000  # items; no list of Weibo's is said to go further back


@dataclass(frozen=True, slots=True)
class List:
    """`key`: what the answer calls it; `most`: what one page may hold."""

    path: str
    key: str
    most: int


LISTS = {
    "mentions": List("statuses/mentions", "statuses", 200),
    "comments": List("comments/to_me", "comments", 50),
    "comment_mentions": List("comments/mentions", "comments", 50),
    "own_comments": List("comments/by_me", "comments", 50),
}


def metered(*, commercial: bool) -> tuple[str, ...]:
    """The streams whose calls count against the user's day."""
    return tuple(s for s, one in LISTS.items() if not (commercial and one.path in TWINS))


class Lists:
    """Every list is newest first; a walk goes down to where the last complete one began, less an overlap.

    A comment on our post that mentions us stands in two lists; kind and id are the same in both.
    """

    def __init__(self, api: Api, planner: Planner, *, uid: str, commercial: bool, now: Now) -> None:
        self._api = api
        self._planner = planner
        self._planned = metered(commercial=commercial)
        self._uid = uid
        self._now = now
        self._long = LongTexts(api, allowed=planner.extra)

    def poll(self, stream: str, cursor: str | None) -> Page:
        """One page of one list; an empty one, the cursor unchanged, while the plan says "not yet"."""
        walk = self._walk(stream, cursor)
        if stream not in self._planned:
            return self._page(stream, walk)
        if not self._planner.turn(stream, going=walk.below is not None):
            return Page((), cursor)
        try:
            return self._page(stream, walk)
        except BaseException:
            self._planner.failed(stream)
            raise

    def backfill(self, stream: str, cursor: str | None) -> Page:
        """One page of what is listed, from the newest down; it ends where the list does.

        Raises RateLimited while the calls are needed for what is new.
        """
        told = _told(cursor)
        below, pages = told.get("below"), integer(told.get("pages"))
        if stream in self._planned:
            self._planner.spare()
        asked = {"count": LISTS[stream].most}
        if type(below) is int:
            asked["max_id"] = below
        found, last = self.listed(stream, asked)
        ids = [id for id in map(_id, found) if id and (type(below) is not int or id <= below)]
        messages = self._messages(stream, found)
        pages += 1
        if last or not ids or pages * LISTS[stream].most >= LISTED:
            return Page(messages, json.dumps({"below": 0, "pages": pages}))
        return Page(messages, json.dumps({"below": min(ids) - 1, "pages": pages}), more=True)

    def listed(self, stream: str, asked: dict[str, int]) -> tuple[list[Any], bool]:
        """The items of one page, and whether the platform says that none follow."""
        answer = self._api.get(LISTS[stream].path, asked)
        if answer == []:  # how an empty object is written there
            return [], True
        key = LISTS[stream].key
        found = mapping(answer).get(key)
        if not isinstance(found, list):
            raise Unavailable(f"no {key} in Weibo's answer")
        following = mapping(answer).get("next_cursor")
        return items(found), following is not None and str(following) == "0"

    def _walk(self, stream: str, cursor: str | None) -> Walk:
        again = max(1, AGAIN_ITEMS // LISTS[stream].most)
        if stream not in self._planned:
            return Walk.resume(cursor, self._now(), again=again)
        pages = self._planner.pages
        few = pages(FIRST_PAGES)
        return Walk.resume(cursor, self._now(), first=few, again=min(again, few), overlap=few)

    def _page(self, stream: str, walk: Walk) -> Page:
        asked = {"since_id": walk.since, "count": LISTS[stream].most}
        if walk.below is not None:
            asked["max_id"] = walk.below
        found, last = self.listed(stream, asked)
        after = walk.after([_id(one) for one in found], last=last, now=self._now())
        messages = self._messages(stream, found)
        gap = self._gap(stream, walk, after)
        return Page(messages, after.told(), more=after.going, gaps=(gap,) if gap else ())

    def _messages(self, stream: str, found: list[Any]) -> tuple[Message, ...]:
        told: list[Message] = []
        now = self._now()
        for one in found:
            if one is None:
                continue
            if stream != "mentions":
                ours = stream == "own_comments"
                told.append(comment(one, uid=self._uid, now=now, ours=ours))
                continue
            told.append(status(one, uid=self._uid, now=now, long=self._long.whole))
            gone = original(one, uid=self._uid, now=now)
            if gone is not None:
                told.append(gone)
        return tuple(told)

    def _gap(self, stream: str, before: Walk, after: Walk) -> Gap | None:
        """What lies between the newest that was known and the end of the list, if the list ends above it.

        The newest that was known may have been deleted: one call asks whether anything as old is listed.
        """
        seen, low = before.seen, after.lowest
        if not before.known or seen is None or low is None or after.going or after.met:
            return None
        if (after.seen or 0) <= seen:
            return None
        since, until = _time(seen), _time(low)
        if stream in self._planned and not self._planner.extra():
            why = "no call is left to see whether Weibo's list goes back to what was read before"
            return Gap(since, until, why, recoverable=True)
        try:
            found, _ = self.listed(stream, {"count": 1, "max_id": seen})
        except RateLimited:
            why = "Weibo did not say whether its list goes back to what was read before"
            return Gap(since, until, why, recoverable=True)
        if found:
            return None
        return Gap(since, until, "Weibo lists nothing older", recoverable=False)


def _id(item: Any) -> int:
    found = mapping(item)
    return integer(found.get("id")) or integer(found.get("idstr"))


def _time(id: int) -> datetime:
    return datetime.fromtimestamp(seconds_of(id), UTC)


def _told(cursor: str | None) -> dict[str, Any]:
    try:
        return mapping(json.loads(cursor or "{}"))
    except ValueError:
        return {}
