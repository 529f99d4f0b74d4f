"""Windows, quotas and days in the Keep: shared, learnt, never overrun."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from aggregator.errors import RateLimited, Unavailable
from connectors import budget
from connectors.budget import Told
from tests.connectors.loopback import T0, MemoryKeep

PRICES = {"post": 5_000, "私信": 10_000}


def headers(left: object, reset: object, *, limit: str = "15", at: datetime = T0) -> dict[str, str]:
    return {
        "Date": format_datetime(at, usegmt=True),
        "x-rate-limit-limit": limit,
        "x-rate-limit-remaining": str(left),
        "x-rate-limit-reset": str(reset),
    }


def test_a_window_is_read_against_the_answers_own_date() -> None:
    theirs = T0 + timedelta(hours=3)
    reset = int(theirs.timestamp()) + 40
    assert budget.told(headers(3, reset, at=theirs)) == Told(15, 3, 40.0)
    assert budget.told(headers(-2, reset, limit="?", at=theirs)) == Told(None, 0, 40.0)


@pytest.mark.parametrize(
    "reset", ["soon", "nan", "0", str(int(T0.timestamp()) - 30), "9e12", "inf"]
)
def test_a_reset_that_makes_no_sense_teaches_nothing(reset: str) -> None:
    assert budget.told(headers(3, reset)) is None
    assert budget.told({}) is None
    assert budget.told({**headers(3, int(T0.timestamp()) + 9), "Date": "昨天"}) is None
    keep = MemoryKeep()
    budget.learn(keep, "私信", None, T0)
    budget.admit(keep, "私信", T0)
    assert keep.rows == {}


def test_a_new_window_of_a_known_length_allows_what_the_last_one_did_until_an_answer_tells() -> (
    None
):
    """Where the headers stay away, counting goes on: X's windows last 15 minutes."""
    keep = MemoryKeep()
    budget.learn(keep, "dm", Told(3, 0, 60.0), T0)
    later = T0 + timedelta(seconds=61)
    for _ in range(3):
        budget.admit(keep, "dm", later, window_s=900.0)
    with pytest.raises(RateLimited) as caught:
        budget.admit(keep, "dm", later, window_s=900.0)
    assert caught.value.retry_after_s == 900
    budget.learn(keep, "dm", Told(3, 2, 870.0), later)  # not that window: an answer knows better
    budget.admit(keep, "dm", later, window_s=900.0)


def test_calls_are_taken_until_there_are_none_and_the_window_ends() -> None:
    keep = MemoryKeep()
    budget.admit(keep, "dm", T0)  # nothing is known yet
    budget.learn(keep, "dm", Told(15, 2, 300.0), T0)
    budget.admit(keep, "dm", T0)
    budget.admit(keep, "dm", T0)
    with pytest.raises(RateLimited) as caught:
        budget.admit(keep, "dm", T0 + timedelta(seconds=100))
    assert caught.value.retry_after_s == 200
    budget.admit(keep, "mentions", T0)  # has a window of its own
    budget.admit(keep, "dm", T0 + timedelta(seconds=301))
    assert budget.left(keep, "dm", T0) == (0, T0 + timedelta(seconds=300))
    assert budget.left(keep, "dm", T0 + timedelta(seconds=301)) is None


def test_of_two_tellings_of_one_window_the_lower_stays_and_a_new_window_starts_anew() -> None:
    keep = MemoryKeep()
    budget.learn(keep, "dm", Told(15, 4, 300.0), T0)
    budget.learn(keep, "dm", Told(15, 9, 299.0), T0 + timedelta(seconds=2))  # overtaken on its way
    assert (budget.left(keep, "dm", T0) or (None,))[0] == 4
    budget.learn(keep, "dm", Told(15, 14, 900.0), T0 + timedelta(seconds=301))
    assert (budget.left(keep, "dm", T0 + timedelta(seconds=302)) or (None,))[0] == 14


def test_history_leaves_a_part_of_the_window_to_what_is_new() -> None:
    keep = MemoryKeep()
    budget.learn(keep, "dm", Told(15, 8, 300.0), T0)
    budget.admit(keep, "dm", T0, spare=0.5)
    with pytest.raises(RateLimited, match="until 03:05:00"):
        budget.admit(keep, "dm", T0, spare=0.5)
    budget.admit(keep, "dm", T0)


def test_a_refusal_holds_for_every_replica_until_it_is_over_or_taken_back() -> None:
    keep = MemoryKeep()
    budget.shut(keep, "账单", T0, seconds=3600, why="没有余额")
    with pytest.raises(RateLimited, match="没有余额") as caught:
        budget.admit(keep, "账单", T0 + timedelta(minutes=10))
    assert caught.value.retry_after_s == 3000
    budget.admit(keep, "账单", T0 + timedelta(hours=1))
    budget.shut(keep, "账单", T0, seconds=3600, why="没有余额")
    budget.reopen(keep, "账单")
    budget.admit(keep, "账单", T0)


def test_a_quota_of_the_manual_counts_in_windows_of_its_own() -> None:
    keep = MemoryKeep()
    for _ in range(2):
        budget.take(keep, "conversations", T0, limit=2, per_s=1.0)
    with pytest.raises(RateLimited) as caught:
        budget.take(keep, "conversations", T0 + timedelta(milliseconds=400), limit=2, per_s=1.0)
    assert 0 < caught.value.retry_after_s <= 0.6
    budget.take(keep, "conversations", T0 + timedelta(seconds=1), limit=2, per_s=1.0)


def test_replicas_never_take_more_calls_than_there_are() -> None:
    keep = MemoryKeep()
    budget.learn(keep, "dm", Told(40, 25, 300.0), T0)
    taken: list[bool] = []

    def replica() -> None:
        for _ in range(10):
            try:
                budget.admit(keep, "dm", T0)
            except Unavailable:
                continue
            taken.append(True)

    threads = [threading.Thread(target=replica) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(taken) <= 25


def test_what_is_read_twice_on_a_day_is_counted_once() -> None:
    keep = MemoryKeep()
    for _ in range(3):
        budget.spend(keep, T0, "mentions", [("post", "1"), ("post", "2"), ("私信", "1")], PRICES)
    day = budget.spent(keep, T0)
    assert day.items == {"post": 2, "私信": 1}
    assert day.micros == 20_000
    budget.spend(keep, T0, "replies", [("write", None), ("write", None)], PRICES)
    assert budget.spent(keep, T0).items["write"] == 2
    tomorrow = T0 + timedelta(days=1)
    assert budget.spent(keep, tomorrow).micros == 0
    budget.spend(keep, tomorrow, "mentions", [("post", "1")], PRICES)
    assert budget.spent(keep, tomorrow).by == {"mentions": 5_000}


def test_the_row_of_a_day_stays_small_and_may_count_too_much_but_never_too_little() -> None:
    keep = MemoryKeep()
    for n in range(40):
        budget.spend(keep, T0, "m", [("post", str(100 * n + i)) for i in range(100)], PRICES)
    assert budget.spent(keep, T0).items == {"post": 4_000}
    assert len(keep.rows[budget.SPENT]) < 20_000
    budget.spend(keep, T0, "m", [("post", "0"), ("post", "3999")], PRICES)
    assert budget.spent(keep, T0).items == {"post": 4_001}


def test_a_cap_pauses_until_midnight_and_shares_are_left_to_whom_they_belong() -> None:
    keep = MemoryKeep()
    morning = datetime(2026, 11, 21, tzinfo=UTC)
    shares = {"mentions": 0.3, "direct": 0.3}
    allowed = {
        who: budget.afford(keep, morning, who, cap=1_000_000, shares=shares)
        for who in ("mentions", "direct", "search")
    }
    assert allowed == {"mentions": 700_000, "direct": 700_000, "search": 400_000}
    budget.spend(keep, morning, "search", [("写", str(n)) for n in range(40)], {"写": 10_000})
    with pytest.raises(RateLimited, match="USD a day is used up for search") as caught:
        budget.afford(keep, morning, "search", cap=1_000_000, shares=shares)
    assert caught.value.retry_after_s == 86_400
    assert budget.afford(keep, morning, "direct", cap=1_000_000, shares=shares) == 300_000
    evening = morning + timedelta(hours=18)  # by then less is held back
    assert budget.afford(keep, evening, "search", cap=1_000_000, shares=shares) == 450_000


def test_what_cannot_be_read_in_the_keep_is_begun_anew() -> None:
    keep = MemoryKeep()
    for broken in ("", "{", "[]", '{"ends":7,"left":"x"}', '{"day":null}', '{"shut":"昨天"}'):
        keep.rows = {"window:dm": broken, budget.SPENT: broken}
        budget.admit(keep, "dm", T0)
        budget.learn(keep, "dm", Told(15, 3, 60.0), T0)
        budget.spend(keep, T0, "m", [("post", "1")], PRICES)
        assert budget.spent(keep, T0).micros == 5_000


def test_too_many_lost_races_are_unavailable() -> None:
    class Busy(MemoryKeep):
        def swap(self, key: str, old: str | None, new: str | None) -> bool:
            return False

    with pytest.raises(Unavailable, match="too many"):
        budget.shut(Busy(), "dm", T0, seconds=1, why="忙")
