"""The four lists of an account, and how each is read: what is new, what appeared late, what is history."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from aggregator.errors import RateLimited, Rejected, Unavailable
from aggregator.model import Gap, Kind, Message, Page
from connectors.base import Now
from connectors.payload import integer, items, mapping
from connectors.weibo.api import TWINS, Api
from connectors.weibo.longtext import Later, LongTexts
from connectors.weibo.messages import comment, original, status
from connectors.weibo.planner import Planner
from connectors.weibo.recent import Recent
from connectors.weibo.walk import AGAIN, AGAIN_ITEMS, FIRST_PAGES, Walk, id_at, seconds_of
from connectors.weibo.withdrawn import BATCH, HIDDEN, SHOWN, Withdrawn, tombstone

LISTED = 2000  # items; no list of Weibo's is said to go further back
ASKED = 3  # posts that were known: whether a list forgot them, or their authors took them back
ENDS = 3  # more than so many missing at the end of a list were not withdrawn: it ends higher up now


@dataclass(frozen=True, slots=True)
class List:
    """`key`: what the answer calls it; `most`: what one page may hold; `kind`: what is in it."""

    path: str
    key: str
    most: int
    kind: Kind


LISTS = {
    "mentions": List("statuses/mentions", "statuses", 200, Kind.MENTION),
    "comments": List("comments/to_me", "comments", 50, Kind.COMMENT),
    "comment_mentions": List("comments/mentions", "comments", 50, Kind.COMMENT),
    "own_comments": List("comments/by_me", "comments", 50, Kind.COMMENT),
}


def metered(*, commercial: bool) -> tuple[str, ...]:
    """The streams whose calls count against the user's day."""
    return tuple(s for s, one in LISTS.items() if not (commercial and one.path in TWINS))


class Lists:
    """Every list is newest first; a walk goes down to where the last complete one began, less an overlap.

    A comment on our post that mentions us stands in two lists; kind and id are the same in both. Calls are
    few and items are free: now and then the first page reaches further back than it must, which shows what
    appeared late and what is gone.
    """

    def __init__(
        self,
        api: Api,
        planner: Planner,
        withdrawn: Withdrawn,
        long: LongTexts,
        *,
        uid: str,
        commercial: bool,
        now: Now,
    ) -> None:
        self._api = api
        self._planner = planner
        self._planned = metered(commercial=commercial)
        self._uid = uid
        self._now = now
        self._long = long
        self.withdrawn = withdrawn

    def poll(self, stream: str, cursor: str | None) -> Page:
        """One page of one list; an empty one, the cursor unchanged, while the plan says "not yet"."""
        walk, recent = self._walk(stream, cursor), Recent.read(_told(cursor).get("recent"))
        if stream not in self._planned:
            return self._page(stream, walk, recent, cursor)
        if not self._planner.turn(stream, going=walk.below is not None):
            return Page((), cursor)
        try:
            return self._page(stream, walk, recent, cursor)
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
        found, following = self.listed(stream, asked)
        ids = [id for id in map(_id, found) if id and (type(below) is not int or id <= below)]
        messages, whole = self._messages(stream, found)
        if not whole:
            raise Unavailable("the rest of a long post did not come")
        messages += self._originals(stream, found)
        pages += 1
        lower = (
            min(ids) - 1 if ids else following or 0
        )  # a page may be empty, all of it being hidden
        ends = following == 0 or lower <= 0 or (type(below) is int and lower >= below)
        if ends or pages * LISTS[stream].most >= LISTED:
            return Page(messages, json.dumps({"below": 0, "pages": pages}))
        return Page(messages, json.dumps({"below": lower, "pages": pages}), more=True)

    def listed(self, stream: str, asked: dict[str, int]) -> tuple[list[Any], int | None]:
        """The items of one page, and where the next begins: 0 if there is none, None if that is not told."""
        answer = self._api.get(LISTS[stream].path, asked)
        if answer == []:  # how an empty object is written there
            return [], 0
        key = LISTS[stream].key
        found = mapping(answer).get(key)
        if not isinstance(found, list):
            raise Unavailable(f"no {key} in Weibo's answer")
        following = mapping(answer).get("next_cursor")
        return items(found), 0 if str(following) == "0" else integer(following) or None

    def _walk(self, stream: str, cursor: str | None) -> Walk:
        again = max(1, AGAIN_ITEMS // LISTS[stream].most)
        if stream not in self._planned:
            return Walk.resume(cursor, self._now(), again=again)
        pages = self._planner.pages
        few = pages(FIRST_PAGES)
        return Walk.resume(cursor, self._now(), first=few, again=min(again, few), overlap=few)

    def _page(self, stream: str, walk: Walk, recent: Recent, cursor: str | None) -> Page:
        now, since = self._now(), walk.since
        if walk.seen is not None and walk.below is None and recent.due(now.timestamp()):
            since = min(since, id_at((now - AGAIN).timestamp()))
            recent = replace(recent, looked=now.timestamp())
        asked = {"since_id": since, "count": LISTS[stream].most}
        if walk.below is not None:
            asked["max_id"] = walk.below
        found, following = self.listed(stream, asked)
        ids = [_id(one) for one in found]
        passed = any(since < id <= walk.since for id in ids)
        after = walk.after(ids, last=following == 0 or passed, now=now, following=following)
        known = set(recent.ids)
        fresh = [
            one for one, id in zip(found, ids, strict=True) if id not in known or id > walk.since
        ]
        messages, whole = self._messages(stream, fresh, back=set(recent.gone))
        messages += self._originals(stream, found)
        gap = None
        try:
            gap = self._gap(stream, walk, after, recent) if whole else None
        except RateLimited:
            whole = False
        if (
            not whole
        ):  # nothing is settled: the same is asked for when there is a call, or an answer
            self._planner.failed(stream)
            return Page(messages, cursor)
        recent = _compared(recent, ids, since=since, walk=walk, following=following, now=now)
        gone, recent = self._gone(stream, recent, going=after.going)
        told = after.told(recent=recent.cursor())
        return Page(messages + gone, told, more=after.going, gaps=(gap,) if gap else ())

    def _messages(
        self, stream: str, found: list[Any], back: set[int] | None = None
    ) -> tuple[tuple[Message, ...], bool]:
        """The messages, and whether these are all. `back`: ids that were told to be withdrawn, and so are not."""
        told: list[Message] = []
        now, whole = self._now(), True
        for one in found:
            if one is None:
                continue
            if stream == "mentions":
                try:
                    message = status(one, uid=self._uid, now=now, long=self._long.whole)
                except Later:
                    whole = False
                    continue
            else:
                ours = stream == "own_comments"
                message = comment(one, uid=self._uid, now=now, ours=ours)
            if back and _id(one) in back and message.deleted_at is None:
                message = replace(message, restored_at=now)
            told.append(message)
        return tuple(told), whole

    def _originals(self, stream: str, found: list[Any]) -> tuple[Message, ...]:
        """Tombstones for the posts that these repost, as far as they say so."""
        if stream != "mentions":
            return ()
        told = (original(one, uid=self._uid, now=self._now()) for one in found)
        return tuple(one for one in told if one is not None)

    def _gone(
        self, stream: str, recent: Recent, *, going: bool
    ) -> tuple[tuple[Message, ...], Recent]:
        """Tombstones for what is missing and, asked for by its id, is not to be had either."""
        kind, now = LISTS[stream].kind, self._now()
        told: tuple[Message, ...] = ()
        if stream in ("mentions", "comments"):
            told = self.withdrawn.noted(kind, recent.told)
            ids = [integer(one.native_id) for one in told]
            recent = replace(recent, told=tuple(one.key for one in told)).settled(ids, gone=True)
        if going or not recent.doubtful:
            return told, recent
        states = self.withdrawn.look(kind, recent.doubtful)
        for id, state in states.items():
            recent = recent.settled([id], gone=state != SHOWN)
            if state != SHOWN:
                told += (tombstone(kind, str(id), now, hidden=state == HIDDEN),)
        return told, recent

    def _gap(self, stream: str, before: Walk, after: Walk, recent: Recent) -> Gap | None:
        """What lies between the newest that was known and the end of the list, if the list ends above it.

        What was known may have been deleted: so whether anything as old is listed is asked for, and, where
        nothing is, whether one of the newest of those is still there. Raises RateLimited while there is no call.
        """
        seen, low = before.seen, after.lowest
        if not before.known or seen is None or low is None or after.going or after.met:
            return None
        if (after.seen or 0) <= seen:
            return None
        if stream in self._planned:
            self._spend()
        found, following = self.listed(stream, {"count": 20, "max_id": seen})
        if found or following:
            return None
        known = [id for id in recent.ids if id <= seen] or [seen]
        if not self._any_shown(stream, known):
            return None
        return Gap(_time(seen), _time(low), "Weibo lists nothing older", recoverable=False)

    def _any_shown(self, stream: str, known: list[int]) -> bool:
        kind = LISTS[stream].kind
        asked = [known[:BATCH]] if kind is Kind.COMMENT else [[id] for id in known[:ASKED]]
        for ids in asked:
            self._spend()
            try:
                states = self.withdrawn.asked(kind, ids)
            except Rejected:  # not allowed: what is listed is all that is known
                return True
            if SHOWN in states.values():
                return True
        return False

    def _spend(self) -> None:
        if not self._planner.extra():
            raise RateLimited(
                "no call is left to see how far the list goes back", retry_after_s=3600
            )


def _compared(
    recent: Recent, ids: list[int], *, since: int, walk: Walk, following: int | None, now: datetime
) -> Recent:
    """`recent` after a page of what is listed between `since` and where it began."""
    newest = id_at(now.timestamp() + 1)
    high = newest if walk.below is None else walk.below
    here = [id for id in ids if since < id <= min(high, newest)]
    low = min(here) - 1 if here else high
    below = sum(since < id <= low for id in recent.ids)
    if following == 0 and below <= ENDS:
        low = since
    return recent.after(here, low=low, high=high)


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
