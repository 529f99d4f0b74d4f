"""How long from the start of the process until /readyz says so, with one account of each kind."""

from __future__ import annotations

import statistics

import psutil

from bench.figures import Figure
from bench.stage import stage

TIMES = 5


def measure() -> list[Figure]:
    first, again, stopped, cpu = [], [], [], []
    for _ in range(TIMES):
        with stage() as (daemon, _):
            first.append(daemon.start())
            stopped.append(daemon.stop())
            again.append(daemon.start())
            spent = psutil.Process(daemon.pid).cpu_times()
            cpu.append(spent.user + spent.system)
    return [
        Figure("start to ready, an empty database", statistics.median(first), "s", "≤ 1.5"),
        Figure("start to ready, again", statistics.median(again), "s", "≤ 1.5"),
        Figure("start to ready, again, the slowest", max(again), "s"),
        Figure("of that CPU time, which a busy machine stretches", statistics.median(cpu), "s"),
        Figure("SIGTERM to gone", statistics.median(stopped), "s", "≤ 10"),
    ]
