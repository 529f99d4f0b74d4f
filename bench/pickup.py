"""From the commit of a delivery until its sender, a thread that slept, has it in hands; SQLite."""

from __future__ import annotations

import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

from bench.fakes import daemon
from bench.figures import Figure
from bench.ingest import ACCOUNT, NOW, Pages
from storage.leases import acquire
from storage.polls import commit_poll

TIMES = 300
WARM = 20


def measure() -> list[Figure]:
    """`send` is called after the claim is committed and the card is read: later than the pick-up itself."""
    with (
        tempfile.TemporaryDirectory(prefix="inboxd-bench-") as folder,
        daemon(Path(folder), roles=("deliver",)) as running,
    ):
        running.start()
        db, sink = running.db, running.senders["social"]._destination
        fence = db.write(lambda conn: acquire(conn, f"account:{ACCOUNT}", "bench", 3600))
        pages = Pages(db.new_id, 1, destination="social")
        took = []
        for _ in range(WARM + TIMES):
            decision = next(pages)
            commit = partial(
                commit_poll,
                fence=fence,
                account=ACCOUNT,
                stream="comments",
                page_cursor="c",
                decision=decision,
                now=NOW,
                next_poll_at=NOW,
            )
            db.write(commit)
            committed = time.perf_counter()
            running.told({"social"})
            key = decision.deliveries[0].key
            while key not in sink.taken:
                time.sleep(0.0002)
            took.append((sink.taken[key] - committed) * 1000)
            time.sleep(0.01)  # the sender notes what it sent, and sleeps again
    took = took[WARM:]
    return [
        Figure("commit to the sender's hands, p50", statistics.median(took), "ms", "≤ 5"),
        Figure("p95", statistics.quantiles(took, n=20)[-1], "ms"),
    ]
