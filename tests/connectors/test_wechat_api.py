"""Official accounts: the token, the errcodes, and the walk over what our servicers wrote."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Attachment, Author, Direction, Kind, Message
from aggregator.sandbox.base import Answer, Request, answer
from connectors.wechat import WeChat, WeChatOptions
from tests.connectors.loopback import T0, Clock, Loopback, MemoryKeep, platform

TOKEN_PATH = "/cgi-bin/stable_token"
LIST_PATH = "/customservice/msgrecord/getmsglist"
QUOTA_PATH = "/cgi-bin/openapi/quota/get"
SECRET = "lumo-secret-never-told"


class Desk:
    """A platform with tokens and records; `codes` are errcodes to answer with first."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.always: int | None = None
        self.same_token = False
        self.records: list[Any] = []
        self.tokens = 0
        self.page = 1000
        self.errmsg = "some words rid: 6f"

    def say(self, request: Request) -> Answer:
        if request.path == TOKEN_PATH:
            asked = request.json()
            assert asked["grant_type"] == "client_credential"
            if asked["secret"] != SECRET:
                return answer({"errcode": 40125, "errmsg": "invalid appsecret"})
            if not self.same_token or asked["force_refresh"] or not self.tokens:
                self.tokens += 1
            return answer({"access_token": f"token-{self.tokens}", "expires_in": 7200})
        assert request.query["access_token"].startswith("token-")
        code = self.codes.pop(0) if self.codes else self.always
        if code is not None:
            return answer({"errcode": code, "errmsg": self.errmsg})
        if request.path == QUOTA_PATH:
            quota = {"daily_limit": 5000, "used": 12, "remain": 4988}
            return answer({"errcode": 0, "errmsg": "ok", "quota": quota})
        asked = request.json()
        return self.listed(asked)

    def listed(self, asked: dict[str, int]) -> Answer:
        start, end = asked["starttime"], asked["endtime"]
        if end < start or (start + 28800) // 86400 != (end + 28800) // 86400:
            return answer({"errcode": 65417, "errmsg": "time range"})
        found = [
            one
            for one in self.records
            if not isinstance(one, dict) or start <= one.get("time", start) <= end
        ]
        at, size = asked["msgid"] - 1, min(asked["number"], self.page)
        page = found[at : at + size]
        return answer({"recordlist": page, "number": len(page), "msgid": at + 1 + len(page)})


@contextmanager
def desk(**more: Any) -> Iterator[tuple[Desk, Loopback, WeChat, Clock]]:
    told, clock = Desk(), Clock()
    with platform(told.say) as server:
        options = WeChatOptions(
            **{
                "app_id": "wx7d2f90c1b4e8a653",
                "app_secret": SECRET,
                "token": "callback-token",
                "base_url": server.base_url,
                **more,
            }
        )
        yield told, server, WeChat(options, keep=MemoryKeep(), now=clock), clock


def record(at: int, text: str, *, opercode: int = 2002, **more: Any) -> dict[str, Any]:
    return {
        "openid": "oLumo-4tQ9_customer7",
        "opercode": opercode,
        "text": text,
        "time": at,
        "worker": "kf2001@lumo",
        **more,
    }


def walk(account: WeChat, cursor: str | None = None) -> tuple[list[Message], str | None, int]:
    messages: list[Message] = []
    for pages in range(1, 200):
        page = account.poll("records", cursor)
        messages += page.messages
        cursor = page.cursor
        if not page.more:
            return messages, cursor, pages
    raise AssertionError("the walk does not end")


NOW = int(T0.timestamp())  # 11:00 in Beijing


# --- records ------------------------------------------------------------------------------------


def test_only_what_our_servicers_sent_is_taken() -> None:
    with desk() as (told, _, account, _):
        told.records = [
            record(NOW - 90, "亲，您好", opercode=2003),
            record(NOW - 60, "已为您登记换货，订单 8812 & 发票 <3"),
            record(NOW - 50, "[image]"),
            record(NOW - 40, "会话已接入", opercode=1000),
        ]
        sent, picture = walk(account)[0]
    assert sent.text == "已为您登记换货，订单 8812 & 发票 <3"
    assert sent.kind is Kind.DIRECT_MESSAGE
    assert sent.direction is Direction.OUTBOUND
    assert sent.author is not None
    assert sent.author.native_id == "kf2001@lumo"
    assert sent.person == "oLumo-4tQ9_customer7"
    assert sent.sent_at == datetime.fromtimestamp(NOW - 60, UTC)
    assert json.loads(sent.raw)["opercode"] == 2002
    assert (picture.text, picture.attachments) == (None, (Attachment("image"),))


def test_the_first_walk_takes_a_day_in_windows_that_cross_no_beijing_midnight() -> None:
    with desk() as (told, server, account, _):
        told.records = [record(NOW - 86400 + 5, "昨天"), record(NOW - 5, "今天")]
        messages, _, _ = walk(account)
        asked = [one.json() for one in server.asked(LIST_PATH)]
    assert [one.text for one in messages] == ["昨天", "今天"]
    midnight = NOW - 11 * 3600
    assert [(one["starttime"], one["endtime"]) for one in asked] == [
        (NOW - 86400, midnight - 1),
        (midnight, NOW),
    ]


def test_a_later_walk_begins_ten_minutes_before_the_last_and_repeats_the_same_ids() -> None:
    with desk() as (told, server, account, clock):
        told.records = [record(NOW - 60, "一"), record(NOW - 60, "一"), record(NOW - 59, "一")]
        first, cursor, _ = walk(account)
        assert len({one.key for one in first}) == 3
        clock.on(minutes=1)
        told.records.append(record(NOW - 30, "迟到的一条"))
        again, _, _ = walk(account, cursor)
        assert server.asked(LIST_PATH)[-1].json()["starttime"] == NOW - 600
    assert [one.key for one in again[:3]] == [one.key for one in first]
    assert again[3].text == "迟到的一条"


def test_pages_are_walked_by_msgid_and_a_walk_resumes_where_it_was() -> None:
    with desk() as (told, _, account, _):
        told.records = [record(NOW - 3000 + n, f"第 {n} 条") for n in range(2500)]
        cursor = None
        texts: list[str | None] = []
        for _ in range(10):
            fresh = WeChat(account._options, keep=MemoryKeep(), now=Clock())  # a restart per page
            page = fresh.poll("records", cursor)
            texts += [one.text for one in page.messages]
            cursor = page.cursor
            if not page.more:
                break
    assert texts == [f"第 {n} 条" for n in range(2500)]
    assert json.loads(cursor or "")["seen"] == NOW


def test_seen_does_not_move_while_a_walk_is_unfinished() -> None:
    with desk() as (told, _, account, _):
        told.records = [record(NOW - 2000 + n, str(n)) for n in range(1500)]
        _, cursor, _ = walk(account)
        before = json.loads(cursor or "")["seen"]
        told.records = [record(NOW - 300, str(n)) for n in range(1500)]
        page = account.poll("records", cursor)
        assert page.more
        assert json.loads(page.cursor or "")["seen"] == before
        told.always = -1
        with pytest.raises(Unavailable):
            account.poll("records", page.cursor)
        told.always = None
        assert len(walk(account, page.cursor)[0]) == 500


def test_a_full_page_that_names_no_next_one_is_no_endless_walk_and_moves_nothing() -> None:
    with desk() as (told, _, account, _):
        told.listed = lambda asked: answer(  # type: ignore[method-assign]
            {"recordlist": [record(NOW - 9, "x")] * 1000, "number": 1000, "msgid": 1}
        )
        page = account.poll("records", json.dumps({"seen": NOW - 50, "walk": None}))
    assert not page.more
    assert json.loads(page.cursor or "")["seen"] == NOW - 50


@pytest.mark.parametrize(
    "cursor", ["", "nonsense", "[]", '{"seen": "x"}', '{"seen": -5}', '{"seen": 1e99}', "null"]
)
def test_a_cursor_that_cannot_be_read_begins_anew(cursor: str) -> None:
    with desk() as (told, _, account, _):
        told.records = [record(NOW - 80000, "昨天"), record(NOW - 5, "今天")]
        assert len(walk(account, cursor)[0]) == 2


def test_odd_records_are_kept_or_passed_over_and_never_stop_a_page() -> None:
    with desk() as (told, _, account, _):
        told.records = [
            None,
            7,
            [],
            {},
            record(NOW - 9, "没有时间", time="soon"),
            {"opercode": "2002"},
            record(NOW - 8, "坏\ud800字\x00"),
            record(NOW - 7, "长" * 300_000),
            record(NOW - 6, "好的", openid=None, worker={"a": 1}),
        ]
        told.listed = lambda asked: answer_raw(  # type: ignore[method-assign]
            {"recordlist": told.records, "number": 9, "msgid": 10}
        )
        page = account.poll("records", json.dumps({"seen": NOW - 50, "walk": None}))
    no_time, empty, scrubbed, long, nobody = page.messages
    assert no_time.marks == ("time.missing",)
    assert empty.text is None
    assert scrubbed.text == "坏\ufffd字\ufffd"
    assert scrubbed.marks == ("text.scrubbed",)
    assert len(long.text or "") == 300_000
    assert nobody.author == Author(native_id="wx7d2f90c1b4e8a653")  # the account itself
    assert nobody.person is None


def answer_raw(value: Any) -> Answer:
    return Answer(json.dumps(value).encode())


@pytest.mark.parametrize("code", [65400, 48001, 65417])
def test_a_stream_that_is_not_allowed_pauses_only_itself(code: int) -> None:
    with desk() as (told, _, account, _):
        told.always = code
        with pytest.raises(Rejected, match=str(code)):
            account.poll("records", None)
        assert str(code) in account.check().streams["records"]
        assert account.check().streams["messages"] == "ok"


def test_the_pushed_stream_has_nothing_to_poll() -> None:
    with desk() as (_, server, account, _):
        assert account.poll("messages", "c").messages == ()
        assert server.requests == []


# --- the token and the outcomes -----------------------------------------------------------------


def test_a_token_is_asked_for_once_and_again_when_it_is_about_to_end() -> None:
    with desk() as (told, server, account, clock):
        walk(account)
        walk(account)
        assert len(server.asked(TOKEN_PATH)) == 1
        clock.on(seconds=7200 - 119)
        account.poll("records", None)
        assert told.tokens == 2
        assert server.asked(TOKEN_PATH)[0].json()["force_refresh"] is False


@pytest.mark.parametrize("code", [40001, 40014, 42001])
def test_a_refused_token_is_renewed_and_the_call_made_again(code: int) -> None:
    with desk() as (told, server, account, _):
        told.codes = [code]
        told.records = [record(NOW - 5, "好的")]
        assert len(walk(account)[0]) == 1
        assert [one.query["access_token"] for one in server.asked(LIST_PATH)][:2] == [
            "token-1",
            "token-2",
        ]


def test_the_platform_that_gives_the_refused_token_again_is_forced_once() -> None:
    with desk() as (told, server, account, _):
        told.same_token, told.codes = True, [40001]
        walk(account)
        assert [one.json()["force_refresh"] for one in server.asked(TOKEN_PATH)] == [
            False,
            False,
            True,
        ]


@pytest.mark.parametrize("code", [40001, 40014, 42001])
def test_a_token_that_is_refused_for_ever_costs_a_handful_of_calls(code: int) -> None:
    with desk() as (told, server, account, _):
        told.always = code
        with pytest.raises(Unauthorized):
            account.poll("records", None)
        assert len(server.requests) == 4  # token, call, token, call


def test_an_address_off_the_whitelist_is_told_with_the_address() -> None:
    with desk() as (told, server, account, _):
        told.always = 40164
        told.errmsg = "invalid ip 203.0.113.97 ipv6 ::ffff:203.0.113.97, not in whitelist rid: 1"
        with pytest.raises(Unauthorized) as caught:
            account.poll("records", None)
        assert "203.0.113.97" in caught.value.remedy
        assert len(server.requests) == 2


def test_a_wrong_secret_pauses_the_account_and_is_not_told() -> None:
    with desk(app_secret="another-secret") as (_, _, account, _):
        with pytest.raises(Unauthorized) as caught:
            account.check()
        assert "another-secret" not in "".join(traceback.format_exception(caught.value))


def test_the_days_quota_ends_at_midnight_in_beijing_and_a_minutes_in_one() -> None:
    with desk() as (told, _, account, clock):
        told.always = 45009
        clock.at = datetime(2026, 11, 21, 15, 59, tzinfo=UTC)  # 23:59 in Beijing
        with pytest.raises(RateLimited) as day:
            account.poll("records", None)
        told.always = 45011
        with pytest.raises(RateLimited) as minute:
            account.poll("records", None)
    assert (day.value.retry_after_s, minute.value.retry_after_s) == (60.0, 60.0)
    with desk() as (told, _, account, _):
        told.always = 45009
        with pytest.raises(RateLimited) as day:
            account.poll("records", None)
    assert day.value.retry_after_s == 13 * 3600


@pytest.mark.parametrize("code", [-1, 99999])
def test_a_busy_platform_and_an_unknown_code_are_tried_again_later(code: int) -> None:
    with desk() as (told, server, account, _):
        told.always = code
        with pytest.raises(Unavailable) as caught:
            account.poll("records", None)
        assert not isinstance(caught.value, RateLimited)
        assert len(server.requests) == 2


@pytest.mark.parametrize("path", [TOKEN_PATH, LIST_PATH])
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 502, "body": b"<html>"},
        {"kind": "html"},
        {"kind": "html_ok"},
        {"kind": "truncated"},
        {"kind": "cut"},
        {"kind": "cut_after"},
        {"kind": "status", "status": 200, "body": b"[1]"},
        {"kind": "status", "status": 200, "body": b"{}"},
        {"kind": "status", "status": 200, "body": b'{"errcode": "odd", "errmsg": 1}'},
        {"kind": "status", "status": 302, "headers": {"Location": "https://evil.example/"}},
    ],
)
def test_trouble_on_the_way_is_unavailable_and_tells_no_secret(
    path: str, fault: dict[str, Any]
) -> None:
    with desk() as (_, server, account, _):
        server.fault(path=path, **fault)
        with pytest.raises(Unavailable) as caught:
            account.poll("records", None)
        told = "".join(traceback.format_exception(caught.value))
        assert SECRET not in told
        assert "token-1" not in told
        links: list[BaseException | None] = [caught.value]
        while links[-1] is not None:  # nor does anything that hangs on it
            assert "token-1" not in str(links[-1])
            links.append(links[-1].__context__)
        walk(account)  # and it goes on


def test_check_says_who_we_are() -> None:
    with desk() as (_, server, account, _):
        identity = account.check()
        assert identity.native_id == "wx7d2f90c1b4e8a653"
        assert identity.streams == {"messages": "ok", "records": "ok", "comments": "ok"}
        assert identity.token_expires_at is None
        assert "getmsglist: 12 of 5000 calls today" in (identity.note or "")
        assert len(server.asked(LIST_PATH)) == 1


@pytest.mark.parametrize("clock_at", [datetime(2026, 11, 20, 16, 0, 10, tzinfo=UTC)])
def test_check_right_after_midnight_crosses_no_day(clock_at: datetime) -> None:
    with desk() as (_, _, account, clock):
        clock.at = clock_at
        assert account.check().streams["records"] == "ok"
