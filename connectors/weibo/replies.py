"""Answers: a comment under a comment or a post, and a direct message to somebody who wrote to us.

Pages: https://open.weibo.com/wiki/2/comments/reply and https://open.weibo.com/wiki/Messages_reply
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from aggregator.errors import Rejected, Unavailable
from aggregator.model import Author, Direction, Kind, Message
from connectors.base import Now, ReplyLimit
from connectors.fields import raw_json
from connectors.payload import joined, mapping
from connectors.weibo.api import GONE, MESSAGES, Api, Refused
from connectors.weibo.direct import ANSWERABLE
from connectors.weibo.lists import Lists
from connectors.weibo.messages import comment, unescaped
from connectors.weibo.walk import id_at

LONGEST_COMMENT, LONGEST_DIRECT = 140, 300  # Chinese characters
_EARLIER = timedelta(seconds=60)  # two clocks
_PAGES = 4


class Answers:
    """`spend` takes one call for an answer from the day's, or raises RateLimited. `gone` is told what
    an answer came too late for, and Weibo's code.
    """

    def __init__(
        self,
        api: Api,
        lists: Lists,
        *,
        uid: str,
        address: str | None,
        spend: Callable[[], None],
        gone: Callable[[Message, int], None],
        now: Now,
    ) -> None:
        self._api = api
        self._lists = lists
        self._uid = uid
        self._address = address
        self._spend = spend
        self._gone = gone
        self._now = now

    def limit(self, to: Message) -> ReplyLimit:
        """Raises Rejected where no answer is possible."""
        _check(to)
        if to.kind is Kind.DIRECT_MESSAGE:
            return ReplyLimit(LONGEST_DIRECT, chinese)
        return ReplyLimit(LONGEST_COMMENT, chinese)

    def send(self, to: Message, text: str, key: str) -> Message:
        """Raises Rejected, Unavailable, RateLimited and Unauthorized; nothing is tried twice."""
        longest = self.limit(to).longest
        if not text.strip():
            raise Rejected("an answer needs words")
        if chinese(text) > longest:
            raise Rejected(f"longer than Weibo's {longest} characters: {chinese(text)}")
        try:
            return self._message(to, text, key) if _direct(to) else self._comment(to, text)
        except Refused as error:
            if error.code in GONE:
                self._gone(to, error.code)
            raise

    def find(self, to: Message, text: str, since: datetime) -> Message | None:
        """Our comment with these words on `to`, if the list of our own comments has it since then.

        Raises Rejected for a direct message: no list shows ours, so that it is sent at most once.
        """
        if to.kind is Kind.DIRECT_MESSAGE:
            raise Rejected(
                "Weibo shows no list of our direct messages: look in the app whether it arrived"
            )
        asked = {"since_id": id_at((since - _EARLIER).timestamp()), "count": 50}
        for _ in range(_PAGES):
            self._spend()
            found, following = self._lists.listed("own_comments", asked)
            for one in found:
                if _same(mapping(one), to, text):
                    return self._ours(to, one)
            ids = [int(id) for one in found if (id := str(mapping(one).get("id"))).isdecimal()]
            if following == 0 or not ids:
                return None
            asked["max_id"] = min(ids) - 1
        return None

    def _comment(self, to: Message, text: str) -> Message:
        form: dict[str, int | str] = {"comment": text, "comment_ori": 0}
        if self._address is not None:
            form["rip"] = self._address
        self._spend()
        if to.kind is Kind.COMMENT:
            form |= {"cid": to.native_id, "id": to.root or "", "without_mention": 0}
            told = self._api.post("comments/reply", form)
        else:
            told = self._api.post("comments/create", form | {"id": to.native_id})
        return self._ours(to, told)

    def _ours(self, to: Message, told: Any) -> Message:
        """What we wrote, tied to `to` also where the answer does not repeat it."""
        message = comment(told, uid=self._uid, now=self._now(), ours=True)
        if "id.missing" in message.marks:
            raise Unavailable("Weibo's answer holds no comment", maybe_done=True)
        kept = {"root.missing", "author.missing"}
        return replace(
            message,
            root=to.root,
            person=to.person,
            reply_to=to.native_id,
            author=message.author or Author(self._uid),
            url=message.url or to.url,
            marks=tuple(mark for mark in message.marks if mark not in kept),
        )

    def _message(self, to: Message, text: str, key: str) -> Message:
        now = self._now()
        closes_at = to.reply_window.closes_at if to.reply_window else None
        if closes_at is None and to.sent_at is not None:
            closes_at = to.sent_at + ANSWERABLE
        if closes_at is not None and now > closes_at:
            raise Rejected("Weibo's 48 hours for an answer are over; they must write again first")
        if to.person is None:
            raise Rejected("nobody is known on the other side")
        data = json.dumps({"text": text}, ensure_ascii=False)
        form: dict[str, int | str]
        form = {"type": "text", "data": data, "receiver_id": to.person, "save_sender_box": 1}
        self._spend()
        told = self._api.post("messages/reply", form, host=MESSAGES)
        if told.get("result") in (False, "false", 0):
            raise Rejected("Weibo did not take the message (are they still followers?)")
        return Message(
            native_id=joined("reply", to.person, key),  # the platform gives it none
            platform="weibo",
            kind=Kind.DIRECT_MESSAGE,
            direction=Direction.OUTBOUND,
            author=Author(self._uid),
            text=text,
            sent_at=now,
            person=to.person,
            reply_to=to.native_id,
            raw=raw_json(told),
        )


def _direct(to: Message) -> bool:
    return to.kind is Kind.DIRECT_MESSAGE


def chinese(text: str) -> int:
    """Weibo's length: a Chinese character is one, any other of ASCII a half."""
    halves = sum(1 if ord(letter) < 128 else 2 for letter in text)
    return (halves + 1) // 2


def _check(to: Message) -> None:
    if to.direction is not Direction.INBOUND:
        raise Rejected("this is our own")
    if to.deleted_at is not None:
        raise Rejected("it was withdrawn")
    if to.kind is Kind.COMMENT and (to.root is None or "root.missing" in to.marks):
        raise Rejected("the post that it stands under is not known")
    if "id.missing" in to.marks:
        raise Rejected("Weibo gave it no id to answer to")


def _same(found: dict[str, Any], to: Message, text: str) -> bool:
    """Whether this comment of ours answers `to` with these words; an answer begins 回复@name:"""
    if to.kind is Kind.COMMENT:
        on = mapping(found.get("reply_comment"))
    else:
        on = mapping(found.get("status"))
        if mapping(found.get("reply_comment")):
            return False
    if to.native_id not in (str(on.get("idstr")), str(on.get("id"))):
        return False
    said = [found.get("reply_original_text"), found.get("text")]
    words = [unescaped(one).strip() for one in said if isinstance(one, str)]
    wanted = text.strip()
    return any(one == wanted or one.endswith((f":{wanted}", f"：{wanted}")) for one in words)
