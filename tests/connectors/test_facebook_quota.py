"""A Page's quota: learnt from percentages and minutes, shared by all, and never knocked against."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aggregator.errors import RateLimited
from aggregator.sandbox.base import Person
from aggregator.sandbox.facebook import FacebookStandin
from connectors.facebook import Facebook
from tests.connectors.loopback import Clock, MemoryKeep

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ANN = Person(1, "安妮", "ann")


class Stage:
    def __init__(self) -> None:
        self.clock = Clock(NOON)
        self.keep = MemoryKeep()
        self.page = FacebookStandin(self.clock, conversations_per_second=1e6)
        self.page.usage.told_from = 0

    def connect(self, **more: Any) -> Facebook:
        """Another process, of the same account."""
        options = Facebook.options.model_validate(
            {**self.page.options(), "verify_token": None, **more}
        )
        return Facebook(options, keep=self.keep, now=self.clock)  # type: ignore[arg-type]

    def calls(self) -> int:
        return len(self.page.calls)


@pytest.fixture
def stage() -> Iterator[Stage]:
    one = Stage()
    one.page.start()
    yield one
    one.page.stop()
    assert one.page.errors == []


def test_while_the_page_is_throttled_nobody_calls(stage: Stage) -> None:
    stage.page.throttle(32, minutes=7)
    with pytest.raises(RateLimited) as caught:
        stage.connect().poll("posts", None)
    assert caught.value.retry_after_s == 8 * 60  # the call itself made it longer
    asked = stage.calls()
    for stream in ("posts", "comments", "reviews"):
        with pytest.raises(RateLimited):
            stage.connect().poll(stream, None)
    assert stage.calls() == asked
    stage.clock.on(minutes=8, seconds=1)
    assert stage.connect().poll("posts", None).messages == ()


def test_minutes_are_no_seconds(stage: Stage) -> None:
    stage.page.throttle(80001, minutes=30)
    with pytest.raises(RateLimited):
        stage.connect().poll("posts", None)
    stage.clock.on(seconds=120)
    with pytest.raises(RateLimited) as caught:
        stage.connect().poll("posts", None)
    assert caught.value.retry_after_s > 25 * 60


def test_messengers_quota_holds_up_messages_only(stage: Stage) -> None:
    connector = stage.connect()
    connector.poll("posts", None)
    stage.page.refuse(80006, "There have been too many calls", path="/v26.0/" + stage.page.page.id)
    with pytest.raises(RateLimited):
        connector.poll("messages", None)
    asked = stage.calls()
    with pytest.raises(RateLimited):
        stage.connect(page_id=stage.page.page.id)._graph.get_connections("me", "conversations")
    assert stage.calls() == asked
    assert connector.poll("posts", None).messages == ()


@pytest.mark.parametrize(("percent", "more"), [(40, True), (80, False)])
def test_near_the_end_of_the_quota_a_walk_takes_its_time(
    stage: Stage, percent: int, more: bool
) -> None:
    stage.page.graph.short_pages = False
    every = {
        stage.page.post(stage.page.person(ANN), f"第 {n} 条", NOON - timedelta(seconds=n)).id
        for n in range(150)
    }
    stage.page.usage.quota, stage.page.usage.calls = 10_000, percent * 100
    connector = stage.connect()
    connector.poll("reviews", None)  # learns
    page = connector.poll("posts", None)
    assert page.more is more
    found = {message.native_id for message in page.messages}
    for _ in range(4):
        page = connector.poll("posts", page.cursor)
        found |= {message.native_id for message in page.messages}
    assert found == every


def test_at_the_very_end_of_the_quota_calls_stop_and_one_looks_whether_it_is_over(
    stage: Stage,
) -> None:
    stage.page.usage.quota, stage.page.usage.calls = 100, 96
    with pytest.raises(RateLimited, match=r"% of Facebook's quota"):
        for _ in range(3):
            stage.connect().poll("posts", None)
    asked = stage.calls()
    with pytest.raises(RateLimited):
        stage.connect().poll("comments", None)
    assert stage.calls() == asked
    stage.page.usage.calls = 3
    stage.clock.on(minutes=10, seconds=1)
    stage.connect().poll("posts", None)
    stage.connect().poll("comments", None)


def test_a_pages_conversations_are_asked_for_twice_a_second_from_all_replicas_together(
    stage: Stage,
) -> None:
    first, second = stage.connect(), stage.connect()
    first.poll("messages", None)
    with pytest.raises(RateLimited) as caught:
        second.poll("messages", None)
    assert caught.value.retry_after_s <= 1
    second.poll("posts", None)  # others are not held up
    done = 0
    start = stage.clock.at
    while stage.clock.at < start + timedelta(seconds=10):
        stage.clock.on(milliseconds=50)
        for connector in (first, second):
            try:
                connector.poll("messages", None)
                done += 1
            except RateLimited:
                continue
    assert 18 <= done <= 20


@pytest.mark.parametrize(
    "headers",
    [
        {"X-App-Usage": "no json"},
        {"X-App-Usage": "[]", "X-Business-Use-Case-Usage": "{"},
        {"X-Business-Use-Case-Usage": '{"1": {"type": "pages"}, "2": [null, 7, "x", {}]}'},
        {"X-App-Usage": '{"call_count": "97", "total_time": null, "total_cputime": -5}'},
        {"X-App-Usage": '{"call_count": 1e300}'},
    ],
)
def test_headers_that_cannot_be_read_stop_nothing(stage: Stage, headers: dict[str, str]) -> None:
    stage.page.usage.told_from = 10**9
    stage.page.fault("status", status=200, body=b'{"data": []}', headers=headers, after=1)
    connector = stage.connect()
    for _ in range(3):
        connector.poll("reviews", None)


def test_what_is_learnt_is_not_written_at_every_call(stage: Stage) -> None:
    connector = stage.connect()
    connector.poll("posts", None)
    before = dict(stage.keep.rows)
    for _ in range(5):
        connector.poll("posts", None)
    assert stage.keep.rows == before
