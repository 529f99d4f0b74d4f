"""SQLite has no statistics: each statement of the daemon must find its rows by an index all the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from aggregator.model import Decision, Direction, Receipt
from storage.clocks import breach_due
from storage.engine import Database
from storage.known import known
from storage.leases import acquire, check
from storage.looks import may_look, to_look_at
from storage.outbox import (
    claim,
    destination_state,
    enqueue,
    finish,
    load_card,
    next_due,
    receipt,
)
from storage.polls import streams
from storage.pushes import pushes
from tests.conftest import NOW
from tests.storage.make import ACCOUNT, at, commit, decision, delivery, fence, message

SMALL = {
    "account",
    "destination",
    "stream",
    "meta",
}  # a row or a few for each account and destination


@pytest.fixture
def database(tmp_path: Path, now: Callable[[], datetime]) -> Iterator[Database]:
    db = Database.open(f"sqlite:///{tmp_path}/inboxd.db", now=now)
    yield db
    db.close()


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    seen: list[tuple[str, Any]] = []

    def note(_c: Any, _k: Any, sql: str, given: Any, _x: Any, many: bool) -> None:
        seen.append((sql, given[0] if many else given))

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


def scans(db: Database, seen: list[tuple[str, Any]]) -> list[str]:
    """Steps of plans that read a table from end to end, or all of an account."""
    bad = []
    for sql, given in seen:
        if not re.match(r"\s*(SELECT|UPDATE|DELETE|WITH)", sql) or "pragma" in sql.lower():
            continue
        with db.read() as conn:
            plan = [row[3] for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", given)]
        for step in plan:
            table = step.split()[1]
            scan = step.startswith("SCAN") and table not in {*SMALL, "json_each", "places"}
            whole = step.endswith("(account=?)") and table not in SMALL
            if (scan or whole) and not step.startswith(("SCAN CONSTANT", "SCAN (subquery")):
                bad.append(f"{step}: {sql}")
    return bad


def test_a_poll_reads_and_writes_by_index(database: Database) -> None:
    db = database
    held = fence(db)
    commit(db, held, decision(db.new_id, message(1), message(2)))
    ours = message(9, direction=Direction.OUTBOUND, person=None, reply_to="x")
    with statements() as seen:
        with db.read() as conn:
            streams(conn, ACCOUNT)
            pushes(conn, ACCOUNT, "dm", 10)
            found = known(conn, ACCOUNT, [message(1), message(3), ours])
        (kept, _) = found.conversations
        changed = Decision(
            conversations=(kept.conversation,),
            clocks={kept.conversation.id: kept.clocks},
            deliveries=(delivery(db.new_id(), kept.conversation.id),),
        )
        commit(db, held, changed, drained=[1, 2])
    assert len(seen) > 15
    assert scans(db, seen) == []


def test_a_sender_reads_and_writes_by_index(database: Database) -> None:
    db = database
    decided = decision(db.new_id, message(1), message(2))
    commit(db, fence(db), decided)
    held = fence(db, "destination:social")
    about = decided.conversations[0].id
    with statements() as seen:
        with db.read() as conn:
            destination_state(conn, "social")
            next_due(conn, "social")
            load_card(conn, about)
            receipt(conn, "social", about)
        rows = db.write(lambda c: claim(c, fence=held, destination="social", now=NOW, limit=9))
        db.write(
            lambda c: finish(
                c,
                fence=held,
                now=NOW,
                sent=[(rows[0].id, Receipt("x"))],
                retry=[(rows[1].id, at(1), "500", True)],
            )
        )
        db.write(lambda c: enqueue(c, [replace(rows[0], id=db.new_id(), key="again")]))
    assert len(seen) > 12
    assert scans(db, seen) == []


def test_a_claim_reads_in_order_and_only_what_waits(database: Database) -> None:
    db = database
    held = fence(db, "destination:social")
    with statements() as seen:
        db.write(lambda c: claim(c, fence=held, destination="social", now=NOW, limit=9))
    ((sql, given),) = [one for one in seen if "FROM delivery" in one[0]]
    with db.read() as conn:
        plan = [row[3] for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", given)]
    assert plan[0] == "SEARCH delivery USING INDEX ix_delivery_pending (destination=?)"
    assert not any("TEMP B-TREE" in step for step in plan)


def test_the_watch_over_clocks_reads_and_writes_by_index(database: Database) -> None:
    db = database
    commit(db, fence(db), decision(db.new_id, message(1)))
    held = fence(db, "clocks")
    with statements() as seen:
        assert db.write(lambda conn: breach_due(conn, fence=held, now=at(99999)))
        db.write(lambda conn: may_look(conn, at(99999)) and to_look_at(conn, at(99999)))
        db.write(lambda conn: to_look_at(conn, at(99999)))
        db.write(lambda conn: check(conn, held))
        db.write(lambda conn: acquire(conn, "clocks", "我", 30))
    assert len(seen) > 5
    assert scans(db, seen) == []
