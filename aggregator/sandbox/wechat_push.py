"""What an Official Account pushes, in its three modes, and what it takes for an answer."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from aggregator.sandbox.caller import Caller, Outgoing
from aggregator.sandbox.wechat_crypto import Envelope, field, nested, signature, xml

MODES = ("plain", "compatible", "safe")

# What a medium looks like in the push; the record of customer service says only "[image]".
MEDIA: Mapping[str, Callable[[str, str], dict[str, str | float]]] = {
    "image": lambda ref, words: {
        "PicUrl": f"http://mmbiz.qpic.cn/mmbiz_jpg/{ref}/0",
        "MediaId": ref,
    },
    "voice": lambda ref, words: {"MediaId": ref, "Format": "amr"},
    "video": lambda ref, words: {"MediaId": ref, "ThumbMediaId": f"{ref}-thumb"},
    "location": lambda ref, words: {
        "Location_X": 31.230416,
        "Location_Y": 121.473701,
        "Scale": 16,
        "Label": words or "上海市黄浦区",
    },
    "link": lambda ref, words: {
        "Title": words or "链接",
        "Description": "",
        "Url": f"https://mp.weixin.qq.com/s/{ref}",
    },
}


class Pushes:
    """Signs and seals for one account; `caller` carries it."""

    def __init__(
        self,
        mode: str,
        now: Callable[[], datetime],
        *,
        envelope: Envelope,
        original_id: str,
        caller: Caller,
        as_json: bool = False,
    ) -> None:
        assert mode in MODES
        self.mode = mode
        self._now = now
        self._envelope = envelope
        self._original_id = original_id
        self._caller = caller
        self._as_json = as_json

    def attach(self, callback_url: str) -> None:
        """The GET verification: the echo comes back as it is, in every mode. Raises HandshakeFailed."""
        timestamp, nonce = self._stamp()
        echo = str(secrets.randbits(63))
        query = {
            "signature": signature(self._envelope.token, timestamp, nonce),
            "echostr": echo,
            "timestamp": timestamp,
            "nonce": nonce,
        }
        self._caller.attach(callback_url, query, echo.encode())

    def post(
        self,
        openid: str,
        at: datetime,
        label: str,
        more: Mapping[str, Any],
        *,
        transferred: Callable[[], object],
    ) -> None:
        """Queue one push; `transferred` is called when the answer hands it to the console."""
        common: dict[str, Any] = {
            "ToUserName": self._original_id,
            "FromUserName": openid,
            "CreateTime": int(at.timestamp()),
        }
        plain = self._written({**common, **more})

        def judge(body: bytes) -> str | None:
            if body in (b"", b"success"):
                return None
            try:
                self._check_transfer(body.decode(), openid)
            except ValueError as error:
                return f"the user is told that the account is out of service: {error}"
            transferred()
            return None

        self._caller.post(label, lambda: self._outgoing(plain, openid), judge)

    def _written(self, fields: Mapping[str, Any]) -> str:
        return json.dumps(fields, ensure_ascii=False) if self._as_json else nested(fields)

    def _outgoing(self, plain: str, openid: str) -> Outgoing:
        timestamp, nonce = self._stamp()
        query = {
            "signature": signature(self._envelope.token, timestamp, nonce),
            "timestamp": timestamp,
            "nonce": nonce,
            "openid": openid,
        }
        body = plain
        if self.mode != "plain":
            sealed = self._envelope.encrypt(plain)
            query["encrypt_type"] = "aes"
            query["msg_signature"] = self._envelope.sign(timestamp, nonce, sealed)
            body = self._written({"ToUserName": self._original_id, "Encrypt": sealed})
            if self.mode == "compatible" and self._as_json:
                body = json.dumps({**json.loads(plain), "Encrypt": sealed}, ensure_ascii=False)
            elif self.mode == "compatible":
                sealed = f"<Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
                body = plain.removesuffix("</xml>") + sealed
        return Outgoing(query, body.encode(), "application/json" if self._as_json else "text/xml")

    def _check_transfer(self, body: str, openid: str) -> None:
        """Raise ValueError unless `body` hands the message to the customer-service console."""
        if self._as_json:
            told = json.loads(body)
            if self.mode == "safe" or "Encrypt" in told:
                told = json.loads(self._envelope.open_reply(xml(told)))
            body = xml(told)
        elif self.mode == "safe" or (self.mode == "compatible" and "<Encrypt>" in body):
            body = self._envelope.open_reply(body)
        if field(body, "MsgType") != "transfer_customer_service":
            raise ValueError("MsgType is not transfer_customer_service")
        names = (field(body, "ToUserName"), field(body, "FromUserName"))
        if names != (openid, self._original_id):
            raise ValueError("ToUserName and FromUserName are not turned round")
        int(field(body, "CreateTime"))

    def _stamp(self) -> tuple[str, str]:
        return str(int(self._now().timestamp())), str(secrets.randbits(31))
