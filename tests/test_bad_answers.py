"""Whatever a platform answers: no stream stops, each failure is counted, and `status` says what it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aggregator.app import Daemon
from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Page
from aggregator.now import utc_now
from aggregator.sandbox.world import World
from aggregator.settings import load
from aggregator.status import with_health
from connectors.registry import CONNECTORS
from storage import history
from storage.engine import Database
from tests.fakes import FakeConnector, House, PushedConnector, plain_rules

OUTCOMES = {
    "rate_limited": (RateLimited("429 太频繁", retry_after_s=60), "quota", "paused"),
    "unauthorized": (Unauthorized("令牌失效", remedy="renew it"), "auth", "retrying"),
    "rejected": (Rejected("没有权限"), "denied", "retrying"),
    "unavailable": (Unavailable("502 from there"), "unavailable", "retrying"),
    "bug": (KeyError("张三"), "unavailable", "retrying"),
}


@pytest.fixture
def house(db: Database) -> Iterator[House]:
    made = House(db)
    yield made
    made.end()


def stream_of(house: House, name: str = "messages") -> dict[str, Any]:
    with house.db.read() as conn:
        rows = history.status_rows(conn, house.clock())
    state = with_health(rows, accounts={}, destinations=(), now=house.clock())
    [account] = state["accounts"]
    return next(one for one in account["streams"] if one["name"] == name)


def failures(house: House, stream: str, outcome: str) -> float:
    counter = house.metrics.poll_failures.labels("fake_acme", stream, outcome)
    return float(counter._value.get())


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_is_counted_shown_and_over_with_the_next_good_answer(
    house: House, outcome: str
) -> None:
    error, state, health = OUTCOMES[outcome]
    poller = house.poller(FakeConnector(messages=[error, Page((), "1")], other=[]))
    poller.tick()
    assert failures(house, "messages", outcome) == 1
    found = stream_of(house)
    assert (found["state"], found["health"], found["failures"]) == (state, health, 1)
    assert found["last_error"]
    assert "张三" not in found["last_error"]
    assert stream_of(house, "other")["health"] == "ok"
    house.clock.on(hours=7)
    poller.tick()
    found = stream_of(house)
    assert (found["state"], found["health"], found["last_error"]) == ("ok", "ok", None)


def test_what_could_not_be_read_of_a_push_is_counted(house: House) -> None:
    from storage.pushes import store_pushes

    connector = PushedConnector(messages=[])
    house.db.write(
        lambda conn: store_pushes(
            conn,
            "fake_acme",
            "callback",
            ["好的".encode(), PushedConnector.poison],
            house.clock(),
            new_id=house.db.new_id,
        )
    )
    poller = house.poller(connector)
    for _ in range(6):
        poller.drain()
        house.clock.on(minutes=20)
    assert failures(house, "callback", "bug") == 3
    assert b'inboxd_messages_unreadable_total{account="fake_acme"} 1.0' in house.metrics.text()


# --- the same, from the wire, at every platform that is polled ------------------------------------

POLLED = tuple(one for one in CONNECTORS if one != "push")  # nobody is asked there
FAULTS: dict[str, dict[str, Any]] = {
    "500": {"kind": "status", "status": 500, "body": b'{"oops": 1}'},
    "500 without a body": {"kind": "status", "status": 500},
    "a page with 503": {"kind": "html"},
    "a page with 200": {"kind": "html_ok"},
    "half of the JSON": {"kind": "truncated"},
    "JSON that is no object": {"kind": "status", "status": 200, "body": b'"\xe5\xa5\xbd"'},
    "an empty 200": {"kind": "status", "status": 200, "body": b""},
    "429": {"kind": "status", "status": 429, "body": b"{}", "headers": {"Retry-After": "7"}},
    "a dead connection": {"kind": "cut"},
    "a connection that ends in the answer": {"kind": "cut_body"},
}


class Stage:
    def __init__(self, folder: Path) -> None:
        self.world = World(utc_now)
        self.world.start()
        given = {
            "database": f"sqlite:///{folder}/inboxd.db",
            "rules": str(plain_rules(folder)),
            "accounts": self.world.accounts(every="10h"),
            "destinations": {"social": {"kind": "console"}},
        }
        (folder / "settings.yaml").write_text(json.dumps(given), "utf-8")
        self.daemon = Daemon(load(folder / "settings.yaml", {}), roles=("ingest",))

    def read(self, platform: str) -> None:
        """Every stream that may be asked just now."""
        poller = self.daemon.pollers[f"{platform}_demo"]
        for stream in poller.connector.streams:
            poller._looked.discard(
                stream
            )  # as a process that was just started: whatever failed before
            poller.wake(stream)
        poller.tick()

    def counted(self, platform: str) -> float:
        found = 0.0
        for metric in self.daemon.metrics.poll_failures.collect():
            for sample in metric.samples:
                if sample.name.endswith("_total") and sample.labels["account"].startswith(platform):
                    found += sample.value
        return found

    def streams(self, platform: str) -> list[dict[str, Any]]:
        with self.daemon.db.read() as conn:
            rows = history.status_rows(conn, utc_now())["accounts"]
        return next(row for row in rows if row["name"] == f"{platform}_demo")["streams"]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.daemon.stop(1.0)
    made.world.stop()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("platform", POLLED)
def test_a_bad_answer_at_any_platform_is_counted_shown_and_passes(
    stage: Stage, platform: str, fault: str
) -> None:
    standin: Any = stage.world.platforms[platform]
    standin.fault(**FAULTS[fault], times=500)
    stage.read(platform)
    failing = [one for one in stage.streams(platform) if one["failures"]]
    assert failing
    assert stage.counted(platform) == sum(one["failures"] for one in failing)
    for one in failing:
        assert one["last_error"]
        assert one["state"] in ("quota", "unavailable", "denied", "auth")
        assert "a defect of inboxd" not in one["last_error"], one["last_error"]
    standin.faults.clear()
    with stage.daemon.db.read() as conn:
        assert list(history.messages(conn)) == []
