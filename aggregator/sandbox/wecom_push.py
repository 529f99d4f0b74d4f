"""WeCom's callback, which brings no words: it says "come", and a token that opens the queue for ten minutes."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from aggregator.sandbox.caller import Caller, Outgoing
from aggregator.sandbox.wechat_crypto import Envelope, xml

LIFE = timedelta(minutes=10)


class Wakes:
    """Signs and seals for one corp; `caller` carries it. The stand-in's lock is held by whoever calls."""

    def __init__(self, now: Callable[[], datetime], envelope: Envelope, caller: Caller) -> None:
        self._now = now
        self._envelope = envelope
        self._caller = caller
        self._ends: dict[str, datetime] = {}

    def attach(self, callback_url: str) -> None:
        """The echo goes out encrypted and must come back in the clear. Raises HandshakeFailed."""
        timestamp, nonce = self._stamp()
        echo = str(secrets.randbits(63))
        sealed = self._envelope.encrypt(echo)
        query = {
            "msg_signature": self._envelope.sign(timestamp, nonce, sealed),
            "timestamp": timestamp,
            "nonce": nonce,
            "echostr": sealed,
        }
        self._caller.attach(callback_url, query, echo.encode())

    def wake(self, label: str, at: datetime, kfid: str) -> None:
        """Say that there is news of an account; nothing where no URL was registered."""
        if self._caller.url is None:
            return
        token = f"ENC{secrets.token_urlsafe(36)}"
        self._ends[token] = self._now() + LIFE
        plain = xml(
            {
                "ToUserName": self._envelope.receiver,
                "CreateTime": int(at.timestamp()),
                "MsgType": "event",
                "Event": "kf_msg_or_event",
                "Token": token,
                "OpenKfId": kfid,
            }
        )
        self._caller.post(label, lambda: self._outgoing(plain), _judge)

    def good(self, token: object) -> bool:
        """Whether a callback has brought this token, less than ten minutes ago."""
        ends = self._ends.get(token) if isinstance(token, str) else None
        return ends is not None and ends > self._now()

    def _outgoing(self, plain: str) -> Outgoing:
        timestamp, nonce = self._stamp()
        sealed = self._envelope.encrypt(plain)
        query = {
            "msg_signature": self._envelope.sign(timestamp, nonce, sealed),
            "timestamp": timestamp,
            "nonce": nonce,
        }
        fields = {"ToUserName": self._envelope.receiver, "Encrypt": sealed, "AgentID": ""}
        return Outgoing(query, xml(fields).encode(), "text/xml")

    def _stamp(self) -> tuple[str, str]:
        return str(int(self._now().timestamp())), str(secrets.randbits(31))


def _judge(body: bytes) -> str | None:
    return None if body in (b"", b"success") else "the answer is neither empty nor success"
