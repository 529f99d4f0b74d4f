"""What a start may import, and what a daemon with nothing to do may do: structure, not seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from aggregator.app import Daemon
from aggregator.dispatcher import Sender
from aggregator.model import Delivery, DeliveryState, NoticeKind, Priority
from aggregator.sandbox.weibo import WeiboStandin
from aggregator.settings import load
from storage.engine import Database
from storage.leases import acquire
from storage.outbox import enqueue, pause
from tests.conftest import NOW

ROOT = Path(__file__).parent.parent

# Who has no such account or destination does not pay for its SDK; and some is needed once, or in tests only.
NOT_AT_START = (
    "aggregator.demo",
    "aggregator.destinations.slack",
    "aggregator.destinations.zendesk",
    "aggregator.sandbox",
    "alembic",
    "apprise",
    "connectors.facebook",
    "connectors.wechat",
    "connectors.wecom",
    "connectors.x",
    "facebook",
    "fastapi",
    "holidays",
    "hypothesis",
    "jinja2",
    "psycopg",
    "pytest",
    "requests_oauthlib",
    "slack_sdk",
    "tweepy",
    "wechatpy",
)
PLACES = ("social", "leads", "desk", "ops")  # what the shipped rules name
NOT_FOR_HELP = ("apscheduler", "pydantic", "requests", "sqlalchemy", "structlog", "uvicorn", "yaml")
NOT_FOR_A_VERDICT = ("apscheduler", "prometheus_client", "requests", "sqlalchemy", "uvicorn")


def settings_file(folder: Path, weibo: dict[str, str]) -> Path:
    """One Weibo account and the terminal; JSON is YAML."""
    path = folder / "settings.yaml"
    path.write_text(
        json.dumps(
            {
                "database": f"sqlite:///{folder / 'inboxd.db'}",
                "rules": str(ROOT / "rules"),
                "http": {"listen": "127.0.0.1:0"},
                "accounts": {"weibo_acme": {"connector": "weibo", "backfill": "skip", **weibo}},
                "destinations": {name: {"kind": "console"} for name in PLACES},
            }
        ),
        "utf-8",
    )
    return path


def modules_after(code: str, *arguments: str) -> set[str]:
    """What a new interpreter has imported once it ran `code`."""
    end = "\nimport sys, os\nprint('\\n' + '\\n'.join(sys.modules), flush=True)\nos._exit(0)\n"
    done = subprocess.run(
        [sys.executable, "-c", code + end, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_a_start_imports_no_sdk_of_an_account_that_is_not_there(tmp_path: Path) -> None:
    weibo = {"uid": "5187664653", "access_token": "2.00abc", "base_url": "http://127.0.0.1:9"}
    path = settings_file(tmp_path, weibo)
    Database.open(f"sqlite:///{tmp_path / 'inboxd.db'}", now=lambda: NOW).close()  # at head
    started = """
import sys
from pathlib import Path
from aggregator.cli import app
import aggregator.running
from aggregator.app import Daemon
from aggregator.settings import load
daemon = Daemon(load(Path(sys.argv[1]), {}))
daemon.start()
"""
    found = modules_after(started, str(path))
    assert "connectors.weibo" in found
    assert "aggregator.web.server" in found
    assert sorted(found & set(NOT_AT_START)) == []


def test_help_needs_nothing_of_the_daemon() -> None:
    found = modules_after("import aggregator.cli")
    assert sorted(found & set(NOT_FOR_HELP)) == []


def test_a_verdict_on_a_text_needs_no_database_and_no_network(tmp_path: Path) -> None:
    weibo = {"uid": "5187664653", "access_token": "2.00abc"}
    path = settings_file(tmp_path, weibo)
    path.write_text(
        json.dumps({"sandbox": "true", "rules": str(ROOT / "rules")}, ensure_ascii=False), "utf-8"
    )
    tried = """
import sys
from aggregator.cli import app
app(["--settings", sys.argv[1], "try", "充电宝冒烟了"], standalone_mode=False)
"""
    found = modules_after(tried, str(path))
    assert "P1" in found  # the verdict was printed before the modules
    assert sorted(found & set(NOT_FOR_A_VERDICT)) == []


# --- a daemon with nothing to do ------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def idle(tmp_path: Path, clock: Clock) -> Iterator[Daemon]:
    """Composed, polled once, its history too, owner of its leases; its ticks are made by the test."""
    standin = WeiboStandin(clock)
    standin.start()
    path = settings_file(tmp_path, standin.options())
    daemon = Daemon(load(path, {}), now=clock, roles=("ingest", "deliver"))
    try:
        for _ in range(5):  # a lane of history has its turn with each
            tick(daemon)
        yield daemon
    finally:
        if daemon.db.healthy() is None:  # not stopped by the test
            daemon.leases.release_all()
        daemon.db.close()
        standin.stop()


def tick(daemon: Daemon) -> None:
    """What the ticker and the senders do in a second, the leases apart."""
    daemon.escalation.tick()
    daemon.ruling.look()
    for poller in daemon.pollers.values():
        poller.tick()
    for sender in daemon.senders.values():
        sender.turn()


def counted(db: Database) -> Counter[str]:
    """Transactions of the one connection that writes."""
    count: Counter[str] = Counter()
    for name in ("begin", "commit"):
        event.listen(db._writing, name, lambda _conn, name=name: count.update([name]))
    return count


def test_between_two_renewals_an_idle_daemon_begins_no_transaction_that_writes(
    idle: Daemon, clock: Clock
) -> None:
    count = counted(idle.db)
    for _ in range(10):
        clock.at += timedelta(seconds=1)
        tick(idle)
    assert count == {}


def test_all_leases_are_renewed_by_one_transaction(idle: Daemon) -> None:
    count = counted(idle.db)
    idle.leases.renew()
    assert count == {"begin": 1, "commit": 1}


def test_a_turn_that_sends_nothing_asks_to_be_left_alone(idle: Daemon, clock: Clock) -> None:
    sender = idle.senders["social"]
    assert sender.turn() >= 1.0
    put(idle, sender, due_at=clock.at + timedelta(seconds=90), key="later")
    assert sender.turn() >= 1.0


def test_a_paused_destination_with_work_does_not_keep_its_sender_busy(
    idle: Daemon, clock: Clock
) -> None:
    sender = idle.senders["social"]
    put(idle, sender, due_at=clock.at, key="now")
    until = clock.at + timedelta(minutes=5)
    idle.db.write(lambda conn: pause(conn, "social", until, "429：太快了"))
    assert sender.turn() >= 1.0


def test_a_sender_whose_destination_another_replica_owns_waits(
    tmp_path: Path, idle: Daemon
) -> None:
    sender = idle.senders["social"]
    fence = idle.leases.hold("destination:social")
    assert fence is not None
    idle.leases.lost(fence)

    def taken_over(conn: Any) -> None:
        conn.exec_driver_sql("UPDATE lease SET expires_at = 0 WHERE name = 'destination:social'")
        assert acquire(conn, "destination:social", "另一台机器", 3600) is not None

    idle.db.write(taken_over)
    assert sender.turn() >= 1.0


def test_the_ticker_of_an_idle_daemon_wakes_less_than_three_times_a_second(idle: Daemon) -> None:
    idle.start()
    jobs = idle.ticker._scheduler.get_jobs()
    idle.stop()
    assert {"leases", "rules", "clocks"} <= {job.id for job in jobs}
    assert sum(1 / job.trigger.interval.total_seconds() for job in jobs) < 3


def put(daemon: Daemon, sender: Sender, *, due_at: datetime, key: str) -> None:
    row = Delivery(
        id=daemon.db.new_id(),
        destination=sender.destination_name,
        kind=NoticeKind.OPS,
        key=key,
        state=DeliveryState.PENDING,
        created_at=daemon.now(),
        due_at=due_at,
        priority=Priority.P2,
        text="令牌快到期了",
    )
    daemon.db.write(lambda conn: enqueue(conn, [row]))
