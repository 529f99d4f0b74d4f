"""Who writes us direct messages: a push has the number of an account only, users/show its name.

A message is stored at once, with the name if it is known; else it is read again once somebody said it.
Page: https://open.weibo.com/wiki/2/users/show
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from aggregator.errors import Rejected, Unauthorized, Unavailable
from aggregator.model import Author, Direction, Kind, Message
from connectors.base import Keep, Now
from connectors.payload import items, mapping
from connectors.weibo.api import NO_USER, Api, Refused
from connectors.weibo.messages import author
from connectors.weibo.share import Share

FRESH_S = 7 * 86_400
AGAIN_S = 300.0
MOST_KEPT = 500
MOST_WAITING, MOST_BODY = 20, 4096  # messages, characters: what waits for a name is in one row
_PEOPLE, _WAITING = "people", "nameless"
_RACES = 20


class Profiles:
    """Names, followers and verification, for a week. `share` and `allowed` take a call of the day's."""

    def __init__(
        self, api: Api, *, share: Share, allowed: Callable[[], bool], keep: Keep, now: Now
    ) -> None:
        self._api = api
        self._share = share
        self._allowed = allowed
        self._keep = keep
        self._now = now
        self._not_before = 0.0

    def saw(self, messages: Iterable[Message]) -> None:
        """Remember whom a list showed: they need not be asked for."""
        people = {
            one.author.native_id: one.author
            for one in messages
            if one.direction is Direction.INBOUND and one.author and one.author.native_id
        }
        if not people:
            return
        known, now = self._people(), self._now().timestamp()
        # Written anew when it changed, or once a day: not with each page.
        fresh = {
            uid: who
            for uid, who in people.items()
            if uid not in known or _who(uid, known[uid]) != who or now - _at(known[uid]) > 86_400
        }
        if fresh:
            self._remember(fresh)

    def named(self, pushed: Iterable[tuple[Message, bytes]]) -> list[Message]:
        """The messages, with who wrote them where that is known. The others wait (`asked`)."""
        known, now = self._people(), self._now().timestamp()
        told, waiting = [], []
        for message, body in pushed:
            uid = _nameless(message)
            if uid is not None and now - _at(known.get(uid)) <= FRESH_S:
                told.append(replace(message, author=_who(uid, known[uid])))
                continue
            told.append(message)
            if uid is not None:
                waiting.append([uid, body.decode("utf-8", "replace")])
        if waiting:
            self._wait(lambda old: [*old, *waiting])
        return told

    def asked(self) -> list[bytes]:
        """One call, where somebody's name is waited for: what they sent, to be read again with it."""
        waiting, now = self._waiting(), self._now().timestamp()
        if not waiting or now < self._not_before:
            return []
        uid = waiting[-1][0]  # the newest first: that card is being looked at
        if now - _at(self._people().get(uid)) > FRESH_S:
            if not (self._share.take() and self._allowed()):
                self._not_before = now + AGAIN_S
                return []
            who = self._ask(uid)
            if who is None:
                return []
            self._remember({uid: who})
        self._wait(lambda old: [one for one in old if one[0] != uid])
        return [body.encode() for of, body in waiting if of == uid]

    def _ask(self, uid: str) -> Author | None:
        """Who `uid` is; only the number where there is no such account any more. None: it was not told."""
        try:
            found = author(self._api.get("users/show", {"uid": uid}))
        except Refused as error:
            if error.code == NO_USER:
                return Author(uid)
            self._share.close()  # not allowed
            return None
        except (Unavailable, Unauthorized, Rejected):
            self._not_before = self._now().timestamp() + AGAIN_S
            return None
        return Author(uid) if found is None else replace(found, native_id=uid)

    # --- rows -----------------------------------------------------------------------------------

    def _people(self) -> dict[str, list[Any]]:
        """uid → [name, followers, verified, Unix seconds]."""
        return _entries(self._keep.get(_PEOPLE))

    def _remember(self, people: Mapping[str, Author]) -> None:
        """Lost where another is faster: they are seen again, or asked for."""
        old, at = self._keep.get(_PEOPLE), int(self._now().timestamp())
        more = {uid: [who.name, who.followers, who.verified, at] for uid, who in people.items()}
        newest = sorted((_entries(old) | more).items(), key=lambda pair: -_at(pair[1]))[:MOST_KEPT]
        self._keep.swap(_PEOPLE, old, json.dumps(dict(newest), ensure_ascii=False))

    def _waiting(self) -> list[list[str]]:
        return _bodies(self._keep.get(_WAITING))

    def _wait(self, change: Callable[[list[list[str]]], list[list[str]]]) -> None:
        for _ in range(_RACES):
            old = self._keep.get(_WAITING)
            row = [one for one in change(_bodies(old)) if len(one[1]) <= MOST_BODY][-MOST_WAITING:]
            if self._keep.swap(_WAITING, old, json.dumps(row) if row else None):
                return


def _nameless(message: Message) -> str | None:
    """The number of the customer who wrote it, if that is all that is known."""
    who = message.author
    if who is None or who.name is not None or message.direction is not Direction.INBOUND:
        return None
    return who.native_id if message.kind is Kind.DIRECT_MESSAGE else None


def _entries(text: str | None) -> dict[str, list[Any]]:
    try:
        told = mapping(json.loads(text or "{}"))
    except ValueError:
        return {}
    return {uid: one for uid, one in told.items() if isinstance(one, list) and len(one) == 4}


def _bodies(text: str | None) -> list[list[str]]:
    try:
        told = items(json.loads(text or "[]"))
    except ValueError:
        return []
    pairs = (one for one in told if isinstance(one, list) and len(one) == 2)
    return [one for one in pairs if all(isinstance(part, str) for part in one)]


def _who(uid: str, entry: list[Any]) -> Author:
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
