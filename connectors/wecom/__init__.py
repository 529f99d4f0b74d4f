"""WeCom customer service (微信客服): one queue holds what customers wrote and what our team answered.

Credentials: work.weixin.qq.com, 应用管理 - 微信客服: the corp id (我的企业), the secret of an app listed under
可调用接口的应用, its open_kfid, and the Token and EncodingAESKey of its callback (接收事件服务器).
Page: https://developer.work.weixin.qq.com/document/path/94670
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field, SecretStr

from aggregator.errors import Rejected, Unauthorized, Unavailable
from aggregator.http import Http
from aggregator.model import Accepted, Identity, Page, Push
from connectors import wechat_callback as callback
from connectors.base import Keep, Now, Options
from connectors.handshake import check_signature
from connectors.payload import integer, items, mapping, name
from connectors.wechat_callback import AesKey
from connectors.wechat_errors import Failed
from connectors.wechat_sdk import WORK_HOST, Cipher, WorkClient, pushed
from connectors.wecom.hints import Hints
from connectors.wecom.messages import message
from connectors.wecom.names import Names

LIMIT = 1000
AMR = 0
REFUSED = frozenset({40058, 95007})  # a parameter: the token of the callback, or the cursor


class WeComOptions(Options):
    corp_id: str = Field(min_length=1)
    secret: SecretStr
    open_kfid: str = Field(min_length=1)
    token: SecretStr
    encoding_aes_key: AesKey


class WeCom:
    """`messages` is polled; `callback` brings no words, only the hint that there are new ones.

    The cursor is the platform's own; without one it begins with the oldest of the last three days.
    """

    options = WeComOptions
    streams = ("messages", "callback")
    pushed = ("callback",)

    def __init__(self, options: WeComOptions, *, keep: Keep, now: Now) -> None:
        self._options = options
        self._now = now
        self._token = options.token.get_secret_value()
        self._client = WorkClient(
            options.corp_id,
            options.secret.get_secret_value(),
            http=Http(base_url=options.base_url, hosts=(WORK_HOST,)),
            now=now,
        )
        self._cipher = Cipher(
            token=self._token,
            key=options.encoding_aes_key.get_secret_value(),
            receiver=options.corp_id,
        )
        self._hints = Hints(keep, now)
        self._names = Names(self._client, keep, now)

    def check(self) -> Identity:
        kfid = self._options.open_kfid
        try:
            found = items(self._client.call("kf/account/list", _FIRST_100).get("account_list"))
        except Rejected as error:  # it may read messages without being allowed to list accounts
            return Identity(kfid, None, {"messages": "ok"}, note=f"no name: {error.reason}")
        named = {mapping(one).get("open_kfid"): mapping(one).get("name") for one in found}
        if kfid not in named and len(found) < 100:
            raise Unauthorized(
                "WeCom does not list this open_kfid",
                remedy="set open_kfid to an account that the app may manage (微信客服 - 可调用接口的应用)",
            )
        return Identity(kfid, name(named.get(kfid)), {"messages": "ok"})

    # --- messages -------------------------------------------------------------------------------

    def poll(self, stream: str, cursor: str | None) -> Page:
        """One page. An empty one may be followed by more, as the platform says."""
        if stream != "messages":
            return Page((), cursor)
        found = self._sync(cursor)
        listed = found.get("msg_list")
        if not isinstance(listed, list):
            raise Unavailable("no msg_list in WeCom's answer")
        following = found.get("next_cursor")
        if not isinstance(following, str) or not following:
            following = cursor  # nothing to go on with: the same is asked for again next time
        read = [message(one, kfid=self._options.open_kfid, now=self._now()) for one in listed]
        messages = self._names.put([one for one in read if one is not None])
        more = integer(found.get("has_more")) == 1 and following != cursor
        return Page(tuple(messages), following, more=more)

    def _sync(self, cursor: str | None) -> dict[str, Any]:
        """What kf/sync_msg says. A refused hint is dropped, then a refused cursor: three days come anew."""
        hint = self._hints.fresh()
        while True:
            try:
                return self._ask(cursor, hint)
            except Failed as failed:
                if failed.code not in REFUSED or not (hint or cursor):
                    raise
                if hint:
                    self._hints.drop(hint)
                    hint = None
                else:
                    cursor = None

    def _ask(self, cursor: str | None, hint: str | None) -> dict[str, Any]:
        asked = {
            "open_kfid": self._options.open_kfid,
            "limit": LIMIT,
            "voice_format": AMR,
            **({"cursor": cursor} if cursor else {}),
            **({"token": hint} if hint else {}),
        }
        return self._client.call("kf/sync_msg", asked)

    # --- the callback ---------------------------------------------------------------------------

    def verify(self, request: Push) -> Accepted:
        if request.method == "GET":
            echo = callback.echo(request).replace(" ", "+")  # a "+" that somebody did not escape
            check_signature(self._token, request, echo, field="msg_signature")
            return Accepted(self._cipher.open(echo).encode())
        xml = callback.sealed(self._token, self._cipher, request)
        kind, found = pushed(xml)
        if kind != "event" or found.get("Event") != "kf_msg_or_event":
            return Accepted(b"success")
        if (found.get("OpenKfId") or self._options.open_kfid) != self._options.open_kfid:
            return Accepted(b"success")  # of another account of the same app
        return Accepted(b"success", stream="callback", store=(xml.encode(),))

    def read(self, raw: Sequence[bytes]) -> Page:
        """No messages: the last hint is kept for the next poll of `messages`, which is woken."""
        for one in raw:
            try:
                _, found = pushed(one.decode("utf-8", "replace"))
            except Rejected:
                continue
            self._hints.keep(found.get("Token"), found.get("CreateTime"))
        return Page((), None, wake=("messages",) if raw else ())


_FIRST_100 = {"offset": 0, "limit": 100}
