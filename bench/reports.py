"""Reports over a million conversations of 90 days: how fast, how right, and what keeping the rollup costs.

`CONVERSATIONS=100000 python -m bench reports` for less. The rows are made by the database itself.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from aggregator.model import Decision, Outcome
from aggregator.reporting import Answer, Asked, report
from aggregator.reports import TIMES
from bench.figures import Figure
from bench.ingest import postgresql_url, sqlite_url
from storage import polls
from storage.engine import Database
from storage.leases import acquire
from storage.rollup import refill
from tests.storage.make import ACCOUNT, clock, decision, message

CONVERSATIONS = int(os.environ.get("CONVERSATIONS", "1000000"))
DAYS = 90
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ZONE = "Asia/Shanghai"
LOOKS = 7
PAGES = 40
STOPPED = 20  # clocks that a page stops
_MS = int(BEGIN.timestamp() * 1000)
_SPAN = DAYS * 86_400_000 - 1

# The same words for both databases; primes make what looks random.
_ROWS = f"""WITH RECURSIVE n(i) AS (
    SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < {CONVERSATIONS}),
r AS (SELECT i, {_MS} + i * {_SPAN} / {CONVERSATIONS} AS at,
    1000 + (i * 7919 % 1009) * (i * 104729 % 1013) * (i * 31 % 97) / 10 AS took,
    'konto' || (i * 17 % 5) AS account,
    CASE i * 17 % 5 WHEN 0 THEN 'weibo' WHEN 1 THEN 'wechat' WHEN 2 THEN 'wecom'
        WHEN 3 THEN 'x' ELSE 'facebook' END AS platform,
    CASE WHEN i % 3 = 0 THEN 'comment' ELSE 'direct_message' END AS kind,
    'P' || (1 + i * 13 % 4) AS priority,
    CASE i * 7 % 4 WHEN 0 THEN '[]' WHEN 1 THEN '["退款"]' WHEN 2 THEN '["物流","投诉"]'
        ELSE '["praise"]' END AS labels
    FROM n) """
_INSERTS = (
    "INSERT INTO conversation (id, account, platform, kind, key, state, priority, labels, routes, "
    "destinations, mentions, aims, opened_at, version) " + _ROWS + "SELECT i, account, platform, "
    "CASE kind WHEN 'comment' THEN 'public' ELSE 'direct' END, 'd:' || i, 'closed', priority, labels, "
    "'[\"everything-else\"]', '[]', '[]', '[]', at, 1 FROM r",
    "INSERT INTO message (id, account, platform, conversation_id, kind, direction, native_id, sent_at, "
    "received_at, attachments, marks, priority, tags, matches, reasons) "
    + _ROWS
    + "SELECT i, account, platform, i, kind, 'inbound', CAST(i AS TEXT), at - 2000, at, '[]', '[]', "
    "priority, labels, '[]', '[]' FROM r",
    *(
        "INSERT INTO clock (conversation_id, kind, cycle, started_at, due_at, policy, priority, "
        "started_by, stopped_at, outcome, business_ms, wall_ms) "
        + _ROWS
        + f"SELECT i, '{kind}', 1, at, at + 1800000, 'standard-' || priority || '@7f', priority, i, "
        f"at + {more} * took, CASE WHEN took > 1800000 THEN 'breached' ELSE 'met' END, "
        f"{more} * took / 3, {more} * took FROM r"
        for kind, more in (("first_response", 1), ("resolution", 5))
    ),
)


def measure() -> list[Figure]:
    figures: list[Figure] = []
    for name, url in (("SQLite", sqlite_url), ("PostgreSQL", postgresql_url)):
        with url() as where:
            db = Database.open(where, now=lambda: BEGIN)
            try:
                figures += _measured(name, db)
            finally:
                db.close()
    return figures


def _measured(name: str, db: Database) -> list[Figure]:
    began = time.perf_counter()
    for statement in _INSERTS:
        db.write(lambda conn, one=statement: conn.execute(text(one)))  # type: ignore[misc]
    if db.dialect == "postgresql":
        db.write(lambda conn: conn.execute(text("ANALYZE")))
    made_s = time.perf_counter() - began
    began = time.perf_counter()
    db.write(lambda conn: refill(conn, ZONE))
    filled_s = time.perf_counter() - began
    since = BEGIN - timedelta(hours=8)
    figures = [
        Figure(f"{name}: rows made", made_s, "s"),
        Figure(f"{name}: adding all of it up anew", filled_s, "s"),
    ]
    for by in ((), ("platform", "priority"), ("label",), ("hour",)):
        took, told = _timed(db, Asked(since, None, by), LOOKS)
        what = ",".join(by) or "nothing"
        figures.append(Figure(f"{name}: report of 90 days by {what}", took * 1e3, "ms", "≤ 200"))
    by = ("platform", "priority")
    fast, told = _timed(db, Asked(since, None, by), LOOKS)
    slow, true = _timed(db, Asked(since, None, by, exact=True), 1)
    error, equal = _compared(told, true)
    upkeep, whole = _upkeep(db)
    return [
        *figures,
        Figure(f"{name}: the same from every clock", slow, "s"),
        Figure(f"{name}: so many times as fast", slow / fast, "x", "≥ 20"),
        Figure(f"{name}: largest error of a percentile", error * 100, "%", "≤ 2"),
        Figure(f"{name}: counts that differ", equal, "", "≤ 0"),
        Figure(f"{name}: upkeep for a stopped clock", upkeep * 1e6, "us"),
        Figure(f"{name}: of the commit that stops it", 100 * upkeep / whole, "%"),
    ]


def _timed(db: Database, asked: Asked, times: int) -> tuple[float, Answer]:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        with db.read() as conn:
            answer = report(conn, asked)
        took.append(time.perf_counter() - began)
    return statistics.median(took), answer


def _compared(told: Answer, true: Answer) -> tuple[float, int]:
    worst, differing = 0.0, abs(len(told.lines) - len(true.lines))
    for line, exact in zip(told.lines, true.lines, strict=True):
        for name, value in exact.items():
            if name in TIMES and value:
                worst = max(worst, abs(line[name] - value) / value)
            elif not name.endswith("_ms"):
                differing += line[name] != value
    return worst, differing


def _upkeep(db: Database) -> tuple[float, float]:
    """Seconds of the rollup for a clock, and of the whole commit, where a page stops some; interleaved."""
    real: Callable[..., Any] = polls.rolled_up
    took: dict[bool, list[float]] = {True: [], False: []}
    for page in range(PAGES):
        kept = page % 2 == 0
        polls.rolled_up = real if kept else lambda *_: nullcontext()  # type: ignore[assignment]
        try:
            took[kept].append(_page(db, page))
        finally:
            polls.rolled_up = real
    whole, bare = (statistics.median(took[one]) / STOPPED for one in (True, False))
    return max(whole - bare, 0.0), whole


def _page(db: Database, page: int) -> float:
    """Seconds of the commit that stops the clocks of a page."""
    first = page * STOPPED
    made = decision(db.new_id, *(message(10**7 + first + one) for one in range(STOPPED)))
    fence = db.write(lambda conn: acquire(conn, f"account:{ACCOUNT}", "bench", 60))
    assert fence is not None

    def commit(decided: Decision) -> None:
        db.write(lambda conn: polls.commit_decision(conn, fence=fence, decision=decided, now=BEGIN))

    commit(made)
    stopped = {
        id: (
            clock(one.started_by, stopped_at=BEGIN, outcome=Outcome.MET, business_ms=9, wall_ms=9),
        )
        for id, (one,) in made.clocks.items()
    }
    changed = tuple(replace(one, version=1) for one in made.conversations)
    began = time.perf_counter()
    commit(Decision(conversations=changed, clocks=stopped))
    return time.perf_counter() - began
