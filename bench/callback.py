"""How long a platform that pushes waits for its answer, and what a flood of wrong signatures costs it and us.

The load comes from a process of its own (bench/flood.py) at fixed times; a call that has to wait has its time run.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path

from aggregator.errors import Rejected
from aggregator.metrics import Metrics
from aggregator.now import utc_now
from aggregator.sandbox.world import World
from aggregator.web.callbacks import Callbacks
from bench.figures import Figure
from bench.stage import ROOT, Daemon, stage
from connectors.weibo import Weibo, WeiboOptions

PER_SECOND = 200
FLOOD = 10 * PER_SECOND
SECONDS = 15.0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Call:
    kind: str
    took_ms: float
    status: int
    at: float
    nonce: str


@dataclass(frozen=True, slots=True)
class Run:
    """What a load came to. `cpu_s`: of the daemon, meanwhile."""

    calls: tuple[Call, ...]
    after_ms: tuple[float, ...]
    cpu_s: float

    def took(self, kind: str) -> list[float]:
        return [one.took_ms for one in self.calls if one.kind == kind]


def measure() -> list[Figure]:
    with stage() as (daemon, world):
        commits = daemon.settings.parent / "commits"
        daemon.module = ("bench.timed", str(commits))
        daemon.start()
        time.sleep(2)
        load = _Load(daemon, world, commits)
        load.run([("warm", PER_SECOND, True)], 2.0)
        alone = load.run([("right", PER_SECOND, True)], SECONDS)
        time.sleep(5)  # what came in is read, judged and told
        plain = load.run([("wrong", FLOOD, False)], SECONDS / 3)
        both = load.run([("right", PER_SECOND, True), ("wrong", FLOOD, False)], SECONDS)
    bare_us = _bare_us()
    good = [one for one in (*alone.calls, *both.calls) if one.kind == "right"]
    bad = [one for one in (*plain.calls, *both.calls) if one.kind == "wrong"]
    return [
        Figure("answered a second", len(alone.took("right")) / SECONDS, "", f"≥ {PER_SECOND}"),
        Figure("right ones refused", sum(one.status != 200 for one in good), "", "≤ 0"),
        Figure("wrong ones let in", sum(one.status != 401 for one in bad), "", "≤ 0"),
        Figure("whole answer, p50", statistics.median(alone.took("right")), "ms"),
        Figure("whole answer, p99", _p99(alone.took("right")), "ms"),
        Figure("after the commit, p50", statistics.median(alone.after_ms), "ms"),
        Figure("after the commit, p99", _p99(alone.after_ms), "ms", "< 50"),
        Figure(
            f"beside {FLOOD} wrong a second: whole answer, p50",
            statistics.median(both.took("right")),
            "ms",
        ),
        Figure("… whole answer, p99", _p99(both.took("right")), "ms"),
        Figure("… after the commit, p99", _p99(both.after_ms), "ms"),
        Figure(
            "a right one, of the daemon's time, all that follows included",
            1e6 * alone.cpu_s / len(alone.calls),
            "µs",
        ),
        Figure("a wrong one, of the daemon's time", 1e6 * plain.cpu_s / len(plain.calls), "µs"),
        Figure("… of it ours, over the HTTP server", _ours_us(), "µs", "≤ 20"),
        Figure("… of it the bare check of a signature", bare_us, "µs"),
    ]


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100)[-1]


class _Load:
    """Weibo's fan service, and somebody without its secret."""

    def __init__(self, daemon: Daemon, world: World, commits: Path) -> None:
        self._daemon = daemon
        self._options = world.weibo.options()
        self._commits = commits
        self._plan = daemon.settings.parent / "plan.json"
        self._runs = 0

    def run(self, streams: Sequence[tuple[str, float, bool]], seconds: float) -> Run:
        self._runs += 1
        self._plan.write_text(
            json.dumps(
                {
                    "port": self._daemon.port,
                    "secret": self._options["app_secret"],
                    "uid": self._options["uid"],
                    "streams": streams,
                    "seconds": seconds,
                    "run": self._runs,
                }
            ),
            "utf-8",
        )
        before = _cpu_s(self._daemon.pid)
        done = subprocess.run(
            [sys.executable, "-m", "bench.flood", str(self._plan)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        cpu_s = _cpu_s(self._daemon.pid) - before
        rows = (line.split() for line in done.stdout.splitlines())
        calls = tuple(
            Call(kind, float(ms), int(code), float(at), n) for kind, ms, code, at, n in rows
        )
        time.sleep(0.5)  # the last commits are on their way to the file
        told = (line.split() for line in self._commits.read_text("utf-8").splitlines())
        committed = {nonce: float(at) for at, nonce in told}
        after = [1000 * (one.at - committed[one.nonce]) for one in calls if one.nonce in committed]
        return Run(calls, tuple(after), cpu_s)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _bare_us(rounds: int = 20_000) -> float:
    """Three words sorted, joined, digested and compared: what nobody can do without."""
    began = time.process_time()
    for number in range(rounds):
        words = "".join(sorted(("a-secret-of-an-app", "1772586000", str(number))))
        _ = sha1(words.encode(), usedforsecurity=False).hexdigest() == "0" * 40
    return 1e6 * (time.process_time() - began) / rounds


def _ours_us(rounds: int = 5_000) -> float:
    """`Callbacks.verified` for a wrong signature, the count and the log line included."""
    options = WeiboOptions.model_validate(
        {"uid": "1750070171", "access_token": "t", "app_secret": "a-secret-of-an-app"}
    )
    weibo = Weibo(options, keep=_Nothing(), now=utc_now)
    web = Callbacks(
        connectors={"weibo": weibo},
        db=None,  # type: ignore[arg-type]  # it is never asked
        now=utc_now,
        wake=lambda _: None,
        metrics=Metrics("0"),
    )
    stamp = str(int(utc_now().timestamp()))
    query = {"signature": "0" * 40, "timestamp": stamp, "nonce": "n"}
    began = time.process_time()
    for _ in range(rounds):
        with suppress(Rejected):
            web.verified("weibo", "POST", query, {}, b"{}")
        web.count("weibo", 401)
    return 1e6 * (time.process_time() - began) / rounds


class _Nothing:
    """A Keep with nothing in it."""

    def get(self, key: str) -> str | None:
        return None

    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        return False
