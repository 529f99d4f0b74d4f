"""What is known of a page before it is decided on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event

from aggregator.model import (
    Author,
    ConversationState,
    Decision,
    Direction,
    Kind,
    StoredMessage,
)
from storage.engine import Database
from storage.polls import Conflict, known
from tests.conftest import NOW
from tests.storage.make import ACCOUNT, commit, decision, fence, message


def look(db: Database, *messages: Any) -> Any:
    with db.read() as conn:
        return known(conn, ACCOUNT, messages)


def test_a_store_that_knows_nothing_says_so(db: Database) -> None:
    found = look(db, message(1), message(2, reply_to="x", direction=Direction.OUTBOUND))
    assert (found.first_poll_at, found.seen, found.conversations) == (None, {}, ())
    assert (found.replied, found.contacts, found.waiting) == ({}, {}, ())
    assert look(db).conversations == ()


def test_our_own_message_waits_for_what_it_answers(db: Database) -> None:
    held = fence(db)
    commit(db, held, decision(db.new_id, message(1)))

    def ours(number: int, **changes: Any) -> StoredMessage:
        one = message(
            number, direction=Direction.OUTBOUND, author=Author("brand"), person=None, **changes
        )
        return StoredMessage(db.new_id(), ACCOUNT, one, NOW, None, None, None, None)

    by_reply = ours(10, reply_to=message(2).native_id)
    elsewhere = ours(11, reply_to="another")
    direct = ours(12, kind=Kind.DIRECT_MESSAGE, root=None)
    direct = replace(direct, message=replace(direct.message, person="u3"))
    post = ours(13, root=None)
    commit(db, held, Decision(messages=(by_reply, elsewhere, direct, post)))
    without_raw = replace(by_reply, message=replace(by_reply.message, raw=b""))
    assert look(db, message(2)).waiting == (without_raw,)
    (found,) = look(db, message(3, kind=Kind.DIRECT_MESSAGE, root=None)).waiting
    assert found.id == direct.id
    assert look(db, message(3)).waiting == ()  # the same person in public is another matter

    decided = decision(db.new_id, message(2))
    about = decided.conversations[0].id
    commit(db, held, replace(decided, adopted={by_reply.id: about}))
    assert look(db, message(2)).waiting == ()
    (kept,) = look(db, message(2)).conversations
    assert {entry.message_id for entry in kept.entries} == {decided.messages[0].id, by_reply.id}
    with pytest.raises(Conflict):
        commit(db, held, Decision(adopted={by_reply.id: about}))


def test_what_a_message_answers_is_found_whatever_its_kind(db: Database) -> None:
    decided = decision(db.new_id, message(1, kind=Kind.MENTION))
    commit(db, fence(db), decided)
    ours = message(2, direction=Direction.OUTBOUND, reply_to=message(1).native_id, person=None)
    found = look(db, ours)
    assert found.replied == {message(1).native_id: decided.conversations[0].id}
    assert [one.conversation.id for one in found.conversations] == [decided.conversations[0].id]


def test_under_a_hot_post_only_a_few_conversations_are_read(db: Database) -> None:
    commit(db, fence(db), decision(db.new_id, *[message(n) for n in range(1, 9)]))
    ours = message(20, direction=Direction.OUTBOUND, person=None)
    assert len(look(db, ours).conversations) == 3
    assert len(look(db, message(21)).conversations) == 0


def test_a_closed_conversation_is_found_by_its_message_only(db: Database) -> None:
    held = fence(db)
    decided = decision(db.new_id, message(1))
    closed = replace(decided.conversations[0], state=ConversationState.CLOSED)
    commit(db, held, replace(decided, conversations=(closed,)))
    assert look(db, message(2, person="u1")).conversations == ()
    assert len(look(db, message(1)).conversations) == 1


def test_accounts_do_not_see_each_other(db: Database) -> None:
    commit(db, fence(db), decision(db.new_id, message(1)))
    with db.read() as conn:
        found = known(conn, "another", [message(1)])
    assert (found.seen, found.conversations, found.contacts) == ({}, (), {})


def test_knowing_takes_the_same_number_of_statements_for_any_page(db: Database) -> None:
    held = fence(db)
    commit(db, held, decision(db.new_id, *[message(n) for n in range(1, 200)]))

    def statements(*messages: Any) -> int:
        seen: list[str] = []
        with db.read() as conn:
            event.listen(conn, "before_cursor_execute", lambda *a: seen.append(a[2]))
            known(conn, ACCOUNT, messages)
        return len(seen)

    few, many = [message(n) for n in range(1, 3)], [message(n) for n in range(1, 2000)]
    assert statements(*few) == statements(*many) <= 12
