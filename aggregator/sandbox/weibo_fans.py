"""Weibo's fan service (粉丝服务): direct messages as JSON pushes, signed with the app secret, answered by nothing."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from aggregator.sandbox.caller import Caller, Outgoing
from aggregator.sandbox.wechat_crypto import signature
from aggregator.sandbox.weibo_shapes import Member, date

# our word for the medium → theirs
MEDIA: Mapping[str, str] = {"image": "image", "voice": "voice", "location": "position"}


class FanService:
    """Pushes to one callback URL. The platform gives a message no id; `message` returns the digest of its fields."""

    def __init__(
        self, now: Callable[[], datetime], uid: int, app_secret: str, caller: Caller
    ) -> None:
        self._now = now
        self._uid = uid
        self._app_secret = app_secret
        self._caller = caller

    def attach(self, callback_url: str) -> None:
        """The GET handshake: the echo comes back as it is. Raises HandshakeFailed."""
        echo = str(secrets.randbits(63))
        self._caller.attach(callback_url, {**self._signed(), "echostr": echo}, echo.encode())

    def message(
        self, sender: Member, at: datetime, text: str, medium: str | None, label: str
    ) -> str:
        """Push one direct message; the first 32 hex digits of the SHA-256 over sender, date, type, text, data."""
        kind = MEDIA[medium] if medium else "text"
        data: dict[str, Any] = {}
        if kind == "position":
            data = {"longitude": "121.473701", "latitude": "31.230416"}
        elif medium:
            vfid = secrets.randbits(40)
            data = {"vfid": vfid, "tovfid": vfid + 10}
        self.push(sender, at, kind, text, data, label)
        canonical = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        words = f"{sender.uid}|{date(at)}|{kind}|{text}|{canonical}"
        return hashlib.sha256(words.encode()).hexdigest()[:32]

    def push(
        self,
        sender: Member,
        at: datetime,
        kind: str,
        text: str,
        data: Mapping[str, Any],
        label: str,
    ) -> None:
        """Push anything: also `event` (data.subtype follow, subscribe…) and `mention` (status or comment, key)."""
        body = {
            "type": kind,
            "receiver_id": self._uid,
            "sender_id": sender.uid,
            "created_at": date(at),
            "text": text,
            "data": data,
        }
        raw = json.dumps(body, ensure_ascii=False).encode()
        self._caller.post(
            label, lambda: Outgoing(self._signed(), raw, "application/json"), _must_be_empty
        )

    def _signed(self) -> dict[str, str]:
        timestamp, nonce = str(int(self._now().timestamp())), str(secrets.randbits(31))
        return {
            "signature": signature(self._app_secret, timestamp, nonce),
            "timestamp": timestamp,
            "nonce": nonce,
        }


def _must_be_empty(body: bytes) -> str | None:
    return None if body == b"" else "the answer is not empty"
