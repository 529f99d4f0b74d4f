"""WeChat official accounts: messages come by callback, our team's answers by polling its records.

Credentials: mp.weixin.qq.com, 设置与开发 - 基本配置 (AppID, AppSecret, and under 服务器配置 the Token and
EncodingAESKey); this server's outgoing address belongs into the IP whitelist on the same page.
Page: https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Receiving_standard_messages.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field, SecretStr

from aggregator.errors import RateLimited, Rejected, Unavailable
from aggregator.http import Http
from aggregator.model import Accepted, Identity, Kind, Message, Page, Push, Quota
from connectors import budget
from connectors import wechat_callback as callback
from connectors.base import Keep, Now, Options, ReplyLimit
from connectors.handshake import check_signature
from connectors.payload import integer, items, mapping
from connectors.wechat import answers, comment_answers, comments, events
from connectors.wechat.articles import Articles, Watched
from connectors.wechat.received import received
from connectors.wechat.records import PAGE, Walk, sent
from connectors.wechat_callback import AesKey
from connectors.wechat_errors import until_midnight_s
from connectors.wechat_ours import ours
from connectors.wechat_sdk import (
    OFFICIAL_HOST,
    Cipher,
    OfficialClient,
    is_json,
    pushed,
    transfer_reply,
)
from connectors.wechat_window import Windows

RECORDS = f"https://{OFFICIAL_HOST}/customservice/msgrecord/getmsglist"
QUOTA = "openapi/quota/get"

_ADDRESSABLE = re.compile(r"[\w@.-]{1,64}", re.ASCII)


class WeChatOptions(Options):
    app_id: str = Field(min_length=1)
    app_secret: SecretStr
    token: SecretStr
    encoding_aes_key: AesKey | None = None
    passive_reply: Literal["success", "transfer_customer_service"] = "success"
    articles: Articles = ()  # msg_data_id, or msg_data_id/index; those sent from here on are learnt


class WeChat:
    """`messages` is pushed; `records` is polled for what our servicers wrote in the platform's console, and
    `comments` for what stands under articles.

    Of the records only those that a servicer sent are taken: the customers' own come by callback, with
    an id, and the records have none that would show the two to be the same. There is no history to read
    apart: the platform hands over no customer's message but by callback.
    """

    options = WeChatOptions
    streams = ("messages", "records", "comments")
    pushed = ("messages",)

    def __init__(self, options: WeChatOptions, *, keep: Keep, now: Now) -> None:
        self._options = options
        self._keep = keep
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
        self._watched = Watched(options.articles, keep, now)
        self._windows = Windows(keep, now)
        self._answers = answers.Answers(self._windows, self._call, self._recorded)
        self._comment_answers = comment_answers.CommentAnswers(self._call, now)

    def check(self) -> Identity:
        """A token proves id, secret and IP whitelist; one look into each stream, whether we may read it."""
        self._client.access_token  # noqa: B018  asked for, and kept
        now = int(self._now().timestamp())
        streams = {"messages": "ok", "records": "ok", "comments": "ok"}
        streams["records"] = _probed(
            lambda: self._records(Walk(seen=None, at=now - 60, end=now, msgid=1), number=1)
        )
        for article in self._watched.all()[:1]:
            streams["comments"] = _probed(
                lambda: self._call(comments.PATH, comments.asked(article, 0, 1))  # noqa: B023
            )
        quotas = tuple(self._quotas())
        return Identity(
            native_id=self._options.app_id,
            name=None,
            streams=streams,
            note="messages come to this account's /callbacks/ address; no API tells whether the platform calls it"
            + "".join(
                f"; {one.name}: {(one.limit or 0) - one.left:.0f} of {one.limit:.0f} calls today"
                for one in quotas
            ),
            quotas=quotas,
        )

    def _quotas(self) -> Iterator[Quota]:
        """What the platform says of today's calls (Beijing days); nothing where it says nothing."""
        ends = self._now() + timedelta(seconds=until_midnight_s(self._now()))
        ours = (comments.PATH, answers.PATH, comment_answers.PATH)
        for path in (_path(RECORDS), *(f"/cgi-bin/{one}" for one in ours)):
            try:
                quota = mapping(self._client.call(QUOTA, {"cgi_path": path}).get("quota"))
            except (Unavailable, Rejected):
                continue
            if limit := integer(quota.get("daily_limit")):
                left = max(limit - integer(quota.get("used")), 0)
                yield Quota(path, left, limit, ends_at=ends)

    def _call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A call that is not made at all while the quota of its path is used up, for whichever replica."""
        budget.admit(self._keep, _path(path), self._now())
        try:
            return self._client.call(path, body, words=_WORDS.get(path, {}))
        except RateLimited as limited:
            seconds, why = limited.retry_after_s, limited.reason
            budget.shut(self._keep, _path(path), self._now(), seconds=seconds, why=why)
            raise

    # --- what our servicers wrote, and what stands under articles ----------------------------------

    def poll(self, stream: str, cursor: str | None) -> Page:
        """One page of the records of one day; a walk goes from the last complete one to now."""
        if stream == "comments":
            page = comments.page(cursor, self._watched, self._comments, self._now())
            return replace(page, messages=tuple(self._ours(page.messages)))
        if stream != "records":
            return Page((), cursor)
        walk = Walk.resume(cursor, self._now())
        messages, after = self._page(walk)
        # What the API sent may stand in the records too; whoever had it sent has stored it.
        others = self._ours(self._windows.of_others(messages))
        return Page(tuple(others), after.told(), more=after.end is not None)

    def _ours(self, messages: Iterable[Message]) -> list[Message]:
        """Ours are the account's own where the platform names no colleague."""
        return [ours(one, self._options.app_id) for one in messages]

    def _comments(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self._call(comments.PATH, asked)

    def _page(self, walk: Walk) -> tuple[list[Message], Walk]:
        found = self._records(walk, number=PAGE)
        count = max(len(items(found["recordlist"])), integer(found.get("number")))
        messages, alike = sent(items(found["recordlist"]), walk.alike)
        return messages, walk.after(count, integer(found.get("msgid")), alike)

    def _recorded(self, since: datetime) -> Iterator[Message]:
        """What the records show since then, with the ids that `poll` gives."""
        end = int(self._now().timestamp()) + 1
        walk = Walk(seen=None, at=int(since.timestamp()), end=end, msgid=1)
        while walk.end is not None:
            messages, walk = self._page(walk)
            yield from self._ours(messages)

    def _records(self, walk: Walk, *, number: int) -> dict[str, Any]:
        asked = {
            "starttime": walk.at,
            "endtime": walk.stop,
            "msgid": walk.msgid,
            "number": number,
        }
        found = self._call(RECORDS, asked)
        if not isinstance(found.get("recordlist"), list):
            raise Unavailable("no recordlist in WeChat's answer")
        return found

    # --- answers --------------------------------------------------------------------------------

    def reply_limit(self, to: Message) -> ReplyLimit:
        if to.kind is Kind.COMMENT:
            return self._comment_answers.limit(to)
        return self._answers.limit(to)

    def reply(self, to: Message, text: str, key: str) -> Message:
        """`to`: a comment, which takes one answer only, or the customer's newest message, whose time the window
        begins with. Sent at most once a key: after an unknown outcome a message is Rejected, with words that
        say where to look, and a comment by the platform, if it has its answer."""
        comment = to.kind is Kind.COMMENT
        answers = self._comment_answers if comment else self._answers
        return ours(answers.reply(to, text, key), self._options.app_id)

    def find_reply(self, to: Message, text: str, key: str, since: datetime) -> Message | None:
        """None also where nobody can tell: WeChat's records show an answer to a message only to some accounts.
        `reply` does not send it again then. An answer to a comment stands under its article."""
        comment = to.kind is Kind.COMMENT
        answers = self._comment_answers if comment else self._answers
        found = answers.find(to, text, key, since)
        return None if found is None else ours(found, self._options.app_id)

    # --- what customers wrote -------------------------------------------------------------------

    def verify(self, request: Push) -> Accepted:
        """Stored is the push in the clear; of the events only those that change something."""
        if request.method == "GET":
            echo = callback.echo(request)
            check_signature(self._token, request)
            return Accepted(echo.encode())
        if self._cipher is None:
            body = callback.plain(self._token, request)
        else:
            body = callback.sealed(self._token, self._cipher, request)
        kind, found = pushed(body)
        if kind == "event":
            store = (body.encode(),) if events.matters(found) else ()
            return Accepted(b"success", stream="messages" if store else None, store=store)
        answer = self._passive_reply(found, request, as_json=is_json(body))
        return Accepted(
            answer,
            content_type=_CONTENT_TYPES.get(answer[:1], "text/plain; charset=utf-8"),
            stream="messages",
            store=(body.encode(),),
        )

    def _passive_reply(self, found: dict[str, Any], request: Push, *, as_json: bool) -> bytes:
        to, sender = found.get("FromUserName"), found.get("ToUserName")
        if self._options.passive_reply == "success" or not (_named(to) and _named(sender)):
            return b"success"
        told = transfer_reply(str(to), str(sender), request.received_at, as_json=as_json)
        if self._cipher is not None:
            stamp, nonce = request.query["timestamp"], request.query["nonce"]
            told = self._cipher.seal(told, nonce=nonce, timestamp=stamp, as_json=as_json)
        return told.encode()

    def read(self, raw: Sequence[bytes]) -> Page:
        """The messages; what events change is noted, and comments are asked for where an article went out."""
        messages, found = [], []
        for one in raw:
            message, event = received(one)
            messages += [message] if message is not None else []
            found += [event] if event is not None else []
        self._windows.happened(filter(None, map(events.happened, found)))
        out = [article for event in found for article in events.published(event)]
        if out:
            self._watched.learn(out)
        told = self._windows.put(messages)
        return Page(tuple(told), None, wake=("comments",) if out else ())


_WORDS = {answers.PATH: answers.REFUSALS, comment_answers.PATH: comment_answers.REFUSALS}
_CONTENT_TYPES = {b"<": "application/xml", b"{": "application/json"}


def _probed(ask: Callable[[], object]) -> str:
    """One look at a stream: ok, denied or quota, and why. Raises Unavailable and Unauthorized."""
    try:
        ask()
    except Rejected as error:
        return f"denied: {error.reason}"
    except RateLimited as error:
        return f"quota: {error.reason}"
    return "ok"


def _path(url: str) -> str:
    """The path as the platform counts it."""
    return url.removeprefix(f"https://{OFFICIAL_HOST}")


def _named(value: object) -> bool:
    return isinstance(value, str) and _ADDRESSABLE.fullmatch(value) is not None
