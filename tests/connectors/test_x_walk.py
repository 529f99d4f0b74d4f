"""Walks over X: whatever X answers on the way, nothing is skipped and nothing is asked in vain."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from aggregator.errors import Unavailable
from aggregator.model import Direction, Gap
from aggregator.sandbox.base import Fault
from tests.connectors.x_fake import ME, NOW, FakeX, begin, connect, history, sid, walk


@pytest.fixture
def x() -> Iterator[FakeX]:
    server = FakeX()
    server.start()
    yield server
    server.stop()


def test_the_first_poll_brings_what_is_new_and_the_backfill_what_was_before(x: FakeX) -> None:
    x.post(NOW - timedelta(days=40), "很久以前")
    old = x.post(NOW - timedelta(days=3), "三天前")
    new = x.post(NOW - timedelta(seconds=50), "刚才")
    found, cursor = walk(x, "mentions", None)
    assert [m.native_id for m in found] == [new]
    assert x.asked == [{**x.asked[0], "max_results": "5"}]
    assert not {"since_id", "start_time"} & set(x.asked[0])
    assert {m.native_id for m in history(x, "mentions")} == {old, new}

    newest = x.post(NOW, "刚刚")
    found, cursor = walk(x, "mentions", cursor)
    assert newest in [m.native_id for m in found]
    assert "start_time" not in x.asked[-1]
    assert x.asked[-1]["max_results"] == "20"
    assert int(x.asked[-1]["since_id"]) == int(new) - (120_000 << 22)


@pytest.mark.parametrize("stream", ["mentions", "own_posts", "direct_messages"])
def test_a_burst_before_the_first_poll_is_read_whole_and_no_older(x: FakeX, stream: str) -> None:
    make = x.direct if stream == "direct_messages" else x.post
    for i in range(9):
        make(NOW - timedelta(hours=1, minutes=i), f"历史 {i}")
    new = [make(NOW - timedelta(seconds=4 * i), f"新的 {i}") for i in range(25)]
    found, cursor = walk(x, stream, None)
    assert {m.native_id for m in found} == set(new)
    later = make(NOW + timedelta(seconds=1), "更新的")
    found, _ = walk(x, stream, cursor)
    assert later in [m.native_id for m in found]
    assert not {m.native_id for m in found} - {*new, later}


def test_nothing_is_lost_where_nothing_was_new_at_the_first_poll(x: FakeX) -> None:
    x.post(NOW - timedelta(days=2), "旧")
    x.clock = NOW - timedelta(minutes=30)
    cursor = walk(x, "mentions", None)[1]
    x.clock = NOW
    assert walk(x, "mentions", cursor)[0] == []
    assert "since_id" not in x.asked[-1]  # a window, which costs nothing while it is empty
    new = x.post(NOW - timedelta(minutes=29), "新")
    assert [m.native_id for m in walk(x, "mentions", cursor)[0]] == [new]


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
    cursor = begin(x, "mentions")
    x.post(NOW - timedelta(hours=1), "旧")
    _, cursor = walk(x, "mentions", cursor)
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
    cursor = begin(x, "mentions")
    for i in range(6):
        x.post(NOW - timedelta(minutes=30 - i), f"旧 {i}")
    _, cursor = walk(x, "mentions", cursor)
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
    cursor = begin(x, "mentions")
    x.page_limit = 3
    new = [x.post(NOW - timedelta(minutes=i), f"投诉 {i}") for i in range(8)]
    page = connect(x).poll("mentions", cursor)
    x.dead_tokens = True
    rest, cursor = walk(x, "mentions", page.cursor)
    assert {m.native_id for m in (*page.messages, *rest)} == set(new)
    assert any("until_id" in query for query in x.asked)
    again, _ = walk(x, "mentions", cursor)
    assert max(int(m.native_id) for m in again) == int(new[0])


def test_a_since_id_that_is_too_old_becomes_a_window_from_the_same_time(x: FakeX) -> None:
    cursor = begin(x, "mentions")
    known = x.post(NOW - timedelta(minutes=90), "已知")
    _, cursor = walk(x, "mentions", cursor)
    x.oldest_since = sid(NOW + timedelta(days=13))
    x.clock = NOW + timedelta(days=20)
    x.page_limit = 2
    new = [x.post(NOW + timedelta(days=i), f"第 {i} 天") for i in (1, 12, 14, 16)]
    gaps: list[Gap] = []
    found, cursor = walk(x, "mentions", cursor, gaps=gaps)
    assert {m.native_id for m in found} == {known, *new}
    assert gaps == []  # X gave what it said it would not
    assert all("start_time" not in query for query in x.asked if "since_id" in query)
    after = x.post(x.clock, "恢复之后")
    found, _ = walk(x, "mentions", cursor)
    assert after in [m.native_id for m in found]


def test_what_x_gives_no_more_after_a_refused_since_id_is_a_gap(x: FakeX) -> None:
    cursor = begin(x, "mentions")
    x.post(NOW - timedelta(minutes=90), "已知")
    _, cursor = walk(x, "mentions", cursor)
    x.clock = NOW + timedelta(days=20)
    x.oldest_since = sid(NOW + timedelta(days=13))
    x.posts.clear()
    new = x.post(NOW + timedelta(days=16), "十六天后")
    gaps: list[Gap] = []
    found, cursor = walk(x, "mentions", cursor, gaps=gaps)
    assert [m.native_id for m in found] == [new]
    (gap,) = gaps
    assert (gap.since, gap.recoverable) == (NOW, False)
    assert gap.until == NOW + timedelta(days=13)
    assert walk(x, "mentions", cursor, gaps=gaps)[0] != []
    assert len(gaps) == 1  # told once


def test_an_id_from_the_future_is_kept_and_is_no_watermark(x: FakeX) -> None:
    future = x.post(datetime(2060, 1, 1, tzinfo=UTC), "来自未来")
    found, cursor = walk(x, "mentions", None)
    assert [m.native_id for m in found] == [future]
    today = x.post(NOW, "今天的投诉")
    found, _ = walk(x, "mentions", cursor)
    assert today in [m.native_id for m in found]


def test_history_ends_where_x_ends_and_is_read_on_after_a_restart(x: FakeX) -> None:
    for i in range(900):
        x.post(NOW - timedelta(minutes=i + 5), f"旧 {i}")
    assert walk(x, "mentions", None)[0] == []
    found = history(x, "mentions")
    assert len(found) == 800
    assert found[0].sent_at is not None
    assert found[-1].sent_at is not None
    assert found[0].sent_at > found[-1].sent_at  # the newest pages first
    assert len(history(x, "own_posts")) == 900
    assert all(
        query["exclude"] == "retweets" for query in x.asked if query.get("exclude") is not None
    )
    x.dead_tokens = True
    assert len({m.native_id for m in history(x, "mentions")}) >= 799


def test_history_of_direct_messages_is_the_month_that_x_keeps(x: FakeX) -> None:
    every = [x.direct(NOW - timedelta(hours=i + 1), f"信 {i}") for i in range(250)]
    assert walk(x, "direct_messages", None)[0] == []
    assert {m.native_id for m in history(x, "direct_messages")} == set(every)


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
    cursor = begin(x, "direct_messages")
    old = [x.direct(NOW - timedelta(minutes=20 + i), f"旧 {i}") for i in range(50)]
    found, cursor = walk(x, "direct_messages", cursor)
    assert {m.native_id for m in found} == set(old)
    assert [query["max_results"] for query in x.asked] == ["10", "100"]

    x.asked.clear()
    new = x.direct(NOW, "在吗？")
    found, cursor = walk(x, "direct_messages", cursor)
    assert new in [m.native_id for m in found]
    assert [query["max_results"] for query in x.asked] == ["60"]  # as busy as last time, and ten
    assert all("since_id" not in query for query in x.asked)

    x.asked.clear()
    burst = [x.direct(NOW + timedelta(seconds=i), f"急 {i}") for i in range(150)]
    found, _ = walk(x, "direct_messages", cursor)
    assert {m.native_id for m in found} >= set(burst)
    assert [query["max_results"] for query in x.asked] == ["22", "100", "100"]


def test_what_x_has_forgotten_of_the_direct_messages_is_a_gap(x: FakeX) -> None:
    cursor = begin(x, "direct_messages")
    x.direct(NOW - timedelta(minutes=20), "旧")
    _, cursor = walk(x, "direct_messages", cursor)
    x.clock = NOW + timedelta(days=45)
    x.events.clear()
    new = x.direct(x.clock - timedelta(days=1), "停机之后")
    gaps: list[Gap] = []
    found, cursor = walk(x, "direct_messages", cursor, gaps=gaps)
    assert [m.native_id for m in found] == [new]
    assert [(gap.since, gap.until, gap.recoverable) for gap in gaps] == [
        (NOW, NOW + timedelta(days=15), False)
    ]
    walk(x, "direct_messages", cursor, gaps=gaps)
    assert len(gaps) == 1


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
    cursor = begin(x, "direct_messages")
    every = [x.direct(NOW - timedelta(minutes=i), f"信 {i}") for i in range(12)]
    x.page_limit = 5
    page = connect(x).poll("direct_messages", cursor)
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
