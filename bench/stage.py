"""A real daemon in a process of its own, with one account of each kind, against stand-ins in this one."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from aggregator.now import utc_now
from aggregator.sandbox.world import World

ROOT = Path(__file__).parents[1]
LOOK_S = 0.002


class Daemon:
    """`inboxd run`, as an operator would start it."""

    def __init__(self, folder: Path, world: World, *, every: str = "60s") -> None:
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.log_path = folder / "daemon.log"
        self.settings = folder / "settings.yaml"
        self.settings.write_text(
            json.dumps(  # JSON is YAML
                {
                    "sandbox": "false",
                    "database": f"sqlite:///{folder / 'inboxd.db'}",
                    "rules": str(ROOT / "rules"),
                    "http": {"listen": f"127.0.0.1:{self.port}"},
                    "accounts": world.accounts(every=every),
                    "destinations": world.destinations(),
                }
            ),
            "utf-8",
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.module: tuple[str, ...] = ("aggregator",)  # what to run, with words of its own

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> float:
        """Start it. Returns the seconds from there until /readyz said 200."""
        with self.log_path.open("ab") as log:
            began = time.perf_counter()
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.module, "--settings", str(self.settings), "run"],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env={**os.environ, "INBOXD_LOG_FORMAT": "json"},
            )
        while not self.ready():
            if self.process.poll() is not None or time.perf_counter() - began > 60:
                raise RuntimeError(f"it did not start:\n{self.log_path.read_text('utf-8')[-4000:]}")
            time.sleep(LOOK_S)
        return time.perf_counter() - began

    def ready(self) -> bool:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as client:
                client.request("GET", "/readyz")
                return client.getresponse().status == 200
        except OSError:
            return False

    def stop(self) -> float:
        """SIGTERM. Returns the seconds until it was gone."""
        if self.process is None:
            return 0.0
        began = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(15)
        self.process = None
        return time.perf_counter() - began


@contextmanager
def stage(*, every: str = "60s") -> Iterator[tuple[Daemon, World]]:
    """The daemon, not started yet, and the stand-ins, started."""
    world = World(utc_now)
    world.start()
    with tempfile.TemporaryDirectory(prefix="inboxd-bench-") as folder:
        daemon = Daemon(Path(folder), world, every=every)
        try:
            yield daemon, world
        finally:
            daemon.stop()
            world.stop()
