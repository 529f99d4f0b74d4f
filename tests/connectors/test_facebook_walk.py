"""Walks over a Page: whatever Graph answers on the way, nothing is skipped, and no token is shown."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from aggregator.errors import RateLimited, Unauthorized, Unavailable
from aggregator.model import Direction, Message
from aggregator.sandbox.base import Answer, Fault, Request, Standin, answer
from connectors.facebook import Facebook, FacebookOptions
from connectors.registry import connector_class

NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
PAGE = "104000000000777"
TOKEN = "EAABsbCS1iHgBOZCpage0token0never0shown"
SECRET = "c0ffee0app0secret"
ORDER = {"feed": "made", "tagged": "tagged_time", "ratings": "created_time"}


def wire(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S+0000")


class FakeGraph(Standin):
    """A Page in memory: lists newest first, positions that name an entry, `next` URLs with the token."""

    def __init__(self) -> None:
        super().__init__(lambda: self.clock)
        self.clock = NOW
        self.lists: dict[str, list[dict[str, Any]]] = {
            "feed": [],
            "tagged": [],
            "ratings": [],
            "conversations": [],
        }
        self.comments: dict[str, list[dict[str, Any]]] = {}
        self.threads: dict[str, list[dict[str, Any]]] = {}
        self.page_limit = 100
        self.inside_limit = 20
        self.empty_pages = False
        self.dead_positions = 0
        self.refused: dict[str, tuple[int, str]] = {}
        self.me = PAGE
        self.asked: list[Request] = []
        self.on_conversations: Callable[[], None] | None = None
        self.route("GET", r"/v26\.0/me", lambda r, _: answer({"id": self.me, "name": "Acme 香港"}))
        self.route("GET", r"/v26\.0/debug_token", self._debug)
        self.route("GET", r"/v26\.0/([^/]+)/(\w+)", self._edge)

    def handle(self, request: Request) -> Answer:
        self.asked.append(request)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return error(190, "Malformed access token " + TOKEN)
        proof = hmac.digest(SECRET.encode(), TOKEN.encode(), hashlib.sha256).hex()
        if request.query.get("appsecret_proof") != proof:
            return error(100, "API calls from the server require an appsecret_proof argument")
        return super().handle(request)

    def post(self, at: datetime, text: str, *, ours: bool = False, edge: str = "feed") -> str:
        number = int(at.timestamp())
        post_id = f"{PAGE}_{number}" if edge == "feed" else f"7100000000000009_{number}"
        who = {"id": PAGE, "name": "Acme 香港"} if ours else {"id": "71", "name": "陈美玲"}
        raw = {
            "id": post_id,
            "from": who,
            "message": text,
            "created_time": wire(at),
            "made": wire(at),
        }
        self.lists[edge].append({**raw, "updated_time": wire(at), "tagged_time": wire(at)})
        return post_id

    def comment(
        self, post_id: str, at: datetime, text: str, *, moves: bool = True, n: int = 0
    ) -> str:
        native_id = f"{post_id.split('_')[-1]}_{int(at.timestamp())}{n}"
        made = {"id": native_id, "from": {"id": "72", "name": "Omar"}, "message": text}
        self.comments.setdefault(post_id, []).append({**made, "created_time": wire(at)})
        for raw in [*self.lists["feed"], *self.lists["tagged"]]:
            if raw["id"] == post_id and moves:
                raw["updated_time"] = wire(at)
        return native_id

    def letter(self, person: str, at: datetime, text: str, n: int = 0) -> str:
        native_id = f"{person}-{int(at.timestamp())}-{n}"
        thread_id = f"t_{person}"
        raw = {"id": f"m_{native_id}", "from": {"id": person, "name": "由纪"}, "message": text}
        self.threads.setdefault(thread_id, []).append({**raw, "created_time": wire(at)})
        self.lists["conversations"] = [
            one for one in self.lists["conversations"] if one["id"] != thread_id
        ]
        people = {"data": [{"id": person, "name": "由纪"}, {"id": PAGE, "name": "Acme 香港"}]}
        self.lists["conversations"].append(
            {"id": thread_id, "updated_time": wire(at), "participants": people, "link": "/inbox/1"}
        )
        return native_id

    def _debug(self, request: Request, _: Any) -> Answer:
        assert request.query["input_token"] == TOKEN
        ends = int((NOW + timedelta(days=50)).timestamp())
        return answer({"data": {"is_valid": True, "expires_at": 0, "data_access_expires_at": ends}})

    def _edge(self, request: Request, match: Any) -> Answer:
        of, edge = match.groups()
        for key in (edge, f"{of}/{edge}"):
            if key in self.refused:
                return error(*self.refused[key])
        if self.dead_positions and "after" in request.query:
            self.dead_positions -= 1
            return error(100, "(#100) Invalid cursor: the object was deleted")
        if edge == "comments":
            assert request.query["filter"] == "stream"
            assert request.query["order"] == "reverse_chronological"
            rows, time = self.comments.get(of, []), "created_time"
        elif edge == "messages":
            rows, time = self.threads[of], "created_time"
        elif edge == "conversations":
            rows, time = self.lists[edge], "updated_time"
        else:
            rows, time = self.lists[edge], ORDER[edge]
        listed = self._list(rows, time, request, int(request.query["limit"]))
        if edge == "conversations":
            _, _, wanted = request.query["fields"].partition("messages.limit(")
            inside = int(wanted.split(")")[0] or 1)
            for row in listed["data"]:
                row["messages"] = self._list(
                    self.threads[row["id"]],
                    "created_time",
                    Request("GET", f"/v26.0/{row['id']}/messages", {}, "", {}, b"", ""),
                    min(inside, self.inside_limit),
                )
            if self.on_conversations is not None:
                hook, self.on_conversations = self.on_conversations, None
                hook()
        return answer(listed)

    def _list(
        self, rows: list[dict[str, Any]], time: str, request: Request, limit: int
    ) -> dict[str, Any]:
        rows = sorted(rows, key=lambda raw: (raw.get(time, ""), raw["id"]), reverse=True)
        after, was_empty = "", False
        if "after" in request.query:
            after, was_empty = json.loads(base64.urlsafe_b64decode(request.query["after"]))
            rows = [raw for raw in rows if raw.get(time, "") + "|" + raw["id"] < after]
        size = 0 if self.empty_pages and not was_empty else min(limit, self.page_limit)
        shown = [dict(raw) for raw in rows[:size]]
        told: dict[str, Any] = {"data": shown}
        if len(rows) > size:
            last = shown[-1].get(time, "") + "|" + shown[-1]["id"] if shown else after or "~"
            position = base64.urlsafe_b64encode(json.dumps([last, size == 0]).encode()).decode()
            told["paging"] = {
                "cursors": {"before": "QVFI", "after": position},
                "next": f"https://graph.facebook.com{request.path}?access_token={TOKEN}"
                f"&limit={limit}&after={position.replace('=', '%3D')}",
            }
        elif shown:
            told["paging"] = {"cursors": {"before": "QVFI", "after": "QVFJ"}}
        return told


def error(code: int, message: str, subcode: int | None = None, status: int = 400) -> Answer:
    told = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "Abc"}
    return answer({"error": told | ({"error_subcode": subcode} if subcode else {})}, status)


def fault(given: Answer, **more: Any) -> Fault:
    return Fault("status", status=given.status, body=given.body, headers=given.headers, **more)


@pytest.fixture
def graph() -> Iterator[FakeGraph]:
    server = FakeGraph()
    server.start()
    yield server
    server.stop()


class NoKeep:
    def get(self, key: str) -> str | None:
        return None

    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        return True


def connect(graph: FakeGraph, **more: Any) -> Facebook:
    given = {
        "page_id": PAGE,
        "access_token": TOKEN,
        "app_secret": SECRET,
        "base_url": graph.base_url,
    }
    options = FacebookOptions.model_validate({**given, **more})
    return Facebook(options, keep=NoKeep(), now=lambda: graph.clock)


def walk(
    graph: FakeGraph, stream: str, cursor: str | None, limit: int = 200
) -> tuple[list[Message], str | None]:
    """Poll until there is no more; every poll by a new connector, as after a restart."""
    found: list[Message] = []
    for _ in range(limit):
        page = connect(graph).poll(stream, cursor)
        found += page.messages
        cursor = page.cursor
        assert cursor is not None
        assert TOKEN not in cursor
        if not page.more:
            return found, cursor
    raise AssertionError("the walk does not end")


def ids(found: list[Message]) -> set[str]:
    return {message.native_id for message in found}


def test_the_registry_has_facebook() -> None:
    assert connector_class("facebook") is Facebook
    assert Facebook.options is FacebookOptions


def test_the_token_is_in_no_url_and_every_call_has_its_proof(graph: FakeGraph) -> None:
    for stream in Facebook.streams:
        walk(graph, stream, None)
    assert len(graph.asked) > 5
    for request in graph.asked:
        assert TOKEN not in request.raw_query
        assert "access_token" not in request.query
        assert request.path.startswith("/v26.0/")


def test_posts_of_others_are_read_and_our_own_are_not(graph: FakeGraph) -> None:
    graph.post(NOW - timedelta(days=1), "新店开幕", ours=True)
    visitor = graph.post(NOW - timedelta(hours=1), "没有人接电话")
    tagged = graph.post(NOW - timedelta(minutes=5), "@Acme 差评", edge="tagged")
    found, cursor = walk(graph, "posts", None)
    assert ids(found) == {visitor, tagged}
    new = graph.post(NOW, "还是没有人接")
    found, _ = walk(graph, "posts", cursor)
    assert new in ids(found)


@pytest.mark.parametrize("empty", [False, True])
def test_lists_end_only_where_next_is_absent(graph: FakeGraph, empty: bool) -> None:
    graph.empty_pages, graph.page_limit = empty, 2
    every = {graph.post(NOW - timedelta(minutes=i), f"投诉 {i}") for i in range(9)}
    found, _ = walk(graph, "posts", None)
    assert ids(found) == every


def test_a_walk_goes_on_where_it_stopped(graph: FakeGraph) -> None:
    graph.post(NOW - timedelta(hours=2), "旧")
    _, cursor = walk(graph, "posts", None)
    graph.page_limit = 2
    new = {graph.post(NOW - timedelta(minutes=i), f"新 {i}") for i in range(7)}
    page = connect(graph).poll("posts", cursor)
    assert page.more
    graph.faults.append(Fault("html", path="/v26.0/104"))
    with pytest.raises(Unavailable):
        connect(graph).poll("posts", page.cursor)
    newest = graph.post(NOW + timedelta(seconds=30), "翻页时来的")
    rest, cursor = walk(graph, "posts", page.cursor)
    assert ids([*page.messages, *rest]) >= new
    later, _ = walk(graph, "posts", cursor)
    assert newest in ids(later)


@pytest.mark.parametrize("stream", ["posts", "comments", "messages"])
def test_what_shows_up_late_is_found_by_the_overlap(graph: FakeGraph, stream: str) -> None:
    root = graph.post(NOW - timedelta(minutes=30), "公告", ours=True)

    def say(at: datetime) -> str:
        if stream == "posts":
            return graph.post(at, "投诉")
        return (
            graph.comment(root, at, "投诉")
            if stream == "comments"
            else graph.letter("52", at, "诉")
        )

    say(NOW)
    _, cursor = walk(graph, stream, None)
    late = say(NOW - timedelta(minutes=9))
    graph.page_limit = graph.inside_limit = 1
    found, _ = walk(graph, stream, cursor)
    assert late in ids(found)


def test_a_dead_position_begins_the_list_again(graph: FakeGraph) -> None:
    graph.page_limit = 3
    every = {graph.post(NOW - timedelta(minutes=i), f"投诉 {i}") for i in range(8)}
    page = connect(graph).poll("posts", None)
    graph.dead_positions = 1
    again = connect(graph).poll("posts", page.cursor)
    assert again.messages == ()
    assert not again.more
    found, _ = walk(graph, "posts", again.cursor)
    assert ids(found) == every


def test_one_odd_old_time_ends_no_walk(graph: FakeGraph) -> None:
    graph.post(NOW - timedelta(days=1), "旧")
    _, cursor = walk(graph, "posts", None)
    graph.page_limit = 4
    new = {graph.post(NOW - timedelta(minutes=i), f"新 {i}") for i in range(9)}
    graph.lists["feed"][3]["created_time"] = "1970-01-02T00:00:00+0000"
    graph.lists["feed"][5]["created_time"] = None
    found, _ = walk(graph, "posts", cursor)
    assert ids(found) >= new


def test_a_time_from_the_future_is_no_watermark(graph: FakeGraph) -> None:
    future = graph.post(datetime(2099, 1, 1, tzinfo=UTC), "来自未来")
    found, cursor = walk(graph, "posts", None)
    assert ids(found) == {future}
    graph.page_limit = 2
    today = {graph.post(NOW - timedelta(minutes=i), f"今天 {i}") for i in range(5)}
    found, _ = walk(graph, "posts", cursor)
    assert ids(found) >= today


def test_what_a_page_may_not_list_does_not_stop_the_rest(graph: FakeGraph) -> None:
    graph.refused["tagged"] = (200, "(#200) Missing permission")
    graph.refused["ratings"] = (100, "(#100) Tried accessing nonexisting field (ratings)")
    post = graph.post(NOW, "还能读到")
    comment = graph.comment(post, NOW, "这也能")
    assert ids(walk(graph, "posts", None)[0]) == {post}
    assert ids(walk(graph, "comments", None)[0]) == {comment}
    with pytest.raises(Unavailable):
        walk(graph, "reviews", None)
    told = connect(graph).check().streams
    assert told["posts"] == told["messages"] == "ok"
    assert "100" in told["reviews"]


@pytest.mark.parametrize("empty", [False, True])
def test_comments_are_found_on_new_and_on_old_posts(graph: FakeGraph, empty: bool) -> None:
    graph.empty_pages = empty
    old = graph.post(NOW - timedelta(days=60), "两个月前的", ours=True)
    new = graph.post(NOW - timedelta(hours=5), "今天的", ours=True)
    first = graph.comment(new, NOW - timedelta(hours=4), "好评")
    found, cursor = walk(graph, "comments", None)
    assert ids(found) == {first}
    assert found[0].root == new

    late = graph.comment(old, NOW, "买了两个月就坏了")
    found, cursor = walk(graph, "comments", cursor)
    assert late in ids(found)

    silent = graph.comment(new, NOW, "回复没有更新时间", moves=False)
    seen: set[str] = set()
    for _ in range(3):
        found, cursor = walk(graph, "comments", cursor)
        seen |= ids(found)
    assert silent in seen


def test_a_quiet_page_is_asked_little(graph: FakeGraph) -> None:
    for i in range(40):
        graph.post(NOW - timedelta(hours=3 + i), f"旧帖 {i}", ours=True)
    _, cursor = walk(graph, "comments", None)
    before = len(graph.asked)
    page = connect(graph).poll("comments", cursor)
    while page.more:
        page = connect(graph).poll("comments", page.cursor)
    edges = [request for request in graph.asked[before:] if not request.path.endswith("/me")]
    assert len(edges) == 4  # the list of posts, and three posts in rotation


def test_a_burst_of_comments_is_read_to_the_end(graph: FakeGraph) -> None:
    post = graph.post(NOW - timedelta(days=2), "抽奖", ours=True)
    _, cursor = walk(graph, "comments", None)
    graph.page_limit = 50
    for i in range(900):
        graph.comment(post, NOW - timedelta(minutes=20) + timedelta(seconds=i), f"第 {i} 条")
    found, _ = walk(graph, "comments", cursor)
    assert len(ids(found)) == 900


def test_more_comments_than_a_first_walk_takes_are_read_on_a_later_post(graph: FakeGraph) -> None:
    _, cursor = walk(graph, "comments", None)
    post = graph.post(NOW, "爆了", ours=True)
    for i in range(700):
        graph.comment(post, NOW + timedelta(seconds=i), f"第 {i} 条")
    graph.clock = NOW + timedelta(seconds=701)
    found, _ = walk(graph, "comments", cursor)
    assert len(ids(found)) == 700


def test_posts_that_may_not_be_read_do_not_hide_the_others(graph: FakeGraph) -> None:
    ours = graph.post(NOW - timedelta(hours=1), "我们的", ours=True)
    other = graph.post(NOW, "别人的", edge="tagged")
    gone = graph.post(NOW - timedelta(minutes=3), "删掉的", ours=True)
    graph.refused[f"{other}/comments"] = (10, "(#10) Application does not have permission")
    graph.refused[f"{gone}/comments"] = (100, "Object does not exist")
    comment = graph.comment(ours, NOW, "看得到")
    found, cursor = walk(graph, "comments", None)
    assert ids(found) == {comment}
    graph.refused["comments"] = (10, "(#10) requires pages_read_user_content")
    with pytest.raises(Unauthorized, match="pages_read_user_content"):
        for _ in range(9):
            _, cursor = walk(graph, "comments", cursor)
    graph.refused.clear()
    more = graph.comment(ours, NOW, "又看得到", n=1)
    assert more in ids(walk(graph, "comments", cursor)[0])


def test_comments_under_a_reviews_story_are_read(graph: FakeGraph) -> None:
    graph.lists["ratings"].append(
        {
            "id": "r",
            "created_time": wire(NOW),
            "review_text": "很差",
            "open_graph_story": {"id": "9048011"},
        }
    )
    graph.comments["9048011"] = [
        {"id": "9048011_5", "from": {"id": PAGE}, "message": "抱歉", "created_time": wire(NOW)}
    ]
    (review,), _ = walk(graph, "reviews", None)
    (ours,), _ = walk(graph, "comments", None)
    assert ours.direction is Direction.OUTBOUND
    assert ours.root == ours.reply_to == review.native_id


def test_threads_are_read_until_what_is_known(graph: FakeGraph) -> None:
    first = graph.letter("52", NOW - timedelta(hours=3), "在吗")
    found, cursor = walk(graph, "messages", None)
    assert ids(found) == {first}
    assert found[0].person == "52"
    assert found[0].url == "https://www.facebook.com/inbox/1"
    before = len(graph.asked)
    new = graph.letter("53", NOW, "退款呢")
    found, _ = walk(graph, "messages", cursor)
    assert new in ids(found)
    assert len([r for r in graph.asked[before:] if "conversations" in r.path]) == 1


def test_a_long_thread_is_read_past_what_came_with_it(graph: FakeGraph) -> None:
    graph.letter("52", NOW - timedelta(hours=3), "很久以前")
    _, cursor = walk(graph, "messages", None)
    new = {graph.letter("52", NOW + timedelta(seconds=i), f"第 {i} 句") for i in range(130)}
    graph.page_limit = 40
    found, _ = walk(graph, "messages", cursor)
    assert ids(found) >= new


def test_a_thread_that_moves_to_the_top_while_the_list_is_paged_loses_nothing(
    graph: FakeGraph,
) -> None:
    graph.letter("60", NOW - timedelta(days=2), "旧")
    _, cursor = walk(graph, "messages", None)
    graph.inside_limit = 1
    every = set()
    for i in range(6):
        at = NOW - timedelta(hours=20 - i)
        every |= {graph.letter(f"{70 + i}", at, "早", n=n) for n in range(7)}
    graph.page_limit = 2

    def moves() -> None:  # the oldest thread, not read yet, gets one more message
        every.add(graph.letter("70", NOW, "还在吗"))

    graph.on_conversations = moves
    found, cursor = walk(graph, "messages", cursor)
    more, _ = walk(graph, "messages", cursor)
    assert ids(found) | ids(more) >= every


def test_facebook_is_asked_for_less_when_it_says_so(graph: FakeGraph) -> None:
    connector = connect(graph)
    heavy = error(1, "Please reduce the amount of data you're asking for, then retry", status=500)
    graph.letter("52", NOW, "在吗")
    graph.faults.append(fault(heavy, path=f"/v26.0/{PAGE}/conversations"))
    with pytest.raises(Unavailable):
        connector.poll("messages", None)
    assert connector.poll("messages", None).messages
    asked = [request.query for request in graph.asked if "conversations" in request.path]
    assert asked[-1]["limit"] == "12"
    assert "messages.limit(2)" in asked[-1]["fields"]


def test_a_cursor_that_cannot_be_read_means_all_over_again(graph: FakeGraph) -> None:
    post = graph.post(NOW, "还在")
    graph.comment(post, NOW, "还在")
    graph.letter("52", NOW, "还在")
    for stream in ("posts", "comments", "messages"):
        for broken in ("", "{", "[]", "7", "{}", '{"high":7,"walk":{"x":1},"todo":[],"posts":[]}'):
            assert len(walk(graph, stream, broken)[0]) == 1


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_whatever_goes_wrong(graph: FakeGraph, seed: int) -> None:
    chance = random.Random(seed)
    streams = ("posts", "comments", "messages")
    made: dict[str, set[str]] = {stream: set() for stream in streams}
    got: dict[str, set[str]] = {stream: set() for stream in streams}
    cursors: dict[str, str | None] = dict.fromkeys(streams)
    roots = [graph.post(NOW - timedelta(days=n), f"公告 {n}", ours=True) for n in range(3)]
    for step in range(70):
        graph.clock = NOW + timedelta(seconds=20 * step)
        if chance.random() < 0.3:
            made["posts"].add(graph.post(graph.clock, f"提及 {step}"))
        for n in range(chance.choice((0, 1, 4))):
            root = chance.choice(roots)
            made["comments"].add(graph.comment(root, graph.clock, f"评论 {step}", n=n))
            person = str(chance.randrange(50, 58))
            made["messages"].add(graph.letter(person, graph.clock, f"私信 {step}", n=n))
        graph.page_limit = chance.choice((2, 5, 100))
        graph.inside_limit = chance.choice((1, 20))
        graph.empty_pages = chance.random() < 0.1
        graph.dead_positions = chance.random() < 0.1
        if chance.random() < 0.3:
            kind = chance.choice(("html", "html_ok", "truncated", "cut", "cut_after", "status"))
            graph.faults.append(Fault(kind, status=chance.choice((429, 500, 503))))
        for stream in streams:
            for _ in range(3):
                try:
                    page = connect(graph).poll(stream, cursors[stream])
                except Unavailable:
                    break
                cursors[stream] = page.cursor
                got[stream] |= ids(list(page.messages))
    graph.faults.clear()
    graph.dead_positions, graph.page_limit, graph.empty_pages = 0, 100, False
    for stream in streams:
        for _ in range(4):
            found, cursors[stream] = walk(graph, stream, cursors[stream])
            got[stream] |= ids(found)
        assert got[stream] == made[stream]


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (error(4, "Application request limit reached"), 60),
        (error(17, "User request limit reached"), 60),
        (error(32, "Page request limit reached"), 60),
        (error(613, "Calls to this api have exceeded the rate limit"), 5),
        (error(80001, "There have been too many calls to this Page"), 60),
        (Answer(b"slow down", 429), 60),
    ],
)
def test_a_limit_is_waited_for_in_minutes_where_the_header_tells(
    graph: FakeGraph, given: Answer, seconds: float
) -> None:
    use = {"type": "pages", "call_count": 104, "estimated_time_to_regain_access": 7}
    for headers, wait in (
        ({}, seconds),
        ({"X-Business-Use-Case-Usage": json.dumps({PAGE: [use]})}, 420),
        ({"X-Business-Use-Case-Usage": '{"1": [null, 7, {"type": []}]}'}, seconds),
        ({"X-Business-Use-Case-Usage": "none"}, seconds),
    ):
        told = Answer(given.body, given.status, headers)
        graph.faults.append(fault(told, path="/v26.0/104"))
        with pytest.raises(RateLimited) as caught:
            connect(graph).poll("posts", None)
        assert caught.value.retry_after_s == wait


@pytest.mark.parametrize(
    ("code", "subcode", "remedy"),
    [
        (190, None, "Page access token"),
        (190, 458, "removed the app"),
        (190, 459, "log in"),
        (190, 460, "password"),
        (190, 463, "expired"),
        (190, 464, "not confirmed"),
        (190, 467, "no longer valid"),
        (190, 492, "restore it"),
        (102, None, "Page access token"),
        (2500, None, "Page access token"),
        (1705, None, "Page access token"),
        (10, None, "pages_messaging"),
        (283, None, "pages_messaging"),
        (368, None, "Page quality"),
    ],
)
def test_what_only_a_person_can_mend_comes_with_the_remedy(
    graph: FakeGraph, code: int, subcode: int | None, remedy: str
) -> None:
    given = error(code, f"Malformed access token {TOKEN}", subcode)
    graph.faults.append(fault(given, path=f"/v26.0/{PAGE}/conversations"))
    with pytest.raises(Unauthorized) as caught:
        connect(graph).poll("messages", None)
    assert remedy in caught.value.remedy
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "trouble",
    [
        Fault("html"),
        Fault("html_ok"),
        Fault("truncated"),
        Fault("cut"),
        Fault("cut_after"),
        Fault("status", status=500, body=b'{"data": []}'),
        Fault("status", status=302, headers={"Location": "https://elsewhere.example/"}),
        Fault("status", status=200, body=b"[]"),
        Fault("status", status=200, body=b"{}"),
        Fault("status", status=200, body=b'{"data": {"id": 1}}'),
        Fault("status", status=200, body=b'{"error": "?"}'),
        Fault("status", status=200, body=b'{"data": [], "paging": {"next": "http://[::1"}}'),
        fault(error(1, "An unknown error occurred")),
        fault(error(2, "Service temporarily unavailable", status=503)),
        fault(error(99999, "Something new")),
        fault(error(100, "(#100) Unsupported get request")),
    ],
)
def test_anything_else_is_unavailable_and_tells_no_secret(graph: FakeGraph, trouble: Fault) -> None:
    graph.post(NOW, "投诉")
    trouble.path, trouble.times = f"/v26.0/{PAGE}/feed", 1
    graph.faults.append(trouble)
    with pytest.raises(Unavailable) as caught:
        connect(graph).poll("posts", None)
    text = "".join(traceback.format_exception(caught.value))
    assert TOKEN not in text
    assert SECRET not in text


def test_a_users_token_and_a_wrong_secret_are_told_before_anything_is_read(
    graph: FakeGraph,
) -> None:
    graph.me = "7100000000000001"
    for stream in Facebook.streams:
        with pytest.raises(Unauthorized, match="me/accounts"):
            connect(graph).poll(stream, None)
    with pytest.raises(Unauthorized, match="app_secret"):
        connect(graph, app_secret="wrong").check()
    with pytest.raises(Unauthorized) as caught:
        connect(graph, access_token=TOKEN + "x").check()
    assert TOKEN not in str(caught.value)


def test_check_says_who_we_are_and_how_long_the_token_lasts(graph: FakeGraph) -> None:
    identity = connect(graph).check()
    assert (identity.native_id, identity.name) == (PAGE, "Acme 香港")
    assert dict(identity.streams) == dict.fromkeys(Facebook.streams, "ok")
    assert identity.token_expires_at == NOW + timedelta(days=50)
    assert identity.note is None
    graph.refused["conversations"] = (10, "(#10) no pages_messaging")
    assert "pages_messaging" in connect(graph).check().streams["messages"]


def test_options_are_checked_and_show_no_secret(graph: FakeGraph) -> None:
    assert connect(graph, graph_version="25.0")._graph.version == "v25.0"
    for wrong in ({"page_id": "acme"}, {"graph_version": "newest"}, {"verify": "1"}):
        with pytest.raises(ValidationError) as caught:
            connect(graph, **wrong)
        assert TOKEN not in str(caught.value)
    options = FacebookOptions.model_validate({"page_id": PAGE, "access_token": TOKEN})
    assert TOKEN not in repr(options)
