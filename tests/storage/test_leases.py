"""One owner at a time, and nothing is written under a lease that was lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

import pytest
from sqlalchemy import select, update

from storage.engine import Database
from storage.leases import Fence, LeaseLost, acquire, check, release, renew
from storage.schema import lease


def take(db: Database, owner: str, ttl_s: float = 30) -> Fence | None:
    return db.write(lambda conn: acquire(conn, "account:weibo", owner, ttl_s))


def expire(db: Database) -> None:
    db.write(lambda conn: conn.execute(update(lease).values(expires_at=1)))


def held(db: Database, fence: Fence) -> bool:
    try:
        db.write(lambda conn: check(conn, fence))
    except LeaseLost:
        return False
    return True


def test_a_lease_has_one_owner_until_it_expires(db: Database) -> None:
    first = take(db, "甲")
    assert first == Fence("account:weibo", "甲", 1)
    assert take(db, "乙") is None
    expire(db)
    second = take(db, "乙")
    assert second == Fence("account:weibo", "乙", 2)
    assert take(db, "甲") is None
    assert (held(db, first), held(db, second)) == (False, True)


def test_an_owner_that_asks_again_keeps_its_epoch(db: Database) -> None:
    first = take(db, "甲")
    assert take(db, "甲") == first
    expire(db)
    assert take(db, "甲") == first  # nobody else had it meanwhile


def test_a_lease_that_expired_is_still_ours_until_somebody_takes_it(db: Database) -> None:
    first = take(db, "甲")
    assert first is not None
    expire(db)
    assert held(db, first)
    take(db, "乙")
    assert not held(db, first)


def test_a_lost_lease_cannot_be_renewed(db: Database) -> None:
    first = take(db, "甲")
    assert first is not None
    db.write(lambda conn: renew(conn, first, 60))
    expire(db)
    db.write(lambda conn: renew(conn, first, 60))
    assert take(db, "乙") is None
    expire(db)
    take(db, "乙")
    with pytest.raises(LeaseLost, match="account:weibo"):
        db.write(lambda conn: renew(conn, first, 60))


def test_a_released_lease_is_free_at_once_and_its_epoch_goes_on(db: Database) -> None:
    first = take(db, "甲")
    assert first is not None
    db.write(lambda conn: release(conn, first))
    assert take(db, "乙") == Fence("account:weibo", "乙", 2)
    db.write(lambda conn: release(conn, first))  # not ours any more: changes nothing
    assert take(db, "甲") is None


def test_leases_run_on_the_databases_clock_and_not_on_the_daemons(
    db_url: str, now: Callable[[], datetime]
) -> None:
    """In the sandbox `now` runs fast; here it is years away."""
    db = Database.open(db_url, now=now)
    take(db, "甲", 30)
    with db.read() as conn:
        expires_at, acquired_at = conn.execute(
            select(lease.c.expires_at, lease.c.acquired_at).where(lease.c.name == "account:weibo")
        ).one()
    assert abs(expires_at - acquired_at - 30_000) <= 1  # each is rounded to the millisecond
    assert abs(acquired_at - now().timestamp() * 1000) > 3600_000
    db.close()


def test_of_many_that_race_for_a_lease_one_wins(db_url: str, now: Callable[[], datetime]) -> None:
    databases = [Database.open(db_url, now=now) for _ in range(4)]
    start = threading.Barrier(4)
    won: list[Fence | None] = []

    def race(number: int) -> None:
        start.wait(10)
        won.append(take(databases[number], f"第{number}个"))

    threads = [threading.Thread(target=race, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(won) == 4
    assert len([one for one in won if one is not None]) == 1
    for db in databases:
        db.close()


def test_a_lease_does_not_change_hands_under_a_transaction_that_checked_it(
    db_url: str, now: Callable[[], datetime]
) -> None:
    mine, other = Database.open(db_url, now=now), Database.open(db_url, now=now)
    first = take(mine, "甲", 30)
    assert first is not None
    expire(mine)
    checked, go = threading.Event(), threading.Event()

    def unit(conn: object) -> None:
        check(conn, first)  # type: ignore[arg-type]
        checked.set()
        assert go.wait(10)

    mine_writes = mine.submit(unit)
    assert checked.wait(10)
    taken = other.submit(lambda conn: acquire(conn, "account:weibo", "乙", 30))
    assert not taken.done()
    go.set()
    mine_writes.result(10)
    assert taken.result(10) == Fence("account:weibo", "乙", 2)
    mine.close()
    other.close()
