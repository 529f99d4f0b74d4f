"""What could not be read is noted with its page, told once, and shown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

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
        [account] = history.status_rows(conn)["accounts"]
    assert [gap["reason"] for gap in account["gaps"]] == [LOST.reason]
    assert b'inboxd_gaps_total{account="fake_acme",recoverable="false"} 1.0' in house.metrics.text()
