"""A hundred calls a day: spread over it, shared by all, a fifth kept for answers, news read first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aggregator.errors import RateLimited, Unauthorized
from aggregator.model import Message
from aggregator.sandbox.base import Line, Person
from aggregator.sandbox.weibo import WeiboStandin
from connectors.weibo import Weibo, WeiboOptions
from connectors.weibo.ledger import Calls, Ledger
from tests.connectors.loopback import Clock, MemoryKeep

MIDNIGHT = datetime(2026, 11, 21, 16, 0, tzinfo=UTC)  # in Beijing
NINE = MIDNIGHT + timedelta(hours=9)
LI = Person(7, "李雷", "lilei", 12)
LISTS = ("mentions", "comments", "comment_mentions", "own_comments")
FREE = ("rate_limit_status", "unread_count", "get_token_info")


class Day:
    """A daemon's reader that ticks every minute against the stand-in."""

    def __init__(self, weibo: WeiboStandin, account: Weibo, clock: Clock, keep: MemoryKeep) -> None:
        self.weibo, self.account, self.clock = weibo, account, clock
        self.keep = keep
        self.cursors: dict[str, str | None] = dict.fromkeys(LISTS)
        self.found: dict[str, tuple[Message, datetime]] = {}
        self.gone: list[Message] = []
        self.told: dict[str, Any] = {}
        self.made = 0

    def minutes(self, count: int, *, news_every: int = 0) -> None:
        for minute in range(count):
            if news_every and minute % news_every == 0:
                self.say()
            self.tick()
            self.clock.on(minutes=1)

    def tick(self) -> None:
        for stream in LISTS:
            for _ in range(50):
                page = self.account.poll(stream, self.cursors[stream])
                self.cursors[stream] = page.cursor
                for one in page.messages:
                    if one.deleted_at is not None:
                        self.gone.append(one)
                    self.found.setdefault(one.native_id, (one, self.clock()))
                if not page.more:
                    break

    def say(self) -> str:
        self.made += 1
        label = f"第{self.made}条"
        line = Line(0, "weibo", "mention", label, LI, f"@{self.weibo.brand} {label}")
        self.told[label] = self.weibo.play(line, self.clock(), self.told)
        return str(self.told[label].native_id)

    def metered(self) -> list[str]:
        return [path for _, path in self.weibo.calls if not any(one in path for one in FREE)]


@contextmanager
def day(at: datetime = NINE, *, keep: MemoryKeep | None = None, **more: Any) -> Iterator[Day]:
    clock = Clock(at)
    weibo = WeiboStandin(clock, codes="int", **more)
    weibo.start()
    try:
        keep = keep or MemoryKeep()
        yield Day(weibo, reader(weibo, clock, keep), clock, keep)
    finally:
        weibo.stop()
        assert weibo.errors == []


def reader(weibo: WeiboStandin, clock: Clock, keep: MemoryKeep, **more: Any) -> Weibo:
    return Weibo(WeiboOptions(**(weibo.options() | more)), keep=keep, now=clock)


# --- a day ----------------------------------------------------------------------------------------


def test_a_quiet_day_polled_every_minute_stays_within_four_fifths_of_its_calls() -> None:
    with day(MIDNIGHT) as today:
        today.minutes(24 * 60)
        made = len(today.metered())
        assert 60 <= made <= 80
        per_list = Counter(today.metered())
        assert min(per_list.values()) >= 14


def test_a_busy_day_neither_runs_dry_nor_loses_a_post() -> None:
    with day(MIDNIGHT) as today:
        today.minutes(24 * 60, news_every=7)
        assert 70 <= len(today.metered()) <= 80
        today.minutes(90)
        assert set(today.found) == {one.native_id for one in today.told.values()}


def test_the_calls_of_a_day_are_made_by_day_rather_than_by_night() -> None:
    with day(MIDNIGHT) as today:
        today.minutes(8 * 60, news_every=5)
        night = len(today.metered())
        today.minutes(16 * 60, news_every=5)
        assert night <= 20
        assert len(today.metered()) - night >= 55


def test_every_list_is_read_once_an_hour_in_business_hours_though_no_counter_moves() -> None:
    with day(NINE) as today:
        last: dict[str, datetime] = {}
        longest = timedelta(0)
        for _ in range(10 * 60):
            before = len(today.weibo.calls)
            today.minutes(1)
            for _, path in today.weibo.calls[before:]:
                if not any(one in path for one in FREE):
                    longest = max(longest, today.clock() - last.get(path, today.clock()))
                    last[path] = today.clock()
        assert len(last) == 4
        assert longest <= timedelta(minutes=65)


def test_news_that_a_counter_shows_is_read_at_the_next_tick() -> None:
    with day(NINE) as today:
        today.minutes(20)
        wanted = today.say()
        today.minutes(2)
        assert wanted in today.found
        assert today.found[wanted][1] - today.clock() <= timedelta(minutes=2)


def test_while_the_plan_says_not_yet_only_free_calls_are_made_and_the_cursor_stays() -> None:
    with day(NINE) as today:
        today.minutes(3)
        before, cursors = len(today.metered()), dict(today.cursors)
        today.minutes(10)
        assert len(today.metered()) == before
        assert today.cursors == cursors
        probes = [path for _, path in today.weibo.calls if "unread_count" in path]
        assert len(probes) <= 14


def test_staff_who_reads_in_the_app_hides_nothing_for_longer_than_an_hour() -> None:
    with day(NINE) as today:
        today.minutes(60)
        wanted = today.say()
        today.weibo.staff_reads()
        today.minutes(65)
        assert wanted in today.found


def test_counters_that_fall_send_us_to_look_for_the_answers_of_staff() -> None:
    with day(NINE) as today:
        today.minutes(30)
        today.say()
        today.minutes(2)
        before = today.metered().count("/2/comments/by_me.json")
        today.weibo.staff_reads()
        today.minutes(3)
        assert today.metered().count("/2/comments/by_me.json") == before + 1


def test_without_the_counters_the_lists_take_turns() -> None:
    with day(NINE) as today:
        today.weibo.fault("status", path="/2/remind", status=403, times=10**6, body=b"{}")
        today.minutes(8 * 60, news_every=30)
        per_list = Counter(today.metered())
        assert max(per_list.values()) - min(per_list.values()) <= 2
        today.minutes(70)
        assert set(today.found) == {one.native_id for one in today.told.values()}


def test_a_wide_limit_is_read_within_seconds() -> None:
    with day(NINE, quota=100_000) as today:
        today.tick()
        for _ in range(30):
            wanted = today.say()
            for _ in range(4):
                today.clock.on(seconds=1)
                today.tick()
            assert wanted in today.found


# --- shared, learnt, kept -------------------------------------------------------------------------


def test_replicas_and_restarts_share_one_count() -> None:
    keep = MemoryKeep()
    with day(NINE, keep=keep) as today:
        for _ in range(60):
            today.account = reader(today.weibo, today.clock, keep)
            today.minutes(1)
        assert len(today.metered()) <= 8 + 6


def test_what_others_used_of_the_limit_is_learnt() -> None:
    with day(NINE) as today:
        today.weibo.gate.spend(78)
        today.minutes(14 * 60)
        assert len(today.metered()) <= 3


def test_a_fifth_of_the_calls_is_left_for_answers() -> None:
    with day(NINE) as today:
        today.weibo.gate.spend(80)
        today.minutes(5)
        assert today.metered() == []
        answers = today.account._planner
        for _ in range(20):
            answers.answer()
        with pytest.raises(RateLimited) as caught:
            answers.answer()
        assert timedelta(hours=14) < timedelta(seconds=caught.value.retry_after_s)
        assert caught.value.retry_after_s <= 15 * 3600


def test_a_refusal_for_too_many_calls_stops_every_list_until_midnight() -> None:
    with day(NINE) as today:
        today.tick()
        today.clock.on(hours=1)
        body = b'{"error": "User requests out of rate limit!", "error_code": "10023"}'
        today.weibo.fault("status", path="/2/statuses", status=403, body=body)
        with pytest.raises(RateLimited) as caught:
            today.account.poll("mentions", today.cursors["mentions"])
        assert caught.value.retry_after_s == pytest.approx(14 * 3600, abs=5)
        before = len(today.metered())
        today.minutes(60, news_every=10)
        assert len(today.metered()) == before
        today.clock.at = MIDNIGHT + timedelta(days=1, minutes=5)
        today.minutes(60)
        assert set(today.found) == {one.native_id for one in today.told.values()}


def test_a_dead_token_is_found_out_by_free_calls() -> None:
    with day(NINE) as today:
        today.minutes(2)
        before = len(today.metered())
        today.weibo.gate.revoke()
        today.clock.on(minutes=1)
        with pytest.raises(Unauthorized, match="21332"):
            today.account.poll("mentions", today.cursors["mentions"])
        assert len(today.metered()) == before


def test_a_commercial_app_asks_its_own_lists_without_a_plan() -> None:
    with day(NINE) as today:
        today.account = reader(today.weibo, today.clock, MemoryKeep(), tier="commercial")
        today.minutes(60)
        per_list = Counter(today.metered())
        assert per_list["/2/statuses/mentions/biz.json"] == 60
        assert per_list["/2/comments/by_me.json"] <= 13


# --- the row --------------------------------------------------------------------------------------


def test_many_writers_count_every_call_once() -> None:
    from concurrent.futures import ThreadPoolExecutor

    keep, clock = MemoryKeep(), Clock(NINE)
    ledger = Ledger(keep, clock)
    now = clock().timestamp()
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda _: ledger.change(now, lambda c: c.spent(saved=True)), range(40)):
            pass
    assert ledger.read(now).used == 40


@pytest.mark.parametrize("row", ["", "x", "[]", "{}", '{"limit": "many"}', "null"])
def test_a_row_that_cannot_be_read_begins_anew(row: str) -> None:
    keep = MemoryKeep()
    keep.rows["calls"] = row
    assert Ledger(keep, Clock(NINE)).read(NINE.timestamp()).limit == 100


@pytest.mark.parametrize(
    "status",
    [{}, {"user_limit": "x"}, {"user_limit": 0}, {"remaining_user_hits": None, "ip_limit": -4}],
)
def test_odd_words_about_the_limit_change_nothing(status: dict[str, Any]) -> None:
    now = NINE.timestamp()
    assert Calls.first(now).told(status, now) == Calls.first(now)


def test_limits_that_are_told_by_the_hour_start_anew_by_the_hour() -> None:
    now = NINE.timestamp()
    told = {"user_limit": 150, "remaining_user_hits": 0, "limit_time_unit": "HOURS"}
    row = Calls.first(now).told(told | {"reset_time_in_seconds": 600}, now)
    assert row.left == 0
    assert row.on(now + 601).left == 120
