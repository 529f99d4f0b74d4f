"""kill -9 at random moments, with load on: nothing is lost, and Slack is told nothing twice.

`KILLS=30 .venv/bin/pytest tests/e2e/test_kill.py` kills more often.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from aggregator.now import utc_now
from aggregator.sandbox.base import Line, Person, Truth
from aggregator.sandbox.world import World
from tests.e2e.stage import ROOT

KILLS = int(os.environ.get("KILLS", "10"))
TEXTS = [
    "充电宝冒烟了！",
    "still waiting for my refund",
    "谢谢，很好用",
    "请问怎么退货？",
    "app down?",
]
KINDS = {
    "weibo": "mention",
    "x": "mention",
    "facebook": "mention",
    "wechat": "direct_message",
    "wecom": "direct_message",
}


class Load(threading.Thread):
    """Customers who do not stop writing; every fifth is answered in the platform's own app."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(name="load", daemon=True)
        self._world = world
        self._random = random.Random(seed)
        self.told: dict[str, Truth] = {}
        self.stopping = threading.Event()
        self.failed: Exception | None = None

    def run(self) -> None:
        try:
            for number in range(1, 100_000):
                if self.stopping.wait(0.1):
                    return
                self._say(number)
        except Exception as error:
            self.failed = error

    def _say(self, number: int) -> None:
        platform = self._random.choice(list(KINDS))
        text = f"{self._random.choice(TEXTS)} #{number}"
        who = Person(number, f"客户{number}", f"customer{number}")
        line = Line(0, platform, KINDS[platform], f"n{number}", who, text)
        self._play(line)
        if number % 5 == 0:
            kind = "comment" if platform in ("weibo", "facebook") else line.kind
            self._play(Line(0, platform, kind, f"a{number}", None, f"回复 {text}", to=line.label))

    def _play(self, line: Line) -> None:
        platform = self._world.platforms[line.platform]
        self.told[line.label] = platform.play(line, utc_now(), self.told)


class Daemon:
    """The real thing, in a process of its own, with real settings that point to the stand-ins."""

    def __init__(self, folder: Path, world: World) -> None:
        self.port = _free_port()
        self.settings = folder / "settings.yaml"
        self.settings.write_text(
            json.dumps(  # JSON is YAML
                {
                    "sandbox": "false",
                    "database": f"sqlite:///{folder / 'inboxd.db'}",
                    "rules": str(ROOT / "rules"),
                    "http": {"listen": f"127.0.0.1:{self.port}"},
                    "accounts": world.accounts(),
                    "destinations": {**world.destinations(), "ops": {"kind": "console"}},
                }
            ),
            "utf-8",
        )
        self.log = (folder / "daemon.log").open("ab")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "aggregator", "--settings", str(self.settings), "run"],
            cwd=ROOT,
            stdout=self.log,
            stderr=self.log,
            env={**os.environ, "INBOXD_LOG_FORMAT": "json"},
        )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def ready(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def ask(self, *verb: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "aggregator", "--settings", str(self.settings), *verb],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def rows(self, what: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.ask("export", what).splitlines()]


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(true: Any, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return False


def test_kills_lose_nothing_and_tell_slack_nothing_twice(tmp_path: Path) -> None:
    chance = random.Random(11)
    world = World(utc_now, attempts=200, retry_s=0.3)
    world.slack.limits = dict.fromkeys(world.slack.limits, (500.0, 1000.0))
    world.start()
    daemon = Daemon(tmp_path, world)
    load = Load(world, seed=5)
    try:
        daemon.start()
        assert _wait(daemon.ready, 20)
        world.attach(f"http://127.0.0.1:{daemon.port}/callbacks")
        load.start()
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.5, 3.0))
            daemon.kill()
            daemon.start()
        assert _wait(daemon.ready, 20)
        load.stopping.set()
        load.join(10)
        assert load.failed is None
        exported = {(t.platform, t.kind, t.native_id): t for t in load.told.values() if t.exported}

        def stored() -> Counter[tuple[str, str, str]]:
            rows = daemon.rows("messages")
            return Counter((row["platform"], row["kind"], row["native_id"]) for row in rows)

        _wait(lambda: set(exported) <= set(stored()), 60)
        assert _wait(
            lambda: all(row["state"] in ("sent", "skipped") for row in daemon.rows("deliveries")),
            60,
        )
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(10) == 0
        lost = set(exported) - set(stored())
        assert lost == set()
        assert [key for key, count in stored().items() if count > 1] == []
        assert set(stored()) - set(exported) == set()
        told = Counter(
            post.metadata["event_payload"]["delivery_id"]
            for post in world.slack.posts
            if post.metadata
        )
        assert [key for key, count in told.items() if count > 1] == []
        assert len(exported) > 5 * KILLS
    finally:
        load.stopping.set()
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
        daemon.log.close()
        world.stop()
