"""A page is stored whole or not at all, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Table, func, select

from aggregator.model import (
    Author,
    ClockEvent,
    Contact,
    Conversation,
    ConversationState,
    Decision,
    Direction,
    Entry,
    Outcome,
    StoredMessage,
    Version,
)
from storage import schema
from storage.engine import Database
from storage.leases import Fence, LeaseLost
from storage.polls import Conflict, begin_account, commit_poll, known, poll_failed, streams
from storage.pushes import pushes, store_pushes
from tests.conftest import NOW
from tests.storage.make import (
    ACCOUNT,
    at,
    clock,
    commit,
    conversation,
    decision,
    delivery,
    fence,
    message,
    verdict,
)


def rows(db: Database, table: Table) -> list[Any]:
    with db.read() as conn:
        return list(conn.execute(select(table)))


def counts(db: Database) -> dict[str, int]:
    with db.read() as conn:
        return {
            table.name: conn.execute(select(func.count()).select_from(table)).scalar_one()
            for table in schema.metadata.sorted_tables
            if table.name not in ("meta", "lease")
        }


def look(db: Database, *messages: Any) -> Any:
    with db.read() as conn:
        return known(conn, ACCOUNT, messages)


def test_a_page_is_there_whole_after_its_commit(db: Database) -> None:
    commit(db, fence(db), decision(db.new_id, message(1), message(2)))
    found = {name: count for name, count in counts(db).items() if count}
    assert found == {
        "stream": 1,
        "dedup": 2,
        "message": 2,
        "message_raw": 2,
        "contact": 2,
        "conversation": 2,
        "clock": 2,
        "clock_event": 2,
        "delivery": 2,
        "rollup": 8,
    }


def test_what_is_read_back_is_what_was_decided(db: Database) -> None:
    decided = decision(db.new_id, message(1))
    commit(db, fence(db), decided)
    found = look(db, message(1))
    (kept,) = found.conversations
    about, stored = decided.conversations[0], decided.messages[0]
    assert kept.conversation == replace(about, version=1)
    assert kept.clocks == decided.clocks[about.id]
    assert kept.entries == (
        Entry(stored.id, Direction.INBOUND, stored.message.sent_at or NOW, NOW),
    )
    assert found.contacts == {"u1": decided.contacts[0]}
    seen = found.seen[message(1).key]
    assert (seen.message_id, seen.conversation_id) == (stored.id, about.id)
    assert (seen.text, seen.direction) == ("第1次了，退款还没到！", Direction.INBOUND)


def test_the_same_page_twice_is_a_conflict_and_changes_nothing(db: Database) -> None:
    held = fence(db)
    commit(db, held, decision(db.new_id, message(1)))
    before = counts(db)
    again = decision(db.new_id, message(2), message(1), message(3))
    with pytest.raises(Conflict):
        commit(db, held, again, page_cursor="c2")
    assert counts(db) == before
    with db.read() as conn:
        assert streams(conn, ACCOUNT)["comments"].cursor == "c1"


def test_a_conflict_leaves_its_neighbours_in_the_same_transaction_alone(db: Database) -> None:
    held = fence(db)
    one = decision(db.new_id, message(1))
    bad = decision(db.new_id, message(1))
    two = decision(db.new_id, message(2))
    given: dict[str, Any] = {
        "fence": held,
        "account": ACCOUNT,
        "stream": "s",
        "page_cursor": None,
        "now": NOW,
        "next_poll_at": None,
    }
    futures = [
        db.submit(lambda conn, d=d: commit_poll(conn, decision=d, **given)) for d in (one, bad, two)
    ]
    futures[0].result(10)
    with pytest.raises(Conflict):
        futures[1].result(10)
    futures[2].result(10)
    assert counts(db)["message"] == 2


def test_one_conversation_of_a_key_is_open_at_a_time(db: Database) -> None:
    held = fence(db)
    commit(db, held, decision(db.new_id, message(1)))
    other = message(2, person="u1", author=Author("u1-other"))
    with pytest.raises(Conflict):
        commit(db, held, decision(db.new_id, other))
    (kept,) = look(db, message(1)).conversations
    closed = replace(kept.conversation, state=ConversationState.CLOSED, closed_at=NOW)
    anew = decision(db.new_id, other)
    # The closed one makes room for the new one in the same page, whatever their order.
    commit(db, held, replace(anew, conversations=(*anew.conversations, closed)))
    (now_open,) = look(db, message(3, person="u1")).conversations
    assert now_open.conversation.id == anew.conversations[0].id


def test_a_decision_on_an_older_version_is_a_conflict(db: Database) -> None:
    held = fence(db)
    commit(db, held, decision(db.new_id, message(1)))
    (kept,) = look(db, message(1)).conversations
    waiting = replace(kept.conversation, state=ConversationState.WAITING)
    commit(db, held, Decision(conversations=(waiting,)))
    with pytest.raises(Conflict, match="has changed since"):
        commit(db, held, Decision(conversations=(waiting,)))
    (kept,) = look(db, message(1)).conversations
    assert (kept.conversation.version, kept.conversation.state) == (2, ConversationState.WAITING)


def test_every_field_of_a_conversation_may_change(db: Database) -> None:
    held = fence(db)
    commit(db, held, decision(db.new_id, message(1)))
    (kept,) = look(db, message(1)).conversations
    changed = replace(
        kept.conversation,
        state=ConversationState.RESOLVED,
        labels=("refund", "投诉"),
        routes=(),
        destinations=("social", "desk"),
        aims=(*kept.conversation.aims, replace(kept.conversation.aims[0], at=at(9), target=None)),
        last_outbound_at=at(1),
        resolved_at=at(2),
        reply_window_closes_at=at(3),
    )
    commit(db, held, Decision(conversations=(changed,)))
    (kept,) = look(db, message(1)).conversations
    assert kept.conversation == replace(changed, version=2)


def test_clocks_and_their_events_are_replaced(db: Database) -> None:
    held = fence(db)
    decided = decision(db.new_id, message(1), message(2))
    commit(db, held, decided)
    kept, other = look(db, message(1), message(2)).conversations
    stopped = replace(
        kept.clocks[0],
        stopped_at=at(60),
        stopped_by=99,
        outcome=Outcome.MET,
        business_ms=1000,
        wall_ms=2000,
        late_ingest=True,
        clamped=True,
        events=(*kept.clocks[0].events, ClockEvent("fulfil", at(60), 99, "回复")),
    )
    commit(
        db,
        held,
        Decision(conversations=(kept.conversation,), clocks={kept.conversation.id: (stopped,)}),
    )
    now_kept, now_other = look(db, message(1), message(2)).conversations
    assert now_kept.clocks == (stopped,)
    assert now_other.clocks == other.clocks
    assert counts(db)["clock_event"] == 3


def test_a_delivery_whose_key_is_there_already_is_left_out(db: Database) -> None:
    held = fence(db)
    decided = decision(db.new_id, message(1))
    commit(db, held, decided)
    again = replace(decided.deliveries[0], id=db.new_id(), text="twice")
    commit(db, held, Decision(deliveries=(again,)))
    (row,) = rows(db, schema.delivery)
    assert row.text is None


def test_a_stale_owner_stores_nothing(db: Database) -> None:
    held = fence(db)
    stale = Fence(held.name, "somebody", held.epoch)
    older = Fence(held.name, held.owner, held.epoch - 1)
    before = counts(db)
    for wrong in (stale, older):
        with pytest.raises(LeaseLost):
            commit(db, wrong, decision(db.new_id, message(1)))
        with pytest.raises(LeaseLost):
            db.write(
                lambda conn, wrong=wrong: poll_failed(
                    conn,
                    fence=wrong,
                    account=ACCOUNT,
                    stream="comments",
                    error="x",
                    retry_at=NOW,
                    pause_until=None,
                )
            )
    assert counts(db) == before


def test_an_edit_keeps_what_was_said_before(db: Database) -> None:
    held = fence(db)
    decided = decision(db.new_id, message(1))
    commit(db, held, decided)
    id = decided.messages[0].id
    edited = message(1, text="已经收到了，谢谢", edited_at=at(60), attachments=(), raw=b"new")
    for change in (edited, replace(edited, text="谢谢！", edited_at=at(90))):
        commit(db, held, Decision(versions=(Version(id, change, verdict(), "r2"),)))
    (row,) = rows(db, schema.message)
    assert (row.text, row.attachments, row.rules_version) == ("谢谢！", "[]", "r2")
    earlier = [(v.version, v.text) for v in rows(db, schema.message_version)]
    assert earlier == [(1, "第1次了，退款还没到！"), (2, "已经收到了，谢谢")]
    assert look(db, message(1)).seen[message(1).key].edited_at == at(90)


def test_a_deletion_marks_the_message_and_keeps_its_words(db: Database) -> None:
    held = fence(db)
    decided = decision(db.new_id, message(1))
    commit(db, held, decided)
    gone = message(1, text=None, deleted_at=at(60), raw=b"")
    commit(db, held, Decision(versions=(Version(decided.messages[0].id, gone, None, None),)))
    (row,) = rows(db, schema.message)
    assert (row.text, row.priority) == ("第1次了，退款还没到！", "P2")
    found = look(db, message(1))
    assert found.seen[message(1).key].deleted_at == at(60)
    assert found.conversations[0].entries[0].withdrawn_at == at(60)


def test_a_contact_is_told_anew_and_never_twice(db: Database) -> None:
    held = fence(db)
    decided = decision(db.new_id, message(1))
    commit(db, held, decided)
    renamed = replace(decided.contacts[0], author=Author("u1", "新名字", "user1", 43, True))
    commit(db, held, Decision(contacts=(decided.contacts[0], renamed)))
    assert look(db, message(1)).contacts == {"u1": renamed}
    with pytest.raises(Conflict):
        commit(db, held, Decision(contacts=(Contact(db.new_id(), ACCOUNT, Author("u1")),)))


def test_drained_pushes_go_with_the_commit(db: Database) -> None:
    held = fence(db)
    db.write(
        lambda conn: store_pushes(conn, ACCOUNT, "push", [b"1", b"2", b"3"], NOW, new_id=db.new_id)
    )
    with db.read() as conn:
        waiting = pushes(conn, ACCOUNT, "push", 2)
    commit(db, held, decision(db.new_id, message(1)), drained=[one.id for one in waiting])
    with db.read() as conn:
        assert [one.body for one in pushes(conn, ACCOUNT, "push", 9)] == [b"3"]


def test_a_stream_remembers_its_failures_until_it_is_well_again(db: Database) -> None:
    held = fence(db)
    given: dict[str, Any] = {"fence": held, "account": ACCOUNT, "stream": "comments"}
    for number in (1, 2):
        db.write(
            lambda conn, n=number: poll_failed(
                conn,
                **given,
                error=f"超时{n}",
                retry_at=at(n),
                pause_until=at(100) if n == 2 else None,
                now=NOW,
            )
        )
    with db.read() as conn:
        row = streams(conn, ACCOUNT)["comments"]
    assert (row.failures, row.last_error, row.cursor) == (2, "超时2", None)
    assert (row.next_poll_at, row.paused_until, row.last_success_at) == (at(2), at(100), None)
    commit(db, held, Decision(), page_cursor="c7", next_poll_at=None)
    with db.read() as conn:
        row = streams(conn, ACCOUNT)["comments"]
    assert (row.failures, row.last_error, row.cursor) == (0, None, "c7")
    assert (row.next_poll_at, row.paused_until, row.last_success_at) == (None, None, NOW)


def test_the_first_poll_of_an_account_is_noted_once(db: Database) -> None:
    for later in (0, 60):
        first = db.write(lambda conn, s=later: begin_account(conn, ACCOUNT, "weibo", at(s)))
        assert first == NOW
    assert look(db).first_poll_at == NOW


@pytest.mark.parametrize("poison", ["坏\x00的", "半\ud83d个", "\udfff"])
def test_what_a_database_cannot_hold_does_not_stop_the_page(db: Database, poison: str) -> None:
    bad = message(
        1,
        native_id=f"id{poison}",
        text=poison,
        author=Author("u1", poison),
        person="u1",
        url=poison,
        quoted=poison,
    )
    commit(db, fence(db), decision(db.new_id, bad, message(2)), page_cursor=poison)
    assert counts(db)["message"] == 2
    assert bad.key in look(db, bad).seen
    text = next(row.text for row in rows(db, schema.message) if row.author_id == "u1")
    assert text == poison.translate({0: "\ufffd", 0xD83D: "\ufffd", 0xDFFF: "\ufffd"})


def test_a_megabyte_and_a_far_date_are_kept(db: Database) -> None:
    long = message(
        1, text="退" * 1_000_000, sent_at=NOW + timedelta(days=36500), raw=b"\x00\xff" * 9
    )
    commit(db, fence(db), decision(db.new_id, long))
    (row,) = rows(db, schema.message)
    assert len(row.text) == 1_000_000
    (kept,) = look(db, long).conversations
    assert kept.entries[0].at == NOW  # clamped to when it was received


def test_a_conversation_of_someone_unknown_is_kept(db: Database) -> None:
    nobody = message(1, author=None, person=None)
    about: Conversation = conversation(db.new_id(), nobody)
    stored = StoredMessage(db.new_id(), ACCOUNT, nobody, NOW, about.id, None, verdict(), "r1")
    commit(
        db,
        fence(db),
        Decision(
            messages=(stored,),
            conversations=(about,),
            clocks={about.id: (clock(stored.id),)},
            deliveries=(delivery(db.new_id(), about.id),),
        ),
    )
    (kept,) = look(db, nobody).conversations
    assert kept.conversation.contact_id is None
