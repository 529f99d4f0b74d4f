"""Answers to customers of an official account: message/custom/send, which gives no id and takes no key.

Page: https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Service_Center_messages.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from aggregator.errors import Rejected
from aggregator.model import Direction, Kind, Message, ReplyWindow
from connectors.base import ReplyLimit
from connectors.fields import raw_json
from connectors.payload import joined
from connectors.wechat_window import LONGEST, Windows, byte_length, checked

PATH = "message/custom/send"

REFUSALS = {
    40003: "WeChat does not know this customer",
    43004: "the customer does not follow this account: no answer reaches them",
    43101: "the customer refuses messages of this account",
    44004: "an answer without words",
    45002: "the answer is too long for WeChat",
    45015: "WeChat takes no answer: the 48 hours are over, or the customer no longer follows this account",
    45047: "WeChat takes no further answer until the customer writes again: all of them are used",
    48001: "this account may not send customer messages: WeChat allows it to verified accounts only",
    48002: "the customer refuses messages of this account",
    50002: "WeChat does not let this customer be answered",
}


class Answers:
    """Sends through `call` (path, body); `records` are our team's messages of a time, as they are stored."""

    def __init__(
        self,
        windows: Windows,
        call: Callable[[str, dict[str, Any]], Any],
        records: Callable[[datetime], Iterable[Message]],
    ) -> None:
        self._windows = windows
        self._call = call
        self._records = records

    def limit(self, to: Message) -> ReplyLimit:
        _customer(to)
        return ReplyLimit(LONGEST, byte_length)

    def reply(self, to: Message, text: str, key: str) -> Message:
        person, text = _customer(to), checked(text)
        earlier = self._windows.attempt(person, key)
        if earlier is not None and earlier.sent:
            return _answer(person, text, key, earlier.at, None)
        if earlier is not None:
            raise Rejected(
                "whether this answer arrived is not known, and WeChat cannot be asked: look into the"
                " conversation in its console before answering again"
            )
        body = {"touser": person, "msgtype": "text", "text": {"content": text}}
        at, window = self._windows.once(
            person, to.sent_at, key, text, lambda: self._call(PATH, body)
        )
        return _answer(person, text, key, at, window)

    def find(self, to: Message, text: str, key: str, since: datetime) -> Message | None:
        """What we know to be sent; else what the records of customer service show, where they do."""
        person, text = _customer(to), checked(text)
        earlier = self._windows.attempt(person, key)
        if earlier is None:
            return None
        if earlier.sent:
            return _answer(person, text, key, earlier.at, None)
        try:
            found = list(self._records(min(since, earlier.at)))
        except Rejected:  # no customer service there: nothing to look into
            return None
        alike = (one for one in found if (one.person, one.text) == (person, text))
        return next(alike, None)


def _customer(to: Message) -> str:
    if to.person is None:
        raise Rejected("WeChat did not say who wrote this")
    return to.person


def _answer(person: str, text: str, key: str, at: datetime, window: ReplyWindow | None) -> Message:
    return Message(
        native_id=f"sent-{joined(person, key)}",
        platform="wechat",
        kind=Kind.DIRECT_MESSAGE,
        direction=Direction.OUTBOUND,
        author=None,
        text=text,
        sent_at=at,
        person=person,
        reply_window=window,
        raw=raw_json({"touser": person, "msgtype": "text", "text": {"content": text}}),
    )
