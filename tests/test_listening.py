"""Listening: what a platform tells at once is polled at once, and nothing is lost where it tells nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from aggregator.app import Daemon
from aggregator.errors import RateLimited, Unauthorized, Unavailable
from aggregator.listening import ASIDE_S, Listener
from aggregator.now import utc_now
from aggregator.sandbox.base import Person
from aggregator.sandbox.x import XStandin
from aggregator.settings import load
from storage import history
from storage.engine import Database
from tests.e2e.stage import ROOT
from tests.fakes import House


class Tells:
    """A connection after the other, each with what it tells; then it raises, or ends."""

    listens = True

    def __init__(self, *connections: list[str | Exception | None]) -> None:
        self.connections = list(connections)

    def listen(self) -> Iterator[str | None]:
        for one in self.connections.pop(0) if self.connections else []:
            if isinstance(one, Exception):
                raise one
            yield one


@pytest.fixture
def house(db: Database) -> Iterator[House]:
    made = House(db)
    yield made
    made.end()


def listener(house: House, tells: Tells, woken: list[str], **more: object) -> Listener:
    given: dict[str, object] = {"leases": house.leases, "wake": woken.append, **more}
    return Listener(account="x_acme", connector=tells, ops=house.ops, now=house.clock, **given)  # type: ignore[arg-type]


def test_each_stream_that_is_told_is_woken(house: House) -> None:
    woken: list[str] = []
    listener(house, Tells([None, "mentions", None, "direct_messages"]), woken).turn()
    assert woken == ["mentions", "direct_messages"]


def test_connecting_again_waits_longer_each_time_and_never_for_ever(house: House) -> None:
    one = listener(house, Tells(), [])
    waits = [one.turn() for _ in range(14)]
    assert waits[0] < 7
    assert all(wait >= 1 for wait in waits)
    assert 600 < waits[-1] < 1200


def test_after_a_connection_that_lasted_the_next_wait_is_short_again(house: House) -> None:
    one = listener(house, Tells(*[[Unavailable("weg")] for _ in range(8)]), [])
    for _ in range(8):
        one.turn()

    class Lasts(Tells):
        def listen(self) -> Iterator[str | None]:
            yield None
            house.clock.on(minutes=10)

    one._connector = Lasts()
    assert one.turn() < 7


def test_a_platform_that_says_how_long_is_obeyed(house: House) -> None:
    tells = Tells([RateLimited("两个连接了", retry_after_s=777.0)])
    assert listener(house, tells, []).turn() == pytest.approx(777, abs=1)


def test_a_refused_token_is_told_once_and_its_end_once(house: House) -> None:
    refused = Unauthorized("401", remedy="换 bearer_token")
    one = listener(house, Tells([refused], [refused], [None]), [])
    for _ in range(3):
        one.turn()
    said = house.ops_said()
    assert len(said) == 2
    assert "bearer_token" in said[0]
    assert "told at once again" in said[1]


def test_a_defect_ends_no_thread(house: House) -> None:
    one = listener(house, Tells([KeyError("坏了")]), [])
    assert one.turn() > 0


def test_only_one_process_listens(house: House) -> None:
    other = House(house.db, owner="他")
    woken: list[str] = []
    assert other.leases.hold("listen:x_acme") is not None
    assert listener(house, Tells(["mentions"]), woken).turn() == ASIDE_S
    assert woken == []
    other.end()


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about"
        threading.Event().wait(0.05)


def test_a_mention_is_here_at_once_although_the_next_poll_is_hours_away(tmp_path: Path) -> None:
    x = XStandin(utc_now)
    x.start()
    told = {**x.options(), "bearer_token": x.keys.bearer, "base_url": x.base_url}
    options = "".join(f"    {key}: '{value}'\n" for key, value in told.items())
    path = tmp_path / "settings.yaml"
    path.write_text(
        f"database: 'sqlite:///{tmp_path}/a.db'\nrules: {ROOT / 'rules'}\nhttp: {{listen: '127.0.0.1:0'}}\n"
        "accounts:\n  x_acme:\n    connector: x\n    every: 6h\n"
        "    streams: [mentions, activity]\n" + options,
        "utf-8",
    )
    daemon = Daemon(load(path, {}), roles=["ingest"])
    try:
        daemon.start()
        until(lambda: x.activity.connected == 1)
        x.post(x.user(Person(1, "安妮", "ann")), "@lumo 充电宝冒烟了！", utc_now())

        def stored() -> bool:
            with daemon.db.read() as conn:
                return any(True for _ in history.messages(conn))

        until(stored)
    finally:
        began = time.monotonic()
        daemon.stop()
        x.activity.hang_up()
        x.stop()
    assert time.monotonic() - began < timedelta(seconds=8).total_seconds()
    assert x.errors == []
