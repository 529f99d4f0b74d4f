"""The three connectors of WeChat, WeCom and Weibo against the sandbox's stand-ins, which share no code with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aggregator.errors import Rejected, Unauthorized, Unavailable
from aggregator.model import Accepted, Message, Push
from aggregator.sandbox.base import Answer, Line, Request, Truth
from aggregator.sandbox.script import busy_hour
from aggregator.sandbox.wechat import WeChatStandin
from aggregator.sandbox.wecom import WeComStandin
from aggregator.sandbox.weibo import WeiboStandin
from connectors.registry import connector_class
from tests.connectors.loopback import Clock, MemoryKeep, platform

STANDINS: Mapping[str, Callable[[Clock], Any]] = {
    "wechat": lambda now: WeChatStandin(now, salt=7, retry_s=0.05),
    "wecom": lambda now: WeComStandin(now, salt=7, retry_s=0.05),
    "weibo": lambda now: WeiboStandin(now, brand="Lumo官方", salt=7, quota=100_000, retry_s=0.05),
}


class Daemon:
    """As much of the daemon as a connector sees: it stores what is pushed, then polls and drains."""

    def __init__(self, account: Any, now: Clock) -> None:
        self.account = account
        self.now = now
        self.cursors: dict[str, str | None] = {}
        self.stored: list[tuple[str, bytes]] = []
        self.found: dict[str, Message] = {}
        self.gone: set[str] = set()
        self.troubles = 0

    def callback(self, request: Request) -> Answer:
        push = Push(request.method, request.query, request.headers, request.body, self.now())
        try:
            accepted: Accepted = self.account.verify(push)
        except Rejected as error:
            return Answer(error.reason.encode(), error.status)
        if accepted.stream:
            self.stored += [(accepted.stream, body) for body in accepted.store]
        return Answer(accepted.answer, content_type=accepted.content_type)

    def round(self) -> None:
        for stream in self.account.pushed:
            mine = [body for name, body in self.stored if name == stream]
            self.stored = [(name, body) for name, body in self.stored if name != stream]
            if mine:
                self.take(self.account.read(mine).messages)
        for stream in self.account.streams:
            if stream not in self.account.pushed:
                self.walk(stream)

    def walk(self, stream: str) -> None:
        for _ in range(200):
            try:
                page = self.account.poll(stream, self.cursors.get(stream))
            except Unavailable:
                self.troubles += 1
                continue
            self.take(page.messages)
            self.cursors[stream] = page.cursor
            if not page.more:
                return
        raise AssertionError(f"{stream} does not end")

    def take(self, messages: tuple[Message, ...]) -> None:
        for message in messages:
            if message.deleted_at is not None:
                self.gone.add(message.key)
            else:
                before = self.found.setdefault(message.key, message)
                if before.author and message.author and before.author.name is None:
                    self.found[message.key] = replace(before, author=message.author)


@contextmanager
def world(name: str, standin: Callable[[Clock], Any] | None = None) -> Iterator[Any]:
    now = Clock()
    with ExitStack() as stack:
        there = (standin or STANDINS[name])(now)
        there.start()
        stack.callback(there.stop)
        kind = connector_class(name)
        options = kind.options(**there.options())
        daemon = Daemon(kind(options, keep=MemoryKeep(), now=now), now)
        here = stack.enter_context(platform(daemon.callback))
        there.attach(f"{here.base_url}/callbacks/{name}_demo")
        yield there, daemon, now


def play(there: Any, daemon: Daemon, now: Clock, lines: list[Line], *, every: int) -> list[Truth]:
    start, told = now(), {}
    for number, line in enumerate(lines):
        now.at = start + timedelta(minutes=line.at)
        told[line.label] = there.play(line, now(), told)
        if number % every == 0:
            there.caller.settle()
            daemon.round()
    there.caller.settle()
    now.on(minutes=1)
    daemon.round()
    return [one for one in told.values() if one.exported]


def facts(message: Message) -> dict[str, Any]:
    author = message.author
    return {
        "native_id": message.native_id,
        "kind": message.kind.value,
        "direction": message.direction.value,
        "author": {
            "native_id": author.native_id if author else None,
            "name": author.name if author else None,
            "handle": author.handle if author else None,
        },
        "text": message.text,
        "url": message.url,
        "sent_at": message.sent_at,
        "reply_to": message.reply_to,
        "attachments": tuple(one.kind for one in message.attachments),
        "root": message.root,
        "marks": message.marks,
    }


def truths(truth: Truth) -> dict[str, Any]:
    return {
        "native_id": truth.native_id,
        "kind": truth.kind,
        "direction": truth.direction,
        "author": dict(truth.author),
        "text": truth.text,
        "url": truth.url,
        "sent_at": truth.sent_at,
        "reply_to": truth.reply_to,
        "attachments": truth.attachments,
        "root": truth.root,
        "marks": (),
    }


def by_id(one: dict[str, Any]) -> tuple[str, str]:
    return one["kind"], one["native_id"]


def script(name: str) -> list[Line]:
    return [line for line in busy_hour() if line.platform == name]


@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("name", list(STANDINS))
def test_the_busy_hour_is_read_as_it_was_played(name: str, every: int) -> None:
    with world(name) as (there, daemon, now):
        told = play(there, daemon, now, script(name), every=every)
    found = sorted((facts(one) for one in daemon.found.values()), key=by_id)
    assert found == sorted((truths(one) for one in told), key=by_id)
    assert found


@pytest.mark.parametrize("name", list(STANDINS))
def test_trouble_all_the_way_loses_nothing(name: str) -> None:
    with world(name) as (there, daemon, now):
        for kind in ("html", "html_ok", "truncated", "cut", "cut_after", "status"):
            there.fault(kind, times=2)
        there.fault("status", status=429, headers={"Retry-After": "1"})
        told = play(there, daemon, now, script(name), every=5)
    assert daemon.troubles >= 6
    assert {one.native_id for one in daemon.found.values()} == {one.native_id for one in told}


@pytest.mark.parametrize("mode", ["plain", "compatible", "safe"])
@pytest.mark.parametrize("reply", ["success", "transfer_customer_service"])
def test_official_accounts_are_read_in_every_mode_with_either_reply(mode: str, reply: str) -> None:
    with world("wechat", lambda now: WeChatStandin(now, salt=9, mode=mode, retry_s=0.05)) as (
        there,
        daemon,
        now,
    ):
        kind = connector_class("wechat")
        options = kind.options(**there.options(), passive_reply=reply)
        daemon.account = kind(options, keep=MemoryKeep(), now=now)
        told = play(there, daemon, now, script("wechat"), every=3)
        assert all(attempt.problem is None for attempt in there.caller.ledger)
    assert {one.native_id for one in daemon.found.values()} == {one.native_id for one in told}


@pytest.mark.parametrize("name", list(STANDINS))
def test_check_is_content(name: str) -> None:
    with world(name) as (_, daemon, _):
        identity = daemon.account.check()
    assert set(identity.streams.values()) == {"ok"}


def test_an_address_off_the_whitelist_is_named() -> None:
    with world("wechat") as (there, daemon, _):
        there.tokens.ip_refused = "203.0.113.97"
        with pytest.raises(Unauthorized) as caught:
            daemon.account.poll("records", None)
    assert "203.0.113.97" in caught.value.remedy


def test_a_revoked_token_is_renewed_without_a_word() -> None:
    with world("wecom") as (there, daemon, _):
        daemon.round()
        there.revoke()
        daemon.round()
    assert daemon.troubles == 0


def test_no_more_is_asked_of_weibo_than_it_allows() -> None:
    with world("weibo", lambda now: WeiboStandin(now, quota=3, salt=3)) as (there, daemon, _):
        for _ in range(6):
            daemon.account.poll("mentions", None)
    lists = [path for _, path in there.calls if path == "/2/statuses/mentions.json"]
    assert len(lists) <= 3


def test_what_weibo_shows_late_is_still_found() -> None:
    with world("weibo") as (there, daemon, now):
        lines = [one for one in script("weibo") if one.kind in ("own_post", "mention") and one.who]
        there.late = {line.label: 15 * 60 for line in lines[::2]}
        told = play(there, daemon, now, lines, every=1)
        now.on(minutes=16)
        daemon.round()
    assert {one.native_id for one in told} == {one.native_id for one in daemon.found.values()}


def test_a_recall_reaches_the_message_it_takes_back() -> None:
    with world("wecom") as (there, daemon, now):
        lines = script("wecom")
        first = next(line for line in lines if line.who)
        back = Line(
            59.0, "wecom", "direct_message", "back", first.who, None, first.label, action="delete"
        )
        told = play(there, daemon, now, [*lines, back], every=4)
    gone = [one for one in told if one.label == "back"]
    assert daemon.gone == {f"direct_message:{gone[0].native_id}"}
