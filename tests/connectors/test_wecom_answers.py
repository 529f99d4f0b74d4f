"""Answers to WeCom's customers: the window, who holds the session, one id for one answer."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Author, Direction, Kind, Message
from connectors.base import Replies
from tests.connectors.loopback import T0, MemoryKeep
from tests.connectors.wecom_place import (
    GET_TOKEN,
    KFID,
    PERSON,
    SEND,
    STATE,
    corp,
    message,
    page,
    wecom,
)


def question(**more: Any) -> Message:
    told = {
        "native_id": "m1",
        "platform": "wecom",
        "kind": Kind.DIRECT_MESSAGE,
        "direction": Direction.INBOUND,
        "author": Author(native_id=PERSON),
        "text": "充电宝发烫，怎么办？",
        "sent_at": T0 - timedelta(minutes=5),
        "person": PERSON,
        **more,
    }
    return Message(**told)


def test_it_replies() -> None:
    assert isinstance(wecom(), Replies)


def test_an_answer_goes_out_under_its_key_and_comes_back_as_ours() -> None:
    with corp() as (told, _, account, _):
        sent = account.reply(question(), "您好，请先停止使用，我们为您换新", "our_own-1")
        again = account.reply(question(), "您好，请先停止使用，我们为您换新", "our_own-1")
    assert told.sent == [
        {
            "touser": PERSON,
            "open_kfid": KFID,
            "msgid": "our_own-1",
            "msgtype": "text",
            "text": {"content": "您好，请先停止使用，我们为您换新"},
        }
    ]
    assert (sent.native_id, sent.direction, sent.person) == (
        "our_own-1",
        Direction.OUTBOUND,
        PERSON,
    )
    assert sent.author == again.author == Author(native_id=KFID)  # nobody else is named
    assert (sent.key, sent.sent_at, sent.text) == (again.key, again.sent_at, again.text)
    assert sent.reply_window is not None
    assert (sent.reply_window.closes_at, sent.reply_window.left) == (
        T0 - timedelta(minutes=5) + timedelta(hours=48),
        4,
    )


@pytest.mark.parametrize("key", ["中文", "a b", "x" * 33, "reply:42:1", ""])
def test_any_key_becomes_an_id_that_the_platform_takes(key: str) -> None:
    with corp() as (told, _, account, _):
        sent = account.reply(question(), "好的", key)
        assert account.find_reply(question(), "好的", key, T0) is not None
    assert re.fullmatch(r"[0-9a-zA-Z_-]{1,32}", sent.native_id)
    assert told.sent[0]["msgid"] == sent.native_id


def test_letters_are_sent_as_they_are_and_not_as_escapes() -> None:
    with corp() as (_, server, account, _):
        account.reply(question(), "您好 🙂", "k1")
        body = server.asked(SEND)[0].body
    assert "您好 🙂".encode() in body
    assert b"\\u" not in body


def test_the_sixth_answer_is_not_even_tried_and_the_next_question_opens_five_more() -> None:
    with corp() as (told, server, account, clock):
        lefts = []
        for number in range(5):
            clock.on(seconds=1)
            window = account.reply(question(), f"第 {number} 条", f"k{number}").reply_window
            lefts.append(window.left if window else None)
        assert lefts == [4, 3, 2, 1, 0]
        with pytest.raises(Rejected, match="5 answers"):
            account.reply(question(), "还有一句", "k6")
        assert len(told.sent) == 5
        clock.on(minutes=1)
        later = question(native_id="m2", sent_at=clock())
        clock.on(seconds=30)
        assert account.reply(later, "再答一句", "k7").reply_window is not None
        told.pages[""] = page(
            {**message("m3"), "send_time": int(T0.timestamp()) - 300}, next_cursor="c"
        )
        (old,) = account.poll("messages", None).messages
        assert old.reply_window is not None
        assert old.reply_window.left == 0
        assert server.errors == []


def test_after_48_hours_nothing_is_sent() -> None:
    with corp() as (told, _, account, _):
        with pytest.raises(Rejected, match="48 hours"):
            account.reply(question(sent_at=T0 - timedelta(hours=48)), "来晚了", "k")
        account.reply(question(sent_at=T0 - timedelta(hours=47, minutes=59)), "还来得及", "k")
        assert len(told.sent) == 1


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"service_state": 3, "servicer_userid": "zhaomin"}, "zhaomin"),
        ({"service_state": 3}, "colleague"),
        ({"service_state": 2}, "queue"),
        ({"service_state": 4}, "ended"),
    ],
)
def test_what_a_colleague_holds_is_left_to_them_and_costs_nothing(
    state: dict[str, Any], word: str
) -> None:
    with corp() as (told, server, account, _):
        told.state = state
        with pytest.raises(Rejected, match=word):
            account.reply(question(), "您好", "k")
        assert server.asked(SEND) == []
        told.state = {"service_state": 1}
        sent = account.reply(question(), "您好", "k")
    assert sent.reply_window is not None
    assert sent.reply_window.left == 4


@pytest.mark.parametrize(
    ("code", "outcome", "word"),
    [
        (95018, Rejected, "colleague"),
        (95001, Rejected, "writes again"),
        (95002, Rejected, "48 hours"),
        (95013, Rejected, "ended"),
        (40058, Rejected, "refuses"),
        (60020, Unauthorized, "whitelist"),
        (95017, Unauthorized, "API"),
        (45009, RateLimited, "45009"),
        (-1, Unavailable, "-1"),
    ],
)
def test_a_refused_answer_says_why_and_counts_for_nothing(
    code: int, outcome: type[Exception], word: str
) -> None:
    keep = MemoryKeep()
    with corp(keep) as (_, server, account, _):
        body = b'{"errcode": %d, "errmsg": "hint"}' % code
        server.fault("status", path=SEND, status=200, body=body)
        with pytest.raises(outcome, match=word) as caught:
            account.reply(question(), "您好", "k")
        assert not getattr(caught.value, "maybe_done", False)
        window = account.reply(question(), "您好", "k").reply_window
    assert window is not None
    assert window.left == 4


@pytest.mark.parametrize("kind", ["cut_after", "html_ok", "truncated"])
def test_an_answer_that_may_have_arrived_is_asked_for_again_under_the_same_id(kind: str) -> None:
    with corp() as (told, server, account, _):
        server.fault(kind, path=SEND)
        with pytest.raises(Unavailable) as caught:
            account.reply(question(), "您好", "k")
        assert caught.value.maybe_done
        found = account.find_reply(question(), "您好", "k", T0)
        again = account.reply(question(), "您好", "k")
        assert len(told.sent) == (1 if kind == "html_ok" else 2)
    assert {one["msgid"] for one in told.sent} == {"k"}
    assert found is not None
    assert found.key == again.key


def test_what_may_have_arrived_long_ago_is_not_sent_by_looking_for_it() -> None:
    with corp() as (told, server, account, clock):
        server.fault("cut_after", path=SEND)
        with pytest.raises(Unavailable):
            account.reply(question(), "您好", "k")
        clock.on(minutes=2)
        assert account.find_reply(question(), "您好", "k", T0) is None
        assert len(told.sent) == 1
        sent = account.reply(question(), "您好", "k")
    assert sent.reply_window is not None
    assert sent.reply_window.left == 4  # one answer, whatever became of the first attempt


def test_an_answer_that_was_never_tried_is_not_found_and_not_sent() -> None:
    with corp() as (told, _, account, _):
        assert account.find_reply(question(), "您好", "k", T0) is None
        assert told.sent == []


@pytest.mark.parametrize("path", [GET_TOKEN, STATE])
@pytest.mark.parametrize("kind", ["cut_after", "html_ok", "truncated", "status"])
def test_trouble_before_the_sending_is_no_doubt_about_it(path: str, kind: str) -> None:
    with corp() as (told, server, account, _):
        server.fault(kind, path=path)
        with pytest.raises(Unavailable) as caught:
            account.reply(question(), "您好", "k")
        assert not caught.value.maybe_done
        assert told.sent == []
        account.reply(question(), "您好", "k")
        assert len(told.sent) == 1


def test_the_length_is_counted_in_bytes() -> None:
    with corp() as (told, _, account, _):
        limit = account.reply_limit(question())
        assert (limit.longest, limit.count("您好ab"), limit.count("🙂")) == (2048, 8, 4)
        with pytest.raises(Rejected, match="2049 bytes"):
            account.reply(question(), "长" * 683, "k")
        account.reply(question(), "长" * 682 + "ab", "k")
        with pytest.raises(Rejected, match="without words"):
            account.reply(question(), " \n", "k2")
        assert len(told.sent) == 1


def test_a_question_of_nobody_cannot_be_answered() -> None:
    with pytest.raises(Rejected, match="who wrote"):
        wecom().reply_limit(question(person=None))


def test_two_replicas_count_the_same_answers() -> None:
    keep = MemoryKeep()
    with corp(keep) as (_, server, account, clock):
        other = wecom(keep, clock, base_url=server.base_url)
        account.reply(question(), "一", "k1")
        window = other.reply(question(), "二", "k2").reply_window
        assert window is not None
        assert window.left == 3
        again = other.find_reply(question(), "一", "k1", T0)
    assert again is not None
    assert again.native_id == "k1"


def test_what_is_counted_is_forgotten_when_it_no_longer_counts() -> None:
    keep = MemoryKeep()
    with corp(keep) as (_, _, account, clock):
        account.reply(question(), "一", "k1")
        size = sum(map(len, keep.rows.values()))
        for day in range(1, 30):
            clock.on(days=3)
            account.reply(question(sent_at=clock()), "一", f"day{day}")
        assert sum(map(len, keep.rows.values())) < 3 * size


@pytest.mark.parametrize("kept", ["nonsense", "[]", "null", '{"x": 5}', '{"x": {"sent": [1]}}'])
def test_a_damaged_row_of_the_keep_counts_as_empty(kept: str) -> None:
    keep = MemoryKeep()
    keep.rows = {f"answers:{number:x}": kept for number in range(16)}
    with corp(keep) as (_, _, account, _):
        window = account.reply(question(), "您好", "k").reply_window
    assert window is not None
    assert window.left == 4
