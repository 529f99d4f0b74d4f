"""Stand-in of a WeChat Official Account: pushed messages, customer-service records, tokens, the 48-hour window.

Customers' messages leave by callback only, as on the platform; the team's answers, typed in the official
console, are seen in the records of customer service.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from json import loads

from aggregator.sandbox.base import Answer, Line, Person, Request, Route, Standin, Truth, answer
from aggregator.sandbox.caller import Caller
from aggregator.sandbox.wechat_comments import Comments
from aggregator.sandbox.wechat_crypto import Envelope, new_aes_key
from aggregator.sandbox.wechat_desk import Desk
from aggregator.sandbox.wechat_push import MEDIA, Pushes
from aggregator.sandbox.wechat_records import RECEIVED, SENT, Record, Records
from aggregator.sandbox.wechat_tokens import Tokens, errcode

BEIJING = timezone(timedelta(hours=8))


class WeChatStandin(Standin):
    """Callback mode `plain`, `compatible` or `safe`; `attach` comes before the first `play`.

    Knobs, to be set at any time: `records_enabled` (else 65400), `tokens.ip_refused` (an address: 40164 on
    every token), `daily_limit` calls per path and Beijing day (then 45009), `refuse` (an errcode for the
    next calls of a path), `sends_recorded` (what the API sends stands in the records too), those of
    `log`, `comments`, `desk` and `caller`; `json` at the start: pushes are JSON. `refused` counts the errcodes
    that were answered, `recorded` has the records of what the API sent.
    """

    name = "wechat"

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        mode: str = "safe",
        json: bool = False,
        salt: int | None = None,
        worker: str = "kf2001@brand",
        attempts: int = 3,
        timeout_s: float = 5.0,
        retry_s: float = 5.0,
    ) -> None:
        super().__init__(now)
        self.salt = secrets.randbits(32) if salt is None else salt
        self.app_id = f"wx{self.salt:016x}"
        self.app_secret = secrets.token_hex(16)
        self.original_id = f"gh_{self.salt:012x}"
        self.worker = worker
        self.envelope = Envelope(secrets.token_hex(8), new_aes_key(), self.app_id)
        self.caller = Caller(
            self.name, now, attempts=attempts, timeout_s=timeout_s, retry_s=retry_s
        )
        self._pushes = Pushes(
            mode,
            now,
            envelope=self.envelope,
            original_id=self.original_id,
            caller=self.caller,
            as_json=json,
        )
        self.tokens = Tokens(now, self.app_id, self.app_secret)
        self.log = Records(self._day)
        self.comments = Comments(now)
        self.desk = Desk(now, self._api_sent)
        self.sends_recorded = False
        self.recorded: list[str] = []
        self.refused: Counter[int] = Counter()
        self.daily_limit = 100_000
        self._refusals: dict[str, deque[int]] = {}
        self._used: Counter[tuple[str, str]] = Counter()
        self._last_inbound: dict[str, datetime] = {}
        self._in_second: Counter[int] = Counter()
        self._published = 0
        self.route("POST", "/cgi-bin/stable_token", self.tokens.stable)
        self.route("GET", "/cgi-bin/token", self.tokens.classic)
        for method, path, handler in (
            ("POST", "/customservice/msgrecord/getmsglist", self.log.list),
            ("GET", "/customservice/kfsession/getwaitcase", self.log.waiting),
            ("POST", "/cgi-bin/message/custom/send", self.desk.send),
            ("POST", "/cgi-bin/message/custom/typing", self.desk.show_typing),
            ("POST", "/cgi-bin/comment/list", self.comments.list),
            ("POST", "/cgi-bin/comment/reply/add", self.comments.reply),
            ("POST", "/cgi-bin/openapi/quota/get", self._quota),
            ("POST", "/cgi-bin/clear_quota", self._clear_quota),
            ("GET", "/cgi-bin/user/info", self._user),
            ("GET", "/cgi-bin/get_api_domain_ip", self._addresses),
            ("GET", "/cgi-bin/getcallbackip", self._addresses),
        ):
            self.route(method, path, self._metered(handler))

    def options(self) -> dict[str, str]:
        given = {
            "app_id": self.app_id,
            "app_secret": self.app_secret,
            "token": self.envelope.token,
            "base_url": self.base_url,
        }
        if self._pushes.mode != "plain":
            given["encoding_aes_key"] = self.envelope.aes_key
        return given

    def stop(self) -> None:
        self.caller.close()
        super().stop()

    def settle(self, timeout_s: float = 30.0) -> bool:
        """Wait until every push was answered or given up; False if that took too long."""
        return self.caller.settle(timeout_s)

    def handle(self, request: Request) -> Answer:
        given = super().handle(request)
        if given.status == 200 and (code := loads(given.body).get("errcode")):
            self.refused[code] += 1
        return given

    # --- what happens on the platform ---------------------------------------------------------------

    def attach(self, callback_url: str) -> None:
        """Register the daemon's callback URL; raises HandshakeFailed as the admin page would."""
        self._pushes.attach(callback_url)

    def play(self, line: Line, at: datetime, told: Mapping[str, Truth]) -> Truth:
        """A customer's message goes out by callback; our team's answer (`to` a message) into the records."""
        if line.kind != "direct_message" or line.action != "say":
            raise ValueError(f"{line.label}: WeChat has no {line.action} of a {line.kind}")
        if line.who is None:
            return self._play_answer(line, at, told)
        if line.attachment is None:
            native_id = self.push(line.who, at, "text", {"Content": line.text or ""})
        else:
            _only_medium(line)
            more = MEDIA[line.attachment](f"media-{self.salt:x}-{line.label}", line.text or "")
            native_id = self.push(line.who, at, line.attachment, more)
        openid = self.openid(line.who)
        return Truth(
            label=line.label,
            platform=self.name,
            kind=line.kind,
            direction="inbound",
            native_id=native_id,
            author={"native_id": openid, "name": None, "handle": None},
            text=None if line.attachment else line.text,
            url=None,
            sent_at=_second(at),
            reply_to=None,
            conversation=openid,
            attachments=(line.attachment,) if line.attachment else (),
        )

    @property
    def records_enabled(self) -> bool:
        return self.log.enabled

    @records_enabled.setter
    def records_enabled(self, enabled: bool) -> None:
        self.log.enabled = enabled

    @property
    def records(self) -> list[Record]:
        return self.log.rows

    @property
    def sent(self) -> list[dict[str, object]]:
        """What came by message/custom/send."""
        return self.desk.sent

    def openid(self, who: Person) -> str:
        return f"o{self.salt:08x}{who.number:019d}"

    def push(self, who: Person, at: datetime, kind: str, more: Mapping[str, str | float]) -> str:
        """Send one message of any `kind` to the callback; its MsgId, which is beyond 2**53."""
        with self.lock:
            second = int(at.timestamp())
            self._in_second[second] += 1
            msgid = (second << 24) | (self.salt % 4096) << 12 | self._in_second[second] % 4096
            self._last_inbound[self.openid(who)] = at
            self.desk.heard(self.openid(who), at)
        shown = str(more["Content"]) if kind == "text" else f"[{kind}]"
        openid = self.openid(who)
        self._pushes.post(
            openid,
            at,
            str(msgid),
            {"MsgType": kind, **more, "MsgId": msgid},
            # In the console it is in its log too.
            transferred=lambda: self.record(openid, RECEIVED, at, shown),
        )
        return str(msgid)

    def event(self, who: Person, at: datetime, event: str, **more: str) -> None:
        """Push an event: no MsgId, and no message for the export. `more`: EventKey, Ticket, KfAccount…"""
        with self.lock:
            self.desk.happened(self.openid(who), event, at)
        fields = {"MsgType": "event", "Event": event, **more}
        self._pushes.post(self.openid(who), at, event, fields, transferred=lambda: None)

    def publish(self, at: datetime, articles: int = 1, *, told: bool = True) -> int:
        """Publish so many articles at once: their msg_data_id. `told`: the event of it is pushed."""
        with self.lock:
            self._published += 1
            number = 2_247_480_000 + self._published
            for index in range(articles):
                self.comments.publish(number, index)
        if told:
            places = [{"idx": index + 1, "article_url": "https://e"} for index in range(articles)]
            told_of = {
                "publish_id": number,
                "publish_status": 0,
                "article_id": f"article-{number}",
                "article_detail": {"count": articles, "item": places},
            }
            fields = {
                "MsgType": "event",
                "Event": "FREEPUBLISHJOBFINISH",
                "PublishEventInfo": told_of,
            }
            self._pushes.post(f"o{self.salt:08x}", at, "publish", fields, transferred=lambda: None)
        return number

    def record(self, openid: str, opercode: int, at: datetime, text: str) -> str:
        """Add a row to the log of customer service; the digest that stands for its missing id."""
        with self.lock:
            return self.log.add(openid, opercode, at, text, self.worker)

    def _api_sent(self, openid: str, at: datetime, text: str) -> None:
        if self.sends_recorded:
            self.recorded.append(self.log.add(openid, SENT, at, text, self.worker))

    def refuse(self, path: str, *codes: int) -> None:
        """The next calls of `path` are answered with these errcodes, whatever they ask."""
        with self.lock:
            self._refusals.setdefault(path, deque()).extend(codes)

    def _play_answer(self, line: Line, at: datetime, told: Mapping[str, Truth]) -> Truth:
        if line.to is None or line.attachment is not None or not line.text:
            raise ValueError(f"{line.label}: an answer is a text `to` a customer's message")
        openid = told[line.to].conversation
        return Truth(
            label=line.label,
            platform=self.name,
            kind=line.kind,
            direction="outbound",
            native_id=self.record(openid, SENT, at, line.text),
            author={"native_id": self.worker, "name": None, "handle": None},
            text=line.text,
            url=None,
            sent_at=_second(at),
            reply_to=None,
            conversation=openid,
        )

    # --- the API ------------------------------------------------------------------------------------

    def _metered(self, handler: Route) -> Route:
        """The token first, then the day's count for that path."""

        def checked(request: Request, match: re.Match[str]) -> Answer:
            refused = self.tokens.refuse(request)
            if refused is not None:
                return refused
            key = (request.path, self._today())
            if self._used[key] >= self.daily_limit:
                return errcode(45009, "reach max api daily quota limit")
            self._used[key] += 1
            waiting = self._refusals.get(request.path)
            if waiting:
                return errcode(waiting.popleft(), "as the stand-in was told")
            return handler(request, match)

        return checked

    def _quota(self, request: Request, match: re.Match[str]) -> Answer:
        try:
            path = str(request.json()["cgi_path"])
        except (KeyError, TypeError, ValueError):
            return errcode(47001, "data format error")
        used = self._used[(path, self._today())]
        quota = {"daily_limit": self.daily_limit, "used": used, "remain": self.daily_limit - used}
        return answer({"errcode": 0, "errmsg": "ok", "quota": quota})

    def _clear_quota(self, request: Request, match: re.Match[str]) -> Answer:
        try:
            if request.json()["appid"] != self.app_id:
                return errcode(40013, "invalid appid")
        except (KeyError, TypeError, ValueError):
            return errcode(47001, "data format error")
        self._used.clear()
        return errcode(0, "ok")

    def _user(self, request: Request, match: re.Match[str]) -> Answer:
        openid = request.query.get("openid", "")
        if openid not in self._last_inbound:
            return errcode(40003, "invalid openid")
        return answer(
            {
                "subscribe": 1,
                "openid": openid,
                "nickname": "",  # empty since 2021-12
                "sex": 0,
                "headimgurl": "",
                "subscribe_time": int(self._last_inbound[openid].timestamp()) - 86_400,
                "unionid": f"u{openid[1:]}",
                "remark": "",
                "subscribe_scene": "ADD_SCENE_SEARCH",
            }
        )

    def _addresses(self, request: Request, match: re.Match[str]) -> Answer:
        return answer({"ip_list": ["127.0.0.1"]})

    def _today(self) -> str:
        return self._day(self.now().timestamp())

    def _day(self, timestamp: float) -> str:
        return datetime.fromtimestamp(timestamp, BEIJING).date().isoformat()


def _second(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(microsecond=0)


def _only_medium(line: Line) -> None:
    if line.attachment not in MEDIA:
        raise ValueError(f"{line.label}: WeChat pushes no {line.attachment}")
    if line.text and line.attachment in ("image", "voice", "video"):
        raise ValueError(f"{line.label}: a WeChat {line.attachment} carries no words")
