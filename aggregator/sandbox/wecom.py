"""Stand-in of WeCom customer service (微信客服): `kf/sync_msg` with its cursor, and the callback that says "come"."""

from __future__ import annotations

import json
import re
import secrets
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aggregator.sandbox.base import (
    MAX_CALLS,
    Answer,
    Line,
    Person,
    Request,
    Route,
    Standin,
    Truth,
)
from aggregator.sandbox.caller import Caller
from aggregator.sandbox.wechat_crypto import Envelope, new_aes_key
from aggregator.sandbox.wecom_desk import Desk, errcode
from aggregator.sandbox.wecom_media import MEDIA
from aggregator.sandbox.wecom_push import Wakes

HORIZON = timedelta(days=3)
TOKEN_LIFE = timedelta(seconds=7200)
CUSTOMER, SYSTEM, SERVICER = 3, 4, 5  # origin


class WeComStandin(Standin):
    """One customer-service account. Without `attach` nobody is woken, and the messages wait all the same.

    Knobs, to be set at any time: `page_most` (messages on a page, whatever `limit` says), `empty_every`
    (from 2 on: each so-many-th page with news comes empty, with has_more=1; 0: never), `tokenless_per_minute`
    (sync_msg without a callback's token; over it 45009), `ip_refused` (an address: 60020 on every call),
    `manage_privilege`, `enabled` (else 95017), `refuse` (errcodes for the next calls of a path), those of
    `desk` and `caller`. `refused` counts the errcodes that were answered; `tokenless`: when sync_msg was asked
    without a callback's token, and answered.
    """

    name = "wecom"

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        salt: int | None = None,
        servicer: str = "xiaolin",
        attempts: int = 3,
        timeout_s: float = 5.0,
        retry_s: float = 5.0,
    ) -> None:
        super().__init__(now)
        self.salt = secrets.randbits(32) if salt is None else salt
        self.corp_id = f"ww{self.salt:016x}"
        self.secret = secrets.token_urlsafe(32)
        self.open_kfid = f"wk{self.salt:030x}"
        self.other_kfid = f"wk{self.salt:029x}x"
        self.servicer = servicer
        self.envelope = Envelope(secrets.token_hex(8), new_aes_key(), self.corp_id)
        self.caller = Caller(
            self.name, now, attempts=attempts, timeout_s=timeout_s, retry_s=retry_s
        )
        self._wakes = Wakes(now, self.envelope, self.caller)
        self.page_most = 100
        self.empty_every = 4
        self.tokenless_per_minute = 60
        self.items: list[dict[str, Any]] = []  # the stream, in order of arrival
        self.ip_refused: str | None = None
        self.manage_privilege = True
        self.enabled = True
        self.refused: Counter[int] = Counter()
        self.tokenless: list[datetime] = []
        self._refusals: dict[str, deque[int]] = {}
        self.desk = Desk(
            now,
            self.open_kfid,
            servicer,
            lambda kind, customer, more: self.event(self.now(), kind, customer, **more),
        )
        self._people: dict[str, Person] = {}
        self._tokens: dict[str, datetime] = {}
        self._cursor_of = {"": 0}  # opaque cursor → offset
        self._pages = 0
        self.route("GET", "/cgi-bin/gettoken", self._gettoken)
        for method, path, handler in (
            ("POST", "/cgi-bin/kf/sync_msg", self._sync),
            ("POST", "/cgi-bin/kf/customer/batchget", self._customers),
            ("GET", "/cgi-bin/kf/account/list", self._accounts),
            ("POST", "/cgi-bin/kf/account/list", self._accounts),
            ("POST", "/cgi-bin/kf/send_msg", self.desk.send),
            ("POST", "/cgi-bin/kf/send_msg_on_event", self.desk.send_on_event),
            ("POST", "/cgi-bin/kf/service_state/get", self.desk.state),
            ("POST", "/cgi-bin/kf/service_state/trans", self.desk.transfer),
        ):
            self.route(method, path, self._authorised(handler))

    def options(self) -> dict[str, str]:
        return {
            "corp_id": self.corp_id,
            "secret": self.secret,
            "open_kfid": self.open_kfid,
            "token": self.envelope.token,
            "encoding_aes_key": self.envelope.aes_key,
            "base_url": self.base_url,
        }

    def stop(self) -> None:
        self.caller.close()
        super().stop()

    def settle(self, timeout_s: float = 30.0) -> bool:
        """Wait until every callback was answered or given up; False if that took too long."""
        return self.caller.settle(timeout_s)

    def handle(self, request: Request) -> Answer:
        given = super().handle(request)
        if given.status == 200 and (code := json.loads(given.body).get("errcode")):
            self.refused[code] += 1
        return given

    # --- what happens on the platform ---------------------------------------------------------------

    def attach(self, callback_url: str) -> None:
        """Register the callback URL: the echo goes out encrypted and must come back in the clear."""
        self._wakes.attach(callback_url)

    def play(self, line: Line, at: datetime, told: Mapping[str, Truth]) -> Truth:
        """A message into the stream (`who` None: a servicer's answer `to` one), or a recall of `to`."""
        if line.kind != "direct_message" or line.action == "edit":
            raise ValueError(f"{line.label}: WeCom has no {line.action} of a {line.kind}")
        if line.action == "delete":
            return self._play_recall(line, at, told)
        if line.who is None:
            if line.to is None:
                raise ValueError(f"{line.label}: an answer is `to` a customer's message")
            customer = told[line.to].conversation
        else:
            customer = self.enter(line.who, at)
        kind = line.attachment or "text"
        if kind == "text":
            content: dict[str, Any] = {"content": line.text or ""}
        elif kind in MEDIA and (kind in ("location", "link") or not line.text):
            content = MEDIA[kind](f"media-{self.salt:x}-{line.label}", line.text or "")
        else:
            raise ValueError(f"{line.label}: WeCom sends no {kind}, or not with words")
        native_id = self.say(customer, at, kind, content, by_servicer=line.who is None)
        colleague = {"native_id": self.servicer, "name": None, "handle": None}
        known = line.who and {"native_id": customer, "name": line.who.name, "handle": None}
        return Truth(
            label=line.label,
            platform=self.name,
            kind=line.kind,
            direction="outbound" if line.who is None else "inbound",
            native_id=native_id,
            author=known or colleague,
            text=line.text if kind == "text" else None,
            url=None,
            sent_at=at.astimezone(UTC).replace(microsecond=0),
            reply_to=None,
            conversation=customer,
            attachments=(line.attachment,) if line.attachment else (),
        )

    def external_userid(self, who: Person) -> str:
        return f"wm{self.salt:08x}{who.number:022d}"

    def say(
        self,
        customer: str,
        at: datetime,
        kind: str,
        content: Mapping[str, Any],
        *,
        by_servicer: bool,
    ) -> str:
        """Put a message of any `kind` into the stream; its msgid."""
        item = {
            "msgid": secrets.token_urlsafe(20),
            "open_kfid": self.open_kfid,
            "external_userid": customer,
            "send_time": int(at.timestamp()),
            "origin": SERVICER if by_servicer else CUSTOMER,
            "msgtype": kind,
            kind: dict(content),
        }
        with self.lock:
            if by_servicer:
                item["servicer_userid"] = self.servicer
                self.desk.answered(customer)
            else:
                self.desk.heard(customer, at)
        self._arrived(item)
        return str(item["msgid"])

    def event(self, at: datetime, event_type: str, customer: str, **more: Any) -> None:
        """A system event: account and customer stand inside `event`, not beside it."""
        inner = {
            "event_type": event_type,
            "open_kfid": self.open_kfid,
            "external_userid": customer,
            **more,
        }
        self._arrived(
            {
                "msgid": secrets.token_urlsafe(20),
                "send_time": int(at.timestamp()),
                "origin": SYSTEM,
                "msgtype": "event",
                "event": inner,
            }
        )

    def system(self, at: datetime, customer: str, words: str) -> None:
        """The platform's own words in a conversation: nobody of ours has written them."""
        self._arrived(
            {
                "msgid": secrets.token_urlsafe(20),
                "open_kfid": self.open_kfid,
                "external_userid": customer,
                "send_time": int(at.timestamp()),
                "origin": SYSTEM,
                "msgtype": "text",
                "text": {"content": words},
            }
        )

    def elsewhere(self, at: datetime) -> None:
        """News of another account of the same app: its callback comes here too."""
        with self.lock:
            self._wakes.wake(f"other-{len(self.caller.ledger)}", at, self.other_kfid)

    def enter(self, who: Person, at: datetime) -> str:
        customer = self.external_userid(who)
        with self.lock:
            known = customer in self._people
            self._people[customer] = who
        if not known:
            self.event(at, "enter_session", customer, scene="", scene_param="")
        return customer

    def _play_recall(self, line: Line, at: datetime, told: Mapping[str, Truth]) -> Truth:
        if line.to is None:
            raise ValueError(f"{line.label}: a recall is `to` a message")
        gone = told[line.to]
        if line.who is None:
            more = {"recall_msgid": gone.native_id, "servicer_userid": self.servicer}
            self.event(at, "servicer_recall_msg", gone.conversation, **more)
        else:
            self.event(at, "user_recall_msg", gone.conversation, recall_msgid=gone.native_id)
        return replace(gone, label=line.label, deleted=True)

    def _arrived(self, item: dict[str, Any]) -> None:
        with self.lock:
            self.items.append(item)
            at = datetime.fromtimestamp(item["send_time"], UTC)
            self._wakes.wake(str(item["msgid"]), at, self.open_kfid)

    # --- the API ------------------------------------------------------------------------------------

    def refuse(self, path: str, *codes: int) -> None:
        """The next calls of `path` are answered with these errcodes, whatever they ask."""
        with self.lock:
            self._refusals.setdefault(path, deque()).extend(codes)

    def forget_cursors(self) -> None:
        """Every cursor is unknown from now on: 40058."""
        with self.lock:
            self._cursor_of = {"": 0}

    def revoke(self) -> None:
        """Every access token is dead from now on: 40014."""
        with self.lock:
            self._tokens.clear()

    def _gettoken(self, request: Request, match: re.Match[str]) -> Answer:
        if request.query.get("corpid") != self.corp_id:
            return errcode(40013, "invalid corpid")
        if request.query.get("corpsecret") != self.secret:
            return errcode(40001, "invalid credential")
        now = self.now()
        good = [token for token, ends in self._tokens.items() if ends > now]
        token = good[-1] if good else secrets.token_urlsafe(120)
        self._tokens.setdefault(token, now + TOKEN_LIFE)
        left = int((self._tokens[token] - now).total_seconds())
        return errcode(0, "ok", access_token=token, expires_in=left)

    def _authorised(self, handler: Route) -> Route:
        def checked(request: Request, match: re.Match[str]) -> Answer:
            token = request.query.get("access_token")
            if not token:
                return errcode(41001, "access_token missing")
            if token not in self._tokens:
                return errcode(40014, "invalid access_token")
            if self._tokens[token] <= self.now():
                return errcode(42001, "access_token expired")
            if self.ip_refused:
                return errcode(
                    60020, f"not allow to access from your ip, from ip: {self.ip_refused}"
                )
            waiting = self._refusals.get(request.path)
            if waiting:
                return errcode(waiting.popleft(), "as the stand-in was told")
            if not self.enabled and "/kf/" in request.path:
                return errcode(95017, "the api of customer service is off")
            try:
                return handler(request, match)
            except (KeyError, TypeError, ValueError, AttributeError):
                return errcode(40058, "invalid Request Parameter")

        return checked

    def _sync(self, request: Request, match: re.Match[str]) -> Answer:
        asked = request.json()
        cursor, limit = asked.get("cursor") or "", asked.get("limit", 1000)
        if cursor not in self._cursor_of or not 1 <= limit <= 1000:
            return errcode(40058, "invalid Request Parameter")
        if not asked.get("open_kfid"):
            return errcode(40058, "open_kfid is required")
        if asked["open_kfid"] != self.open_kfid:
            return errcode(95000, "invalid open_kfid")
        now = self.now()
        if not self._wakes.good(asked.get("token")) and self._too_often(now):
            return errcode(45009, "reach max api daily quota limit")
        offset, oldest = self._cursor_of[cursor], (now - HORIZON).timestamp()
        while offset < len(self.items) and self.items[offset]["send_time"] < oldest:
            offset += 1
        page = self.items[offset : offset + min(limit, self.page_most)]
        fresh = bool(page)
        if fresh:
            self._pages += 1
            if self.empty_every and self._pages % self.empty_every == 0:
                page = []
        offset += len(page)
        return errcode(
            0,
            "ok",
            next_cursor=cursor if cursor and not fresh else self._cursor(offset),
            has_more=int(offset < len(self.items)),
            msg_list=page,
        )

    def _cursor(self, offset: int) -> str:
        """A new name for a place in the stream: nothing can be read from it, and no other instance knows it."""
        cursor = secrets.token_urlsafe(24)
        self._cursor_of[cursor] = offset
        return cursor

    def _too_often(self, now: datetime) -> bool:
        most, made = self.tokenless_per_minute, self.tokenless
        if not most or (len(made) >= most and now - made[-most] < timedelta(minutes=1)):
            return True
        made.append(now)
        del made[:-MAX_CALLS]
        return False

    def _customers(self, request: Request, match: re.Match[str]) -> Answer:
        asked = request.json()["external_userid_list"]
        if not isinstance(asked, list) or not 1 <= len(asked) <= 100:
            return errcode(40058, "external_userid_list must hold 1 to 100")
        known = [name for name in asked if name in self._people]
        customers = [
            {
                "external_userid": name,
                "nickname": self._people[name].name,
                "avatar": f"http://wx.qlogo.cn/mmhead/{name}/0",
                "gender": 0,
                "unionid": f"o{name[2:]}",
            }
            for name in known
        ]
        unknown = [name for name in asked if name not in self._people]
        return errcode(0, "ok", customer_list=customers, invalid_external_userid=unknown)

    def _accounts(self, request: Request, match: re.Match[str]) -> Answer:
        accounts = [
            {
                "open_kfid": kfid,
                "name": name,
                "avatar": "",
                "manage_privilege": self.manage_privilege,
            }
            for kfid, name in ((self.other_kfid, "另一个客服"), (self.open_kfid, "品牌客服"))
        ]
        return errcode(0, "ok", account_list=accounts)
