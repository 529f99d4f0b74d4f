"""Weibo's lists: the walk by the clock in the ids, error codes, long posts, check."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.sandbox.base import Answer, Request, answer
from connectors.weibo import Weibo, WeiboOptions
from connectors.weibo.walk import Walk, id_at, seconds_of
from tests.connectors.loopback import T0, Clock, Loopback, MemoryKeep, platform

US = "1655548273"
TOKEN = "2.00never-told"
NOW = int(T0.timestamp())
PATHS = {
    "mentions": ("/2/statuses/mentions.json", "statuses"),
    "comments": ("/2/comments/to_me.json", "comments"),
    "comment_mentions": ("/2/comments/mentions.json", "comments"),
    "own_comments": ("/2/comments/by_me.json", "comments"),
}


def item(ago_s: int, n: int = 0, **more: Any) -> dict[str, Any]:
    id = id_at(NOW - ago_s) + n
    at = datetime.fromtimestamp(NOW - ago_s, UTC).strftime("%a %b %d %H:%M:%S +0000 %Y")
    user = {"id": 3900112233, "idstr": "3900112233", "screen_name": "小满爱跑步"}
    post = {"id": id_at(NOW - 99999), "user": {"id": int(US)}}
    return {"id": id, "idstr": str(id), "text": "坏了", "created_at": at, "user": user} | (
        {"status": post} | more
    )


class Weibos:
    """Lists newest first, since_id exclusive, max_id inclusive, as the pages say."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.error: tuple[int, Any] | None = None
        self.reset: Any = 1234
        self.cap = 200
        self.short = 0
        self.tells_end = True
        self.long = "全文"
        self.served = 0
        self.limit = 10**7
        self.unread = 0

    def say(self, request: Request) -> Answer:
        if request.path == "/oauth2/get_token_info":
            assert request.form()["access_token"] == TOKEN
            told = {"uid": US, "appkey": "8812", "scope": "", "create_at": 1, "expire_in": 864000}
            return answer(told)
        assert request.headers["authorization"] == f"OAuth2 {TOKEN}"
        assert TOKEN not in request.raw_query
        if request.path == "/2/account/rate_limit_status.json":
            left = {"user_limit": self.limit, "remaining_user_hits": self.limit}
            return answer({"reset_time_in_seconds": self.reset, **left})
        if request.path == "/2/remind/unread_count.json" and self.error is None:
            self.unread += 1  # there is always news: the planner has tests of its own
            return answer(dict.fromkeys(("mention_status", "mention_cmt", "cmt"), self.unread))
        if self.error is not None:
            status, code = self.error
            return answer({"error": "some_words", "error_code": code, "request": "/2/"}, status)
        if request.path == "/2/users/show.json":
            return answer({"id": int(US), "screen_name": "Lumo官方"})
        if request.path == "/2/statuses/show.json":
            assert request.query["isGetLongText"] == "1"
            return answer({"text": "短", "longText": {"longTextContent": self.long}})
        return self.listed("statuses" if "/statuses/" in request.path else "comments", request)

    def listed(self, key: str, request: Request) -> Answer:
        since, count = int(request.query.get("since_id", 0)), int(request.query["count"])
        top = int(request.query.get("max_id", 0)) or 1 << 70
        found = [one for one in self.items if since < one["id"] <= top]
        found.sort(key=lambda one: -one["id"])
        page = found[: min(count, self.cap)]
        rest = found[len(page) :]
        page = page[self.short :] if len(page) > self.short else page  # hidden ones leave gaps
        self.served += len(page)
        following = rest[0]["id"] if rest else 0
        envelope = {"hasvisible": False, "total_number": len(self.items) + 3}
        more = {"next_cursor": following} if self.tells_end else {}
        return Answer(json.dumps({key: page, **envelope, **more}).encode())


@contextmanager
def weibos(**more: Any) -> Iterator[tuple[Weibos, Loopback, Weibo, Clock]]:
    told, clock = Weibos(), Clock()
    with platform(told.say) as server:
        given = {"uid": US, "access_token": TOKEN, "base_url": server.base_url, **more}
        account = Weibo(WeiboOptions(**given), keep=MemoryKeep(), now=clock)
        yield told, server, account, clock


def metered(server: Loopback) -> list[Request]:
    free = ("/2/account/rate_limit_status.json", "/2/remind/unread_count.json")
    return [one for one in server.requests if one.path not in free]


def walk(account: Weibo, cursor: str | None, stream: str = "mentions") -> tuple[list[str], str]:
    ids: list[str] = []
    for _ in range(100):
        page = account.poll(stream, cursor)
        ids += [one.native_id for one in page.messages]
        cursor = page.cursor
        assert cursor is not None
        if not page.more:
            return ids, cursor
    raise AssertionError("the walk does not end")


def seen(cursor: str | None) -> int:
    found: int = json.loads(cursor or "")["seen"]
    return found


# --- the clock in the ids -----------------------------------------------------------------------


def test_an_id_tells_its_second_and_a_second_its_least_id() -> None:
    assert seconds_of(3339924837243194) == 1311783597  # 2011-07-28 00:19:57 in Beijing
    assert seconds_of(id_at(NOW)) == NOW
    assert seconds_of(id_at(NOW) - 1) == NOW - 1


# --- walks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", list(PATHS))
def test_each_stream_asks_its_own_list(stream: str) -> None:
    with weibos() as (told, server, account, _):
        told.items = [item(60)]
        assert len(walk(account, None, stream)[0]) == 1
        assert {one.path for one in metered(server)} == {PATHS[stream][0]}
        limit = 200 if stream == "mentions" else 50
        assert metered(server)[0].query["count"] == str(limit)


def test_the_first_walk_goes_three_days_back() -> None:
    with weibos() as (told, _, account, _):
        told.items = [item(86400 * 3 + 5), item(86400 * 3 - 5), item(5)]
        ids, cursor = walk(account, None)
    assert len(ids) == 2
    assert seen(cursor) == id_at(NOW - 5)


@pytest.mark.parametrize("tells_end", [True, False])
@pytest.mark.parametrize("short", [0, 3])
def test_a_walk_goes_through_short_pages_to_the_end_and_misses_nothing(
    short: int, tells_end: bool
) -> None:
    with weibos() as (told, _, account, _):
        told.cap, told.short, told.tells_end = 20, short, tells_end
        told.items = [item(n * 7, n % 3) for n in range(100)]
        cursor = json.dumps({"seen": id_at(NOW - 2000)})
        ids, after = walk(account, cursor)
    assert len(ids) == len(set(ids)) == told.served
    assert told.served == 100 if short == 0 else 80 <= told.served < 100
    assert seen(after) == max(int(one) for one in ids)


def test_a_walk_resumes_in_another_process_and_moves_nothing_before_its_end() -> None:
    with weibos() as (told, server, account, clock):
        told.cap = 10
        told.items = [item(n * 7) for n in range(35)]
        before = id_at(NOW - 400)
        cursor: str | None = json.dumps({"seen": before})
        ids: list[str] = []
        for turn in range(10):
            fresh = Weibo(account._options, keep=MemoryKeep(), now=clock)
            if turn == 2:
                server.fault("status", path="/2/statuses", status=500)
                with pytest.raises(Unavailable):
                    fresh.poll("mentions", cursor)
            page = fresh.poll("mentions", cursor)
            ids += [one.native_id for one in page.messages]
            cursor = page.cursor
            if not page.more:
                break
            assert seen(cursor) == before
            told.items.append(item(-turn - 1))  # newer ones come while the walk goes down
            clock.on(seconds=2)
        assert len(ids) == 35
        newest, _ = walk(account, cursor)
    assert {str(one["id"]) for one in told.items if one["id"] > id_at(NOW)} <= set(newest)


def test_what_was_held_back_for_review_is_found_within_the_overlap() -> None:
    with weibos() as (told, _, account, clock):
        told.items = [item(0)]
        _, cursor = walk(account, None)
        clock.on(minutes=5)
        told.items.append(item(19 * 60))
        ids, _ = walk(account, cursor)
    assert str(told.items[1]["id"]) in ids


def test_the_end_of_a_page_is_asked_for_with_one_less() -> None:
    with weibos() as (told, server, account, _):
        told.cap = 2
        told.items = [item(n) for n in range(4)]
        walk(account, None)
        assert [one.query.get("max_id") for one in metered(server)] == [
            None,
            str(told.items[1]["id"] - 1),
        ]


@pytest.mark.parametrize(
    "hostile",
    [10**30, 1 << 62, 7, -4, "x", None, 5.5, True, [1], {"a": 1}],
)
def test_an_odd_id_neither_carries_the_cursor_away_nor_ends_the_walk(hostile: Any) -> None:
    with weibos() as (told, _, account, clock):
        good = [item(n * 7) for n in range(30)]
        odd = {**item(3), "id": hostile, "idstr": "odd"}

        def listed(key: str, request: Request) -> Answer:
            since = int(request.query["since_id"])
            top = int(request.query.get("max_id", 0)) or 1 << 70
            found = [one for one in good if since < one["id"] <= top][:10]
            page = [*found[:5], odd, *found[5:]] if found else []
            return Answer(json.dumps({key: page, "next_cursor": 5 if found else 0}).encode())

        told.listed = listed  # type: ignore[method-assign]
        ids, cursor = walk(account, json.dumps({"seen": id_at(NOW - 1000)}))
        assert {str(one["id"]) for one in good} <= set(ids)
        assert id_at(NOW) <= seen(cursor) <= id_at(NOW + 2)
        clock.on(hours=1)
        good.insert(0, item(-3000))
        ids, _ = walk(account, cursor)
        assert str(good[0]["id"]) in ids


def test_a_list_that_ignores_max_id_is_no_endless_walk_and_moves_nothing() -> None:
    with weibos() as (told, _, account, _):
        page = [item(n) for n in range(5)]
        told.listed = lambda key, _: Answer(  # type: ignore[method-assign]
            json.dumps({key: page, "next_cursor": 5}).encode()
        )
        before = id_at(NOW - 100)
        _, cursor = walk(account, json.dumps({"seen": before}))
    assert seen(cursor) == before


def test_a_list_that_ignores_since_id_ends_at_what_was_seen() -> None:
    with weibos() as (told, server, account, _):
        told.items = [item(n * 600) for n in range(400)]
        since = told.listed

        def listed(key: str, request: Request) -> Answer:
            query = {**request.query, "since_id": "0", "count": "20"}
            return since(key, Request("GET", request.path, query, "", {}, b"", ""))

        told.listed = listed  # type: ignore[method-assign]
        walk(account, json.dumps({"seen": id_at(NOW - 600 * 50)}))
        assert len(metered(server)) < 6


def test_the_first_walk_is_bounded_and_the_next_ones_are_not() -> None:
    with weibos() as (told, server, account, clock):
        told.cap = 5
        told.items = [item(n * 60) for n in range(200)]
        _, cursor = walk(account, None)
        assert len(metered(server)) == 10
        assert seen(cursor) == id_at(NOW)
        clock.on(seconds=2)
        ids, _ = walk(account, json.dumps({"seen": id_at(NOW - 60 * 150)}))
        assert len(ids) > 150


@pytest.mark.parametrize(
    "cursor", ["", "x", "[]", '{"seen": "9"}', '{"walk": {"since": 1}}', "null"]
)
def test_a_cursor_that_cannot_be_read_begins_anew(cursor: str) -> None:
    with weibos() as (told, _, account, _):
        told.items = [item(86400), item(5)]
        assert len(walk(account, cursor)[0]) == 2


@given(
    ages=st.lists(st.integers(0, 1100), max_size=60, unique=True),
    size=st.integers(1, 9),
)
@settings(max_examples=60, deadline=None)
def test_whatever_the_pages_a_complete_walk_has_it_all(ages: list[int], size: int) -> None:
    ids = sorted((id_at(NOW - age) for age in ages), reverse=True)
    state = Walk.resume(json.dumps({"seen": id_at(NOW), "scanned": 10**9}), T0)
    got: list[int] = []
    while state.going:
        state = Walk.resume(state.told(), T0) if got else state
        page = [id for id in ids if state.since < id <= (state.below or 1 << 70)][:size]
        got += page
        state = state.after(page, last=False, now=T0)
    assert got == ids


# --- tiers, shapes, trouble ---------------------------------------------------------------------


def test_commercial_apps_ask_the_twins_that_there_are() -> None:
    with weibos(tier="commercial") as (_, server, account, _):
        for stream in PATHS:
            walk(account, None, stream)
        assert [one.path for one in metered(server)] == [
            "/2/statuses/mentions/biz.json",
            "/2/comments/to_me/biz.json",
            "/2/comments/mentions/biz.json",
            "/2/comments/by_me.json",
        ]


@pytest.mark.parametrize("body", [b"{}", b'{"statuses": null}', b'{"statuses": {}}', b"null", b"7"])
def test_an_answer_without_a_list_moves_no_cursor(body: bytes) -> None:
    with weibos() as (_, server, account, _):
        server.fault("status", path="/2/statuses", status=200, body=body)
        with pytest.raises(Unavailable):
            account.poll("mentions", None)


def test_an_empty_object_written_as_a_list_is_an_empty_page() -> None:
    with weibos() as (_, server, account, _):
        server.fault("status", path="/2/statuses", status=200, body=b"[]")
        page = account.poll("mentions", None)
    assert (page.messages, page.more) == ((), False)


def test_characters_that_are_broken_on_the_way_do_not_hold_up_the_page() -> None:
    with weibos() as (_, server, account, _):
        body = b'{"statuses": [{"id": %d, "text": "\xb6\xa9"}], "next_cursor": 0}' % id_at(NOW)
        server.fault("status", path="/2/statuses", status=200, body=body)
        (message,) = account.poll("mentions", None).messages
    assert message.text == "\ufffd\ufffd"


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (10001, Unavailable),
        (10009, Unavailable),
        (10004, RateLimited),
        (10022, RateLimited),
        (10023, RateLimited),
        (10024, RateLimited),
        (10006, Unauthorized),
        (10013, Unauthorized),
        (21314, Unauthorized),
        (21319, Unauthorized),
        (21321, Unauthorized),
        (21327, Unauthorized),
        (21332, Unauthorized),
        (21335, Unauthorized),
        (10005, Rejected),
        (10014, Rejected),
        (21337, Rejected),
        (10017, Rejected),
        (77777, Unavailable),
    ],
)
def test_the_code_in_the_body_decides_whatever_the_status(
    code: int, outcome: type[Exception]
) -> None:
    for status, written in product((200, 400, 401, 403, 500), (code, str(code))):
        with weibos() as (told, _, account, _):
            told.error = (status, written)
            with pytest.raises(outcome, match=str(code)) as caught:
                account.poll("comments", None)
            assert issubclass(type(caught.value), outcome)
            assert outcome is not Unavailable or not isinstance(caught.value, RateLimited)
            assert TOKEN not in "".join(traceback.format_exception(caught.value))


def test_a_dead_token_is_told_with_where_to_get_another() -> None:
    with weibos() as (told, _, account, _):
        told.error = (403, 21327)
        with pytest.raises(Unauthorized) as caught:
            account.poll("comments", None)
    assert "https://api.weibo.com/oauth2/authorize?client_id=" in caught.value.remedy


@pytest.mark.parametrize(
    ("reset", "wait"),
    [(1234, 1234), ("60", 60), (10**9, 86400), (0, 3600), (-5, 3600), ("x", 3600)],
)
def test_a_used_up_quota_waits_until_it_starts_anew(reset: Any, wait: float) -> None:
    with weibos() as (told, _, account, _):
        told.error, told.reset = (403, 10023), reset
        with pytest.raises(RateLimited) as caught:
            account.poll("mentions", None)
    assert caught.value.retry_after_s == wait


@pytest.mark.parametrize("kind", ["status", "html", "html_ok", "truncated", "cut", "cut_after"])
def test_trouble_on_the_way_is_unavailable(kind: str) -> None:
    with weibos() as (told, server, account, _):
        told.items = [item(5)]
        server.fault(kind, path="/2/statuses")
        with pytest.raises(Unavailable):
            account.poll("mentions", None)
        assert len(walk(account, None)[0]) == 1


def test_a_plain_429_is_obeyed() -> None:
    with weibos() as (_, server, account, _):
        server.fault("status", path="/2/statuses", status=429, headers={"Retry-After": "77"})
        with pytest.raises(RateLimited) as caught:
            account.poll("mentions", None)
    assert caught.value.retry_after_s == 77


# --- long posts ---------------------------------------------------------------------------------


def test_a_long_post_is_asked_for_once_however_often_it_comes() -> None:
    with weibos() as (told, server, account, clock):
        told.items = [item(5, isLongText=True, text="说来话长…全文")]
        told.long = "说来话长 &amp; 很长"
        first = account.poll("mentions", None).messages[0]
        clock.on(seconds=2)
        again = account.poll("mentions", None).messages[0]
        assert len(server.asked("/2/statuses/show.json")) == 1
    assert first.text == again.text == "说来话长 & 很长"


def test_a_long_post_that_is_late_holds_its_page_and_after_three_tries_no_longer() -> None:
    with weibos() as (told, server, account, _):
        told.items = [item(5, isLongText=True, text="开头…")]
        for _ in range(2):
            server.fault("html", path="/2/statuses/show")
            with pytest.raises(Unavailable):
                account.poll("mentions", None)
        server.fault("html", path="/2/statuses/show")
        (message,) = account.poll("mentions", None).messages
    assert (message.text, message.marks) == ("开头…", ("text.cut",))


def test_a_long_post_that_may_not_be_read_is_kept_as_it_is() -> None:
    with weibos() as (told, server, account, _):
        told.items = [item(5, isLongText=True, text="开头…")]
        body = b'{"error": "permission", "error_code": "10014"}'
        server.fault("status", path="/2/statuses/show", status=403, body=body)
        (message,) = account.poll("mentions", None).messages
    assert message.marks == ("text.cut",)


# --- check --------------------------------------------------------------------------------------


def test_check_says_who_we_are_what_is_allowed_and_how_long() -> None:
    with weibos() as (_, server, account, clock):
        body = b'{"error": "Insufficient app permissions", "error_code": "10014"}'
        server.fault("status", path="/2/comments/by_me", status=403, body=body)
        identity = account.check()
        assert (identity.native_id, identity.name) == (US, "Lumo官方")
        assert identity.token_expires_at == clock() + timedelta(days=10)
        assert "10014" in identity.streams["own_comments"]
        assert identity.streams["mentions"] == "ok"


def test_a_token_of_another_account_is_told() -> None:
    with weibos(uid="1234567890") as (_, _, account, _), pytest.raises(Unauthorized, match="uid"):
        account.check()


def test_check_does_without_what_a_token_may_not_ask() -> None:
    with weibos() as (_, server, account, _):
        server.fault("status", path="/oauth2", status=404, body=b"{}")
        server.fault("status", path="/2/users", status=500, body=b"{}")
        identity = account.check()
    assert (identity.name, identity.token_expires_at) == (None, None)


def test_a_check_that_cannot_get_through_says_so() -> None:
    with weibos() as (_, server, account, _):
        server.fault("cut", path="/oauth2")
        with pytest.raises(Unavailable):
            account.check()


@given(
    ages=st.lists(st.integers(-600, 1100), max_size=60, unique=True),
    size=st.integers(1, 9),
    few=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_however_few_the_pages_what_is_newer_than_the_last_walk_is_read(
    ages: list[int], size: int, few: int
) -> None:
    now = T0 + timedelta(minutes=11)
    ids = sorted((id_at(NOW - age) for age in ages), reverse=True)
    for scanned in (0, 10**9):
        state = Walk.resume(
            json.dumps({"seen": id_at(NOW), "scanned": scanned}), now, again=few, overlap=few
        )
        got: list[int] = []
        while state.going:
            page = [id for id in ids if state.since < id <= (state.below or 1 << 70)][:size]
            got += page
            state = state.after(page, last=False, now=now)
        assert {id for id in ids if id > id_at(NOW)} <= set(got)
        assert state.seen == max([*ids, id_at(NOW)])
