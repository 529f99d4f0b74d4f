"""Answers to customers: kf/send_msg under an id of ours, which is the platform's idempotency handle.

Page: https://developer.work.weixin.qq.com/document/path/94677
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from aggregator.errors import RateLimited, Rejected, Unavailable
from aggregator.model import Direction, Kind, Message, ReplyWindow
from connectors.base import Now, ReplyLimit
from connectors.fields import raw_json
from connectors.payload import integer, joined, name
from connectors.wechat_sdk import WorkClient
from connectors.wechat_window import LONGEST, Windows, byte_length, checked

# In 0 (not yet taken up) and 1 (with the bot) the API may speak, in these not.
POOL, HUMAN, ENDED = 2, 3, 4

REFUSALS = {
    40003: "WeCom does not know this customer",
    40058: "WeCom refuses this answer as it stands",
    40096: "WeCom does not know this customer",
    44004: "an answer without words",
    45002: "the answer is too long for WeCom",
    95001: "WeCom takes no further answer until the customer writes again: all of them are used",
    95002: "WeCom takes no answer: the 48 hours are over, the customer has to write again first",
    95013: "the conversation has ended: the customer has to write again first",
    95016: "the conversation does not allow this now",
    95018: "a colleague holds the conversation, or it has ended: answer it in the WeCom client",
}

REPEATED_FOR = timedelta(minutes=1)

_MSGID = re.compile(r"[0-9a-zA-Z_-]{1,32}", re.ASCII)


class Answers:
    """What the API sends is not in kf/sync_msg: the message returned here is its only record."""

    def __init__(self, client: WorkClient, windows: Windows, kfid: str, now: Now) -> None:
        self._client = client
        self._windows = windows
        self._kfid = kfid
        self._now = now

    def limit(self, to: Message) -> ReplyLimit:
        _customer(to)
        return ReplyLimit(LONGEST, byte_length)

    def reply(self, to: Message, text: str, key: str) -> Message:
        person, text, msgid = _customer(to), checked(text), folded(key)
        earlier = self._windows.attempt(person, key)
        if earlier is not None and earlier.sent:
            return self._answer(person, text, msgid, earlier.at, None)
        self._may_speak(person)
        at, window = self._windows.once(
            person, to.sent_at, key, text, lambda: self._send(person, text, msgid)
        )
        return self._answer(person, text, msgid, at, window)

    def find(self, to: Message, text: str, key: str) -> Message | None:
        """What the platform has confirmed. A moment after an attempt whose outcome is unknown it is asked again:
        the same answer under the same id, which is one message, however often it is sent."""
        person, text = _customer(to), checked(text)
        earlier = self._windows.attempt(person, key)
        if earlier is None:
            return None
        if not earlier.sent:
            if self._now() - earlier.at > REPEATED_FOR:
                return None  # whoever looks so late no longer wants it to be sent by that
            self._send(person, text, folded(key))
            self._windows.confirm(person, key)
        return self._answer(person, text, folded(key), earlier.at, None)

    def _send(self, person: str, text: str, msgid: str) -> None:
        body = {
            "touser": person,
            "open_kfid": self._kfid,
            "msgid": msgid,
            "msgtype": "text",
            "text": {"content": text},
        }
        self._client.call("kf/send_msg", body, words=REFUSALS)

    def _may_speak(self, person: str) -> None:
        """Raises Rejected with who holds the conversation, where it is not ours to answer."""
        asked = {"open_kfid": self._kfid, "external_userid": person}
        try:
            found = self._client.call("kf/service_state/get", asked, words=REFUSALS)
        except RateLimited:
            raise
        except Unavailable as error:  # only asked, nothing said
            raise Unavailable(error.reason) from error
        state, servicer = integer(found.get("service_state")), name(found.get("servicer_userid"))
        if state == HUMAN:
            raise Rejected(
                f"a colleague ({servicer or 'unnamed'}) holds the conversation: it is answered in the"
                " WeCom client",
                status=403,
            )
        if state == POOL:
            raise Rejected(
                "the conversation waits in the queue for a colleague: it is answered in the WeCom client",
                status=403,
            )
        if state == ENDED:
            raise Rejected(
                "the conversation has ended: the customer has to write again first", status=403
            )

    def _answer(
        self, person: str, text: str, msgid: str, at: datetime, window: ReplyWindow | None
    ) -> Message:
        return Message(
            native_id=msgid,
            platform="wecom",
            kind=Kind.DIRECT_MESSAGE,
            direction=Direction.OUTBOUND,
            author=None,
            text=text,
            sent_at=at,
            person=person,
            reply_window=window,
            raw=raw_json({"msgid": msgid, "touser": person, "text": {"content": text}}),
        )


def folded(key: str) -> str:
    """`key` as WeCom takes an id: itself where it may, else a digest of 32 characters."""
    return key if _MSGID.fullmatch(key) else joined(key)


def _customer(to: Message) -> str:
    if to.person is None:
        raise Rejected("WeCom did not say who wrote this")
    return to.person
