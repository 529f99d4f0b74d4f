"""The daemon as a whole: roles in two processes, rules that break while it runs, and a clean end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aggregator.app import Daemon
from aggregator.errors import Rejected
from aggregator.now import utc_now
from aggregator.sandbox.base import Fault, Line, Person
from aggregator.sandbox.slack import Post
from aggregator.sandbox.weibo import WeiboStandin
from aggregator.sandbox.world import World
from aggregator.settings import Settings, load
from storage.outbox import list_deliveries
from tests.e2e.stage import ROOT
from tests.fakes import House, bring, said

PAUSED = {"connector": "weibo", "uid": "5900000001", "access_token": "t", "paused": "yes"}


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "rules", tmp_path / "rules"))


def settings_for(folder: Path, database: str, **more: Any) -> Settings:
    path = folder / "settings.yaml"
    given = {
        "sandbox": "false",
        "database": database,
        "rules": str(folder / "rules"),
        "http": {"listen": "127.0.0.1:0"},
        "accounts": {"weibo_acme": PAUSED},
        "destinations": {name: {"kind": "console"} for name in ("social", "leads", "desk", "ops")},
        **more,
    }
    path.write_text(json.dumps(given), "utf-8")  # JSON is YAML
    return load(path, {})


def ops_said(daemon: Daemon) -> list[str]:
    with daemon.db.read() as conn:
        return [row.text or "" for row in list_deliveries(conn, destination="ops")]


@pytest.fixture
def daemon(tmp_path: Path, rules: Path) -> Iterator[Daemon]:
    made = Daemon(settings_for(tmp_path, f"sqlite:///{tmp_path}/inboxd.db"))
    yield made
    made.stop(1.0)


def test_bad_rules_keep_the_last_good_and_are_told_and_told_again_when_they_are_mended(
    daemon: Daemon, rules: Path
) -> None:
    good, version = (rules / "routes.yaml").read_text("utf-8"), daemon.rules().version
    (rules / "routes.yaml").write_text("routes: [", "utf-8")
    for _ in range(3):
        daemon.ruling.look()
    assert daemon.rules().version == version
    [broken] = ops_said(daemon)
    assert "routes.yaml:2:1: " in broken
    (rules / "routes.yaml").write_text(good, "utf-8")
    for _ in range(2):
        daemon.ruling.look()
    assert ops_said(daemon)[1].startswith("✅ the rules are good again")


def test_bad_rules_at_a_start_use_what_was_live_before(tmp_path: Path, rules: Path) -> None:
    settings = settings_for(tmp_path, f"sqlite:///{tmp_path}/inboxd.db")
    first = Daemon(settings)
    version = first.rules().version
    first.stop(1.0)
    (rules / "routes.yaml").write_text("routes: {起火", "utf-8")
    second = Daemon(settings)
    try:
        assert second.rules().version == version
        assert len(ops_said(second)) == 1
    finally:
        second.stop(1.0)


def test_a_route_to_a_destination_that_the_settings_do_not_name_is_told_and_crashes_nothing(
    tmp_path: Path, rules: Path
) -> None:
    text = (rules / "routes.yaml").read_text("utf-8")
    (rules / "routes.yaml").write_text(text.replace("social", "socail"), "utf-8")
    daemon = Daemon(settings_for(tmp_path, f"sqlite:///{tmp_path}/inboxd.db"))
    try:
        [said_of_it] = ops_said(daemon)
        assert "the settings have no destination socail" in said_of_it
        assert "did you mean social?" in said_of_it
    finally:
        daemon.stop(1.0)


def test_notices_for_a_destination_that_is_no_more_are_named(daemon: Daemon) -> None:
    house = House(daemon.db, owner="another")
    bring(house, said(1))
    daemon.settings.destinations.pop("social")  # type: ignore[attr-defined]
    daemon._housekeeping()
    assert any("1 notices wait for social" in one for one in ops_said(daemon))
    house.end()


def test_a_paused_account_is_neither_read_nor_called_back(tmp_path: Path, rules: Path) -> None:
    daemon = Daemon(settings_for(tmp_path, f"sqlite:///{tmp_path}/inboxd.db"))
    try:
        assert daemon.pollers == {}
        daemon.start()
        assert daemon.ready() is None
    finally:
        daemon.stop(2.0)


def test_a_daemon_that_never_started_stops(daemon: Daemon) -> None:
    daemon.stop(1.0)


def test_one_process_reads_and_another_sends_on_one_database(
    tmp_path: Path, rules: Path, db_url: str
) -> None:
    world = World(utc_now)
    world.start()
    arrived = threading.Event()

    def posted(post: Post) -> None:
        if "起火" in post.text:
            arrived.set()

    world.slack.on_post = posted
    accounts = {"weibo_demo": world.accounts()["weibo_demo"]}
    settings = settings_for(tmp_path, db_url, accounts=accounts, destinations=world.destinations())
    reads = Daemon(settings, roles=("ingest", "web"))
    sends = Daemon(settings, roles=("deliver",))
    try:
        reads.start()
        sends.start()
        assert (reads.senders, sends.pollers) == ({}, {})
        first = threading.Event()
        while not first.wait(0.05):
            with reads.db.read() as conn:
                from storage.polls import streams

                if "mentions" in streams(conn, "weibo_demo"):
                    first.set()
        line = Line(
            0, "weibo", "mention", "m1", Person(7, "客户七", "c7"), "@Lumo官方 充电宝起火了！"
        )
        world.weibo.play(line, utc_now(), {})
        assert arrived.wait(30)
    finally:
        reads.stop(3.0)
        sends.stop(3.0)
        world.stop()


class Hanging(WeiboStandin):
    """Says when somebody hangs in it."""

    def __init__(self, *given: Any, **more: Any) -> None:
        self.hung = threading.Event()
        super().__init__(*given, **more)

    def take_fault(self, path: str) -> Fault | None:
        fault = super().take_fault(path)
        if fault is not None and fault.kind == "slow":
            self.hung.set()
        return fault


def test_a_sigterm_while_a_platform_hangs_ends_it_well_within_ten_seconds(
    tmp_path: Path, rules: Path
) -> None:
    weibo = Hanging(utc_now, brand="Lumo官方")
    weibo.start()
    weibo.fault("slow", seconds=30, times=99)
    settings_for(
        tmp_path,
        f"sqlite:///{tmp_path}/inboxd.db",
        accounts={"weibo_acme": {"connector": "weibo", "every": "1s", **weibo.options()}},
    )
    command = [sys.executable, "-m", "aggregator", "--settings", str(tmp_path / "settings.yaml")]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "run"], cwd=ROOT, stdout=log, stderr=log, env=dict(os.environ)
        )
        try:
            assert weibo.hung.wait(30)
            asked = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
            assert time.monotonic() - asked < 10
        finally:
            process.kill()
            process.wait()
            weibo.stop()
    text = (tmp_path / "log").read_text("utf-8")
    assert "daemon.stopped" in text
    assert "Traceback" not in text


def test_nobody_takes_callbacks_for_a_name_that_is_no_account(daemon: Daemon) -> None:
    from aggregator.web.callbacks import Callbacks

    callbacks = Callbacks(
        connectors={}, db=daemon.db, now=utc_now, wake=daemon._hurry, metrics=daemon.metrics
    )
    with pytest.raises(Rejected):
        callbacks.verified("x", "POST", {}, {}, b"")
    daemon._hurry("nobody")
