"""Walks over a Page: whatever Graph answers on the way, nothing is skipped, and no token is shown."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from aggregator.errors import Unauthorized, Unavailable
from aggregator.model import Direction, Message
from aggregator.sandbox.base import Fault
from tests.connectors.facebook_fake import NOW, PAGE, FakeGraph, connect, go, ids, walk, wire


@pytest.fixture
def graph() -> Iterator[FakeGraph]:
    server = FakeGraph()
    server.start()
    yield server
    server.stop()


def test_posts_of_others_are_read_and_our_own_are_not(graph: FakeGraph) -> None:
    graph.post(NOW - timedelta(days=1), "新店开幕", ours=True)
    visitor = graph.post(NOW - timedelta(hours=1), "没有人接电话")
    tagged = graph.post(NOW - timedelta(minutes=5), "@Acme 差评", edge="tagged")
    found, cursor = walk(graph, "posts", None)
    assert ids(found) == {visitor, tagged}
    new = graph.post(NOW, "还是没有人接")
    found, _ = walk(graph, "posts", cursor)
    assert new in ids(found)


@pytest.mark.parametrize("stream", ["posts", "comments", "reviews", "messages"])
def test_the_first_poll_only_draws_the_line_and_history_is_read_beside_it(
    graph: FakeGraph, stream: str
) -> None:
    roots = [graph.post(NOW - timedelta(days=n), f"公告 {n}", ours=True) for n in range(1, 9)]

    def say(at: datetime, n: int) -> str:
        if stream == "posts":
            return graph.post(at, f"投诉 {n}")
        if stream == "comments":
            return graph.comment(roots[n % 8], at, f"评论 {n}")
        if stream == "reviews":
            raw = {"id": f"r{n}", "created_time": wire(at), "review_text": "差"}
            graph.lists["ratings"].append({**raw, "open_graph_story": {"id": f"90{n}"}})
            return f"90{n}"
        return graph.letter(str(50 + n % 6), at, f"私信 {n}", n=n)

    old = {say(NOW - timedelta(hours=1 + n, minutes=7), n) for n in range(120)}
    graph.page_limit = 10
    before = len(graph.asked)
    first, cursor = go(graph, stream, None)
    asked = [request for request in graph.asked[before:] if not request.path.endswith("/me")]
    assert len(asked) <= 8  # not a walk through the past
    past: str | None = None
    history: list[Message] = []
    new: set[str] = set()
    got: set[str] = set()
    for n in range(300):  # both lanes, a page each
        if n % 40 == 0:
            graph.clock += timedelta(seconds=30)
            new.add(say(graph.clock, 200 + n))
        page = connect(graph).backfill(stream, past)
        history += page.messages
        past = page.cursor
        told = connect(graph).poll(stream, cursor)
        cursor = told.cursor
        got |= ids(list(told.messages))
        if not page.more and n > 200:
            break
    assert ids(history) >= old
    rest, _ = go(graph, stream, cursor)
    assert ids(first) | got | ids(rest) >= new


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
