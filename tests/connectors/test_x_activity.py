"""The activity stream of X: it wakes the polls, and nothing hangs on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

import pytest
from pydantic import ValidationError

from aggregator.errors import RateLimited, Unauthorized, Unavailable
from connectors.x import X, XOptions
from tests.connectors.x_place import Place, minutes, place

STREAMS = ["mentions", "direct_messages", "own_posts", "activity"]


@pytest.fixture
def x() -> Iterator[Place]:
    with place(rate_factor=100) as made:
        yield made
        made.x.activity.hang_up()


def connect(x: Place, **more: object) -> X:
    given = {"streams": STREAMS, "bearer_token": x.x.keys.bearer, **more}
    return x.connect(**given)


def listening(x: Place, **more: object) -> Iterator[str | None]:
    """Connected: the first beat has come."""
    told = connect(x, **more).listen()
    assert next(told) is None
    return told


def woken(told: Iterator[str | None], beats: int = 60) -> list[str]:
    """What is told until it is told that something is."""
    for _ in range(beats):
        found = [one for one in islice(told, 1) if one is not None]
        if found:
            return found
    return []


def test_it_is_off_unless_asked_for_and_is_no_stream_to_poll(x: Place) -> None:
    assert not x.connect().listens
    account = connect(x)
    assert account.listens
    assert account.streams == ("mentions", "direct_messages", "own_posts")


def test_it_needs_the_token_of_the_app(x: Place) -> None:
    with pytest.raises(ValidationError, match="bearer_token"):
        XOptions.model_validate({**x.x.options(), "streams": "mentions,activity"})


def test_each_event_wakes_the_stream_that_brings_what_it_tells_of(x: Place) -> None:
    told = listening(x)
    post = x.mention("退款呢")
    assert woken(told) == ["mentions"]
    x.direct("在吗")
    assert woken(told) == ["direct_messages"]
    x.x.post(x.x.brand, "马上处理", x.clock(), reply_to=post)
    assert woken(told) == ["own_posts"]


def test_what_is_subscribed_to_is_not_subscribed_to_again(x: Place) -> None:
    listening(x)
    subscribed = list(x.x.activity.subscribed)
    assert len(set(subscribed)) == len(subscribed) == 6
    x.x.activity.subscribed.remove(("dm.sent", str(x.x.brand.id)))
    listening(x)
    assert x.x.activity.subscribed == [*subscribed[:-1], subscribed[-1]]
    assert x.calls("/2/activity/subscriptions", "POST") == 7


def test_a_subscription_that_x_calls_double_is_no_trouble(x: Place) -> None:
    x.x.activity.subscribed.append(("post.create", str(x.x.brand.id)))
    x.x.fault("status", path="/2/activity/subscriptions", status=200, body=b"{}")
    listening(x)  # X did not list it, and refuses it


def test_direct_messages_are_woken_for_once_a_minute_and_none_is_forgotten(x: Place) -> None:
    told = listening(x)
    x.direct("一")
    assert woken(told) == ["direct_messages"]
    x.direct("二")
    assert woken(told, beats=6) == []  # 15 calls in 15 minutes are all there are
    x.clock.on(seconds=61)
    assert woken(told) == ["direct_messages"]


def test_a_connection_that_ends_ends_the_telling(x: Place) -> None:
    told = listening(x)
    x.x.activity.hang_up()
    assert [one for one in told if one is not None] == []
    account = connect(x)
    told = account.listen()
    assert next(told) is None
    x.x.stop()
    assert [one for one in told if one is not None] == []
    with pytest.raises(Unavailable):
        next(account.listen())


def test_a_refused_app_token_says_which_token(x: Place) -> None:
    with pytest.raises(Unauthorized, match="bearer_token"):
        next(connect(x, bearer_token="别人的".encode().hex()).listen())
    with pytest.raises(Unavailable):
        x.x.fault("html", path="/2/activity/stream")
        next(connect(x).listen())


def test_a_third_connection_is_refused_and_waits(x: Place) -> None:
    first, second = listening(x), listening(x)
    with pytest.raises(RateLimited):
        next(connect(x).listen())
    assert next(first) is next(second) is None


def test_events_are_paid_for_out_of_the_days_budget(x: Place) -> None:
    told = listening(x, budget={"per_day": 0.05})
    with pytest.raises(RateLimited) as caught:
        for _ in range(9):
            x.mention("又坏了")
            x.clock.on(seconds=6)
            woken(told)
    assert caught.value.retry_after_s > timedelta(hours=11).total_seconds()
    assert x.x.spent_usd() <= 0.06
    x.clock.at += minutes(60 * 13)
    assert next(connect(x, budget={"per_day": 0.05}).listen()) is None
