"""Who writes on Weibo: lists say it, direct messages do not, and asking is a call of a few."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aggregator.model import Author, Message
from aggregator.sandbox.base import Person
from connectors.weibo.messages import author
from tests.connectors.loopback import MemoryKeep
from tests.connectors.test_weibo import FIXTURES
from tests.connectors.test_weibo_planner import LI, Day, day, reader

MEI = Person(9, "韩梅梅", "mei", 48211, True)


def pushed(uid: int, text: str) -> bytes:
    told = {"type": "text", "sender_id": uid, "created_at": 1795200600, "text": text, "data": {}}
    return json.dumps(told, ensure_ascii=False).encode()


def write(today: Day, uid: int, text: str = "在吗", *, polls: int = 1) -> Message:
    """The message as it is at last: read from the push, and perhaps again with a poll."""
    (message,) = today.account.read([pushed(uid, text)]).messages
    for _ in range(polls):
        page = today.account.poll("mentions", today.cursors["mentions"])
        today.cursors["mentions"] = page.cursor
        for one in page.messages:
            if one.key == message.key:
                assert replace(one, author=message.author) == message
                message = one
    return message


def asked(today: Day) -> int:
    return sum(path == "/2/users/show.json" for _, path in today.weibo.calls)


def named(today: Day, uid: int, text: str = "在吗") -> str | None:
    who = write(today, uid, text).author
    assert who is not None
    assert who.native_id == str(uid)
    return who.name


def test_profiles_in_chinese_and_english_are_read() -> None:
    told = json.loads((FIXTURES / "users_show__people.json").read_text())
    assert author(told["zh"]) == Author("3900112233", "小满爱跑步", "小满爱跑步", 48211, True)
    assert author(told["en"]) == Author("3900778899", "TomInShanghai", "TomInShanghai", 310, None)


def test_a_direct_message_has_the_name_of_who_wrote_it_and_one_call_serves_a_week() -> None:
    with day() as today:
        uid = today.weibo.member(MEI).uid
        who = write(today, uid).author
        assert who == Author(str(uid), "韩梅梅", "韩梅梅", 48211, True)
        today.account = reader(today.weibo, today.clock, today.keep)
        for hours in (1, 24, 5 * 24):
            today.clock.on(hours=hours)
            assert named(today, uid) == "韩梅梅"
        assert asked(today) == 1
        today.clock.on(days=2)
        assert named(today, uid) == "韩梅梅"
        assert asked(today) == 2


def test_whom_a_list_showed_is_not_asked_for() -> None:
    with day() as today:
        today.say()
        today.tick()
        assert named(today, today.weibo.member(LI).uid) == "李雷"
        assert asked(today) == 0


def test_names_take_a_tenth_of_the_days_calls_and_no_more() -> None:
    with day() as today:
        people = [today.weibo.member(Person(n, f"顾客{n}", f"c{n}")).uid for n in range(100, 130)]
        names = []
        for uid in people:
            names.append(named(today, uid))
            today.clock.on(minutes=6)
        assert [name is not None for name in names] == [True] * 10 + [False] * 20
        assert asked(today) == 10
        today.clock.on(days=1)
        assert named(today, people[-1]) == "顾客129"


def test_no_name_is_asked_for_when_reading_has_no_calls_left() -> None:
    with day() as today:
        today.weibo.gate.spend(80)
        today.account._planner.calls()
        assert named(today, today.weibo.member(MEI).uid) is None
        assert asked(today) == 0


def test_a_wave_of_messages_is_read_at_once_and_named_by_and_by() -> None:
    with day(quota=100_000) as today:
        people = [today.weibo.member(Person(n, f"顾客{n}", f"c{n}")).uid for n in range(100, 110)]
        bodies = [pushed(uid, f"{n} 在吗") for uid in people for n in range(2)]
        messages = today.account.read(bodies).messages
        assert (len(messages), asked(today)) == (20, 0)
        today.minutes(10)
        assert asked(today) == 10
        names = {one.author.name for one, _ in today.found.values() if one.author is not None}
        assert names == {f"顾客{n}" for n in range(100, 110)}
        assert {one.key for one in messages} == {one.key for one, _ in today.found.values()}
        assert "nameless" not in today.keep.rows


@pytest.mark.parametrize("kind", ["html", "cut", "truncated"])
def test_a_message_waits_for_no_name_and_trouble_with_names_is_none_of_the_lists(
    kind: str,
) -> None:
    with day() as today:
        uid = today.weibo.member(MEI).uid
        today.weibo.fault(kind, path="/2/users")
        assert named(today, uid) is None
        assert named(today, uid, "还在吗") is None
        assert asked(today) <= 1
        today.clock.on(minutes=6)
        assert named(today, uid, "有人吗") == "韩梅梅"


def test_what_waits_is_bounded_and_a_long_message_does_without() -> None:
    with day() as today:
        today.weibo.gate.spend(80)
        today.account._planner.calls()
        for n in range(60):
            today.account.read([pushed(5_000_000_000 + n, "退款" * 500)])
        today.account.read([pushed(5_000_000_099, "退" * 5_000)])
        row = json.loads(today.keep.rows["nameless"])
        assert [uid for uid, _ in row] == [str(5_000_000_040 + n) for n in range(20)]


def test_an_account_that_is_gone_and_a_call_that_is_not_allowed_are_asked_once() -> None:
    with day() as today:
        assert named(today, 5_000_000_001) is None
        assert named(today, 5_000_000_001) is None
        assert asked(today) == 1
        today.weibo.gate.closed["/2/users"] = 10014
        for n in range(4):
            assert named(today, 5_000_000_010 + n) is None
            today.clock.on(minutes=6)
        assert asked(today) == 2


@pytest.mark.parametrize(
    "row", ["", "x", "[]", "7", '{"1": 5}', '{"1": [1, 2]}', '{"3900112233": [5, "x", [], null]}']
)
def test_a_row_that_cannot_be_read_costs_a_name_at_most(row: Any) -> None:
    keep = MemoryKeep()
    keep.rows["people"] = row
    keep.rows["share.people"] = keep.rows["nameless"] = row
    with day(keep=keep) as today:
        assert named(today, today.weibo.member(MEI).uid) == "韩梅梅"


def test_the_window_of_a_message_is_as_it_was() -> None:
    with day() as today:
        message = write(today, today.weibo.member(MEI).uid)
        assert message.sent_at is not None
        assert message.reply_window is not None
        assert message.reply_window.closes_at == message.sent_at + timedelta(hours=48)
