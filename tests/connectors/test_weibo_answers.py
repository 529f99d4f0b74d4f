"""Answers on Weibo: where they go, how long they may be, what a refusal says, and looking before a second try."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from aggregator.errors import RateLimited, Rejected, Unavailable
from aggregator.model import Direction, Kind, Message, ReplyWindow
from aggregator.sandbox.base import Line
from connectors.base import Backfills, Replies
from connectors.weibo.replies import chinese
from tests.connectors.loopback import MemoryKeep
from tests.connectors.test_weibo_planner import LI, Day, day, reader


def play(today: Day, kind: str, label: str, text: str, **more: Any) -> str:
    who = None if kind == "own_post" else LI
    line = Line(0, "weibo", kind, label, who, text, **more)
    today.told[label] = today.weibo.play(line, today.clock(), today.told)
    return str(today.told[label].native_id)


def commented(today: Day, text: str = "买了三天就坏") -> Message:
    play(today, "own_post", "新品", "新品上市")
    wanted = play(today, "comment", "投诉", text, under="新品")
    today.tick()
    return today.found[wanted][0]


def mentioned(today: Day) -> Message:
    wanted = today.say()
    today.tick()
    return today.found[wanted][0]


def direct(today: Day, **more: Any) -> Message:
    them = str(today.weibo.member(LI).uid)
    given: dict[str, Any] = {"text": "在吗", "sent_at": today.clock(), "person": them}
    today.weibo.writes.heard[int(them)] = today.clock()
    return Message("d1", "weibo", Kind.DIRECT_MESSAGE, Direction.INBOUND, None, **(given | more))


def test_weibo_can_answer_and_read_history() -> None:
    with day() as today:
        assert isinstance(today.account, Replies)
        assert isinstance(today.account, Backfills)


def test_an_answer_to_a_comment_stands_under_it_and_is_ours_at_once() -> None:
    with day() as today:
        to = commented(today)
        sent = today.account.reply(to, "抱歉，请私信我们 <3", "k1")
        assert (sent.direction, sent.kind) == (Direction.OUTBOUND, Kind.COMMENT)
        assert (sent.reply_to, sent.root, sent.person) == (to.native_id, to.root, to.person)
        assert sent.text == "回复@李雷:抱歉，请私信我们 <3"
        (said,) = today.weibo.writes.wrote
        assert said.answers is not None
        assert str(said.answers.id) == to.native_id
        today.minutes(70)
        assert today.found[sent.native_id][0].key == sent.key


def test_an_answer_to_a_mention_is_a_comment_under_it() -> None:
    with day() as today:
        to = mentioned(today)
        sent = today.account.reply(to, "已经联系您", "k1")
        assert (sent.kind, sent.root, sent.reply_to) == (Kind.COMMENT, to.native_id, to.native_id)
        assert sent.marks == ()


def test_a_direct_message_is_answered_within_48_hours_and_not_after() -> None:
    with day() as today:
        to = direct(today)
        sent = today.account.reply(to, "您好，请说 & 别急", "k1")
        assert today.weibo.writes.sent == [(int(to.person or 0), "您好，请说 & 别急")]
        assert (sent.direction, sent.person) == (Direction.OUTBOUND, to.person)
        assert today.account.reply(to, "再次", "k1").native_id == sent.native_id
        today.clock.on(hours=48, seconds=1)
        before = len(today.weibo.calls)
        with pytest.raises(Rejected, match="48 hours"):
            today.account.reply(to, "还在吗", "k2")
        assert len(today.weibo.calls) == before


def test_whoever_left_gets_no_direct_message() -> None:
    with day() as today:
        to = direct(today)
        today.weibo.writes.unfollowed.add(int(to.person or 0))
        with pytest.raises(Rejected, match="20034"):
            today.account.reply(to, "您好", "k1")


@pytest.mark.parametrize(
    ("text", "length"),
    [("", 0), ("退款", 2), ("ab", 1), ("abc", 2), ("退a", 2), ("😀", 1), ("退" * 140, 140)],
)
def test_a_chinese_character_counts_one_and_ascii_a_half(text: str, length: int) -> None:
    assert chinese(text) == length


def test_the_longest_answer_is_taken_and_one_more_is_not_sent() -> None:
    with day() as today:
        comment, message = commented(today), direct(today)
        assert today.account.reply_limit(comment).longest == 140
        assert today.account.reply_limit(message).longest == 300
        today.account.reply(comment, "退" * 140, "k1")
        today.account.reply(message, "a" * 600, "k1")
        for to, text in ((comment, "退" * 141), (message, "退" * 301), (comment, " \n")):
            with pytest.raises(Rejected):
                today.account.reply(to, text, "k2")
        assert len(today.weibo.writes.wrote) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"direction": Direction.OUTBOUND},
        {"marks": ("id.missing",)},
        {"marks": ("root.missing",)},
        {"root": None},
    ],
)
def test_what_cannot_be_answered_says_so_without_a_call(more: dict[str, Any]) -> None:
    with day() as today:
        to = dataclasses.replace(commented(today), **more)
        before = len(today.weibo.calls)
        with pytest.raises(Rejected):
            today.account.reply_limit(to)
        with pytest.raises(Rejected):
            today.account.reply(to, "您好", "k")
        assert len(today.weibo.calls) == before


def test_the_same_words_twice_are_explained() -> None:
    with day() as today:
        to = commented(today)
        today.account.reply(to, "收到", "k1")
        with pytest.raises(Rejected, match=r"20019.*other words"):
            today.account.reply(to, "收到", "k2")


@pytest.mark.parametrize("code", [20012, 20017, 20020, 20021, 20031, 20055])
@pytest.mark.parametrize("codes", ["int", "str"])
def test_a_refused_answer_is_never_tried_again(code: int, codes: str) -> None:
    with day() as today:
        to = commented(today)
        today.weibo.gate.codes = codes
        today.weibo.writes.refuse = [code]
        with pytest.raises(Rejected, match=str(code)):
            today.account.reply(to, "您好", "k1")


def test_too_fast_waits_a_minute_and_delayed_may_be_done() -> None:
    with day() as today:
        to = commented(today)
        today.weibo.writes.refuse = [20016]
        with pytest.raises(RateLimited) as slow:
            today.account.reply(to, "您好", "k1")
        assert slow.value.retry_after_s == 60
        began = today.clock()
        today.weibo.writes.delay_next = 300
        with pytest.raises(Unavailable) as delayed:
            today.account.reply(to, "您好", "k1")
        assert delayed.value.maybe_done
        assert today.account.find_reply(to, "您好", "k1", began) is None
        today.clock.on(minutes=6)
        found = today.account.find_reply(to, "您好", "k1", began)
        assert found is not None
        assert found.reply_to == to.native_id


@pytest.mark.parametrize("kind", ["cut_after", "html_ok", "truncated"])
def test_an_answer_that_was_lost_on_the_way_is_found_again(kind: str) -> None:
    with day() as today:
        to = commented(today)
        began = today.clock()
        assert today.account.find_reply(to, "请私信 <订单号>", "k", began) is None
        today.weibo.fault(kind, path="/2/comments/reply")
        with pytest.raises(Unavailable) as caught:
            today.account.reply(to, "请私信 <订单号>", "k")
        assert caught.value.maybe_done
        found = today.account.find_reply(to, "请私信 <订单号>", "k", began)
        assert found is not None or not today.weibo.writes.wrote
        assert today.account.find_reply(to, "请私信", "k", began) is None


def test_a_direct_message_of_ours_cannot_be_looked_up() -> None:
    with day() as today, pytest.raises(Rejected, match="look in the app"):
        today.account.find_reply(direct(today), "您好", "k", today.clock())


@pytest.mark.parametrize("code", [20201, 20101])
def test_an_answer_to_what_is_gone_is_rejected(code: int) -> None:
    with day() as today:
        to = commented(today)
        gone = today.weibo.comments[int(to.native_id)]
        (gone if code == 20201 else gone.status).gone = True
        with pytest.raises(Rejected, match=str(code)):
            today.account.reply(to, "您好", "k")


def test_an_answer_names_our_address_where_it_is_told() -> None:
    with day() as today:
        to = commented(today)
        today.weibo.writes.needs_rip = True
        with pytest.raises(Rejected, match="10016"):
            today.account.reply(to, "您好", "k")
        named = reader(today.weibo, today.clock, MemoryKeep(), rip="203.0.113.9")
        assert named.reply(to, "您好", "k").root == to.root
        commercial = reader(
            today.weibo, today.clock, MemoryKeep(), rip="203.0.113.9", tier="commercial"
        )
        commercial.reply(to, "您好呀", "k")
        assert today.weibo.calls[-1][1] == "/2/comments/reply/biz.json"


def test_answers_go_on_when_reading_has_used_its_share_and_end_with_the_day() -> None:
    with day() as today:
        to = commented(today)
        today.weibo.gate.spend(78 - today.weibo.gate.used())
        today.clock.on(minutes=11)
        today.tick()
        for turn in range(100 - today.weibo.gate.used()):
            today.account.reply(to, f"第{turn}次", "k")
        with pytest.raises(RateLimited):
            today.account.reply(to, "还有", "k")


# --- windows --------------------------------------------------------------------------------------


def test_a_mention_that_we_were_called_for_may_have_one_message_within_48_hours() -> None:
    with day() as today:
        wanted = today.say()
        at = today.told["第1条"].sent_at
        body = (
            b'{"type":"mention","receiver_id":1,"sender_id":2,"created_at":"%s","text":"",'
            b'"data":{"subtype":"status","key":"%s"}}'
        ) % (str(int(at.timestamp())).encode(), wanted.encode())
        assert today.account.read([body]).wake == ("mentions",)
        other = today.say()
        today.tick()
        window = ReplyWindow(at + timedelta(hours=48), left=1)
        assert today.found[wanted][0].reply_window == window
        assert today.found[other][0].reply_window is None


def test_public_comments_have_no_window() -> None:
    with day() as today:
        assert commented(today).reply_window is None
