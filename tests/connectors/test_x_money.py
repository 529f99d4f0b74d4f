"""What reading X may cost, and how often it may be asked: shared by replicas, fair between streams."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from aggregator.errors import RateLimited, Unavailable
from connectors import budget
from tests.connectors.x_place import ANN, BEN, NOON, Place, place

STREAMS = ("mentions", "direct_messages", "own_posts")


@pytest.fixture
def x() -> Iterator[Place]:
    with place() as made:
        yield made


def cursors(x: Place, **more: Any) -> dict[str, str | None]:
    return {stream: x.walk(stream, None, **more)[1] for stream in STREAMS}


def test_what_we_count_is_never_less_than_what_x_charges(x: Place) -> None:
    at = cursors(x)
    for n in range(30):
        x.clock.on(minutes=10)
        x.mention(f"第{n}条", who=ANN if n % 2 else BEN)
        x.direct(f"私信{n}", who=BEN)
        x.x.post(x.x.brand, f"回复{n}", x.clock(), reply_to=x.mention(f"再{n}"))
        for stream in STREAMS:
            _, at[stream] = x.walk(stream, at[stream])
    ours = budget.spent(x.keep, x.clock()).micros / 1e6
    theirs = x.x.spent_usd()
    assert theirs <= ours <= theirs * 1.05


def test_at_the_cap_the_streams_pause_until_midnight_and_then_go_on(x: Place) -> None:
    more = {"budget": {"per_day": "0.25"}}
    at = cursors(x, **more)
    paused: set[str] = set()
    for n in range(60):
        x.clock.on(minutes=5)
        x.mention(f"提及{n}", who=ANN)
        x.direct(f"私信{n}", who=BEN)
        for stream in STREAMS:
            try:
                _, at[stream] = x.walk(stream, at[stream], **more)
            except RateLimited as error:
                assert "0.25 USD a day" in error.reason
                left = NOON.replace(hour=0) + timedelta(days=1) - x.clock()
                assert error.retry_after_s == left.total_seconds()
                paused.add(stream)
    assert paused == set(STREAMS)
    assert x.x.spent_usd() <= 0.25
    x.clock.at = NOON.replace(hour=0, minute=1) + timedelta(days=1)
    for stream in STREAMS:
        page = x.connect(**more).poll(stream, at[stream])
        assert page.messages or stream == "own_posts"


def test_one_noisy_stream_leaves_the_others_their_share(x: Place) -> None:
    x.clock.at = NOON.replace(hour=0, minute=1)
    more = {"budget": {"per_day": "1.00"}}
    at = cursors(x, **more)
    for n in range(120):  # a storm of direct messages
        x.direct(f"私信{n}", who=ANN if n % 3 else BEN)
        x.clock.on(seconds=20)
        if n % 6 == 0:
            try:
                _, at["direct_messages"] = x.walk("direct_messages", at["direct_messages"], **more)
            except RateLimited:
                break
    x.mention()
    x.clock.on(minutes=1)
    found, _ = x.walk("mentions", at["mentions"], **more)
    assert len(found) == 1


@pytest.mark.parametrize(("owned", "price"), [("true", 1_000), ("false", 5_000)])
def test_an_app_that_is_not_the_accounts_own_pays_the_full_price(
    x: Place, owned: str, price: int
) -> None:
    more = {"budget": {"per_day": "5", "owned": owned}}
    _, cursor = x.walk("mentions", None, **more)
    x.mention()
    x.clock.on(minutes=1)
    x.walk("mentions", cursor, **more)
    assert budget.spent(x.keep, x.clock()).micros == price + 10_000  # and its author


def test_without_credits_nobody_asks_until_an_hour_is_over(x: Place) -> None:
    at = cursors(x)
    x.x.trouble = "credits"
    with pytest.raises(RateLimited, match="billing") as caught:
        x.connect().poll("mentions", at["mentions"])
    assert caught.value.retry_after_s == 3600
    asked = len(x.x.calls)
    x.clock.on(minutes=30)
    for stream in STREAMS:
        with pytest.raises(RateLimited, match="billing"):
            x.connect().poll(stream, at[stream])
    assert len(x.x.calls) == asked
    x.x.trouble = None
    x.clock.on(minutes=31)
    for stream in STREAMS:
        x.connect().poll(stream, at[stream])


@pytest.mark.parametrize(("period", "seconds"), [("Monthly", 3600), ("Daily", 12 * 3600)])
def test_a_used_up_cap_pauses_until_it_may_be_over(x: Place, period: str, seconds: float) -> None:
    x.x.trouble, x.x.period = "usage_capped", period
    with pytest.raises(RateLimited, match="UsageCapExceeded") as caught:
        x.connect().poll("mentions", None)
    assert caught.value.retry_after_s == seconds


def test_direct_messages_out_of_calls_hold_up_nothing_else(x: Place) -> None:
    at = cursors(x)
    for n in range(40):
        x.direct(f"信{n}")
    x.x.limits["dm_events"] = (3, 0)
    x.clock.on(minutes=16)
    refused = 0
    for n in range(10):
        x.mention(f"提及{n}")
        x.clock.on(seconds=30)
        try:
            _, at["direct_messages"] = x.walk("direct_messages", at["direct_messages"])
        except RateLimited as error:
            refused += 1
            assert 0 < error.retry_after_s <= 900
        _, at["mentions"] = x.walk("mentions", at["mentions"])
    assert refused
    assert all(status != 429 for status in x.x.refused)  # we knew before we asked


def test_the_limits_of_x_are_never_overrun_by_replicas(x: Place) -> None:
    x.x.limits["dm_events"] = (15, 0)
    _, cursor = x.walk("direct_messages", None)
    asked = 0
    for _ in range(60):
        x.clock.on(seconds=15)
        try:
            x.connect().poll("direct_messages", cursor)  # each a process of its own, one keep
            asked += 1
        except RateLimited:
            pass
    assert asked <= 15 + 1
    assert list(x.x.refused) == []


def test_history_leaves_half_of_the_calls_to_what_is_new(x: Place) -> None:
    for n in range(1200):
        x.direct(f"旧{n}")
    x.clock.on(hours=1)
    x.walk("direct_messages", None)
    cursor: str | None = None
    pages = 0
    with pytest.raises(RateLimited):
        while True:
            page = x.connect().backfill("direct_messages", cursor)
            cursor = page.cursor
            pages += 1
    assert 4 <= pages <= 8
    x.connect().poll("direct_messages", x.walk("direct_messages", None)[1])


@pytest.mark.parametrize("resets", ["past", "missing"])
def test_a_window_that_x_tells_wrongly_is_no_window(x: Place, resets: str) -> None:
    x.x.windows.resets = resets
    x.x.limits["mentions"] = (1, 0)
    _, cursor = x.walk("mentions", None)
    with pytest.raises(RateLimited) as caught:
        x.connect().poll("mentions", cursor)
    assert caught.value.retry_after_s == 60
    x.clock.on(seconds=30)
    with pytest.raises(RateLimited) as caught:
        x.connect().poll("mentions", cursor)
    assert caught.value.retry_after_s == 30
    assert x.calls("/mentions") == 2  # no tight loop
    x.clock.on(minutes=15)
    x.connect().poll("mentions", cursor)


def test_a_keep_that_does_not_answer_is_a_poll_that_comes_again(x: Place) -> None:
    class Busy:
        def get(self, key: str) -> str | None:
            raise Unavailable("the database does not answer")

        def swap(self, key: str, old: str | None, new: str | None) -> bool:
            raise Unavailable("the database does not answer")

    x.keep = Busy()  # type: ignore[assignment]
    with pytest.raises(Unavailable):
        x.connect().poll("mentions", None)
