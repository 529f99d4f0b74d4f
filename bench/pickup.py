"""From the commit of a delivery until its sender, a thread that slept, has it in hands; SQLite."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from aggregator.model import Delivery
from bench.fakes import daemon
from bench.figures import Figure
from bench.ingest import ACCOUNT, NOW, Pages
from storage.leases import Fence, acquire
from storage.polls import commit_poll

TIMES = 300
WARM = 20


def measure() -> list[Figure]:
    """The claim is committed before `_send_all`; then the card is read, and the destination called."""
    with (
        tempfile.TemporaryDirectory(prefix="inboxd-bench-") as folder,
        daemon(Path(folder), roles=("deliver",)) as running,
    ):
        running.start()
        db, sender = running.db, running.senders["social"]
        sink, send_all = sender._destination, sender._send_all
        claimed: dict[str, float] = {}

        def stamped(fence: Fence, batch: Sequence[Delivery]) -> None:
            at = time.perf_counter()
            claimed.update((one.key, at) for one in batch)
            send_all(fence, batch)

        sender._send_all = stamped  # type: ignore[method-assign]
        fence = db.write(lambda conn: acquire(conn, f"account:{ACCOUNT}", "bench", 3600))
        pages = Pages(db.new_id, 1, destination="social")
        claims, sends = [], []
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
                time.sleep(0.002)
            claims.append((claimed[key] - committed) * 1000)
            sends.append((sink.taken[key] - committed) * 1000)
            time.sleep(0.01)  # the sender notes what it sent, and sleeps again
    claims, sends = claims[WARM:], sends[WARM:]
    return [
        Figure("commit to claimed, p50", statistics.median(claims), "ms", "≤ 5"),
        Figure("commit to claimed, p95", statistics.quantiles(claims, n=20)[-1], "ms"),
        Figure("commit to the destination's hands, p50", statistics.median(sends), "ms"),
        Figure(
            "commit to the destination's hands, p95", statistics.quantiles(sends, n=20)[-1], "ms"
        ),
    ]
