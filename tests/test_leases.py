"""Two processes on one database: each thing is done by one of them, and a takeover is clean."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from aggregator.errors import Unavailable
from aggregator.leases import TTL_S, Leases
from aggregator.model import Page
from storage.engine import Connection, Database
from tests.fakes import Clock, FakeConnector, FakeDestination, House, bring, said


@pytest.fixture
def pair(db: Database, db_url: str) -> Iterator[tuple[House, House]]:
    """Two processes, as good as: each with its own connections and its own leases."""
    other = Database.open(db_url, now=db.new_id._now)
    houses = House(db), House(other, owner="另一个")
    yield houses
    for house in houses:
        house.end()
    other.close()


def run_out(conn: Connection) -> None:
    """Time passes on the database's clock."""
    conn.execute(text("UPDATE lease SET expires_at = 0"))


def test_one_polls_and_sends_and_the_other_does_neither(pair: tuple[House, House]) -> None:
    first, second = pair
    connectors = [FakeConnector(messages=[]), FakeConnector(messages=[])]
    rooms = [FakeDestination(), FakeDestination()]
    bring(first, said(1))
    for house, connector, room in zip(pair, connectors, rooms, strict=True):
        house.poller(connector).tick()
        house.sender(room).turn()
    assert [len(one.asked) for one in connectors] == [1, 0]
    assert [len(one.took) for one in rooms] == [1, 0]
    assert second.leases.hold("account:fake_acme") is None


def test_what_is_given_back_is_taken_over_at_once_and_goes_on_at_the_cursor(
    pair: tuple[House, House],
) -> None:
    first, second = pair
    first.poller(FakeConnector(messages=[Page((said(1),), "c1")])).tick()
    first.leases.release_all()
    second.clock.on(minutes=2)
    connector = FakeConnector(messages=[Page((said(2),), "c2")])
    second.poller(connector).tick()
    assert connector.asked == [("messages", "c1")]
    assert first.leases.hold("account:fake_acme") is None  # it has ended


def test_after_a_lease_ran_out_the_other_takes_over_and_the_first_writes_nothing_more(
    pair: tuple[House, House],
) -> None:
    first, second = pair
    poller = first.poller(FakeConnector(messages=[Page((), "c1"), Page((said(1),), "c2")]))
    poller.tick()
    first.db.write(run_out)
    second.poller(FakeConnector(messages=[])).tick()
    first.clock.on(minutes=2)
    poller.wake("messages")
    first.leases._held["account:fake_acme"] = (  # as sure of itself as a process that was suspended
        first.leases._held["account:fake_acme"][0],
        first.clock.monotonic(),
    )
    poller.tick()
    assert second.texts() == []
    assert first.leases.hold("account:fake_acme") is None


def test_a_renewal_keeps_what_is_ours_and_forgets_what_was_taken(
    pair: tuple[House, House],
) -> None:
    first, second = pair
    kept, taken = first.leases.hold("a"), first.leases.hold("b")
    assert kept is not None and taken is not None
    first.db.write(lambda conn: conn.execute(text("UPDATE lease SET expires_at=0 WHERE name='b'")))
    assert second.leases.hold("b") is not None
    first.leases.renew()
    assert first.leases.sure(kept)
    assert not first.leases.sure(taken)


def test_a_process_that_cannot_renew_is_sure_of_nothing_and_says_so(db: Database) -> None:
    house = House(db)
    fence = house.leases.hold("a")
    assert fence is not None
    house.db.close()
    with pytest.raises(Unavailable):
        house.leases.renew()
    assert house.leases.sure(fence) and house.leases.trouble() is None
    house.clock.on(seconds=TTL_S / 2 + 1)
    assert not house.leases.sure(fence)
    assert house.leases.trouble() == "leases are not renewing"
    with pytest.raises(Unavailable):
        house.leases.hold("a")
    house.end()


def test_a_refusal_of_an_older_lease_does_not_cost_the_newer_one(db: Database) -> None:
    house = House(db)
    old = house.leases.hold("a")
    assert old is not None
    house.leases.lost(old)
    house.db.write(run_out)
    other = Leases(db, "另一个", monotonic=Clock().monotonic)
    assert other.hold("a") is not None
    other.release_all()
    new = house.leases.hold("a")
    assert new is not None and new.epoch > old.epoch
    house.leases.lost(old)
    assert house.leases.sure(new)
    house.end()


def test_what_is_still_worked_under_is_not_given_back(pair: tuple[House, House]) -> None:
    first, second = pair
    for name in ("account:hangs", "account:idle"):
        assert first.leases.hold(name) is not None
    first.leases.release_all(but={"account:hangs"})
    assert second.leases.hold("account:idle") is not None
    assert second.leases.hold("account:hangs") is None


def test_two_that_ask_at_the_same_moment_do_not_both_get_it(pair: tuple[House, House]) -> None:
    barrier = threading.Barrier(2)
    got: list[bool] = []

    def ask(house: House) -> None:
        barrier.wait(20)
        got.append(house.leases.hold("a") is not None)

    threads = [threading.Thread(target=ask, args=(house,)) for house in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(got) == [False, True]
