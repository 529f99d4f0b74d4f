"""What could not be read is noted with its page, told once, and shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from aggregator.model import Gap, Page
from storage import history
from storage.engine import Database
from tests.conftest import NOW
from tests.fakes import FakeConnector, House, said

LOST = Gap(
    NOW - timedelta(hours=3), NOW - timedelta(hours=1), "游标失效 the list begins later", False
)


@pytest.fixture
def house(db: Database) -> Iterator[House]:
    house = House(db)
    yield house
    house.end()


def read(house: House, *pages: Page) -> None:
    poller = house.poller(FakeConnector(messages=pages))
    for _ in pages:
        poller.wake("messages")
        poller.tick()


def test_a_gap_is_stored_with_its_page_and_told_once(house: House) -> None:
    read(house, Page((said(1),), "1", gaps=(LOST,)), Page((), "2", gaps=(LOST,)))
    [row] = house.rows(history.gaps)
    assert row == {
        "id": row["id"],
        "account": "fake_acme",
        "stream": "messages",
        "since": "2026-03-03T23:00:00.000Z",
        "until": "2026-03-04T01:00:00.000Z",
        "reason": "游标失效 the list begins later",
        "recoverable": False,
        "noted_at": row["noted_at"],
        "closed_at": None,
    }
    [told] = house.ops_said()
    assert "fake_acme/messages" in told
    assert "游标失效" in told
    assert "cannot be had" in told
    assert {"ops"} <= set().union(*house.told)


def test_a_gap_inside_a_known_one_is_known_and_a_wider_one_is_not(house: House) -> None:
    inside = Gap(NOW - timedelta(hours=2), NOW - timedelta(hours=1), "同一段", False)
    wider = Gap(None, NOW - timedelta(hours=1), "更早", False)
    other = Gap(inside.since, inside.until, "may come", True)
    read(house, Page((), "1", gaps=(LOST, inside, wider, other)))
    assert [row["reason"] for row in house.rows(history.gaps)] == [LOST.reason, "更早", "may come"]


def test_status_and_the_metrics_count_gaps(house: House) -> None:
    read(house, Page((), "1", gaps=(LOST,)))
    with house.db.read() as conn:
        [account] = history.status_rows(conn, house.clock())["accounts"]
    assert [gap["reason"] for gap in account["gaps"]] == [LOST.reason]
    assert b'inboxd_gaps_total{account="fake_acme",recoverable="false"} 1.0' in house.metrics.text()


# --- closed ---------------------------------------------------------------------------------------

LATER = replace(LOST, reason="没有调用次数了 no call was left", recoverable=True)


def shown(house: House) -> list[str]:
    with house.db.read() as conn:
        [account] = history.status_rows(conn, house.clock())["accounts"]
    return [gap["reason"] for gap in account["gaps"]]


def test_a_walk_that_covers_a_gap_closes_it_tells_it_and_keeps_it_in_the_export(
    house: House,
) -> None:
    read(house, Page((), "1", gaps=(LATER,)))
    assert shown(house) == [LATER.reason]
    house.clock.on(hours=2)
    read(house, Page((said(1, "补上了"),), "2", covers=(LATER.since, house.clock())))
    [row] = house.rows(history.gaps)
    assert row["closed_at"] == "2026-03-04T04:00:00.000Z"
    assert shown(house) == []
    begun, ended = house.ops_said()
    assert begun.startswith("⚠️ fake_acme/messages: not read from 2026-03-03 23:00 UTC")
    assert ended.startswith("✅ fake_acme/messages: what was missing from 2026-03-03 23:00 UTC")
    read(house, Page((), "3", covers=(None, house.clock())))
    assert len(house.ops_said()) == 2


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (LOST.since and LOST.since + timedelta(minutes=1), NOW),
        (None, LOST.until and LOST.until - timedelta(minutes=1)),
    ],
)
def test_a_walk_that_covers_only_a_part_of_a_gap_leaves_it_open(
    house: House, since: datetime | None, until: datetime
) -> None:
    read(house, Page((), "1", gaps=(LATER,)), Page((), "2", covers=(since, until)))
    assert [row["closed_at"] for row in house.rows(history.gaps)] == [None]


def test_a_gap_without_a_beginning_is_closed_by_what_is_read_from_the_beginning_only(
    house: House,
) -> None:
    endless = replace(LATER, since=None)
    long_ago = NOW - timedelta(days=400)
    read(house, Page((), "1", gaps=(endless,)), Page((), "2", covers=(long_ago, NOW)))
    assert [row["closed_at"] for row in house.rows(history.gaps)] == [None]
    read(house, Page((), "3", covers=(None, NOW)))
    assert [row["closed_at"] is None for row in house.rows(history.gaps)] == [False]


def test_history_that_reaches_over_a_gap_closes_it(house: House) -> None:
    read(house, Page((), "1", gaps=(LATER,)))

    class Old(FakeConnector):
        def backfill(self, stream: str, cursor: str | None) -> Page:
            return Page((), None, covers=(None, NOW))

    house.poller(Old(messages=[])).tick()
    assert shown(house) == []


def test_what_is_known_by_now_to_be_lost_is_no_longer_said_to_may_still_come(
    house: House,
) -> None:
    read(house, Page((), "1", gaps=(LATER,)), Page((), "2", gaps=(LOST,)))
    assert [(row["recoverable"], row["closed_at"] is None) for row in house.rows(history.gaps)] == [
        (True, False),
        (False, True),
    ]
    assert shown(house) == [LOST.reason]


def test_what_cannot_be_had_is_shown_for_a_week_and_exported_for_ever(house: House) -> None:
    read(house, Page((), "1", gaps=(LOST,)))
    read(house, Page((), "2", gaps=(replace(LATER, since=NOW - timedelta(days=2)),)))
    house.clock.on(days=6, hours=23)
    assert shown(house) == [LATER.reason, LOST.reason]
    house.clock.on(hours=2)
    assert shown(house) == [LATER.reason]
    assert len(house.rows(history.gaps)) == 2


def test_a_gap_that_comes_again_after_it_was_closed_is_a_new_one(house: House) -> None:
    read(house, Page((), "1", gaps=(LATER,)), Page((), "2", covers=(None, NOW)))
    read(house, Page((), "3", gaps=(LATER,)))
    assert [row["closed_at"] is None for row in house.rows(history.gaps)] == [False, True]
