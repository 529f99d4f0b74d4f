"""What is left of what a platform counts is known from its answers, without a call for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from aggregator.model import Quota
from aggregator.now import utc_now
from aggregator.sandbox.world import World
from connectors.base import Metered
from connectors.registry import connector_class
from tests.connectors.loopback import MemoryKeep


@pytest.fixture
def world() -> Iterator[World]:
    made = World(utc_now)
    made.start()
    yield made
    made.stop()


def account(world: World, name: str, **more: Any) -> Any:
    kind = connector_class(name)
    given = {**world.platforms[name].options(), **more}  # type: ignore[attr-defined]
    return kind(kind.options.model_validate(given), keep=MemoryKeep(), now=utc_now)


def by_name(connector: Any) -> dict[str, Quota]:
    assert isinstance(connector, Metered)
    return {one.name: one for one in connector.quotas()}


def calls(world: World, name: str) -> int:
    return len(world.platforms[name].calls)  # type: ignore[attr-defined]


def test_x_tells_calls_by_window_and_money_by_day(world: World) -> None:
    x = account(world, "x", budget={"per_day": 5.0})
    assert set(by_name(x)) == {"budget"}
    x.poll("mentions", None)
    before = calls(world, "x")
    left = by_name(x)
    assert calls(world, "x") == before
    assert left["mentions"].limit is not None
    assert left["mentions"].left < left["mentions"].limit
    assert left["mentions"].ends_at is not None
    assert (left["budget"].unit, left["budget"].limit) == ("USD", 5.0)
    assert left["budget"].left <= 5.0


def test_weibo_tells_calls_of_the_user_and_of_the_address(world: World) -> None:
    weibo = account(world, "weibo")
    first = by_name(weibo)["user"]
    weibo.poll("mentions", None)
    before = calls(world, "weibo")
    user = by_name(weibo)["user"]
    assert calls(world, "weibo") == before
    assert (user.limit, user.left) == (100_000, 99_999)
    assert first.limit == 100
    assert user.ends_at is not None
    assert user.ends_at > utc_now()


def test_facebook_tells_percent(world: World) -> None:
    world.facebook.usage.told_from, world.facebook.usage.quota = 0, 10
    page = account(world, "facebook")
    page.poll("posts", None)
    left = by_name(page)
    assert left
    assert all(one.unit == "percent" and 0 <= one.left <= 100 for one in left.values())


def test_wechat_is_asked_with_the_daily_check(world: World) -> None:
    told = account(world, "wechat").check()
    assert told.quotas
    assert all(one.limit and one.left <= one.limit and one.ends_at for one in told.quotas)


def test_a_window_that_a_refusal_shut_has_nothing_left(world: World) -> None:
    x = account(world, "x")
    world.x.fault("status", path="/2/users", status=429, body=b"{}", times=1)
    with pytest.raises(Exception, match="429"):
        x.poll("mentions", None)
    assert by_name(x)["mentions"].left == 0
