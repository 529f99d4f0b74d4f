"""Stand-in of a WeChat Official Account: pushed messages, customer-service records, tokens, the 48-hour window.

Customers' messages leave by callback only, as on the platform; the team's answers, typed in the official
console, are seen in the records of customer service.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from aggregator.sandbox.base import Answer, Line, Person, Request, Route, Standin, Truth, answer
from aggregator.sandbox.caller import Caller
from aggregator.sandbox.wechat_crypto import Envelope, new_aes_key
from aggregator.sandbox.wechat_push import MEDIA, Pushes
from aggregator.sandbox.wechat_tokens import Tokens, errcode

BEIJING = timezone(timedelta(hours=8))
WINDOW = timedelta(hours=48)
WINDOW_MESSAGES = 5  # since 2023-06-12, per message of the user
DAY_S = 24 * 3600
RECEIVED, SENT = 2003, 2002  # opercode, as the servicer sees it


@dataclass(frozen=True, slots=True)
class Record:
    """A row of the customer-service log; `id` is never told, only used to page."""

    id: int
    openid: str
    opercode: int
    time: int
    text: str
    worker: str

    @property
    def same(self) -> tuple[str, int, int, str]:
        return (self.openid, self.opercode, self.time, self.text)


class WeChatStandin(Standin):
    """Callback mode `plain`, `compatible` or `safe`; `attach` comes before the first `play`.

    Knobs, to be set at any time: `records_enabled` (else 65400), `tokens.ip_refused` (an address: 40164 on
    every token), `daily_limit` calls per path and Beijing day (then 45009).
    """

    name = "wechat"

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        mode: str = "safe",
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
            mode, now, envelope=self.envelope, original_id=self.original_id, caller=self.caller
        )
        self.tokens = Tokens(now, self.app_id, self.app_secret)
        self.records: list[Record] = []
        self.sent: list[dict[str, object]] = []  # what came by message/custom/send
        self.records_enabled = True
        self.daily_limit = 100_000
        self._equal: Counter[tuple[str, int, int, str]] = Counter()
        self._used: Counter[tuple[str, str]] = Counter()
        self._last_inbound: dict[str, datetime] = {}
        self._sent_since: Counter[str] = Counter()
        self._in_second: Counter[int] = Counter()
        self.route("POST", "/cgi-bin/stable_token", self.tokens.stable)
        self.route("GET", "/cgi-bin/token", self.tokens.classic)
        for method, path, handler in (
            ("POST", "/customservice/msgrecord/getmsglist", self._records),
            ("GET", "/customservice/kfsession/getwaitcase", self._waiting),
            ("POST", "/cgi-bin/message/custom/send", self._custom_send),
            ("POST", "/cgi-bin/openapi/quota/get", self._quota),
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

    def openid(self, who: Person) -> str:
        return f"o{self.salt:08x}{who.number:019d}"

    def push(self, who: Person, at: datetime, kind: str, more: Mapping[str, str | float]) -> str:
        """Send one message of any `kind` to the callback; its MsgId, which is beyond 2**53."""
        with self.lock:
            second = int(at.timestamp())
            self._in_second[second] += 1
            msgid = (second << 24) | (self.salt % 4096) << 12 | self._in_second[second] % 4096
            self._last_inbound[self.openid(who)] = at
            self._sent_since[self.openid(who)] = 0
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
        fields = {"MsgType": "event", "Event": event, **more}
        self._pushes.post(self.openid(who), at, event, fields, transferred=lambda: None)

    def record(self, openid: str, opercode: int, at: datetime, text: str) -> str:
        """Add a row to the log of customer service; the digest that stands for its missing id.

        The digest is over openid, opercode, time, text and the count of equal rows before it.
        """
        with self.lock:
            number = len(self.records) + 20_000_000
            row = Record(number, openid, opercode, int(at.timestamp()), text, self.worker)
            ordinal = self._equal[row.same]
            self._equal[row.same] += 1
            self.records.append(row)
        words = f"{openid}|{opercode}|{row.time}|{text}|{ordinal}"
        return hashlib.sha256(words.encode()).hexdigest()[:32]

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
            return handler(request, match)

        return checked

    def _records(self, request: Request, match: re.Match[str]) -> Answer:
        if not self.records_enabled:
            return errcode(65400, "please enable new custom service, or wait for a while")
        try:
            asked = request.json()
            start, end, after, number = (
                _whole(asked[name]) for name in ("starttime", "endtime", "msgid", "number")
            )
        except (KeyError, TypeError, ValueError):
            return errcode(65416, "invalid argument")
        if not 1 <= number <= 10_000 or after < 1:
            return errcode(65416, "invalid argument")
        last = max(start, end - 1)
        if end < start or end - start > DAY_S or self._day(start) != self._day(last):
            return errcode(65417, "the time range is not inside one day")
        found = [row for row in self.records if row.id > after and start <= row.time <= end]
        page = found[:number]
        return answer(
            {
                "recordlist": [
                    {
                        "openid": row.openid,
                        "opercode": row.opercode,
                        "text": row.text,
                        "time": row.time,
                        "worker": row.worker,
                    }
                    for row in page
                ],
                "number": len(page),
                "msgid": page[-1].id if page else after,
            }
        )

    def _waiting(self, request: Request, match: re.Match[str]) -> Answer:
        latest: dict[str, int] = {}
        for row in self.records:
            if row.opercode == RECEIVED:
                latest[row.openid] = row.time
            else:
                latest.pop(row.openid, None)
        cases = [{"latest_time": time, "openid": openid} for openid, time in latest.items()]
        return answer({"count": len(cases), "waitcaselist": cases[:100]})

    def _custom_send(self, request: Request, match: re.Match[str]) -> Answer:
        if b"\\u" in request.body:
            return errcode(40033, "invalid charset. please check your request")
        try:
            asked = request.json()
            openid, kind = asked["touser"], asked["msgtype"]
            content = asked[kind]["content"] if kind == "text" else asked[kind]
        except (KeyError, TypeError, ValueError):
            return errcode(47001, "data format error")
        if not content:
            return errcode(44004, "empty content")
        last = self._last_inbound.get(openid)
        if last is None or self.now() - last > WINDOW:
            return errcode(45015, "response out of time limit or subscription is canceled")
        if self._sent_since[openid] >= WINDOW_MESSAGES:
            return errcode(45047, "out of response count limit")
        self._sent_since[openid] += 1
        self.sent.append(asked)
        return errcode(0, "ok")

    def _quota(self, request: Request, match: re.Match[str]) -> Answer:
        try:
            path = str(request.json()["cgi_path"])
        except (KeyError, TypeError, ValueError):
            return errcode(47001, "data format error")
        used = self._used[(path, self._today())]
        quota = {"daily_limit": self.daily_limit, "used": used, "remain": self.daily_limit - used}
        return answer({"errcode": 0, "errmsg": "ok", "quota": quota})

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
                "subscribe_time": int(self._last_inbound[openid].timestamp()) - DAY_S,
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


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("not a whole number")
    return value


def _only_medium(line: Line) -> None:
    if line.attachment not in MEDIA:
        raise ValueError(f"{line.label}: WeChat pushes no {line.attachment}")
    if line.text and line.attachment in ("image", "voice", "video"):
        raise ValueError(f"{line.label}: a WeChat {line.attachment} carries no words")
