"""Plays a script into a real daemon through the stand-ins, with things going wrong, and compares."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from aggregator.app import Daemon
from aggregator.now import utc_now
from aggregator.rechecking import Recheck
from aggregator.sandbox.base import Line, Standin, Truth
from aggregator.sandbox.play import PlayClock, Player
from aggregator.sandbox.world import World
from aggregator.settings import Settings, load, with_sandbox
from storage import history
from storage.conversations import every_conversation
from storage.engine import Connection
from storage.outbox import backlog
from storage.polls import streams
from storage.rules import version_sources

ROOT = Path(__file__).parent.parent.parent


def settings_for(folder: Path, database: str) -> Settings:
    """The shipped rules, a database of the test's own, any free port."""
    path = folder / "settings.yaml"
    path.write_text(
        f"sandbox: true\ndatabase: '{database}'\nrules: {ROOT / 'rules'}\n"
        "timezone: Asia/Shanghai\nlanguage: zh\nhttp: {listen: '127.0.0.1:0'}\n",
        "utf-8",
    )
    return load(path, {})


class Trouble(threading.Thread):
    """Every kind of fault, at every stand-in, again and again, in an order that the seed fixes."""

    KINDS = ("status", "html", "html_ok", "truncated", "cut", "cut_after", "rate")

    def __init__(self, standins: Sequence[Standin], seed: int) -> None:
        super().__init__(name="trouble", daemon=True)
        self._standins = standins
        self._random = random.Random(seed)
        self.stopping = threading.Event()
        self.made: dict[str, int] = defaultdict(int)

    def run(self) -> None:
        while not self.stopping.wait(0.15):
            standin = self._random.choice(self._standins)
            kind = self._random.choice(self.KINDS)
            if standin.faults:
                continue
            if kind == "rate":
                standin.fault("status", status=429, body=b"{}", headers={"Retry-After": "1"})
            else:
                standin.fault(kind, status=500, body=b'{"oops": 1}')
            self.made[kind] += 1


@dataclass(frozen=True, slots=True)
class Played:
    """What the script says is true, and what the store says."""

    truth: Mapping[str, Truth]
    messages: Sequence[Mapping[str, Any]]
    conversations: Sequence[Mapping[str, Any]]
    clocks: Sequence[Mapping[str, Any]]
    deliveries: Sequence[Mapping[str, Any]]
    posts: Sequence[Any]
    tickets: Sequence[Any]
    faults: Mapping[str, int]
    differing: Sequence[str] = ()  # clocks that are not what the stored facts say


def _recheck(daemon: Daemon, conn: Connection, now: datetime) -> Iterator[str]:
    """Every clock computed anew, as `db check --clocks` does."""
    recheck = Recheck(
        sources=lambda version: version_sources(conn, version),
        backfill=lambda name: daemon.settings.accounts[name].backfill,
        now=now,
    )
    for known in every_conversation(conn):
        yield from recheck.differences(known)


def play(
    settings: Settings, script: Sequence[Line], *, minutes: float, seconds: float, seed: int | None
) -> Played:
    """Run the whole script through a daemon; with a seed, faults are thrown in along the way."""
    # Three times the script: what backs off at its end is waited for at the same speed.
    clock = PlayClock(utc_now, minutes=3 * minutes, seconds=3 * seconds)
    world = World(clock.now)
    world.start()
    daemon = Daemon(
        with_sandbox(settings, world.accounts(), world.destinations()), now=clock.now, fresh=True
    )
    standins = [*world.platforms.values(), world.slack, world.zendesk]
    trouble = Trouble(standins, seed or 0)  # type: ignore[arg-type]
    try:
        daemon.start()
        world.attach(f"http://127.0.0.1:{daemon.server.port}/callbacks")
        _until(lambda: _polled(daemon), 30)
        if seed is not None:
            trouble.start()
        player = Player(script, world.platforms, clock)
        player.start()
        assert player.done.wait(seconds + 60)
        if player.failed:
            raise player.failed
        trouble.stopping.set()
        exported = [t for t in player.told.values() if t.exported]
        _until(lambda: _stored(daemon) >= len(exported), 30, complain=False)
        _until(lambda: _told(daemon), 60)
        with daemon.db.read() as conn:
            return Played(
                truth=player.told,
                messages=list(history.messages(conn)),
                conversations=list(history.conversations(conn)),
                clocks=list(history.clocks(conn)),
                deliveries=list(history.deliveries(conn)),
                posts=list(world.slack.posts),
                tickets=list(world.zendesk.tickets.values()),
                faults=dict(trouble.made),
                differing=list(_recheck(daemon, conn, clock.now())),
            )
    finally:
        trouble.stopping.set()
        daemon.stop()
        world.stop()


def _until(true: Any, seconds: float, *, complain: bool = True) -> None:
    """Wait for a condition, a bounded time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return
        time.sleep(0.05)
    assert not complain, "it did not come about in time"


def _polled(daemon: Daemon) -> bool:
    with daemon.db.read() as conn:
        return all(
            stream in rows and rows[stream].last_success_at is not None
            for account, poller in daemon.pollers.items()
            for rows in [streams(conn, account)]
            for stream in poller.connector.streams
            if stream not in getattr(poller.connector, "pushed", ())
        )


def _stored(daemon: Daemon) -> int:
    with daemon.db.read() as conn:
        return sum(1 for _ in history.messages(conn))


def _told(daemon: Daemon) -> bool:
    with daemon.db.read() as conn:
        return sum(backlog(conn).values()) == 0


def expected(truth: Truth) -> dict[str, Any]:
    """What interface.md says an export row must hold, of what the script fixes."""
    return {
        "account": f"{truth.platform}_demo",
        "platform": truth.platform,
        "kind": truth.kind,
        "direction": truth.direction,
        "native_id": truth.native_id,
        "author": dict(truth.author),
        "text": truth.text,
        "url": truth.url,
        "sent_at": rfc3339(truth.sent_at),
        "reply_to": truth.reply_to,
        "attachments": list(truth.attachments),
    }


def found(row: Mapping[str, Any]) -> dict[str, Any]:
    """The same keys of an export row."""
    kept = {key: row[key] for key in ("account", "platform", "kind", "direction", "native_id")}
    author = row["author"] or {}
    return {
        **kept,
        "author": {key: author.get(key) for key in ("native_id", "name", "handle")},
        "text": row["text"],
        "url": row["url"],
        "sent_at": row["sent_at"],
        "reply_to": row["reply_to"],
        "attachments": [one["kind"] for one in row["attachments"]],
    }


def rfc3339(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def partition(pairs: Sequence[tuple[str, str]]) -> set[frozenset[str]]:
    """(message, group) pairs as the set of groups of messages."""
    groups: dict[str, set[str]] = defaultdict(set)
    for message, group in pairs:
        groups[group].add(message)
    return {frozenset(one) for one in groups.values()}
