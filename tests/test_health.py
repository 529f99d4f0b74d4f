"""A token's end is told in time, and a silence that is none of the usual ones; each once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from aggregator.errors import Unavailable
from aggregator.health import Health, allowed, warning
from aggregator.model import Identity, Page
from storage import history
from storage.engine import Database
from tests.conftest import NOW
from tests.fakes import FakeConnector, House, said


class Known(FakeConnector):
    """Says when its token ends."""

    ends: datetime | None = None
    away = False
    checks = 0

    def check(self) -> Identity:
        self.checks += 1
        if self.away:
            raise Unavailable("502")
        return replace(super().check(), token_expires_at=self.ends)


@pytest.fixture
def house(db: Database) -> Iterator[House]:
    house = House(db)
    yield house
    house.end()


def looked_after(house: House, connector: Known) -> Health:
    house.poller(connector).tick()
    return Health(
        {"fake_acme": connector},
        db=house.db,
        leases=house.leases,
        ops=house.ops,
        now=house.clock,
        metrics=house.metrics,
    )


def test_a_token_is_warned_of_at_14_7_3_and_1_days_once_each(house: House) -> None:
    connector = Known(messages=[])
    connector.ends = NOW + timedelta(days=16)
    health = looked_after(house, connector)
    for _ in range(16 * 24):
        health.tick()
        house.clock.on(hours=1)
    told = [one for one in house.ops_said() if "token" in one]
    assert ["ends in 13" in told[0] or "ends in 14" in told[0], len(told)] == [True, 4]
    assert connector.checks <= 17
    expected = b'inboxd_token_expiry_timestamp_seconds{account="fake_acme"}'
    assert expected in house.metrics.text()
    with house.db.read() as conn:
        [account] = history.status_rows(conn, house.clock())["accounts"]
    assert account["token_expires_at"] == "2026-03-20T02:00:00.000Z"


def test_a_renewed_token_is_warned_of_anew() -> None:
    warned, text = warning("x", NOW + timedelta(days=2), None, NOW)
    assert (warned, "2 days" in (text or "")) == (3, True)
    assert warning("x", NOW + timedelta(days=2), 3, NOW) == (3, None)
    assert warning("x", NOW + timedelta(days=60), 3, NOW) == (None, None)
    assert warning("x", None, 3, NOW) == (None, None)


def test_a_check_that_fails_is_made_again_and_tells_nobody(house: House) -> None:
    connector = Known(messages=[])
    connector.away = True
    health = looked_after(house, connector)
    health.tick()
    house.clock.on(hours=1)
    health.tick()
    assert (connector.checks, house.ops_said()) == (2, [])


def test_another_process_that_looks_after_the_account_is_enough(house: House) -> None:
    connector = Known(messages=[])
    health = looked_after(house, connector)
    health.tick()
    other = House(house.db, owner="他")
    try:
        looked_after(other, connector).tick()
        assert connector.checks == 1
    finally:
        other.end()


def hours(*at: float) -> list[tuple[datetime, datetime]]:
    return [(NOW + timedelta(hours=one), NOW + timedelta(hours=one)) for one in at]


def test_a_silence_is_measured_by_the_gaps_at_the_same_hour_of_the_day() -> None:
    # Every hour from 10:00 to 20:00 in Shanghai, for nine days; NOW is 10:00 there.
    days = [24 * day + hour for day in range(-9, 0) for hour in range(11)]
    times = hours(*days)
    start = NOW - timedelta(days=9)
    noon, night = NOW + timedelta(hours=2.5), NOW - timedelta(hours=4)
    assert allowed(times, start, noon) == timedelta(hours=6)
    assert allowed(times, start, night) == timedelta(hours=4 * 14)


def test_nothing_is_called_silent_before_a_week_is_known() -> None:
    times = hours(*range(-24 * 6, 0))
    assert allowed(times, NOW - timedelta(days=6), NOW) is None
    assert allowed(times, NOW - timedelta(days=30), NOW) is None
    assert allowed([], NOW - timedelta(days=30), NOW) is None


def test_a_silence_is_told_when_it_begins_and_when_it_ends(house: House) -> None:
    connector = Known(messages=[])
    health = looked_after(house, connector)
    poller = house.poller(connector)

    def heard(number: int) -> None:
        one = said(number, "在吗", person="c1", sent_at=house.clock() - timedelta(seconds=1))
        connector.steps["messages"].append(Page((one,), str(number)))
        poller.wake("messages")
        poller.tick()

    for number in range(8 * 12):
        house.clock.on(hours=2)
        heard(number)
    for _ in range(12):
        house.clock.on(hours=1)
        health.tick()
    [told] = house.ops_said()
    assert "fake_acme: no message for 8 h, where 8 h is the most" in told
    house.clock.on(hours=1)
    heard(1000)
    health.tick()
    health.tick()
    assert ["come in again" in one for one in house.ops_said()] == [False, True]
