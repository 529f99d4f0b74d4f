"""A deadline that passes is noted once, shown on the card once, and a quiet second writes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aggregator.escalation import Escalation
from storage import history
from storage.engine import Database
from tests.fakes import House, bring, said


@pytest.fixture
def house(db: Database) -> Iterator[House]:
    made = House(db)
    yield made
    made.end()


def watch(house: House) -> Escalation:
    return Escalation(
        db=house.db, leases=house.leases, now=house.clock, told=house._told, metrics=house.metrics
    )


def test_a_breach_is_one_event_and_one_edit_of_the_card(house: House) -> None:
    bring(house, said(1, "还没发货"), said(2, "在吗", person="c1"))
    escalation = watch(house)
    house.clock.on(minutes=11)
    for _ in range(5):
        escalation.tick()
        house.clock.on(seconds=1)
    [clock] = house.rows(history.clocks)
    assert clock["outcome"] == "breached"
    cards = [row for row in house.deliveries() if row["kind"] == "card"]
    assert len(cards) == 2  # the card, and its edit
    assert house.told[-1] == {"social"}


def test_a_tick_in_which_nothing_is_due_asks_for_no_write(house: House) -> None:
    bring(house, said(1))
    escalation = watch(house)
    escalation.tick()  # takes the lease
    house.db.close()  # whoever writes now is refused; reading still works
    for _ in range(10):
        escalation.tick()


def test_only_one_of_two_replicas_looks(house: House, db_url: str) -> None:
    other = House(Database.open(db_url, now=house.clock), owner="另一个")
    bring(house, said(1))
    watch(house).tick()
    house.clock.on(minutes=11)
    other.clock.on(minutes=11)
    watch(other).tick()
    [clock] = house.rows(history.clocks)
    assert clock["outcome"] is None
    other.end()
    other.db.close()
