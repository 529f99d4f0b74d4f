"""Answers from an official account, against the stand-in: the window, the refusals, at most once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from aggregator.errors import RateLimited, Rejected, Unavailable
from aggregator.model import Author, Direction, Kind, Message
from aggregator.sandbox.base import Line, Person
from connectors.base import Replies
from tests.connectors.test_wechat_sandbox import world

MEI = Person(1, "韩梅梅", "mei")
SEND = "/cgi-bin/message/custom/send"
TOKEN = "/cgi-bin/stable_token"


class Stage:
    """A customer, the stand-in, and as much of the daemon as a connector sees."""

    def __init__(self, there: Any, daemon: Any, now: Any) -> None:
        self.there, self.daemon, self.now, self.account = there, daemon, now, daemon.account
        self.lines = 0

    def ask(self, text: str = "什么时候发货？") -> Message:
        """The customer writes; what the connector read."""
        self.lines += 1
        line = Line(0, "wechat", "direct_message", f"q{self.lines}", MEI, text)
        told = self.there.play(line, self.now(), {})
        self.there.caller.settle()
        self.daemon.round()
        found: Message = self.daemon.found[f"direct_message:{told.native_id}"]
        return found

    def event(self, name: str, **more: str) -> None:
        self.there.event(MEI, self.now(), name, **more)
        self.there.caller.settle()
        self.daemon.round()

    def records(self) -> list[Message]:
        return [one for one in self.daemon.found.values() if one.direction is Direction.OUTBOUND]


@pytest.fixture
def stage() -> Iterator[Stage]:
    with world("wechat") as (there, daemon, now):
        yield Stage(there, daemon, now)
        assert there.errors == []


def left(message: Message) -> int | None:
    return message.reply_window.left if message.reply_window else None


def test_it_replies(stage: Stage) -> None:
    assert isinstance(stage.account, Replies)


def test_an_answer_reaches_the_customer_as_it_was_written(stage: Stage) -> None:
    asked = stage.ask()
    sent = stage.account.reply(asked, "您好，今天发货 🙂", "k1")
    assert stage.there.sent == [
        {"touser": asked.person, "msgtype": "text", "text": {"content": "您好，今天发货 🙂"}}
    ]
    assert (sent.direction, sent.kind, sent.person) == (
        Direction.OUTBOUND,
        Kind.DIRECT_MESSAGE,
        asked.person,
    )
    assert (sent.text, sent.sent_at, left(sent)) == ("您好，今天发货 🙂", stage.now(), 4)
    assert sent.author == Author(native_id=stage.there.app_id)  # nobody else is named


def test_a_message_opens_five_answers_in_48_hours_and_what_was_sent_counts(stage: Stage) -> None:
    asked = stage.ask()
    assert asked.sent_at is not None
    assert asked.reply_window is not None
    assert asked.reply_window.closes_at == asked.sent_at + timedelta(hours=48)
    assert left(asked) == 5
    stage.now.on(seconds=5)
    assert [left(stage.account.reply(asked, f"第 {n} 条", f"k{n}")) for n in range(5)] == [
        4,
        3,
        2,
        1,
        0,
    ]
    with pytest.raises(Rejected, match="5 answers"):
        stage.account.reply(asked, "第六条", "k6")
    assert len(stage.there.sent) == 5
    stage.now.on(minutes=1)
    again = stage.ask("在吗")
    assert left(again) == 5
    assert left(stage.account.reply(again, "在的", "k7")) == 4


@pytest.mark.parametrize("tap", ["CLICK", "scancode_push", "scancode_waitmsg"])
def test_after_48_hours_nothing_is_sent_but_a_tap_on_the_menu_opens_a_minute(
    stage: Stage, tap: str
) -> None:
    asked = stage.ask()
    stage.now.on(hours=48, seconds=1)
    with pytest.raises(Rejected, match="48 hours"):
        stage.account.reply(asked, "来晚了", "k1")
    stage.event(tap)
    stage.now.on(seconds=30)
    answers = [stage.account.reply(asked, f"在的 {n}", f"m{n}") for n in range(3)]
    assert [left(one) for one in answers] == [2, 1, 0]
    with pytest.raises(Rejected):
        stage.account.reply(asked, "第四条", "m4")
    stage.now.on(minutes=2)
    with pytest.raises(Rejected, match="48 hours"):
        stage.account.reply(asked, "又晚了", "m5")
    assert len(stage.there.sent) == 3


@pytest.mark.parametrize("more", [{}, {"EventKey": "qrscene_42", "Ticket": "gQH"}])
def test_whoever_leaves_is_not_answered_until_they_are_back(
    stage: Stage, more: dict[str, str]
) -> None:
    asked = stage.ask()
    stage.now.on(minutes=1)
    stage.event("unsubscribe")
    with pytest.raises(Rejected, match="no longer follows"):
        stage.account.reply(asked, "您好", "k1")
    stage.now.on(minutes=1)
    stage.event("subscribe", **more)
    assert stage.account.reply(asked, "欢迎回来", "k2").text == "欢迎回来"
    assert len(stage.there.sent) == 1


@pytest.mark.parametrize(
    "event", ["LOCATION", "VIEW", "kf_create_session", "TEMPLATESENDJOBFINISH"]
)
def test_an_event_that_changes_nothing_is_answered_and_not_stored(stage: Stage, event: str) -> None:
    stage.there.event(MEI, stage.now(), event)
    stage.there.caller.settle()
    assert stage.daemon.stored == []
    assert [one.problem for one in stage.there.caller.ledger] == [None]


@pytest.mark.parametrize(
    ("code", "outcome", "word"),
    [
        (45015, Rejected, "48 hours"),
        (45047, Rejected, "writes again"),
        (48001, Rejected, "verified"),
        (43004, Rejected, "follow"),
        (43101, Rejected, "refuses"),
        (45002, Rejected, "too long"),
        (45009, RateLimited, "45009"),
        (45011, RateLimited, "45011"),
        (-1, Unavailable, "-1"),
    ],
)
def test_a_refusal_says_why_and_counts_for_nothing(
    stage: Stage, code: int, outcome: type[Exception], word: str
) -> None:
    asked = stage.ask()
    stage.there.refuse(SEND, code)
    with pytest.raises(outcome, match=word) as caught:
        stage.account.reply(asked, "您好", "k1")
    assert not getattr(caught.value, "maybe_done", False)
    assert stage.account.find_reply(asked, "您好", "k1", stage.now()) is None
    if outcome is RateLimited:
        calls = len(stage.there.calls)
        with pytest.raises(RateLimited):
            stage.account.reply(asked, "您好", "k1")
        assert len(stage.there.calls) == calls  # nothing is asked while the quota is used up
        stage.now.on(hours=14)
    assert left(stage.account.reply(asked, "您好", "k1")) == 4


@pytest.mark.parametrize("kind", ["cut_after", "html_ok", "truncated"])
def test_what_may_have_arrived_is_never_sent_again(stage: Stage, kind: str) -> None:
    asked = stage.ask()
    stage.there.fault(kind, path=SEND)
    with pytest.raises(Unavailable) as caught:
        stage.account.reply(asked, "您好", "k1")
    assert caught.value.maybe_done
    sent = len(stage.there.sent)
    assert stage.account.find_reply(asked, "您好", "k1", stage.now()) is None
    with pytest.raises(Rejected, match="console"):
        stage.account.reply(asked, "您好", "k1")
    assert len(stage.there.sent) == sent
    assert stage.account.reply(asked, "另一句", "k2").text == "另一句"


def test_what_arrived_is_found_where_the_records_show_it_with_the_id_that_the_records_give(
    stage: Stage,
) -> None:
    asked = stage.ask()
    stage.there.sends_recorded = True
    began = stage.now()
    stage.there.fault("cut_after", path=SEND)
    with pytest.raises(Unavailable):
        stage.account.reply(asked, "您好", "k1")
    found = stage.account.find_reply(asked, "您好", "k1", began)
    assert found is not None
    stage.daemon.round()
    assert [one.key for one in stage.records()] == [found.key]


def test_what_was_sent_and_is_in_the_records_too_is_one_message(stage: Stage) -> None:
    asked = stage.ask()
    stage.there.sends_recorded = True
    sent = stage.account.reply(asked, "您好", "k1")
    stage.there.record(asked.person, 2002, stage.now(), "我是小林，继续为您服务")
    stage.daemon.round()
    assert [one.text for one in stage.records()] == ["我是小林，继续为您服务"]
    found = stage.account.find_reply(asked, "您好", "k1", stage.now())
    assert (found.key, found.text) == (sent.key, "您好")
    assert stage.account.reply(asked, "您好", "k1").key == sent.key  # and is not sent again
    assert len(stage.there.sent) == 1


def test_nothing_is_found_where_nothing_was_tried_or_there_are_no_records(stage: Stage) -> None:
    asked = stage.ask()
    calls = len(stage.there.calls)
    assert stage.account.find_reply(asked, "您好", "k1", stage.now()) is None
    assert len(stage.there.calls) == calls
    stage.there.records_enabled = False
    stage.there.fault("cut_after", path=SEND)
    with pytest.raises(Unavailable):
        stage.account.reply(asked, "您好", "k1")
    assert stage.account.find_reply(asked, "您好", "k1", stage.now()) is None


def test_trouble_with_the_token_is_no_doubt_about_the_answer(stage: Stage) -> None:
    asked = stage.ask()
    stage.now.on(hours=3)
    stage.there.fault("cut_after", path=TOKEN)
    with pytest.raises(Unavailable) as caught:
        stage.account.reply(asked, "您好", "k1")
    assert not caught.value.maybe_done
    assert left(stage.account.reply(asked, "您好", "k1")) == 4
    assert len(stage.there.sent) == 1


def test_the_length_is_counted_in_bytes_and_a_comment_is_not_answered_here(stage: Stage) -> None:
    asked = stage.ask()
    limit = stage.account.reply_limit(asked)
    assert (limit.longest, limit.count("您好ab")) == (2048, 8)
    with pytest.raises(Rejected, match="2049 bytes"):
        stage.account.reply(asked, "长" * 683, "k")
    comment = Message("c", "wechat", Kind.COMMENT, Direction.INBOUND, None, "好", stage.now())
    with pytest.raises(Rejected, match="console"):
        stage.account.reply_limit(comment)
    assert stage.there.sent == []
