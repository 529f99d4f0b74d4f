"""WeChat official accounts: messages come by callback, our team's answers by polling its records.

Credentials: mp.weixin.qq.com, 设置与开发 - 基本配置 (AppID, AppSecret, and under 服务器配置 the Token and
EncodingAESKey); this server's outgoing address belongs into the IP whitelist on the same page.
Page: https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Receiving_standard_messages.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, SecretStr

from aggregator.errors import RateLimited, Rejected, Unavailable
from aggregator.http import Http
from aggregator.model import Accepted, Identity, Page, Push
from connectors import wechat_callback as callback
from connectors.base import Keep, Now, Options
from connectors.handshake import check_signature
from connectors.payload import integer, items
from connectors.wechat.received import received
from connectors.wechat.records import PAGE, Walk, sent
from connectors.wechat_callback import AesKey
from connectors.wechat_sdk import OFFICIAL_HOST, Cipher, OfficialClient, pushed, transfer_reply

RECORDS = f"https://{OFFICIAL_HOST}/customservice/msgrecord/getmsglist"

_ADDRESSABLE = re.compile(r"[\w@.-]{1,64}", re.ASCII)


class WeChatOptions(Options):
    app_id: str = Field(min_length=1)
    app_secret: SecretStr
    token: SecretStr
    encoding_aes_key: AesKey | None = None
    passive_reply: Literal["success", "transfer_customer_service"] = "success"


class WeChat:
    """`messages` is pushed; `records` is polled for what our servicers wrote in the platform's console.

    Of the records only those that a servicer sent are taken: the customers' own come by callback, with
    an id, and the records have none that would show the two to be the same.
    """

    options = WeChatOptions
    streams = ("messages", "records")
    pushed = ("messages",)

    def __init__(self, options: WeChatOptions, *, keep: Keep, now: Now) -> None:
        self._options = options
        self._now = now
        self._token = options.token.get_secret_value()
        self._client = OfficialClient(
            options.app_id,
            options.app_secret.get_secret_value(),
            http=Http(base_url=options.base_url, hosts=(OFFICIAL_HOST,)),
            now=now,
        )
        key = options.encoding_aes_key
        self._cipher = (
            Cipher(token=self._token, key=key.get_secret_value(), receiver=options.app_id)
            if key
            else None
        )

    def check(self) -> Identity:
        """A token proves id, secret and IP whitelist; one look at the records, whether we may read them."""
        self._client.access_token  # noqa: B018  asked for, and kept
        records, now = "ok", int(self._now().timestamp())
        try:
            self._records(Walk(seen=None, at=now - 60, end=now, msgid=1), number=1)
        except Rejected as error:
            records = error.reason
        except RateLimited as error:
            records = f"not asked: {error.reason}"
        return Identity(
            native_id=self._options.app_id,
            name=None,
            streams={"messages": "ok", "records": records},
            note="messages come to /callbacks/{account}; no API tells whether the platform calls it",
        )

    # --- what our servicers wrote ---------------------------------------------------------------

    def poll(self, stream: str, cursor: str | None) -> Page:
        """One page of the records of one day; a walk goes from the last complete one to now."""
        if stream != "records":
            return Page((), cursor)
        walk = Walk.resume(cursor, self._now())
        found = self._records(walk, number=PAGE)
        count = max(len(items(found["recordlist"])), integer(found.get("number")))
        after = walk.after(count, integer(found.get("msgid")))
        messages = tuple(sent(items(found["recordlist"])))
        return Page(messages, after.told(), more=after.end is not None)

    def _records(self, walk: Walk, *, number: int) -> dict[str, Any]:
        asked = {
            "starttime": walk.at,
            "endtime": walk.stop,
            "msgid": walk.msgid,
            "number": number,
        }
        found = self._client.call(RECORDS, asked)
        if not isinstance(found.get("recordlist"), list):
            raise Unavailable("no recordlist in WeChat's answer")
        return found

    # --- what customers wrote -------------------------------------------------------------------

    def verify(self, request: Push) -> Accepted:
        """Stored is the XML in the clear; events are answered and not stored, they are no messages."""
        if request.method == "GET":
            echo = callback.echo(request)
            check_signature(self._token, request)
            return Accepted(echo.encode())
        if self._cipher is None:
            xml = callback.plain(self._token, request)
        else:
            xml = callback.sealed(self._token, self._cipher, request)
        kind, found = pushed(xml)
        if kind == "event":
            return Accepted(b"success")
        answer = self._passive_reply(found, request)
        return Accepted(
            answer,
            content_type="text/plain; charset=utf-8" if answer == b"success" else "application/xml",
            stream="messages",
            store=(xml.encode(),),
        )

    def _passive_reply(self, found: dict[str, Any], request: Push) -> bytes:
        to, sender = found.get("FromUserName"), found.get("ToUserName")
        if self._options.passive_reply == "success" or not (_named(to) and _named(sender)):
            return b"success"
        xml = transfer_reply(str(to), str(sender), request.received_at)
        if self._cipher is not None:
            stamp, nonce = request.query["timestamp"], request.query["nonce"]
            xml = self._cipher.seal(xml, nonce=nonce, timestamp=stamp)
        return xml.encode()

    def read(self, raw: Sequence[bytes]) -> Page:
        found = (received(one) for one in raw)
        return Page(tuple(one for one in found if one is not None), None)


def _named(value: object) -> bool:
    return isinstance(value, str) and _ADDRESSABLE.fullmatch(value) is not None
