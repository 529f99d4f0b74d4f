"""Who a customer is: kf/sync_msg gives ids only, kf/customer/batchget the nicknames."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Direction, Message
from connectors.base import Keep, Now
from connectors.payload import integer, items, mapping, name
from connectors.wechat_sdk import WorkClient

KEY = "names"
LIVES = timedelta(hours=24)
MOST_KEPT = 200
MOST_ASKED = 100
PATIENCE = 2  # pages put off, in seconds each, for the sake of a name


class Names:
    """Nicknames, remembered for a day. A message waits for one twice, not longer: then it has the id."""

    def __init__(self, client: WorkClient, keep: Keep, now: Now) -> None:
        self._client = client
        self._keep = keep
        self._now = now
        self._waited = 0

    def put(self, messages: Sequence[Message]) -> list[Message]:
        """The messages, with the names of the customers who wrote them.

        Raises Unavailable while it is worth asking for the page again.
        """
        people = dict.fromkeys(
            one.author.native_id
            for one in messages
            if one.direction is Direction.INBOUND and one.author and one.author.native_id
        )
        known = self._known(list(people)) if people else {}
        return [_named(one, known) for one in messages]

    def _known(self, people: list[str]) -> dict[str, str | None]:
        old = self._keep.get(KEY)
        now = int(self._now().timestamp())
        kept = {
            person: entry
            for person, entry in _entries(old).items()
            if integer(mapping(entry).get("until")) > now
        }
        missing = [person for person in people if person not in kept]
        asked = self._ask(missing)
        if asked:
            until = now + int(LIVES.total_seconds())
            kept |= {person: {"name": told, "until": until} for person, told in asked.items()}
            newest = dict(list(kept.items())[-MOST_KEPT:])
            self._keep.swap(KEY, old, json.dumps(newest, ensure_ascii=False))
        return {person: name(mapping(entry).get("name")) for person, entry in kept.items()}

    def _ask(self, people: Sequence[str]) -> dict[str, str | None]:
        """The names of `people`, None for who has none; nothing of those that could not be asked for."""
        found: dict[str, str | None] = {}
        for start in range(0, len(people), MOST_ASKED):
            some = people[start : start + MOST_ASKED]
            try:
                answer = self._client.call(
                    "kf/customer/batchget",
                    {"external_userid_list": list(some), "need_enter_session_context": 0},
                )
            except Unavailable as error:
                if self._waited < PATIENCE and not isinstance(error, RateLimited):
                    self._waited += 1
                    raise
                break  # the messages matter more; the next page asks again
            except (Unauthorized, Rejected):
                break
            self._waited = 0
            told = _nicknames(items(answer.get("customer_list")))
            found |= {person: told.get(person) for person in some}
        return found


def _nicknames(customers: Iterable[Any]) -> dict[str, str | None]:
    found = (mapping(one) for one in customers)
    return {str(one.get("external_userid")): name(one.get("nickname")) for one in found}


def _named(message: Message, known: dict[str, str | None]) -> Message:
    author = message.author
    if message.direction is not Direction.INBOUND or author is None:
        return message
    return replace(message, author=replace(author, name=known.get(author.native_id or "")))


def _entries(kept: str | None) -> dict[str, Any]:
    try:
        return mapping(json.loads(kept or "{}"))
    except ValueError:
        return {}
