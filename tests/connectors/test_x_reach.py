"""How far X lets us look: windows of a list, searches beyond them, and gaps where nothing helps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from aggregator.errors import RateLimited, Unauthorized
from aggregator.model import Message
from connectors.x import deletions
from tests.connectors.x_place import ANN, BEN, Place, place

SEARCH = {"search": ["露沐", "lumo tea"]}


@pytest.fixture
def x() -> Iterator[Place]:
    with place(rate_factor=100) as made:
        yield made


def ids(messages: list[Message]) -> set[str]:
    return {one.native_id for one in messages}


def flood(x: Place, count: int, *, every: timedelta) -> list[str]:
    made = []
    for n in range(count):
        x.clock.at += every
        made.append(str(x.mention(f"投诉 {n}").id))
    x.clock.on(minutes=2)
    return made


def test_what_the_list_of_mentions_no_longer_holds_is_found_by_a_search(x: Place) -> None:
    _, cursor = x.walk("mentions", None)
    known = flood(x, 3, every=timedelta(minutes=1))
    found, cursor = x.walk("mentions", cursor)
    assert ids(found) == set(known)
    made = flood(x, 1000, every=timedelta(seconds=20))
    found, cursor = x.walk("mentions", cursor)
    assert ids(found) >= set(made)
    assert x.gaps == []
    after = flood(x, 2, every=timedelta(minutes=1))
    assert ids(x.walk("mentions", cursor)[0]) >= set(after)


def test_what_lies_beyond_the_week_of_a_search_is_a_gap(x: Place) -> None:
    _, cursor = x.walk("mentions", None)
    flood(x, 2, every=timedelta(minutes=1))
    _, cursor = x.walk("mentions", cursor)
    stopped = x.clock()
    made = flood(x, 1400, every=timedelta(minutes=14))  # two weeks without us
    found, cursor = x.walk("mentions", cursor)
    (gap,) = x.gaps
    missing = set(made) - ids(found)
    assert missing
    assert not gap.recoverable
    assert gap.since is not None
    assert gap.until is not None
    assert abs(gap.since - stopped) < timedelta(minutes=3)
    for one in missing:  # the gap says exactly where they are
        assert gap.since <= x.x.posts[int(one)].at <= gap.until
    assert ids(x.walk("mentions", cursor)[0])
    assert len(x.gaps) == 1


def test_where_no_search_is_allowed_the_gap_is_told_and_the_stream_goes_on(x: Place) -> None:
    _, cursor = x.walk("mentions", None)
    flood(x, 2, every=timedelta(minutes=1))
    _, cursor = x.walk("mentions", cursor)
    made = flood(x, 1000, every=timedelta(seconds=20))
    x.x.fault("status", path="/2/tweets/search", status=403, times=9)
    found, cursor = x.walk("mentions", cursor)
    assert len(ids(found) & set(made)) >= 795
    (gap,) = x.gaps
    assert gap.until is not None
    assert "search" in gap.reason
    x.x.faults.clear()
    after = flood(x, 1, every=timedelta(minutes=1))
    assert ids(x.walk("mentions", cursor)[0]) >= set(after)
    assert len(x.gaps) == 1


def test_a_token_that_dies_in_the_search_of_a_deep_walk_is_no_gap(x: Place) -> None:
    """A refused token is somebody's to mend; what it kept from us can still be had then."""
    _, cursor = x.walk("mentions", None)
    flood(x, 2, every=timedelta(minutes=1))
    _, cursor = x.walk("mentions", cursor)
    made = flood(x, 1000, every=timedelta(seconds=20))
    x.x.fault("status", path="/2/tweets/search", status=401)
    found: list[Message] = []
    with pytest.raises(Unauthorized):
        for _ in range(80):
            page = x.connect().poll("mentions", cursor)
            found, cursor = [*found, *page.messages], page.cursor
    rest, _ = x.walk("mentions", cursor)
    assert ids([*found, *rest]) >= set(made)
    assert x.gaps == []


def test_an_age_limit_on_since_id_loses_nothing_that_x_still_gives(x: Place) -> None:
    _, cursor = x.walk("mentions", None)
    flood(x, 2, every=timedelta(minutes=1))
    _, cursor = x.walk("mentions", cursor)
    x.x.since_max_age = timedelta(days=7)
    made = flood(x, 60, every=timedelta(hours=5))
    found, _ = x.walk("mentions", cursor)
    assert ids(found) >= set(made)
    assert x.gaps == []


def test_tokens_that_expire_while_walking_lose_nothing(x: Place) -> None:
    _, cursor = x.walk("mentions", None)
    made = flood(x, 200, every=timedelta(seconds=10))
    x.x.token_age = timedelta(seconds=30)
    found: list[Message] = []
    for _ in range(60):
        page = x.connect().poll("mentions", cursor)
        found += page.messages
        cursor = page.cursor
        x.clock.on(seconds=45)  # every token has died by then
        if not page.more:
            break
    assert ids(found) == set(made)


def test_words_are_searched_for_without_the_at(x: Place) -> None:
    assert x.connect(**SEARCH).streams == ("mentions", "direct_messages", "own_posts", "search")
    _, cursor = x.walk("search", None, **SEARCH)
    ann = x.x.user(ANN)
    named = x.x.post(ann, "露沐的茶真难喝", x.clock())
    phrase = x.x.post(x.x.user(BEN), "This Lumo Tea is off & cold", x.clock())
    x.x.post(ann, "lumo is a nice word", x.clock())
    x.x.post(x.x.brand, "露沐上新", x.clock())
    x.clock.on(minutes=1)
    found, cursor = x.walk("search", cursor, **SEARCH)
    assert {one.native_id for one in found} == {str(named.id), str(phrase.id)}
    assert {one.kind for one in found} == {"mention"}
    x.clock.on(minutes=1)
    late = x.x.post(ann, "露沐！", x.clock())
    found, cursor = x.walk("search", cursor, **SEARCH)
    assert str(late.id) not in ids(found)  # a search shows nothing of the last half minute
    x.clock.on(seconds=40)
    found, _ = x.walk("search", cursor, **SEARCH)
    assert str(late.id) in ids(found)


def test_a_query_in_xs_own_words_is_taken_as_it_stands(x: Place) -> None:
    _, cursor = x.walk("search", None, search="露沐 -抽奖")
    wanted = x.x.post(x.x.user(ANN), "露沐 退款", x.clock())
    x.x.post(x.x.user(BEN), "露沐 抽奖 转发", x.clock())
    x.clock.on(minutes=1)
    assert ids(x.walk("search", cursor, search="露沐 -抽奖")[0]) == {str(wanted.id)}


def test_a_search_that_slept_longer_than_a_week_tells_the_gap(x: Place) -> None:
    _, cursor = x.walk("search", None, **SEARCH)
    x.x.post(x.x.user(ANN), "露沐 一", x.clock())
    x.clock.on(minutes=1)
    _, cursor = x.walk("search", cursor, **SEARCH)
    slept = x.clock()
    x.clock.on(days=2)
    x.x.post(x.x.user(ANN), "露沐 没人看到", x.clock())
    x.clock.on(days=8)
    seen = x.x.post(x.x.user(ANN), "露沐 二", x.clock())
    x.clock.on(minutes=1)
    found, cursor = x.walk("search", cursor, **SEARCH)
    assert ids(found) == {str(seen.id)}
    (gap,) = x.gaps
    assert gap.since == slept
    assert gap.until is not None
    assert abs(gap.until - (x.clock() - timedelta(days=7))) < timedelta(minutes=3)


def test_a_quiet_search_that_was_always_read_has_no_gap(x: Place) -> None:
    _, cursor = x.walk("search", None, **SEARCH)
    for _ in range(30):
        x.clock.on(hours=8)
        found, cursor = x.walk("search", cursor, **SEARCH)
        assert found == []
    assert x.gaps == []


# --- deletions ------------------------------------------------------------------------------------


def test_what_was_withdrawn_or_hidden_is_learnt_once_a_day(x: Place) -> None:
    daily = {"deletions": "daily"}
    assert x.connect(**daily).streams[-1] == deletions.NAME
    _, sweep = x.walk(deletions.NAME, None, **daily)
    _, cursor = x.walk("mentions", None, **daily)
    gone, hidden, there = x.mention("删掉"), x.mention("隐藏", who=BEN), x.mention("还在")
    x.clock.on(minutes=1)
    _, cursor = x.walk("mentions", cursor, **daily)
    x.x.delete(gone)
    x.x.protected.add(x.x.user(BEN).id)
    assert x.walk(deletions.NAME, sweep, **daily)[0] == []  # not due
    assert x.calls("/2/tweets") == 0
    x.clock.on(days=1)
    found, sweep = x.walk(deletions.NAME, sweep, **daily)
    told = {one.native_id: one for one in found}
    assert set(told) == {str(gone.id), str(hidden.id)}
    assert told[str(gone.id)].deleted_at == x.clock()
    assert told[str(gone.id)].marks == ()
    assert told[str(hidden.id)].marks == ("hidden",)
    assert all(one.text is None for one in found)
    x.clock.on(days=1)
    found, sweep = x.walk(deletions.NAME, sweep, **daily)
    assert found == []  # told once
    x.x.protected.clear()
    x.clock.on(days=1)
    (back,) = x.walk(deletions.NAME, sweep, **daily)[0]
    assert (back.native_id, back.restored_at) == (str(hidden.id), x.clock())
    assert back.text == "@lumo 隐藏"
    assert str(there.id) in (x.keep.get(deletions.RECENT) or "")


def test_a_sweep_that_cannot_be_paid_waits(x: Place) -> None:
    more = {"deletions": "daily", "budget": {"per_day": "0.25"}}
    _, cursor = x.walk("mentions", None, **more)
    for n in range(12):
        x.mention(f"第{n}")
    x.clock.on(minutes=1)
    x.walk("mentions", cursor, **more)
    with pytest.raises(RateLimited, match="deletions"):
        x.connect(**more).poll(deletions.NAME, None)
    assert x.calls("/2/tweets") == 0


# --- check ----------------------------------------------------------------------------------------


def test_a_check_tells_each_stream_apart_and_costs_next_to_nothing(x: Place) -> None:
    for n in range(10):
        x.mention(str(n))
        x.direct(str(n))
    x.clock.on(minutes=20)
    identity = x.connect(**SEARCH).check()
    assert dict(identity.streams) == dict.fromkeys(
        ("mentions", "direct_messages", "own_posts", "search"), "ok"
    )
    assert x.x.spent_usd() == pytest.approx(0.01)  # ourselves, once a day
    x.x.limits["mentions"] = (0, 450)
    x.x.fault(
        "status", path="/2/tweets/search", status=403, body=b'{"reason":"client-not-enrolled"}'
    )
    x.x.access = "read-write"
    x.clock.on(minutes=20)
    told = x.connect(**SEARCH).check().streams
    assert told["mentions"].startswith("quota: ")
    assert told["direct_messages"].startswith("denied: ")
    assert "Direct message" in told["direct_messages"]
    assert told["own_posts"] == "ok"
    assert told["search"].startswith("denied: ")
    assert "pay-per-use" in told["search"]


def test_a_check_without_credits_says_so(x: Place) -> None:
    x.x.trouble = "credits"
    with pytest.raises(RateLimited, match="billing"):
        x.connect().check()


@pytest.mark.parametrize(
    ("body", "remedy"),
    [
        (b'{"detail":"Your account is temporarily locked."}', "log in to x.com"),
        (b'{"detail":"User is suspended"}', "log in to x.com"),
        (b'{"reason":"official-client-forbidden"}', "an app of X's own"),
        (b'{"reason":"client-not-enrolled"}', "attach it to a project"),
        (b"{}", "Read and write and Direct message"),
    ],
)
def test_a_403_says_what_a_person_has_to_do(x: Place, body: bytes, remedy: str) -> None:
    x.x.fault("status", path="/2/users", status=403, body=body)
    with pytest.raises(Unauthorized) as caught:
        x.connect().poll("mentions", None)
    assert remedy in caught.value.remedy
