"""What a daemon with nothing to do costs, seen from outside: one account of each kind, every destination."""

from __future__ import annotations

import time

import psutil

from bench.figures import Figure
from bench.stage import stage

SETTLE_S = 12.0  # the first polls, and the first renewal of the leases
WATCH_S = 60.0


def measure() -> list[Figure]:
    with stage() as (daemon, _):
        daemon.start()
        process = psutil.Process(daemon.pid)
        time.sleep(SETTLE_S)
        before, began = process.cpu_times(), time.perf_counter()
        written = process.io_counters()
        highest = 0.0
        while (passed := time.perf_counter() - began) < WATCH_S:
            highest = max(highest, process.memory_info().rss / 1e6)
            time.sleep(min(1.0, WATCH_S - passed))
        after, passed = process.cpu_times(), time.perf_counter() - began
        used = (after.user - before.user) + (after.system - before.system)
        return [
            Figure("CPU, of one core", 100 * used / passed, "%", "< 1"),
            Figure("memory (RSS), highest", highest, "MB", "< 150"),
            Figure("threads", process.num_threads()),
            Figure(
                "written to disk a minute",
                (process.io_counters().write_bytes - written.write_bytes) / 1e3 / passed * 60,
                "kB",
            ),
        ]
