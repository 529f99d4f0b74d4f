"""A burst through the whole daemon on SQLite: polled, judged, stored, sent; and which thread works how long."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
from sqlalchemy import text

from aggregator.app import Daemon
from bench.fakes import daemon
from bench.figures import Figure

MESSAGES = 5_000
PATIENCE_S = 180.0


def measure() -> list[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="inboxd-bench-") as folder,
        daemon(Path(folder), messages=MESSAGES, roles=("ingest", "deliver")) as running,
    ):
        began = time.perf_counter()
        running.start()
        _until(lambda: _count(running, "SELECT count(*) FROM message") >= MESSAGES)
        stored_s = time.perf_counter() - began
        _until(lambda: _count(running, "SELECT count(*) FROM delivery WHERE state='pending'") == 0)
        told_s = time.perf_counter() - began
        worked = _worked()
        sent = sum(len(one._destination.taken) for one in running.senders.values())
    figures = [
        Figure("messages polled, judged and stored a second", MESSAGES / stored_s),
        Figure("messages a second until all are told", MESSAGES / told_s),
        Figure("notices", sent),
        Figure("notices a second", sent / told_s),
        Figure("all of it", told_s, "s"),
    ]
    return figures + [
        Figure(f"of that, CPU of {name}", seconds, "s") for name, seconds in worked.most_common(6)
    ]


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > end:
            raise RuntimeError("it does not get done")
        time.sleep(0.02)


def _count(running: Daemon, question: str) -> int:
    with running.db.read() as conn:
        return int(conn.execute(text(question)).scalar_one())


def _worked() -> Counter[str]:
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    spent: Counter[str] = Counter()
    for thread in psutil.Process().threads():
        spent[names.get(thread.id, "others")] += thread.user_time + thread.system_time
    return spent
