"""The daemon's own voice: bounded, rare, and without a customer's words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aggregator.errors import Rejected, Unauthorized
from aggregator.ops import MAX_LINES, MAX_REASON, MAX_TEXT, Ops, in_words
from storage.engine import Database
from tests.fakes import House


@pytest.fixture
def house(db: Database) -> Iterator[House]:
    made = House(db)
    yield made
    made.end()


def test_a_trouble_that_lasts_is_told_once(house: House) -> None:
    for _ in range(100):
        house.ops.broken("poll:x", "x 读不到了")
        house.clock.on(minutes=15)
    assert house.ops_said() == ["⚠️ x 读不到了"]


def test_a_trouble_that_comes_and_goes_is_told_at_most_once_an_hour(house: House) -> None:
    for _ in range(60):
        house.ops.broken("poll:x", "x is not read")
        house.ops.mended("poll:x", "x is read again")
        house.clock.on(minutes=1)
    assert house.ops_said() == ["⚠️ x is not read", "✅ x is read again"]
    house.ops.broken("poll:x", "x is not read")
    assert len(house.ops_said()) == 3


def test_what_was_never_told_is_not_told_to_be_over(house: House) -> None:
    house.ops.mended("poll:x", "x is read again")
    assert house.ops_said() == []


def test_two_processes_that_see_the_same_trouble_tell_it_once(house: House) -> None:
    other = House(house.db, owner="另一个")
    for one in (house, other):
        one.ops.broken("rules", "rules.yaml:3:1: 坏了")
    assert len(house.ops_said()) == 1
    other.end()


def test_something_new_about_a_trouble_is_told(house: House) -> None:
    house.ops.broken("rules", "第 3 行", changed=True)
    house.ops.broken("rules", "第 9 行", changed=True)
    assert len(house.ops_said()) == 2


def test_a_notice_is_bounded_in_lines_and_characters(house: House) -> None:
    house.ops.broken("a", "\n".join(["坏"] * 1000))
    house.ops.broken("b", "坏" * 100_000)
    many, long = house.ops_said()
    assert len(many.splitlines()) == MAX_LINES + 1
    assert many.endswith(f"… and {1000 - MAX_LINES} more")
    assert len(long) == MAX_TEXT


def test_a_store_that_is_away_raises_nothing_and_is_asked_again(house: House) -> None:
    house.db.close()
    house.ops.broken("poll:x", "x")
    assert "poll:x" not in house.ops._open


def test_a_defect_is_named_by_its_place_and_never_by_its_text() -> None:
    def stumble() -> None:
        raise KeyError("张三 13800000000")

    try:
        stumble()
    except KeyError as error:
        words = in_words(error)
    assert words.startswith("a defect of inboxd: KeyError in test_ops.py:")
    assert "张三" not in words


def test_a_reason_is_one_bounded_line_with_its_remedy() -> None:
    assert in_words(Unauthorized("no\ntoken", remedy="renew it")) == "no token; renew it"
    assert len(in_words(Rejected("很长" * 5000))) == MAX_REASON


# --- across a restart -----------------------------------------------------------------------------


def started_again(house: House) -> House:
    """Another process on the same store, after the first one has ended."""
    house.end()
    return House(house.db, clock=house.clock, owner="重启之后")


def test_a_trouble_that_outlives_a_restart_is_told_once_and_its_end_too(house: House) -> None:
    house.ops.broken("poll:x", "x 读不到了")
    house.clock.on(hours=5)
    again = started_again(house)
    again.ops.broken("poll:x", "x 读不到了")
    assert house.ops_said() == ["⚠️ x 读不到了"]
    again.ops.mended("poll:x", "x is read again")
    third = started_again(again)
    third.ops.mended("poll:x", "x is read again")
    assert house.ops_said() == ["⚠️ x 读不到了", "✅ x is read again"]
    third.end()


def test_bad_rules_are_not_told_anew_at_every_start_unless_they_are_bad_in_another_way(
    house: House,
) -> None:
    house.ops.broken("rules", "第 3 行", changed=True)
    house.clock.on(hours=5)
    again = started_again(house)
    again.ops.broken("rules", "第 3 行", changed=True)
    assert len(house.ops_said()) == 1
    again.ops.broken("rules", "第 9 行", changed=True)
    assert len(house.ops_said()) == 2
    again.end()


def test_an_end_that_another_process_sees_is_told_after_a_look_into_the_store(
    house: House,
) -> None:
    other = House(house.db, clock=house.clock, owner="另一个")
    house.ops.broken("poll:x", "x is not read")
    other.ops.mended("poll:x", "x 又能读了")
    assert len(house.ops_said()) == 1
    other.ops.refresh()
    other.ops.mended("poll:x", "x 又能读了")
    assert house.ops_said()[1] == "✅ x 又能读了"
    house.ops.mended("poll:x", "x 又能读了")
    assert len(house.ops_said()) == 2
    other.end()


def test_without_an_ops_destination_nothing_is_queued_and_the_state_is_kept(house: House) -> None:
    quiet = Ops(db=house.db, present=False, now=house.clock, told=house._told)
    quiet.broken("poll:x", "x is not read")
    assert house.ops_said() == []
    again = Ops(db=house.db, present=True, now=house.clock, told=house._told)
    again.mended("poll:x", "x 又能读了")
    assert house.ops_said() == ["✅ x 又能读了"]
