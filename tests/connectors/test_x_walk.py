"""Walks over X: whatever X answers on the way, nothing is skipped and nothing is asked in vain."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

import pytest
from pydantic import SecretStr, ValidationError

from aggregator.errors import RateLimited, Unauthorized, Unavailable
from aggregator.model import Direction, Message
from aggregator.sandbox.base import Answer, Fault, Request, Standin, answer
from connectors.registry import connector_class
from connectors.x import X, XOptions

NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
ME = "880000000000000001"
KEYS = {
    "consumer_key": "ck-9f1",
    "consumer_secret": "cs-very-secret",
    "access_token": "880000000000000001-at",
    "access_token_secret": "ats-very-secret",
}
PROBLEM = "https://api.twitter.com/2/problems/"


def sid(at: datetime, n: int = 0) -> int:
    return (int(at.timestamp() * 1000) - 1288834974657 << 22) + n


class FakeX(Standin):
    """A timeline and an inbox in memory, with the bounds that X puts on a question."""

    def __init__(self) -> None:
        super().__init__(lambda: self.clock)
        self.clock = NOW
        self.posts: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.asked: list[dict[str, str]] = []
        self.oldest_since = 0
        self.page_limit = 100
        self.dead_tokens = False
        self.access = "read-write-directmessages"
        self.authorizations: list[tuple[str, Request]] = []
        self.route("GET", r"/2/users/me", self._me)
        self.route("GET", r"/2/users/\d+/(mentions|tweets)", self._timeline)
        self.route("GET", r"/2/dm_events", self._dm_events)

    def post(self, at: datetime, text: str, n: int = 0, **more: Any) -> str:
        made = str(sid(at, n))
        raw = {
            "id": made,
            "edit_history_tweet_ids": [made],
            "author_id": "710001",
            "created_at": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "conversation_id": made,
            "text": text,
            **more,
        }
        self.posts.append(raw)
        return made

    def direct(self, at: datetime, text: str, n: int = 0) -> str:
        made = str(sid(at, n))
        self.events.append(
            {
                "id": made,
                "event_type": "MessageCreate",
                "text": text,
                "created_at": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                "sender_id": "710001",
                "dm_conversation_id": f"710001-{ME}",
            }
        )
        return made

    def headers(self, request: Request, given: Answer) -> dict[str, str]:
        return {"x-access-level": self.access}

    def _me(self, request: Request, _: Any) -> Answer:
        self.authorizations.append((request.headers.get("authorization", ""), request))
        return answer({"data": {"id": ME, "name": "艾克美", "username": "acme_cn"}})

    def _timeline(self, request: Request, _: Any) -> Answer:
        query = request.query
        self.asked.append(dict(query))
        self.authorizations.append((request.headers.get("authorization", ""), request))
        if "since_id" in query and "start_time" in query:
            return problem("choose one of 'since_id' and 'start_time'")
        if int(query.get("since_id", 0)) < self.oldest_since and "since_id" in query:
            return problem(
                "'since_id' must be a tweet id created after [2026-11-14T04:00Z]."
                f" Please use a 'since_id' that is larger than {self.oldest_since}"
            )
        start = datetime.fromisoformat(query.get("start_time", "2010-11-06T00:00:00Z"))
        below = int(query.get("until_id", 2**63))
        found = [
            raw
            for raw in sorted(self.posts, key=lambda raw: -int(raw["id"]))
            if int(query.get("since_id", 0)) < int(raw["id"]) < below
            and datetime.fromisoformat(raw["created_at"]) >= start
        ]
        return self._page(found, query)

    def _dm_events(self, request: Request, _: Any) -> Answer:
        self.asked.append(dict(request.query))
        return self._page(sorted(self.events, key=_shown), request.query)

    def _page(self, found: list[Any], query: Any) -> Answer:
        token = query.get("pagination_token")
        if token and self.dead_tokens:
            self.dead_tokens = False
            return problem("Invalid 'pagination_token': it has expired")
        if token:  # the next page starts below what the last one ended with, whatever came since
            found = [
                raw for raw in found if int(raw["id"]) < int(token.removeprefix("7140dibdnow9-"))
            ]
        size = min(int(query["max_results"]), self.page_limit)
        shown = found[:size]
        meta: dict[str, Any] = {"result_count": len(shown)}
        if len(found) > size:
            meta["next_token"] = f"7140dibdnow9-{-_shown(shown[-1])}"
        return answer({"meta": meta, **({"data": shown} if shown else {})})


def _shown(raw: dict[str, Any]) -> int:
    """What lists are in order of: the id, but for one that a test puts elsewhere."""
    return -int(raw.get("shown_as", raw["id"]))


def problem(message: str) -> Answer:
    told = {
        "errors": [{"message": message, "parameters": {}}],
        "title": "Invalid Request",
        "detail": "One or more parameters to your request was invalid.",
        "type": PROBLEM + "invalid-request",
    }
    return answer(told, 400)


@pytest.fixture
def x() -> Iterator[FakeX]:
    server = FakeX()
    server.start()
    yield server
    server.stop()


class NoKeep:
    def get(self, key: str) -> str | None:
        return None

    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        return True


def connect(x: FakeX, **more: Any) -> X:
    options = XOptions.model_validate({"user_id": ME, "base_url": x.base_url, **KEYS, **more})
    return X(options, keep=NoKeep(), now=lambda: x.clock)


def walk(
    x: FakeX, stream: str, cursor: str | None, limit: int = 60
) -> tuple[list[Message], str | None]:
    """Poll until there is no more; every poll by a new connector, as after a restart."""
    found: list[Message] = []
    for _ in range(limit):
        page = connect(x).poll(stream, cursor)
        found += page.messages
        cursor = page.cursor
        if not page.more:
            return found, cursor
    raise AssertionError("the walk does not end")


def test_the_registry_has_x() -> None:
    assert connector_class("x") is X
    assert X.options is XOptions


def test_every_request_is_signed_for_the_host_it_goes_to(x: FakeX) -> None:
    x.post(NOW, "退款 & 投诉")
    _, cursor = walk(x, "mentions", None)
    walk(x, "mentions", cursor)
    connect(x).check()
    assert len(x.authorizations) == 3
    for header, request in x.authorizations:
        given = {
            name: unquote(value.strip('"'))
            for name, value in (
                part.strip().split("=", 1) for part in header.removeprefix("OAuth ").split(",")
            )
        }
        signature = given.pop("oauth_signature")
        pairs = sorted(
            (quote(name, "~"), quote(value, "~"))
            for name, value in {**given, **request.query}.items()
        )
        base = "&".join(
            quote(part, "~")
            for part in ("GET", request.url, "&".join(f"{n}={v}" for n, v in pairs))
        )
        key = f"{KEYS['consumer_secret']}&{KEYS['access_token_secret']}".encode()
        expected = base64.b64encode(hmac.digest(key, base.encode(), hashlib.sha1)).decode()
        assert signature == expected


def test_the_first_poll_looks_a_month_back_and_the_next_only_at_what_is_new(x: FakeX) -> None:
    x.post(NOW - timedelta(days=40), "很久以前")
    kept = x.post(NOW - timedelta(days=3), "三天前")
    found, cursor = walk(x, "mentions", None)
    assert [m.native_id for m in found] == [kept]
    assert "since_id" not in x.asked[0]

    new = x.post(NOW, "刚刚")
    found, cursor = walk(x, "mentions", cursor)
    assert new in [m.native_id for m in found]
    assert "start_time" not in x.asked[-1]
    assert int(x.asked[-1]["since_id"]) == int(kept) - (120_000 << 22)


def test_an_empty_timeline_stays_a_walk_over_a_window(x: FakeX) -> None:
    found, cursor = walk(x, "mentions", None)
    assert found == []
    assert cursor is not None
    first = x.post(NOW, "第一条")
    found, _ = walk(x, "mentions", cursor)
    assert [m.native_id for m in found] == [first]


def test_a_post_that_shows_up_late_is_found_by_the_overlap(x: FakeX) -> None:
    x.post(NOW, "早")
    _, cursor = walk(x, "mentions", None)
    late = x.post(NOW - timedelta(seconds=100), "晚到的")
    found, _ = walk(x, "mentions", cursor)
    assert late in [m.native_id for m in found]


def test_since_id_stays_the_same_for_a_whole_walk(x: FakeX) -> None:
    x.post(NOW - timedelta(hours=1), "旧")
    _, cursor = walk(x, "mentions", None)
    x.page_limit = 2  # under-filled pages
    new = [x.post(NOW + timedelta(seconds=i), f"投诉 {i}") for i in range(7)]
    before = len(x.asked)
    found, cursor = walk(x, "mentions", cursor)
    assert {m.native_id for m in found} >= set(new)
    assert len({query["since_id"] for query in x.asked[before:]}) == 1
    assert len(x.asked) - before == 4
    walk(x, "mentions", cursor)
    assert int(x.asked[-1]["since_id"]) == int(new[-1]) - (120_000 << 22)


def test_the_watermark_moves_only_after_the_whole_walk(x: FakeX) -> None:
    x.page_limit = 2
    for i in range(6):
        x.post(NOW - timedelta(minutes=30 - i), f"旧 {i}")
    _, cursor = walk(x, "mentions", None)
    new = [x.post(NOW + timedelta(minutes=i), f"新 {i}") for i in range(6)]
    page = connect(x).poll("mentions", cursor)
    found = [m.native_id for m in page.messages]
    assert page.more
    newest = x.post(NOW + timedelta(minutes=9), "翻页时来的")
    x.faults.append(Fault("html"))
    with pytest.raises(Unavailable):
        connect(x).poll("mentions", page.cursor)
    rest, cursor = walk(x, "mentions", page.cursor)
    found += [m.native_id for m in rest]
    assert set(found) >= set(new)
    later, _ = walk(x, "mentions", cursor)
    assert newest in [m.native_id for m in later]


def test_a_dead_token_is_given_up_and_the_walk_goes_on_below_what_came(x: FakeX) -> None:
    x.page_limit = 3
    new = [x.post(NOW - timedelta(minutes=i), f"投诉 {i}") for i in range(8)]
    page = connect(x).poll("mentions", None)
    x.dead_tokens = True
    rest, cursor = walk(x, "mentions", page.cursor)
    assert {m.native_id for m in (*page.messages, *rest)} == set(new)
    assert any("until_id" in query for query in x.asked)
    again, _ = walk(x, "mentions", cursor)
    assert max(int(m.native_id) for m in again) == int(new[0])


def test_a_since_id_that_is_too_old_becomes_a_window_and_the_gap_is_marked(x: FakeX) -> None:
    x.post(NOW - timedelta(days=20), "很早")
    _, cursor = walk(x, "mentions", None)
    x.oldest_since = sid(NOW - timedelta(days=7))
    x.page_limit = 2
    new = [x.post(NOW - timedelta(days=i), f"第 {i} 天") for i in (1, 2, 3)]
    found, cursor = walk(x, "mentions", cursor)
    assert {m.native_id for m in found} == set(new)
    marked = [m.native_id for m in found if "gap.before" in m.marks]
    assert marked == [new[2]]
    after = x.post(NOW, "恢复之后")
    found, _ = walk(x, "mentions", cursor)
    assert after in [m.native_id for m in found]


def test_an_id_from_the_future_is_kept_and_is_no_watermark(x: FakeX) -> None:
    future = x.post(datetime(2060, 1, 1, tzinfo=UTC), "来自未来")
    found, cursor = walk(x, "mentions", None)
    assert [m.native_id for m in found] == [future]
    today = x.post(NOW, "今天的投诉")
    found, _ = walk(x, "mentions", cursor)
    assert today in [m.native_id for m in found]


def test_a_first_walk_ends_after_eight_hundred_posts(x: FakeX) -> None:
    for i in range(1000):
        x.post(NOW - timedelta(minutes=i), f"旧 {i}")
    found, cursor = walk(x, "own_posts", None)
    assert len(found) == 800
    assert all(query["exclude"] == "retweets" for query in x.asked)
    newest = x.post(NOW + timedelta(seconds=1), "新")
    found, _ = walk(x, "own_posts", cursor)
    assert newest in [m.native_id for m in found]


def test_an_edit_comes_again_under_its_first_id(x: FakeX) -> None:
    first = x.post(NOW - timedelta(minutes=20), "错字")
    _, cursor = walk(x, "mentions", None)
    edit = str(sid(NOW))
    x.posts[0] = {**x.posts[0], "id": edit, "edit_history_tweet_ids": [first, edit], "text": "改好"}
    x.posts[0]["created_at"] = "2026-11-21T04:00:00.000Z"
    found, _ = walk(x, "mentions", cursor)
    assert [(m.native_id, m.text) for m in found] == [(first, "改好")]
    assert found[0].edited_at == NOW
    assert found[0].sent_at == NOW - timedelta(minutes=20)


def test_direct_messages_are_read_down_to_what_is_known(x: FakeX) -> None:
    old = [x.direct(NOW - timedelta(hours=2, minutes=i), f"旧 {i}") for i in range(50)]
    found, cursor = walk(x, "direct_messages", None)
    assert {m.native_id for m in found} == set(old)
    assert len(x.asked) == 1

    new = x.direct(NOW, "在吗？")
    found, cursor = walk(x, "direct_messages", cursor)
    assert new in [m.native_id for m in found]
    assert [query["max_results"] for query in x.asked[1:]] == ["20"]
    assert all("since_id" not in query for query in x.asked)

    burst = [x.direct(NOW + timedelta(seconds=i), f"急 {i}") for i in range(150)]
    found, _ = walk(x, "direct_messages", cursor)
    assert {m.native_id for m in found} >= set(burst)
    assert [query["max_results"] for query in x.asked[2:]] == ["20", "100", "100"]


def test_a_direct_message_that_becomes_visible_late_is_found(x: FakeX) -> None:
    x.direct(NOW - timedelta(minutes=1), "先看到的")
    x.direct(NOW, "也先看到的")
    _, cursor = walk(x, "direct_messages", None)
    late = x.direct(NOW - timedelta(minutes=9), "后看到的")
    x.page_limit = 1
    found, _ = walk(x, "direct_messages", cursor)
    assert late in [m.native_id for m in found]


def test_one_odd_old_id_among_new_ones_ends_no_walk(x: FakeX) -> None:
    x.direct(NOW - timedelta(days=1), "旧")
    _, cursor = walk(x, "direct_messages", None)
    new = [x.direct(NOW + timedelta(seconds=i), f"新 {i}") for i in range(30)]
    odd = {"id": "12", "event_type": "MessageCreate", "text": "?", "shown_as": new[25]}
    x.events.append(odd)
    x.page_limit = 10
    found, _ = walk(x, "direct_messages", cursor)
    assert {m.native_id for m in found} >= set(new)


def test_a_dead_token_for_direct_messages_begins_the_walk_again(x: FakeX) -> None:
    every = [x.direct(NOW - timedelta(minutes=i), f"信 {i}") for i in range(12)]
    x.page_limit = 5
    page = connect(x).poll("direct_messages", None)
    x.dead_tokens = True
    restart = connect(x).poll("direct_messages", page.cursor)
    assert restart.messages == ()
    assert not restart.more  # there are fifteen calls in fifteen minutes: not at once
    found, _ = walk(x, "direct_messages", restart.cursor)
    assert {m.native_id for m in found} == set(every)


def test_a_cursor_that_cannot_be_read_means_all_over_again(x: FakeX) -> None:
    kept = x.post(NOW, "还在")
    for broken in ("", "{", "[]", "7", '{"high":null}', '{"high":1,"walk":{"other":2}}'):
        found, _ = walk(x, "mentions", broken)
        assert [m.native_id for m in found] == [kept]


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_lost_whatever_goes_wrong(x: FakeX, seed: int) -> None:
    chance = random.Random(seed)
    made: dict[str, set[str]] = {"mentions": set(), "direct_messages": set()}
    got: dict[str, set[str]] = {"mentions": set(), "direct_messages": set()}
    cursors: dict[str, str | None] = {"mentions": None, "direct_messages": None}
    for step in range(120):
        x.clock = NOW + timedelta(seconds=20 * step)
        for n in range(chance.choice((0, 0, 1, 3, 9))):
            made["mentions"].add(x.post(x.clock, f"提及 {step}", n=n))
            made["direct_messages"].add(x.direct(x.clock, f"私信 {step}", n=n))
        x.page_limit = chance.choice((2, 5, 100))
        x.dead_tokens = chance.random() < 0.1
        if chance.random() < 0.4:
            kind = chance.choice(("html", "html_ok", "truncated", "cut", "cut_after", "status"))
            x.faults.append(Fault(kind, status=chance.choice((429, 500, 503))))
        stream = chance.choice(("mentions", "direct_messages"))
        try:
            page = connect(x).poll(stream, cursors[stream])
        except Unavailable:
            continue
        cursors[stream] = page.cursor
        got[stream] |= {m.native_id for m in page.messages}
    x.faults.clear()
    x.dead_tokens = False
    x.page_limit = 100
    for stream in made:
        for _ in range(2):
            found, cursors[stream] = walk(x, stream, cursors[stream])
            got[stream] |= {m.native_id for m in found}
        assert got[stream] == made[stream]


def told(status: int, value: Any, **headers: str) -> Fault:
    given = answer(value)
    return Fault(
        "status",
        status=status,
        body=given.body,
        headers={name.replace("_", "-"): text for name, text in headers.items()},
    )


def until(seconds: float) -> str:
    return str(int(NOW.timestamp() + seconds))


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (told(429, {"errors": [{"code": 88}]}, x_rate_limit_reset=until(40)), 40),
        (told(429, {"title": "Too Many Requests"}, x_rate_limit_reset=until(40_000)), 900),
        (told(429, {}, x_rate_limit_reset=until(-30)), 60),
        (told(429, [], x_rate_limit_reset=until(0)), 60),
        (told(429, "slow down"), 60),
        (told(429, {}, x_rate_limit_reset="soon"), 60),
        (told(429, {}, x_rate_limit_reset="nan"), 60),
        (told(429, {"title": "UsageCapExceeded", "type": PROBLEM + "usage-capped"}), 3600),
        (told(429, {"type": "https://api.x.com/2/problems/usage-capped"}), 3600),
        (told(402, {"title": "CreditsDepleted", "type": PROBLEM + "credits"}), 3600),
    ],
)
def test_a_limit_says_how_long_to_wait_by_xs_own_clock(
    x: FakeX, fault: Fault, seconds: float
) -> None:
    for skew in (timedelta(0), timedelta(minutes=-40)):  # our clock is no help here
        fault.times = 1
        x.faults.append(fault)
        options = XOptions.model_validate({"user_id": ME, "base_url": x.base_url, **KEYS})
        skewed = X(options, keep=NoKeep(), now=lambda skew=skew: NOW + skew)  # type: ignore[misc]
        with pytest.raises(RateLimited) as caught:
            skewed.poll("mentions", None)
        assert caught.value.retry_after_s == seconds
        assert ("billing" in caught.value.reason) == (seconds == 3600)


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        (told(401, {"title": "Unauthorized", "type": "about:blank", "status": 401}), "new Access"),
        (Fault("status", status=401, body=b"nope"), "new Access Token"),
        (
            told(403, {"reason": "client-not-enrolled", "type": PROBLEM + "client-forbidden"}),
            "perm",
        ),
        (told(403, {"type": PROBLEM + "unsupported-authentication"}), "Direct message"),
        (told(404, {"type": PROBLEM + "resource-not-found"}), "user_id"),
    ],
)
def test_what_only_a_person_can_mend_comes_with_the_remedy(
    x: FakeX, fault: Fault, remedy: str
) -> None:
    x.faults.append(fault)
    with pytest.raises(Unauthorized) as caught:
        connect(x).poll("direct_messages", None)
    assert remedy in caught.value.remedy


def test_a_wrong_clock_is_told_apart_from_a_wrong_token(x: FakeX) -> None:
    x.faults.append(told(401, {"title": "Unauthorized"}))
    options = XOptions.model_validate({"user_id": ME, "base_url": x.base_url, **KEYS})
    with pytest.raises(Unauthorized, match="clock"):
        X(options, keep=NoKeep(), now=lambda: NOW - timedelta(hours=2)).poll("mentions", None)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("html"),
        Fault("html_ok"),
        Fault("truncated"),
        Fault("cut"),
        Fault("cut_after"),
        Fault("status", status=404, body=b"no route"),
        Fault("status", status=302, headers={"Location": "https://elsewhere.example/"}),
        told(500, [{"errors": 7}]),
        told(503, {"errors": ["over capacity"]}),
        told(200, []),
        told(200, {}),
        told(200, {"data": [], "meta": "none"}),
        told(400, {"errors": [{"message": "id is wrong"}]}),
    ],
)
def test_anything_else_is_unavailable_and_tells_no_secret(x: FakeX, fault: Fault) -> None:
    x.post(NOW, "投诉")
    x.faults.append(fault)
    with pytest.raises(Unavailable) as caught:
        connect(x).poll("mentions", None)
    text = "".join(traceback.format_exception(caught.value))
    for secret in KEYS.values():
        assert secret not in text


def test_an_error_inside_an_answer_loses_nothing_else(x: FakeX) -> None:
    raw = {"id": str(sid(NOW)), "author_id": "710001", "text": "还在"}
    fault = told(
        200,
        {
            "data": [raw],
            "meta": {"result_count": 1},
            "errors": [{"resource_id": "5", "type": PROBLEM + "resource-not-found"}],
        },
    )
    x.faults.append(fault)
    page = connect(x).poll("mentions", None)
    assert [m.text for m in page.messages] == ["还在"]


def test_a_user_that_x_does_not_know_is_told_to_a_person(x: FakeX) -> None:
    error = {"resource_type": "user", "parameter": "id", "type": PROBLEM + "resource-not-found"}
    x.faults.append(told(200, {"errors": [error]}))
    with pytest.raises(Unauthorized, match="user_id"):
        connect(x).poll("mentions", None)


def test_check_says_who_we_are_and_what_is_not_allowed(x: FakeX) -> None:
    identity = connect(x).check()
    assert (identity.native_id, identity.name) == (ME, "艾克美")
    assert dict(identity.streams) == dict.fromkeys(
        ("mentions", "direct_messages", "own_posts"), "ok"
    )
    x.access = "read-write"
    assert "Direct message" in connect(x).check().streams["direct_messages"]
    with pytest.raises(Unauthorized, match="belongs to user"):
        connect(x, user_id="5").check()


def test_streams_can_be_chosen_and_options_are_checked(x: FakeX) -> None:
    assert connect(x, streams="mentions, own_posts").streams == ("mentions", "own_posts")
    assert connect(x, streams=["direct_messages"]).streams == ("direct_messages",)
    for wrong in ({"streams": "everything"}, {"user_id": "@acme"}, {"budget": "5"}):
        with pytest.raises(ValidationError) as caught:
            connect(x, **wrong)
        assert KEYS["consumer_secret"] not in str(caught.value)
    options = XOptions.model_validate({"user_id": ME, **KEYS})
    assert isinstance(options.access_token, SecretStr)
    assert "very-secret" not in repr(options)


def test_our_own_answers_come_back_as_outbound(x: FakeX) -> None:
    asked = x.post(NOW, "还没退款")
    x.post(
        NOW + timedelta(minutes=3),
        "@xiaoming_w 马上处理",
        author_id=ME,
        in_reply_to_user_id="710001",
        conversation_id=asked,
        referenced_tweets=[{"type": "replied_to", "id": asked}],
    )
    found, _ = walk(x, "own_posts", None)
    ours = found[-1]
    assert ours.direction is Direction.OUTBOUND
    assert (ours.reply_to, ours.root, ours.person) == (asked, asked, "710001")
