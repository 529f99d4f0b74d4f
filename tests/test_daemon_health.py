"""The daemon looks after its accounts by itself: checked at a start and each day, warned of in time, heard."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from aggregator.app import Daemon
from aggregator.errors import Unauthorized
from aggregator.model import Identity, Message, Page
from aggregator.settings import Registry, load
from connectors.base import Keep, Options
from connectors.registry import CONNECTORS
from storage import history
from storage.outbox import list_deliveries
from tests.conftest import NOW
from tests.fakes import Clock, plain_rules, said


class Watched:
    """One stream; what it brings and says is set from outside, and outlives the daemon that made it."""

    options: ClassVar[type[Options]] = Options
    streams = ("messages",)
    ends: ClassVar[datetime | None] = None
    dead: ClassVar[bool] = False
    waiting: ClassVar[list[Message]] = []
    checks: ClassVar[int] = 0

    def __init__(self, options: Options, *, keep: Keep, now: Callable[[], datetime]) -> None:
        pass

    def check(self) -> Identity:
        type(self).checks += 1
        self._alive()
        return Identity("1", "露沐", {"messages": "ok"}, token_expires_at=self.ends)

    def poll(self, stream: str, cursor: str | None) -> Page:
        self._alive()
        found = tuple(self.waiting)
        self.waiting.clear()
        return Page(found, "1")

    def _alive(self) -> None:
        if self.dead:
            raise Unauthorized("21332 令牌失效", remedy="inboxd auth acme")


@pytest.fixture(autouse=True)
def kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONNECTORS, "watched", f"{__name__}:Watched")
    Watched.ends, Watched.dead, Watched.checks = None, False, 0
    Watched.waiting.clear()


@contextmanager
def daemon(folder: Path, clock: Clock, *, started: bool = False) -> Iterator[Daemon]:
    path = folder / "settings.yaml"
    given: dict[str, Any] = {
        "database": f"sqlite:///{folder}/inboxd.db",
        "rules": str(plain_rules(folder)),
        "http": {"listen": "127.0.0.1:0"},
        "accounts": {"acme": {"connector": "watched", "every": "60s", "backfill": "skip"}},
        "destinations": {"social": {"kind": "console"}, "ops": {"kind": "console"}},
    }
    path.write_text(json.dumps(given), "utf-8")
    settings = load(path, {}, connectors=Registry(("watched",), lambda _: Options))
    made = Daemon(settings, now=clock, roles=("ingest",))
    try:
        if started:
            made.start()
        yield made
    finally:
        made.stop(2.0)


def told(made: Daemon) -> list[str]:
    with made.db.read() as conn:
        return [row.text or "" for row in list_deliveries(conn, destination="ops")]


def account(made: Daemon) -> dict[str, Any]:
    with made.db.read() as conn:
        [row] = history.status_rows(conn, made.now())["accounts"]
    assert isinstance(row, dict)
    return row


def looked_at(made: Daemon) -> bool:
    with made.db.read() as conn:
        rows = history.status_rows(conn, made.now())["accounts"]
    return any(row["checkup"] for row in rows)


def hour_by_hour(
    made: Daemon, clock: Clock, hours: int, *, each: int = 1, said_too: bool = True
) -> None:
    """What the scheduler would do, some hours at a time."""
    for _ in range(0, hours, each):
        clock.on(hours=each)
        if said_too:
            text = f"在吗 {clock.at}"
            one = said(0, text, native_id=f"n{clock.at.timestamp()}", sent_at=clock.at)
            Watched.waiting.append(replace(one, person="c1"))
        made.pollers["acme"].tick()
        made.health.tick()


def test_a_start_checks_each_account_without_being_asked(tmp_path: Path) -> None:
    Watched.ends = NOW + timedelta(days=40)
    clock = Clock()
    with daemon(tmp_path, clock, started=True) as made:
        jobs = {job.id: job.trigger.interval for job in made.ticker._scheduler.get_jobs()}
        assert jobs["health"] <= timedelta(minutes=1)
        assert "ops" in jobs
        until = time.monotonic() + 15
        while not looked_at(made) and time.monotonic() < until:
            made.ticker.hurry("poll:acme")
            made.ticker.hurry("health")
            time.sleep(0.02)
        assert account(made)["checkup"]["name"] == "露沐"
        assert account(made)["token_expires_at"] == "2026-04-13T02:00:00.000Z"
        assert b'inboxd_token_expiry_timestamp_seconds{account="acme"}' in made.metrics.text()


def test_a_token_is_warned_of_four_times_though_the_daemon_is_started_each_day(
    tmp_path: Path,
) -> None:
    Watched.ends = NOW + timedelta(days=16)
    clock = Clock()
    for _ in range(17):
        with daemon(tmp_path, clock) as made:
            hour_by_hour(made, clock, 24, each=12, said_too=False)
            warned = [one for one in told(made) if "its token" in one]
    assert len(warned) == 4
    assert ["inboxd auth acme" in one for one in warned] == [True] * 4
    assert Watched.checks <= 17 * 2


def test_a_dead_token_is_told_once_and_its_end_once_though_the_daemon_ended_in_between(
    tmp_path: Path,
) -> None:
    clock = Clock()
    with daemon(tmp_path, clock) as made:
        hour_by_hour(made, clock, 2)
        Watched.dead = True
        hour_by_hour(made, clock, 30)
        assert len(told(made)) == 1
        assert account(made)["checkup"]["error"] == "21332 令牌失效; inboxd auth acme"
    for _ in range(3):  # started again and again: nothing new is wrong
        with daemon(tmp_path, clock) as made:
            hour_by_hour(made, clock, 5)
            assert len(told(made)) == 1
    Watched.dead = False
    for _ in range(2):
        with daemon(tmp_path, clock) as made:
            hour_by_hour(made, clock, 3)
            begun, ended = told(made)
    assert begun == "⚠️ acme/messages is not read: 21332 令牌失效; inboxd auth acme"
    assert ended == "✅ acme/messages is read again"


def test_a_silence_is_told_once_and_its_end_once_though_the_daemon_ended_in_between(
    tmp_path: Path,
) -> None:
    clock = Clock()
    with daemon(tmp_path, clock) as made:
        hour_by_hour(made, clock, 8 * 24, each=3)
        hour_by_hour(made, clock, 14, each=2, said_too=False)
        assert [one for one in told(made) if "no message for" in one] == told(made)
        assert len(told(made)) == 1
        assert account(made)["silent_since"] is not None
    with daemon(tmp_path, clock) as made:
        hour_by_hour(made, clock, 5, said_too=False)
        assert len(told(made)) == 1
        hour_by_hour(made, clock, 2)
    with daemon(tmp_path, clock) as made:
        hour_by_hour(made, clock, 2)
        assert ["come in again" in one for one in told(made)] == [False, True]
        assert account(made)["silent_since"] is None
