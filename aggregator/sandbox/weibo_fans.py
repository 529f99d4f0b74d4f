"""Weibo's fan service (粉丝服务): direct messages pushed as JSON or XML, signed with the app secret, answered by nothing."""

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
    """Pushes to one callback URL. The platform gives a message no id; `message` returns the digest of its fields.

    Knobs: `format` is `json` or `xml`, as one sets it on the admin page; `tells_mentions`: the special
    permission for `mention` events, which only the JSON form has; `dates` is `text` or `number`, in JSON;
    `doubles`: so many of the next pushes come twice.
    """

    def __init__(
        self, now: Callable[[], datetime], uid: int, app_secret: str, caller: Caller
    ) -> None:
        self._now = now
        self._uid = uid
        self._app_secret = app_secret
        self._caller = caller
        self.format = "json"
        self.tells_mentions = False
        self.dates = "text"
        self.doubles = 0

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
        if self.format == "xml":
            kind, created, data = _in_xml(kind, at, data)
            self._send(label, _xml(self._uid, sender.uid, kind, created, text, data), "text/xml")
            kind = "position" if kind == "location" else kind
        else:
            created = str(self._date(at))
            self.push(sender, at, kind, text, data, label)
        if kind == "position" and self.format == "xml":
            data = {**data, "latitude": data["Location_X"], "longitude": data["Location_Y"]}
        canonical = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        words = f"{sender.uid}|{created}|{kind}|{text}|{canonical}"
        return hashlib.sha256(words.encode()).hexdigest()[:32]

    def mention(self, sender: Member, at: datetime, subtype: str, native_id: int) -> None:
        """Tell that somebody mentions us (`status` or `comment`), if we may know."""
        if self.tells_mentions and self.format == "json" and self._caller.url is not None:
            data = {"subtype": subtype, "key": str(native_id)}
            self.push(sender, at, "mention", "", data, f"mention {native_id}")

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
            "created_at": self._date(at),
            "text": text,
            "data": data,
        }
        self._send(label, json.dumps(body, ensure_ascii=False).encode(), "application/json")

    def _date(self, at: datetime) -> str | int:
        return date(at) if self.dates == "text" else int(at.timestamp())

    def _send(self, label: str, raw: bytes, content: str) -> None:
        times = 2 if self.doubles > 0 else 1
        self.doubles = max(self.doubles - 1, 0)
        for _ in range(times):
            self._caller.post(label, lambda: Outgoing(self._signed(), raw, content), _must_be_empty)

    def _signed(self) -> dict[str, str]:
        timestamp, nonce = str(int(self._now().timestamp())), str(secrets.randbits(31))
        return {
            "signature": signature(self._app_secret, timestamp, nonce),
            "timestamp": timestamp,
            "nonce": nonce,
        }


def _must_be_empty(body: bytes) -> str | None:
    return None if body == b"" else "the answer is not empty"


def _in_xml(kind: str, at: datetime, data: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """The type, the time and the further elements as WeChat's XML has them."""
    created = str(int(at.timestamp()))
    if kind == "position":
        place = {"Location_X": data["latitude"], "Location_Y": data["longitude"]}
        return "location", created, {**place, "Scale": "15", "Label": "人民广场"}
    if kind == "image":
        url = f"http://ww1.sinaimg.cn/{data['vfid']}.jpg"
        return kind, created, {"PicUrl": url, "MediaId": str(data["tovfid"])}
    if kind == "voice":
        return kind, created, {"MediaId": str(data["tovfid"]), "Format": "amr"}
    return kind, created, {}


def _xml(
    receiver: int, sender: int, kind: str, created: str, text: str, data: Mapping[str, Any]
) -> bytes:
    """MsgId is there and empty, as it is on Weibo."""
    head = {"ToUserName": str(receiver), "FromUserName": str(sender), "CreateTime": created}
    whole = {**head, "MsgType": kind, "Content": text, **data, "MsgId": ""}
    inside = "".join(
        f"<{key}><![CDATA[{str(value).replace(']]>', ']]]]><![CDATA[>')}]]></{key}>"
        for key, value in whole.items()
    )
    return f"<xml>{inside}</xml>".encode()
