"""WeCom customer service (微信客服): one queue holds what customers wrote and what our team answered.

Credentials: work.weixin.qq.com, 应用管理 - 微信客服: the corp id (我的企业), the secret of an app listed under
可调用接口的应用, its open_kfid, and the Token and EncodingAESKey of its callback (接收事件服务器).
Page: https://developer.work.weixin.qq.com/document/path/94670
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import Field, SecretStr

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.http import Http
from aggregator.model import Accepted, Identity, Message, Page, Push
from connectors import wechat_callback as callback
from connectors.base import Keep, Now, Options, ReplyLimit
from connectors.handshake import check_signature
from connectors.payload import integer, items, mapping, name
from connectors.wechat_callback import AesKey
from connectors.wechat_errors import Failed
from connectors.wechat_ours import ours
from connectors.wechat_sdk import WORK_HOST, Cipher, WorkClient, pushed
from connectors.wechat_window import Windows
from connectors.wecom.answers import Answers
from connectors.wecom.cursor import Cursor
from connectors.wecom.events import Strange
from connectors.wecom.hints import Hints
from connectors.wecom.messages import message
from connectors.wecom.names import Names
from connectors.wecom.pace import Pace

LIMIT = 1000
AMR = 0
REFUSED = frozenset({40058, 95007})  # a parameter: the token of the callback, or the cursor
MOST_ACCOUNTS = 5000
MANAGE = "set open_kfid to an account that the app may manage (微信客服 - 可调用接口的应用)"


class WeComOptions(Options):
    corp_id: str = Field(min_length=1)
    secret: SecretStr
    open_kfid: str = Field(min_length=1)
    token: SecretStr
    encoding_aes_key: AesKey


class WeCom:
    """`messages` is polled; `callback` brings no words, only the hint that there are new ones.

    The cursor is the platform's own; without one it begins with the oldest of the last three days. That is
    all the history there is, and it comes first in any case: there is none to read apart.
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
        self._pace = Pace(keep)
        self._names = Names(self._client, keep, now)
        self._strange = Strange(keep, now)
        self._windows = Windows(keep, now)
        self._answers = Answers(self._client, self._windows, options.open_kfid, now)

    def check(self) -> Identity:
        """The account must be listed, and ours to manage; then one look into the queue."""
        kfid, called, notes = self._options.open_kfid, None, []
        try:
            called = self._listed()
        except Rejected as error:  # it may read messages without being allowed to list accounts
            notes.append(f"no name: {error.reason}")
        messages = self._probe()
        until = self._pace.waits(self._now())
        if until is not None:
            notes.append(f"without a callback, WeCom is asked again at {until:%H:%M:%S} UTC")
        notes += filter(None, [self._strange.told()])
        return Identity(kfid, called, {"messages": messages}, note="; ".join(notes) or None)

    def _listed(self) -> str | None:
        """The account's name. Raises Unauthorized where the app may not manage it."""
        kfid = self._options.open_kfid
        for offset in range(0, MOST_ACCOUNTS, 100):
            asked = {"offset": offset, "limit": 100}
            found = items(self._client.call("kf/account/list", asked).get("account_list"))
            for one in map(mapping, found):
                if one.get("open_kfid") != kfid:
                    continue
                if one.get("manage_privilege") is False:
                    raise Unauthorized("WeCom lets this app only see the account", remedy=MANAGE)
                return name(one.get("name"))
            if len(found) < 100:
                break
        raise Unauthorized("WeCom does not list this open_kfid", remedy=MANAGE)

    def _probe(self) -> str:
        """ok, denied or quota, and why; a look that is not allowed now is not made."""
        hint, until = self._hints.fresh(), self._pace.waits(self._now())
        if hint is None and until is not None:
            return f"quota: not asked without a callback until {until:%H:%M:%S} UTC"
        try:
            self._ask(None, hint, limit=1)
        except RateLimited as error:
            return f"quota: {error.reason}"
        except Rejected as error:
            return f"denied: {error.reason}"
        return "ok"

    # --- messages -------------------------------------------------------------------------------

    def poll(self, stream: str, cursor: str | None) -> Page:
        """One page. An empty one may be followed by more, as the platform says."""
        if stream != "messages":
            return Page((), cursor)
        now, at, hint = self._now(), Cursor.read(cursor), self._hints.fresh()
        if hint is None and self._pace.waits(now):
            return Page((), cursor)  # a callback's token opens the way before that
        found, refused = self._sync(at.text, hint)
        listed = found.get("msg_list")
        if not isinstance(listed, list):
            raise Unavailable("no msg_list in WeCom's answer")
        asked = None if refused else at.text
        following = found.get("next_cursor")
        if not isinstance(following, str) or not following:
            following = asked  # nothing to go on with: the same is asked for again next time
        kfid = self._options.open_kfid
        read = [message(one, kfid=kfid, now=now) for one in listed]
        messages = self._names.put([ours(one, kfid) for one in read if one is not None])
        messages = self._windows.put(messages)
        self._strange.note(listed)
        more = integer(found.get("has_more")) == 1 and following != asked
        after = at.after(following, messages, now, more=more)
        gaps = at.lost(now, refused=refused)
        return Page(tuple(messages), after.told(), more=more, gaps=gaps)

    def _sync(self, cursor: str | None, hint: str | None) -> tuple[dict[str, Any], bool]:
        """What kf/sync_msg says, and whether it refused the cursor. A refused hint is dropped first, then
        the cursor: three days come anew."""
        refused = False
        while True:
            try:
                return self._ask(cursor, hint), refused
            except Failed as failed:
                if failed.code not in REFUSED or not (hint or cursor):
                    raise
                if hint:
                    self._hints.drop(hint)
                    hint = None
                else:
                    cursor, refused = None, True

    def _ask(self, cursor: str | None, hint: str | None, *, limit: int = LIMIT) -> dict[str, Any]:
        asked = {
            "open_kfid": self._options.open_kfid,
            "limit": limit,
            "voice_format": AMR,
            **({"cursor": cursor} if cursor else {}),
            **({"token": hint} if hint else {}),
        }
        try:
            found = self._client.call("kf/sync_msg", asked)
        except RateLimited:
            if not hint:
                self._pace.refused(self._now())
            raise
        if not hint:
            self._pace.answered(self._now())
        return found

    # --- answers --------------------------------------------------------------------------------

    def reply_limit(self, to: Message) -> ReplyLimit:
        return self._answers.limit(to)

    def reply(self, to: Message, text: str, key: str) -> Message:
        """`to`: the customer's newest message, whose time the window begins with. The same key is the same
        message to the platform, however often it is sent. Rejected where a colleague holds the session."""
        return ours(self._answers.reply(to, text, key), self._options.open_kfid)

    def find_reply(self, to: Message, text: str, key: str, since: datetime) -> Message | None:
        found = self._answers.find(to, text, key)
        return None if found is None else ours(found, self._options.open_kfid)

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
