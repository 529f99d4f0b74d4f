"""Weibo's walk by the clock in the ids: short pages, odd ids, late items, a bounded first time."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.errors import Unavailable
from aggregator.sandbox.base import Answer, Request
from connectors.weibo import Weibo
from connectors.weibo.walk import Walk, id_at, seconds_of
from tests.connectors.loopback import T0, MemoryKeep
from tests.connectors.weibo_fake import NOW, PATHS, item, metered, seen, walk, weibos

# --- the clock in the ids -----------------------------------------------------------------------


def test_an_id_tells_its_second_and_a_second_its_least_id() -> None:
    assert seconds_of(3339924837243194) == 1311783597  # 2011-07-28 00:19:57 in Beijing
    assert seconds_of(id_at(NOW)) == NOW
    assert seconds_of(id_at(NOW) - 1) == NOW - 1


# --- walks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", list(PATHS))
def test_each_stream_asks_its_own_list(stream: str) -> None:
    with weibos() as (told, server, account, _):
        told.items = [item(60)]
        assert len(walk(account, None, stream)[0]) == 1
        assert {one.path for one in metered(server)} == {PATHS[stream][0]}
        limit = 200 if stream == "mentions" else 50
        assert metered(server)[0].query["count"] == str(limit)


def test_the_first_walk_goes_three_days_back() -> None:
    with weibos() as (told, _, account, _):
        told.items = [item(86400 * 3 + 5), item(86400 * 3 - 5), item(5)]
        ids, cursor = walk(account, None)
    assert len(ids) == 2
    assert seen(cursor) == id_at(NOW - 5)


@pytest.mark.parametrize("tells_end", [True, False])
@pytest.mark.parametrize("short", [0, 3])
def test_a_walk_goes_through_short_pages_to_the_end_and_misses_nothing(
    short: int, tells_end: bool
) -> None:
    with weibos() as (told, _, account, _):
        told.cap, told.short, told.tells_end = 20, short, tells_end
        told.items = [item(n * 7, n % 3) for n in range(100)]
        cursor = json.dumps({"seen": id_at(NOW - 2000)})
        ids, after = walk(account, cursor)
    assert len(ids) == len(set(ids)) == told.served
    assert told.served == 100 if short == 0 else 80 <= told.served < 100
    assert seen(after) == max(int(one) for one in ids)


def test_a_walk_resumes_in_another_process_and_moves_nothing_before_its_end() -> None:
    with weibos() as (told, server, account, clock):
        told.cap = 10
        told.items = [item(n * 7) for n in range(35)]
        before = id_at(NOW - 400)
        cursor: str | None = json.dumps({"seen": before})
        ids: list[str] = []
        for turn in range(10):
            fresh = Weibo(account._options, keep=MemoryKeep(), now=clock)
            if turn == 2:
                server.fault("status", path="/2/statuses", status=500)
                with pytest.raises(Unavailable):
                    fresh.poll("mentions", cursor)
            page = fresh.poll("mentions", cursor)
            ids += [one.native_id for one in page.messages]
            cursor = page.cursor
            if not page.more:
                break
            assert seen(cursor) == before
            told.items.append(item(-turn - 1))  # newer ones come while the walk goes down
            clock.on(seconds=2)
        assert len(ids) == 35
        newest, _ = walk(account, cursor)
    assert {str(one["id"]) for one in told.items if one["id"] > id_at(NOW)} <= set(newest)


def test_what_was_held_back_for_review_is_found_within_the_overlap() -> None:
    with weibos() as (told, _, account, clock):
        told.items = [item(0)]
        _, cursor = walk(account, None)
        clock.on(minutes=5)
        told.items.append(item(19 * 60))
        ids, _ = walk(account, cursor)
    assert str(told.items[1]["id"]) in ids


def test_the_end_of_a_page_is_asked_for_with_one_less() -> None:
    with weibos() as (told, server, account, _):
        told.cap = 2
        told.items = [item(n) for n in range(4)]
        walk(account, None)
        assert [one.query.get("max_id") for one in metered(server)] == [
            None,
            str(told.items[1]["id"] - 1),
        ]


@pytest.mark.parametrize(
    "hostile",
    [10**30, 1 << 62, 7, -4, "x", None, 5.5, True, [1], {"a": 1}],
)
def test_an_odd_id_neither_carries_the_cursor_away_nor_ends_the_walk(hostile: Any) -> None:
    with weibos() as (told, _, account, clock):
        good = [item(n * 7) for n in range(30)]
        odd = {**item(3), "id": hostile, "idstr": "odd"}

        def listed(key: str, request: Request) -> Answer:
            since = int(request.query["since_id"])
            top = int(request.query.get("max_id", 0)) or 1 << 70
            found = [one for one in good if since < one["id"] <= top][:10]
            page = [*found[:5], odd, *found[5:]] if found else []
            return Answer(json.dumps({key: page, "next_cursor": 5 if found else 0}).encode())

        told.listed = listed  # type: ignore[method-assign]
        ids, cursor = walk(account, json.dumps({"seen": id_at(NOW - 1000)}))
        assert {str(one["id"]) for one in good} <= set(ids)
        assert id_at(NOW) <= seen(cursor) <= id_at(NOW + 2)
        clock.on(hours=1)
        good.insert(0, item(-3000))
        ids, _ = walk(account, cursor)
        assert str(good[0]["id"]) in ids


def test_a_list_that_ignores_max_id_is_no_endless_walk_and_moves_nothing() -> None:
    with weibos() as (told, _, account, _):
        page = [item(n) for n in range(5)]
        told.listed = lambda key, _: Answer(  # type: ignore[method-assign]
            json.dumps({key: page, "next_cursor": 5}).encode()
        )
        before = id_at(NOW - 100)
        _, cursor = walk(account, json.dumps({"seen": before}))
    assert seen(cursor) == before


def test_a_list_that_ignores_since_id_ends_at_what_was_seen() -> None:
    with weibos() as (told, server, account, _):
        told.items = [item(n * 600) for n in range(400)]
        since = told.listed

        def listed(key: str, request: Request) -> Answer:
            query = {**request.query, "since_id": "0", "count": "20"}
            return since(key, Request("GET", request.path, query, "", {}, b"", ""))

        told.listed = listed  # type: ignore[method-assign]
        walk(account, json.dumps({"seen": id_at(NOW - 600 * 50)}))
        assert len(metered(server)) < 6


def test_the_first_walk_is_bounded_and_the_next_ones_are_not() -> None:
    with weibos() as (told, server, account, clock):
        told.cap = 5
        told.items = [item(n * 60) for n in range(200)]
        _, cursor = walk(account, None)
        assert len(metered(server)) == 10
        assert seen(cursor) == id_at(NOW)
        clock.on(seconds=2)
        ids, _ = walk(account, json.dumps({"seen": id_at(NOW - 60 * 150)}))
        assert len(ids) > 150


@pytest.mark.parametrize(
    "cursor", ["", "x", "[]", '{"seen": "9"}', '{"walk": {"since": 1}}', "null"]
)
def test_a_cursor_that_cannot_be_read_begins_anew(cursor: str) -> None:
    with weibos() as (told, _, account, _):
        told.items = [item(86400), item(5)]
        assert len(walk(account, cursor)[0]) == 2


@given(
    ages=st.lists(st.integers(0, 1100), max_size=60, unique=True),
    size=st.integers(1, 9),
)
@settings(max_examples=60, deadline=None)
def test_whatever_the_pages_a_complete_walk_has_it_all(ages: list[int], size: int) -> None:
    ids = sorted((id_at(NOW - age) for age in ages), reverse=True)
    state = Walk.resume(json.dumps({"seen": id_at(NOW), "scanned": 10**9}), T0)
    got: list[int] = []
    while state.going:
        state = Walk.resume(state.told(), T0) if got else state
        page = [id for id in ids if state.since < id <= (state.below or 1 << 70)][:size]
        got += page
        state = state.after(page, last=False, now=T0)
    assert got == ids


@given(
    ages=st.lists(st.integers(-600, 1100), max_size=60, unique=True),
    size=st.integers(1, 9),
    few=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_however_few_the_pages_what_is_newer_than_the_last_walk_is_read(
    ages: list[int], size: int, few: int
) -> None:
    now = T0 + timedelta(minutes=11)
    ids = sorted((id_at(NOW - age) for age in ages), reverse=True)
    for scanned in (0, 10**9):
        state = Walk.resume(
            json.dumps({"seen": id_at(NOW), "scanned": scanned}), now, again=few, overlap=few
        )
        got: list[int] = []
        while state.going:
            page = [id for id in ids if state.since < id <= (state.below or 1 << 70)][:size]
            got += page
            state = state.after(page, last=False, now=now)
        assert {id for id in ids if id > id_at(NOW)} <= set(got)
        assert state.seen == max([*ids, id_at(NOW)])
