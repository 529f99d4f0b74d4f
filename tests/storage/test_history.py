"""Exports have the keys and formats of interface.md; what is explained is whole."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from aggregator.errors import SettingsError
from aggregator.model import (
    Author,
    Decision,
    DeliveryState,
    Direction,
    Outcome,
    Receipt,
    StoredMessage,
    Version,
)
from storage import history
from storage.backup import backup, check
from storage.engine import Database
from storage.leases import LeaseLost
from storage.outbox import claim, enqueue, finish, pause
from storage.polls import begin_account
from storage.pushes import store_pushes
from storage.retention import prune_raw
from storage.schema import message as message_table
from storage.schema import message_raw
from tests.conftest import NOW
from tests.storage.make import (
    ACCOUNT,
    at,
    clock,
    commit,
    decision,
    delivery,
    fence,
    message,
)


def lines(db: Database, what: str, **asked: Any) -> list[dict[str, Any]]:
    with db.read() as conn:
        return [json.loads(json.dumps(line)) for line in getattr(history, what)(conn, **asked)]


def test_a_message_is_exported_as_the_interface_says(db: Database) -> None:
    given = message(1, reply_to="49", edited_at=at(-1.5))
    decided = decision(db.new_id, given)
    commit(db, fence(db), decided)
    (line,) = lines(db, "messages")
    stored = decided.messages[0]
    assert line == {
        "id": str(stored.id),
        "account": ACCOUNT,
        "platform": "weibo",
        "kind": "comment",
        "direction": "inbound",
        "native_id": given.native_id,
        "conversation_id": str(stored.conversation_id),
        "author": {"native_id": "u1", "name": "用户1", "handle": "user1"},
        "text": "第1次了，退款还没到！",
        "lang": "zh",
        "url": "https://weibo.example/1",
        "sent_at": "2026-03-04T01:55:00.000Z",
        "received_at": "2026-03-04T02:00:00.000Z",
        "edited_at": "2026-03-04T01:59:58.500Z",
        "deleted_at": None,
        "reply_to": "49",
        "attachments": [
            {"kind": "image", "url": "https://img.example/1.jpg", "title": None, "media_id": None}
        ],
        "priority": "P2",
        "urgency": 2,
        "importance": 1,
        "sentiment": {"label": "negative", "score": -0.5},
        "tags": ["refund"],
        "matches": [
            {"rule": "refund-waiting", "term": "退款", "start": 4, "end": 6},
            {"rule": "repost", "term": "转发", "start": 6, "end": 8},
        ],
        "rules_version": "r1",
        "corrected": None,
    }


def test_what_is_unknown_is_null(db: Database) -> None:
    bare = message(
        1, author=None, text=None, sent_at=None, lang=None, url=None, attachments=(), person=None
    )
    stored = StoredMessage(db.new_id(), ACCOUNT, bare, NOW, None, None, None, None)
    commit(db, fence(db), Decision(messages=(stored,)))
    (line,) = lines(db, "messages")
    unknown = {name for name, value in line.items() if value is None}
    assert unknown == {
        *("conversation_id", "author", "text", "lang", "url", "sent_at", "edited_at"),
        *("deleted_at", "reply_to", "priority", "urgency", "importance", "sentiment"),
        *("rules_version", "corrected"),
    }
    assert (line["attachments"], line["tags"], line["matches"]) == ([], [], [])


def test_our_own_posts_appear_only_inside_a_conversation(db: Database) -> None:
    held = fence(db)
    decided = decision(db.new_id, message(1))
    about = decided.conversations[0].id

    def ours(number: int, conversation_id: int | None) -> StoredMessage:
        one = message(number, direction=Direction.OUTBOUND, author=Author("brand"))
        return StoredMessage(db.new_id(), ACCOUNT, one, NOW, conversation_id, None, None, None)

    answer, post = ours(2, about), ours(3, None)
    commit(db, held, replace(decided, messages=(*decided.messages, answer, post)))
    assert [line["direction"] for line in lines(db, "messages")] == ["inbound", "outbound"]


def test_conversations_clocks_and_deliveries_are_exported_as_the_interface_says(
    db: Database,
) -> None:
    decided = decision(db.new_id, message(1))
    about = decided.conversations[0]
    given = clock(
        decided.messages[0].id,
        stopped_at=at(60),
        outcome=Outcome.MET,
        business_ms=0,
        wall_ms=360000,
    )
    commit(db, fence(db), replace(decided, clocks={about.id: (given,)}))
    held = fence(db, "destination:social")
    db.write(lambda conn: claim(conn, fence=held, destination="social", now=NOW, limit=1))
    sent = [(decided.deliveries[0].id, Receipt("C1:17", None))]
    db.write(lambda conn: finish(conn, fence=held, now=at(1), sent=sent))
    assert lines(db, "conversations") == [
        {
            "id": str(about.id),
            "account": ACCOUNT,
            "contact_id": str(about.contact_id),
            "kind": "public",
            "state": "open",
            "opened_at": "2026-03-04T01:55:00.000Z",
            "last_inbound_at": "2026-03-04T01:55:00.000Z",
            "last_outbound_at": None,
            "priority": "P2",
            "reply_window_closes_at": None,
            "reply_window_left": None,
        }
    ]
    assert lines(db, "clocks") == [
        {
            "conversation_id": str(about.id),
            "kind": "first_response",
            "cycle": 1,
            "started_at": "2026-03-04T01:55:00.000Z",
            "due_at": "2026-03-04T02:25:00.000Z",
            "stopped_at": "2026-03-04T02:01:00.000Z",
            "outcome": "met",
            "business_ms": 0,
            "wall_ms": 360000,
            "policy": "standard@1",
        }
    ]
    assert lines(db, "deliveries") == [
        {
            "id": str(decided.deliveries[0].id),
            "destination": "social",
            "conversation_id": str(about.id),
            "kind": "card",
            "state": "sent",
            "attempts": 1,
            "created_at": "2026-03-04T02:00:00.000Z",
            "sent_at": "2026-03-04T02:00:01.000Z",
            "external_id": "C1:17",
            "reason": None,
        }
    ]


@pytest.mark.parametrize("what", ["messages", "conversations", "clocks", "deliveries"])
def test_since_is_by_the_time_received(db: Database, what: str) -> None:
    commit(db, fence(db), decision(db.new_id, message(1, sent_at=NOW - timedelta(days=400))))
    assert len(lines(db, what, since=NOW)) == 1
    assert lines(db, what, since=at(0.001)) == []


def test_an_export_streams_more_than_it_holds(db: Database) -> None:
    held = fence(db)
    for page in range(4):
        numbers = range(page * 300, page * 300 + 300)
        commit(db, held, decision(db.new_id, *[message(n) for n in numbers]))
    ids = [line["id"] for line in lines(db, "messages")]
    assert len(ids) == 1200
    assert ids == sorted(ids, key=int)


def test_a_decision_is_explained_whole(db: Database) -> None:
    held = fence(db)
    decided = decision(db.new_id, message(1), message(2))
    about, other = (one.id for one in decided.conversations)
    first, second = (one.id for one in decided.messages)
    told = (
        *decided.deliveries,
        delivery(db.new_id(), about, message_id=first, key="m1"),
        delivery(db.new_id(), about, message_id=second, key="m2"),
        delivery(
            db.new_id(),
            about,
            destination="nobody",
            state=DeliveryState.SKIPPED,
            reason="quiet interval",
        ),
    )
    commit(db, held, replace(decided, deliveries=told))
    with db.read() as conn:
        line = history.message_decision(conn, first)
        assert history.message_decision(conn, 1) is None
    assert line is not None
    assert (line["priority"], line["reasons"], line["rules_version"]) == (
        "P2",
        ["refund-waiting: 退款"],
        "r1",
    )
    assert line["route"] == ["refunds"]
    assert line["matches"][1]["quoted"] is True
    assert [row["reason"] for row in line["deliveries"]] == [None, None, "quiet interval"]
    assert json.loads(json.dumps(line)) == line
    assert other


def test_a_message_without_a_conversation_is_explained_too(db: Database) -> None:
    stored = StoredMessage(db.new_id(), ACCOUNT, message(1), NOW, None, None, None, None)
    commit(db, fence(db), Decision(messages=(stored,)))
    with db.read() as conn:
        line = history.message_decision(conn, stored.id)
    assert line is not None
    assert (line["route"], line["deliveries"], line["sentiment"]) == ([], [], None)


def test_the_state_names_what_is_wrong(db: Database) -> None:
    db.write(lambda conn: begin_account(conn, ACCOUNT, "weibo", NOW))
    commit(db, fence(db), decision(db.new_id, message(1), message(2)))
    dead = delivery(db.new_id(), destination="desk", state=DeliveryState.DEAD, reason="422")
    db.write(lambda conn: enqueue(conn, [dead]))
    db.write(lambda conn: pause(conn, "social", at(60), "ratelimited"))
    db.write(lambda conn: store_pushes(conn, ACCOUNT, "dm", [b"x"], NOW, new_id=db.new_id))
    with db.read() as conn:
        state = history.status_rows(conn, NOW)
    (account,) = state["accounts"]
    assert (account["name"], account["platform"], account["pushes_waiting"]) == (
        ACCOUNT,
        "weibo",
        1,
    )
    assert account["streams"][0]["last_success_at"] == "2026-03-04T02:00:00.000Z"
    desk, social = state["destinations"]
    assert (desk["name"], desk["pending"], desk["dead"]) == ("desk", 0, 1)
    assert (social["pending"], social["paused_until"]) == (2, "2026-03-04T02:01:00.000Z")
    assert (social["last_error"], social["failures"]) == ("ratelimited", 1)
    assert json.loads(json.dumps(state)) == state


# --- keeping and copying ------------------------------------------------------------------------


def test_raw_payloads_go_when_they_are_old_and_messages_stay(db: Database) -> None:
    held = fence(db)
    decided = decision(db.new_id, *[message(n) for n in range(600)])
    commit(db, held, decided)
    commit(db, held, decision(db.new_id, message(700)), now=at(60))
    keeper = fence(db, "housekeeping")
    assert history.prune(db, fence=keeper, before=at(60)) == 600
    assert history.prune(db, fence=keeper, before=at(60)) == 0
    with db.read() as conn:
        assert len(conn.execute(select(message_raw)).all()) == 1
    assert len(lines(db, "messages")) == 601
    with pytest.raises(LeaseLost):
        history.prune(db, fence=replace(keeper, epoch=9), before=at(99))


def test_a_prune_is_short(db: Database) -> None:
    commit(db, fence(db), decision(db.new_id, *[message(n) for n in range(600)]))
    assert db.write(lambda conn: prune_raw(conn, at(1))) == 500


def test_a_sound_store_has_no_problems_and_a_loose_end_is_one(db: Database) -> None:
    decided = decision(db.new_id, message(1))
    commit(db, fence(db), decided)
    edited = message(1, text="改了", edited_at=at(1))
    version = Version(decided.messages[0].id, edited, None, None)
    commit(db, fence(db), Decision(versions=(version,)))
    assert check(db) == []
    db.write(lambda conn: conn.execute(delete(message_table)))
    assert check(db) == ["1 dedup keys without a message"]


def test_a_backup_is_whole_and_one_file(db: Database, tmp_path: Path) -> None:
    target = tmp_path / "copies" / "今天.db"
    if db.dialect != "sqlite":
        with pytest.raises(SettingsError, match="pg_dump"):
            backup(db, target)
        return
    commit(db, fence(db), decision(db.new_id, message(1)))
    for _ in range(2):  # the second replaces the first
        backup(db, target)
    assert [path.name for path in target.parent.iterdir()] == ["今天.db"]
    copy = sqlite3.connect(target)
    assert copy.execute("SELECT text FROM message").fetchone() == ("第1次了，退款还没到！",)
    copy.close()
    restored = Database.open(f"sqlite:///{target}", now=lambda: NOW)
    assert check(restored) == []
    restored.close()


def test_a_backup_does_not_write_over_the_database_or_into_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "inboxd.db"
    db = Database.open(f"sqlite:///{path}", now=lambda: NOW)
    with pytest.raises(SettingsError, match="database itself"):
        backup(db, path)
    with pytest.raises(SettingsError, match="is a folder"):
        backup(db, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        backup(db, tmp_path / "file" / "copy.db")
    assert db.healthy() is None
    db.close()
