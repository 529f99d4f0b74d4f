"""Answers on X: a post under the post that it answers, or a direct message."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from aggregator.errors import Rejected, Unavailable
from aggregator.model import Author, Direction, Kind, Message
from connectors.base import Now, ReplyLimit
from connectors.fields import raw_json
from connectors.payload import mapping, native
from connectors.x.client import Client
from connectors.x.direct import direct_message
from connectors.x.ids import number, time_of
from connectors.x.posts import Includes, post_message, post_url, unescaped
from connectors.x.prices import Ledger

POST_LIMIT = 280
DIRECT_LIMIT = 10_000
LINK_WEIGHT = 23
SKEW = timedelta(minutes=2)  # between our clock and X's

_LINK = re.compile(r"https?://[^\s<>\"，。！？、；：）】》」”]+")
_BEGINNING = re.compile(r"(\s*@\w{1,15})+\s*", re.ASCII)
_CONVERSATION = re.compile(r"[0-9]{1,19}(-[0-9]{1,19})?", re.ASCII)
# https://docs.x.com/fundamentals/counting-characters: these weigh one, everything else two
_LIGHT = ((0, 0x10FF), (0x2000, 0x200D), (0x2010, 0x201F), (0x2032, 0x2037))
_JOINED = "\u200d"


class Answers:
    """`Replies` of connectors/base.py. X has no idempotency key: `find` looks by the words."""

    def __init__(self, *, client: Client, ledger: Ledger, me: str, now: Now) -> None:
        self._client = client
        self._ledger = ledger
        self._me = me
        self._now = now

    def limit(self, to: Message) -> ReplyLimit:
        if to.direction is not Direction.INBOUND:
            raise Rejected("this is a message of our own; answer one of the customer's")
        if to.kind is Kind.DIRECT_MESSAGE:
            if to.person is None:
                raise Rejected("X does not say whom this message is from; answer it in X's own app")
            return ReplyLimit(DIRECT_LIMIT, len)
        if number(_newest(to)) is None:
            raise Rejected("this post has no id to answer to; answer it in X's own app")
        return ReplyLimit(POST_LIMIT, weight)

    def send(self, to: Message, text: str) -> Message:
        limit = self.limit(to)
        length = limit.count(text)
        if not text.strip():
            raise Rejected("an answer needs words")
        if length > limit.longest:
            raise Rejected(
                f"too long for X: {length} of {limit.longest} (a Chinese character counts as two, a link"
                f" as {LINK_WEIGHT})"
                if to.kind is Kind.MENTION
                else f"too long for X: {length} of {limit.longest} characters"
            )
        return self._message(to, text) if to.kind is Kind.DIRECT_MESSAGE else self._post(to, text)

    def find(self, to: Message, text: str, since: datetime) -> Message | None:
        self.limit(to)
        since -= SKEW
        sent = self._messages(to) if to.kind is Kind.DIRECT_MESSAGE else self._posts(to, since)
        ours = (
            one
            for one in sent
            if one.direction is Direction.OUTBOUND
            and one.sent_at is not None
            and one.sent_at >= since.replace(microsecond=0)
            and _same(one.text, text)
        )
        return next(ours, None)

    def _post(self, to: Message, text: str) -> Message:
        us = self._us()
        told = self._client.post(text, in_reply_to=_newest(to))
        made = native(told.get("id"))
        if number(made) is None or made is None:
            raise Unavailable("X took the answer and gave no id", maybe_done=True)
        self._count("post.create.url" if _LINK.search(text) else "post.create.summoned")
        given = told.get("text")
        return Message(
            native_id=made,
            platform="x",
            kind=Kind.MENTION,
            direction=Direction.OUTBOUND,
            author=us,
            text=unescaped(given) if isinstance(given, str) and given else text,
            sent_at=self._time(made),
            root=to.root or to.native_id,
            person=to.person,
            reply_to=to.native_id,
            url=post_url(us, made),
            raw=raw_json(told),
        )

    def _message(self, to: Message, text: str) -> Message:
        conversation, us = _conversation(to), self._us()
        told = self._client.message(text, conversation=conversation, person=to.person)
        made = native(told.get("dm_event_id"))
        if made is None:
            raise Unavailable("X took the message and gave no id", maybe_done=True)
        self._count("dm.create")
        conversation = native(told.get("dm_conversation_id")) or conversation
        return Message(
            native_id=made,
            platform="x",
            kind=Kind.DIRECT_MESSAGE,
            direction=Direction.OUTBOUND,
            author=us,
            text=text,
            sent_at=self._time(made),
            person=to.person,
            url=f"https://x.com/messages/{conversation}" if conversation else None,
            raw=raw_json(told),
        )

    def _posts(self, to: Message, since: datetime) -> list[Message]:
        """Our posts from then on that stand under `to`."""
        start = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        found = self._client.own_posts(start_time=start, max_results=100)
        self._ledger.read("replies", self._ledger.owned, found.data, found.includes)
        known = self._client.known()
        us = {"id": self._me, "name": known.get("name"), "username": known.get("handle")}
        includes = Includes({"users": [us], **found.includes})
        read = [
            post_message(raw, includes, me=self._me, ours=True)
            for raw in map(mapping, found.data)
            if raw
        ]
        return [one for one in read if one.reply_to in (to.native_id, _newest(to))]

    def _messages(self, to: Message) -> list[Message]:
        """The conversation's newest; the list of all lags behind it by seconds, this one does not."""
        conversation = _conversation(to)
        found = self._client.direct_messages(
            max_results=20, conversation=conversation, person=None if conversation else to.person
        )
        self._ledger.read("replies", "dm_event", found.data, found.includes)
        includes = Includes(found.includes)
        read = (direct_message(raw, includes, me=self._me) for raw in map(mapping, found.data))
        return [one for one in read if one is not None]

    def _count(self, kind: str) -> None:
        """What is sent is sent, whether or not it can be counted."""
        with suppress(Unavailable):
            self._ledger.wrote(kind)

    def _us(self) -> Author:
        """Ourselves as far as known: what was sent is not put at risk by asking."""
        known = self._client.known()
        return Author(self._me, known.get("name"), known.get("handle"))

    def _time(self, made: str) -> datetime:
        """As `created_at` will say it: in whole seconds."""
        value = number(made)
        at = (time_of(value) if value else None) or self._now()
        return at.replace(microsecond=0)


def weight(text: str) -> int:
    """The length as X counts it: a link 23, an emoji or a CJK character 2, most letters 1."""
    plain = _LINK.sub("", text)
    total = LINK_WEIGHT * len(_LINK.findall(text))
    joined = False
    for letter in plain:
        code = ord(letter)
        modifier = code in (0xFE0E, 0xFE0F) or 0x1F3FB <= code <= 0x1F3FF
        if letter == _JOINED:
            joined = True  # what it joins is one emoji
            continue
        if not (joined or modifier):
            total += 1 if any(low <= code <= high for low, high in _LIGHT) else 2
        joined = False
    return total


def _same(one: str | None, other: str) -> bool:
    return one is not None and _bare(one) == _bare(other)


def _bare(text: str) -> str:
    """The words without what X adds or changes: whom it is addressed to, and the links."""
    text = _BEGINNING.sub("", text, count=1) if _BEGINNING.match(text) else text
    return " ".join(_LINK.sub("·", text).split())


def _newest(to: Message) -> str:
    """The id of the version that we saw; an edit has an id of its own."""
    return native(_raw(to).get("id")) or to.native_id


def _conversation(to: Message) -> str | None:
    told = native(_raw(to).get("dm_conversation_id"))
    return told if told is not None and _CONVERSATION.fullmatch(told) else None


def _raw(to: Message) -> dict[str, Any]:
    try:
        return mapping(json.loads(to.raw)) if to.raw else {}
    except (ValueError, RecursionError):
        return {}
