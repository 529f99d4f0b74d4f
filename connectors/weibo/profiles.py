"""Who writes us direct messages: a push has the number of an account only, users/show its name.

Page: https://open.weibo.com/wiki/2/users/show
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Author, Direction, Kind, Message
from connectors.base import Keep, Now
from connectors.payload import mapping
from connectors.weibo.api import NO_USER, Api, Refused
from connectors.weibo.messages import author
from connectors.weibo.share import Share

FRESH_S = 7 * 86_400
MOST_KEPT = 500
MOST_ASKED = 5  # people in one reading: whoever reads on is waited for
PATIENCE = 2
SHORT_S = 60.0
_ROW = "people"


class Profiles:
    """Names, followers and verification, for a week; lists bring them along, and other people are asked for.

    `share` and `allowed` take a call. A message waits for a name twice, not longer, and not at all where
    no call is left: then it has the number, and the next one may have more.
    """

    def __init__(
        self,
        api: Api,
        *,
        share: Share,
        allowed: Callable[[], bool],
        keep: Keep,
        now: Now,
    ) -> None:
        self._api = api
        self._share = share
        self._allowed = allowed
        self._keep = keep
        self._now = now
        self._waited = 0

    def saw(self, messages: Iterable[Message]) -> None:
        """Remember whom a list showed."""
        people = {
            one.author.native_id: one.author
            for one in messages
            if one.direction is Direction.INBOUND and one.author and one.author.native_id
        }
        if not people:
            return
        old, now = self._keep.get(_ROW), self._now().timestamp()
        row = _Row.read(old)
        # What is known is written anew when it changed, or once a day: not with each page.
        fresh = {
            uid: who
            for uid, who in people.items()
            if row.people.get(uid) is None
            or _author(uid, row.people[uid]) != who
            or now - _at(row.people[uid]) > FRESH_S / 7
        }
        if fresh:
            row.put(fresh, now)
            self._keep.swap(
                _ROW, old, row.told()
            )  # lost to another: it is seen again, or asked for

    def put(self, messages: Sequence[Message]) -> list[Message]:
        """The direct messages, with who wrote them. Raises Unavailable while it is worth waiting."""
        if not any(_nameless(one) for one in messages):
            return list(messages)
        old, now = self._keep.get(_ROW), self._now().timestamp()
        row = _Row.read(old)
        wanted = dict.fromkeys(
            one.author.native_id for one in messages if _nameless(one) and one.author
        )
        asked: dict[str, Author] = {}
        for uid in wanted:
            if uid is None or now - _at(row.people.get(uid)) <= FRESH_S:
                continue
            if len(asked) >= MOST_ASKED or not self._share.take() or not self._allowed():
                break
            found = self._ask(uid)
            if found is None:
                break
            asked[uid] = found
        if asked:
            row.put(asked, now)
            self._keep.swap(_ROW, old, row.told())
        return [_named(one, row) if _nameless(one) else one for one in messages]

    def _ask(self, uid: str) -> Author | None:
        """Who `uid` is; only the number where there is no such account any more. None: nobody can be asked."""
        try:
            found = author(self._api.get("users/show", {"uid": uid}))
        except Unavailable as error:
            short = not isinstance(error, RateLimited) or error.retry_after_s <= SHORT_S
            if short and self._waited < PATIENCE:
                self._waited += 1
                raise
            return None  # the message matters more
        except Refused as error:
            if error.code == NO_USER:
                return Author(uid)
            self._share.close()  # not allowed
            return None
        except (Unauthorized, Rejected):
            return None
        self._waited = 0
        return Author(uid) if found is None else replace(found, native_id=uid)


class _Row:
    """The row in the Keep: uid → [name, followers, verified, Unix seconds]."""

    def __init__(self, people: dict[str, list[Any]]) -> None:
        self.people = people

    @classmethod
    def read(cls, text: str | None) -> _Row:
        try:
            told = mapping(json.loads(text or "{}"))
        except ValueError:
            told = {}
        return cls(
            {
                uid: entry
                for uid, entry in told.items()
                if isinstance(entry, list) and len(entry) == 4
            }
        )

    def told(self) -> str:
        newest = dict(sorted(self.people.items(), key=lambda pair: -_at(pair[1]))[:MOST_KEPT])
        return json.dumps(newest, ensure_ascii=False)

    def put(self, people: dict[Any, Author], now: float) -> None:
        for uid, who in people.items():
            self.people[uid] = [who.name, who.followers, who.verified, int(now)]


def _nameless(message: Message) -> bool:
    who = message.author
    inbound = message.direction is Direction.INBOUND
    return inbound and message.kind is Kind.DIRECT_MESSAGE and who is not None and who.name is None


def _named(message: Message, row: _Row) -> Message:
    uid = message.author.native_id if message.author else None
    entry = row.people.get(uid or "")
    return message if uid is None or entry is None else replace(message, author=_author(uid, entry))


def _author(uid: str, entry: list[Any]) -> Author:
    called, followers, verified, _ = entry
    return Author(
        native_id=uid,
        name=called if isinstance(called, str) else None,
        handle=called if isinstance(called, str) else None,
        followers=followers if type(followers) is int else None,
        verified=verified if isinstance(verified, bool) else None,
    )


def _at(entry: list[Any] | None) -> float:
    at = entry[3] if entry else None
    return float(at) if type(at) is int else float("-inf")
