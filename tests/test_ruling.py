"""The rules while the daemon runs: held back, approved, kept over a restart, spoken of every hour."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aggregator.errors import SettingsError
from aggregator.intake import AccountFacts, decide
from aggregator.metrics import Metrics
from aggregator.model import Author, Direction, Kind, Message, Page
from aggregator.ops import Ops
from aggregator.ruling import Ruling, approve_held
from aggregator.triage.loader import load_texts
from storage.engine import Database
from storage.leases import acquire
from storage.outbox import list_deliveries
from storage.polls import commit_poll, known
from storage.rules import held, in_force, peek, recent

CALM = "schema: 1\nrules: [{id: money-words, when: {any: [退款]}, then: {urgency: 1}, tests: [{hit: 退款}]}]\n"
LOUD = CALM.replace("urgency: 1", "urgency: 3, importance: 3")
BAD = "schema: 1\nrules: [{id: money-words, wenn: {}}]\n"
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def db(tmp_path: Path, clock: Clock) -> Iterator[Database]:
    made = Database.open(f"sqlite:///{tmp_path}/inboxd.db", now=clock)
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "rules"
    made.mkdir()
    (made / "money.yaml").write_text(CALM, encoding="utf-8")
    return made


def ruling(
    folder: Path, db: Database, clock: Clock, guard: float | None = 0.05
) -> tuple[Ruling, Metrics]:
    metrics = Metrics("0")
    ops = Ops(db=db, present=True, now=clock, told=lambda _: None)
    made = Ruling(folder, (), guard=guard, db=db, ops=ops, metrics=metrics, now=clock)
    return made, metrics


def told(db: Database) -> list[str]:
    with db.read() as conn:
        rows = list_deliveries(conn, destination="ops")
    return [row.text or "" for row in sorted(rows, key=lambda row: row.id)]


def store(db: Database, texts: list[str], clock: Clock) -> None:
    messages = tuple(
        Message(
            native_id=str(at),
            platform="weibo",
            kind=Kind.MENTION,
            direction=Direction.INBOUND,
            author=Author(native_id=f"u{at}", name="顾客"),
            text=text,
            sent_at=clock(),
        )
        for at, text in enumerate(texts)
    )
    page = Page(messages, cursor="1")
    fence = db.write(lambda conn: acquire(conn, "account:weibo", "me", 60))
    assert fence is not None
    with db.read() as conn:
        before = known(conn, "weibo", messages)
    account = AccountFacts("weibo", "alert")
    decision = decide(
        page, before, account=account, rules=load_texts({}), now=clock(), new_id=db.new_id
    )
    db.write(
        lambda conn: commit_poll(
            conn,
            fence=fence,
            account="weibo",
            stream="mentions",
            page_cursor="1",
            decision=decision,
            now=clock(),
            next_poll_at=None,
        )
    )


def test_rules_that_would_move_many_messages_wait_and_are_told_of(
    folder: Path, db: Database, clock: Clock
) -> None:
    store(db, ["退款还没到", *["你好"] * 9], clock)
    rules, metrics = ruling(folder, db, clock)
    version = rules.current().version
    (folder / "money.yaml").write_text(LOUD, encoding="utf-8")
    for _ in range(3):
        rules.look()
    assert rules.current().version == version
    (said,) = told(db)
    assert "1 of the last 10 messages would change their level (P4→P1 1)" in said
    assert "rules_guard allows 5%" in said
    assert "inboxd rules approve" in said
    assert b"inboxd_rules_held 1.0" in metrics.text()
    with db.read() as conn:
        waiting = held(conn)
    assert waiting is not None
    with pytest.raises(SettingsError, match="look again"):
        approve_held(db, "0123456789abcdef")
    assert waiting.version in approve_held(db, waiting.version)
    clock.at += timedelta(seconds=1)
    rules.look()
    assert rules.current().version == waiting.version
    assert told(db)[1].startswith("✅ no rules wait")
    assert b"inboxd_rules_held 0.0" in metrics.text()
    with pytest.raises(SettingsError, match="no rules wait"):
        approve_held(db, None)
    with db.read() as conn:
        assert (held(conn), in_force(conn)) == (None, waiting.version)


def test_what_waits_still_waits_after_a_restart_and_may_be_approved_meanwhile(
    folder: Path, db: Database, clock: Clock
) -> None:
    store(db, ["我要退款"], clock)
    first, _ = ruling(folder, db, clock)
    version = first.current().version
    (folder / "money.yaml").write_text(LOUD, encoding="utf-8")
    second, _ = ruling(folder, db, clock)
    assert second.current().version == version
    approve_held(db, None)
    third, _ = ruling(folder, db, clock)
    assert third.current().version != version
    with db.read() as conn:
        assert held(conn) is None


def test_a_small_change_waits_for_nobody_and_without_a_guard_none_does(
    folder: Path, db: Database, clock: Clock
) -> None:
    store(db, ["退款", *["你好"] * 30], clock)
    for guard in (0.05, None):
        (folder / "money.yaml").write_text(CALM, encoding="utf-8")
        rules, _ = ruling(folder, db, clock, guard)
        before = rules.current().version
        (folder / "money.yaml").write_text(LOUD, encoding="utf-8")
        for _ in range(2):
            rules.look()
        assert rules.current().version != before
    assert told(db) == []


def test_bad_rules_are_told_again_every_hour_until_they_are_mended(
    folder: Path, db: Database, clock: Clock
) -> None:
    rules, metrics = ruling(folder, db, clock)
    (folder / "money.yaml").write_text(BAD, encoding="utf-8")
    for minutes in range(0, 121, 10):
        clock.at = START + timedelta(minutes=minutes)
        rules.look()
        rules.look()
    said = told(db)
    assert len(said) == 3
    assert all("money.yaml:2:" in one and "did you mean 'when'?" in one for one in said)
    assert b'inboxd_rules_file_ok{file="money.yaml"} 0.0' in metrics.text()
    assert b"inboxd_rules_last_reload_successful 0.0" in metrics.text()
    (folder / "money.yaml").write_text(CALM, encoding="utf-8")
    rules.look()
    rules.look()
    assert told(db)[3].startswith("✅ the rules are good again")
    assert b'inboxd_rules_file_ok{file="money.yaml"} 1.0' in metrics.text()
    clock.at += timedelta(hours=5)
    rules.look()
    assert len(told(db)) == 4


def test_a_restart_with_the_same_bad_file_repeats_nothing_within_the_hour(
    folder: Path, db: Database, clock: Clock
) -> None:
    ruling(folder, db, clock)
    (folder / "money.yaml").write_text(BAD, encoding="utf-8")
    for _ in range(3):
        again, _ = ruling(folder, db, clock)
        assert "money-words" in again.current().rules  # the last good one is in the store
    assert len(told(db)) == 1


def test_the_rules_in_force_are_a_metric(folder: Path, db: Database, clock: Clock) -> None:
    rules, metrics = ruling(folder, db, clock, None)
    first = rules.current().version
    assert f'inboxd_rules_info{{version="{first}"}} 1.0'.encode() in metrics.text()
    (folder / "money.yaml").write_text(LOUD, encoding="utf-8")
    rules.look()
    rules.look()
    assert first.encode() not in metrics.text()
    assert rules.current().version.encode() in metrics.text()


def test_recent_messages_are_the_newest_of_customers(db: Database, clock: Clock) -> None:
    store(db, ["一", "二", "三"], clock)
    with db.read() as conn:
        assert [one.message.text for one in recent(conn, 2)] == ["三", "二"]


def test_a_store_is_looked_at_without_making_or_changing_it(tmp_path: Path, clock: Clock) -> None:
    url = f"sqlite:///{tmp_path}/other.db"
    assert peek(url, 5) == []
    assert not (tmp_path / "other.db").exists()
    db = Database.open(url, now=clock)
    store(db, ["一", "二"], clock)
    assert [one.message.text for one in peek(url, 5)] == ["二", "一"]
    db.close()
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old)) as older:
        older.execute("CREATE TABLE message (id INTEGER)")
        older.commit()
    before = old.read_bytes()
    assert peek(f"sqlite:///{old}", 5) == []
    assert old.read_bytes() == before
    assert peek("mysql://db/none", 5) == []
