"""Comments under articles, against the stand-in: the watched ones, the walk, our answers inside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from aggregator.errors import RateLimited, Rejected, Unavailable
from aggregator.model import Direction, Kind, Message
from connectors.payload import joined
from connectors.registry import connector_class
from connectors.wechat import WeChatOptions
from connectors.wechat.articles import Article
from connectors.wechat.comment import read
from connectors.wechat.events import published
from tests.connectors.loopback import MemoryKeep
from tests.connectors.test_wechat_sandbox import world

LIST = "/cgi-bin/comment/list"


@contextmanager
def watching(*articles: str) -> Iterator[tuple[Any, Any, Any]]:
    with world("wechat") as (there, daemon, now):
        kind = connector_class("wechat")
        options = kind.options(**there.options(), articles=articles)
        daemon.account = kind(options, keep=MemoryKeep(), now=now)
        yield there, daemon, now
        assert there.errors == []


def listed(there: Any) -> int:
    return sum(1 for _, path in there.calls if path == LIST)


def walk(daemon: Any) -> list[Message]:
    found: list[Message] = []
    for _ in range(200):
        page = daemon.account.poll("comments", daemon.cursors.get("comments"))
        found += page.messages
        daemon.cursors["comments"] = page.cursor
        if not page.more:
            return found
    raise AssertionError("the walk does not end")


def test_without_articles_nothing_is_asked() -> None:
    with watching() as (there, daemon, _):
        assert walk(daemon) == []
        assert listed(there) == 0
        assert daemon.account.check().streams["comments"] == "ok"


def test_a_comment_and_our_answer_inside_it_stand_under_the_article() -> None:
    with watching("2247480001") as (there, daemon, now):
        article = (2247480001, 0)
        there.comments.publish(*article)
        there.comments.write(article, "oLumo7", now(), "客服电话打不通 😡")
        there.comments.write(article, None, now() + timedelta(seconds=1), "同问")
        there.comments.answered(article, 0, now() + timedelta(minutes=5), "已经私信您")
        by_id = {one.native_id: one for one in walk(daemon)}
    first = by_id["2247480001/0/0"]
    assert (first.kind, first.direction, first.person) == (
        Kind.COMMENT,
        Direction.INBOUND,
        "oLumo7",
    )
    assert (first.text, first.root, first.marks) == ("客服电话打不通 😡", "2247480001/0", ())
    assert by_id["2247480001/0/1"].marks == ("author.missing",)
    (ours,) = [one for one in by_id.values() if one.direction is Direction.OUTBOUND]
    assert (ours.text, ours.reply_to, ours.root) == (
        "已经私信您",
        first.native_id,
        "2247480001/0",
    )
    assert (ours.person, ours.sent_at) == ("oLumo7", now() + timedelta(minutes=5))
    assert len({one.key for one in by_id.values()}) == 3


@pytest.mark.parametrize("short_every", [0, 2])
def test_all_pages_are_read_with_less_than_fifty_a_page_also_where_they_come_short(
    short_every: int,
) -> None:
    with watching("2247480001") as (there, daemon, now):
        article = (2247480001, 0)
        there.comments.publish(*article)
        there.comments.short_every = short_every
        for number in range(120):
            there.comments.write(article, f"o{number}", now(), f"第 {number} 条留言")
        found = walk(daemon)
        assert {one.native_id for one in found} == {f"2247480001/0/{n}" for n in range(120)}
        assert listed(there) == 3


def test_a_round_begins_ten_minutes_after_the_last_and_reads_on_only_where_something_moved() -> (
    None
):
    with watching("2247480001") as (there, daemon, now):
        article = (2247480001, 0)
        there.comments.publish(*article)
        for number in range(60):
            there.comments.write(article, f"o{number}", now(), f"{number}")
        assert len(walk(daemon)) == 60
        now.on(minutes=9)
        assert (walk(daemon), listed(there)) == ([], 2)
        now.on(minutes=1)
        assert len(walk(daemon)) == 49  # the newest page only: nothing has come
        there.comments.write(article, "o60", now(), "新的")
        now.on(minutes=10)
        assert len(walk(daemon)) == 61
        there.comments.answered(article, 0, now(), "谢谢")  # the oldest: no number moves
        now.on(minutes=10)
        assert len(walk(daemon)) == 49
        now.on(minutes=50)
        assert [one.text for one in walk(daemon) if one.direction is Direction.OUTBOUND] == ["谢谢"]


def test_an_article_that_goes_out_is_learnt_and_its_comments_are_asked_for_at_once() -> None:
    with watching() as (there, daemon, now):
        number = there.publish(now(), articles=2)
        there.caller.settle()
        (stored,) = [body for _, body in daemon.stored]
        page = daemon.account.read([stored])
        assert (page.messages, page.wake) == ((), ("comments",))
        there.comments.write((number, 1), "o1", now(), "第二篇写得好")
        assert [one.root for one in walk(daemon)] == [f"{number}/1"]
        now.on(days=31)
        daemon.cursors.clear()
        calls = listed(there)
        assert walk(daemon) == []
        assert listed(there) == calls  # after a month nobody looks any more


def test_an_article_that_is_gone_is_forgotten_and_stops_no_other() -> None:
    with watching("2247480009", "2247480001/1") as (there, daemon, now):
        there.comments.publish(2247480001, 1)
        there.comments.write((2247480001, 1), "o1", now(), "在")
        daemon.account._watched.learn([Article("2247480077")])
        assert [one.text for one in walk(daemon)] == ["在"]
        assert [str(one) for one in daemon.account._watched.all()] == [
            "2247480009/0",
            "2247480001/1",
        ]


def test_an_account_without_comments_has_that_stream_denied_and_no_other() -> None:
    with watching("2247480001") as (there, daemon, _):
        there.comments.allowed = False
        with pytest.raises(Rejected, match="88000"):
            walk(daemon)
        streams = daemon.account.check().streams
    assert streams["comments"].startswith("denied: ")
    assert (streams["records"], streams["messages"]) == ("ok", "ok")


def test_a_used_up_day_is_asked_no_further_and_stops_no_other_stream() -> None:
    with watching("2247480001") as (there, daemon, now):
        there.comments.publish(2247480001)
        there.refuse(LIST, 45009)
        with pytest.raises(RateLimited) as caught:
            walk(daemon)
        assert caught.value.retry_after_s == 13 * 3600  # it is 11:00 in Beijing
        assert daemon.account.check().streams["comments"].startswith("quota: ")
        assert listed(there) == 1
        daemon.account.poll("records", None)
        now.on(hours=13)
        assert walk(daemon) == []


def test_a_walk_resumes_where_it_was_after_trouble() -> None:
    with watching("2247480001") as (there, daemon, now):
        there.comments.publish(2247480001)
        for number in range(100):
            there.comments.write((2247480001, 0), f"o{number}", now(), f"{number}")
        page = daemon.account.poll("comments", None)
        assert page.more
        there.fault("html_ok", path=LIST)
        with pytest.raises(Unavailable):
            daemon.account.poll("comments", page.cursor)
        daemon.cursors["comments"] = page.cursor
        assert len(walk(daemon)) == 51


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "[]", '{"left": 5}', '{"left": ["/"]}', '{"known": {"a": [1]}}', '{"after": 1e99}'],
)
def test_a_cursor_that_cannot_be_read_begins_anew(cursor: str) -> None:
    with watching("2247480001") as (there, daemon, now):
        there.comments.publish(2247480001)
        there.comments.write((2247480001, 0), "o1", now(), "在")
        daemon.cursors["comments"] = cursor
        assert [one.text for one in walk(daemon)] == ["在"]


@pytest.mark.parametrize(
    "item",
    [
        None,
        7,
        {},
        {"user_comment_id": "x", "reply": "none"},
        {"user_comment_id": 2**60, "reply": [None, 5, {"content": "好"}]},
        {"content": "坏\ud800字", "create_time": "soon", "reply": {"content": 5}},
    ],
)
def test_odd_comments_are_kept_and_marked(item: Any) -> None:
    first, *_ = read(item, Article("1"))
    again, *_ = read(item, Article("1"))
    assert first.native_id == again.native_id
    assert "time.missing" in first.marks
    assert json.dumps([first.text])


def test_a_list_of_answers_gives_each_its_own_id() -> None:
    item = {
        "user_comment_id": 3,
        "openid": "o1",
        "create_time": 1795229400,
        "content": "几号到？",
        "reply": [
            {"content": "明天", "create_time": 1795229500},
            {"content": "后天", "create_time": 1795229600},
        ],
    }
    assert [one.native_id for one in read(item, Article("9", 1))] == [
        "9/1/3",
        f"9/1/3/reply/{joined('明天')[:16]}",
        f"9/1/3/reply/{joined('后天')[:16]}",
    ]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2247480001, 2247480002/1", ("2247480001", "2247480002/1")),
        ([2247480001, "2247480002"], ("2247480001", "2247480002")),
        ("", ()),
    ],
)
def test_articles_are_a_list_or_one_line(given: Any, kept: tuple[str, ...]) -> None:
    options = WeChatOptions(app_id="wx1", app_secret="s", token="t", articles=given)  # type: ignore[arg-type]
    assert options.articles == kept


@pytest.mark.parametrize("given", ["文章", "12/x", "/1", [True], 7])
def test_what_is_no_article_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError):
        WeChatOptions(app_id="wx1", app_secret="s", token="t", articles=given)  # type: ignore[arg-type]


MASS = {
    "Event": "MASSSENDJOBFINISH",
    "MsgID": "1000001625",
    "Status": "send success",
    "ArticleUrlResult": {
        "Count": "2",
        "ResultList": {"item": [{"ArticleIdx": "1"}, {"ArticleIdx": "2"}]},
    },
}


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (MASS, ["1000001625/0", "1000001625/1"]),
        ({**MASS, "ArticleUrlResult": None}, ["1000001625/0"]),
        ({**MASS, "Status": "err(10001)"}, []),
        ({**MASS, "MsgID": "x"}, []),
        ({"Event": "FREEPUBLISHJOBFINISH", "PublishEventInfo": {"publish_status": "2"}}, []),
        ({"Event": "FREEPUBLISHJOBFINISH", "PublishEventInfo": []}, []),
        ({"Event": "VIEW"}, []),
    ],
)
def test_a_finished_job_names_its_articles(event: dict[str, Any], told: list[str]) -> None:
    assert [str(one) for one in published(event)] == told
