"""What waits is claimed in order, once, by one sender; what became of it is kept with its reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from aggregator.model import (
    Author,
    Clock,
    Decision,
    Delivery,
    DeliveryState,
    Direction,
    Match,
    NoticeKind,
    Outcome,
    Priority,
    Receipt,
    StoredMessage,
)
from storage.engine import Database
from storage.leases import Fence, LeaseLost, acquire, release
from storage.outbox import (
    backlog,
    claim,
    destination_state,
    enqueue,
    finish,
    list_deliveries,
    load_card,
    load_said,
    next_due,
    pause,
    receipt,
    retry,
)
from storage.schema import delivery as table
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

MESSAGE, CARD = NoticeKind.MESSAGE, NoticeKind.CARD


def lane(db: Database, owner: str = "我") -> Fence:
    return fence(db, "destination:social", owner)


def put(db: Database, *rows: Delivery) -> None:
    db.write(lambda conn: enqueue(conn, rows))


def take(db: Database, held: Fence, *, now: Any = NOW, limit: int = 10) -> list[Delivery]:
    return db.write(
        lambda conn: claim(conn, fence=held, destination="social", now=now, limit=limit)
    )


def end(db: Database, held: Fence, **what: Any) -> None:
    db.write(lambda conn: finish(conn, fence=held, now=NOW, **what))


def sent(db: Database, held: Fence, *ids: int) -> None:
    end(db, held, sent=[(id, Receipt(f"C1:{id}", f"https://slack.example/{id}")) for id in ids])


def states(db: Database) -> dict[int, tuple[str, str | None]]:
    with db.read() as conn:
        return {row.id: (row.state, row.reason) for row in conn.execute(select(table))}


def due(db: Database) -> Any:
    with db.read() as conn:
        return next_due(conn, "social")


def ids(rows: list[Delivery]) -> list[int]:
    return [row.id for row in rows]


def test_the_most_urgent_goes_first_then_the_oldest(db: Database) -> None:
    put(
        db,
        delivery(1, 10, priority=Priority.P3),
        delivery(2, 11, priority=Priority.P1),
        delivery(3, None, kind=NoticeKind.OPS, text="规则坏了"),
        delivery(4, 12, priority=Priority.P1),
        delivery(5, 13, destination="desk", priority=Priority.P1),
    )
    assert ids(take(db, lane(db), limit=3)) == [2, 4, 3]


def test_a_claimed_row_counts_the_attempt_and_is_itself(db: Database) -> None:
    given = delivery(1, 10, text="文")
    put(db, given)
    (row,) = take(db, lane(db))
    assert row == replace(given, attempts=1)


def test_of_a_conversation_only_the_first_row_goes_out(db: Database) -> None:
    held = lane(db)
    put(db, delivery(1, 10), delivery(2, 10, kind=MESSAGE), delivery(3, 11), delivery(4, None))
    assert ids(take(db, held)) == [1, 3, 4]
    assert take(db, held, limit=1)[
        0
    ].unsure  # nothing was finished: it comes again, to be looked for
    sent(db, held, 1)
    assert ids(take(db, held, limit=1)) == [2]


def test_a_waiting_retry_blocks_only_its_own_conversation(db: Database) -> None:
    held = lane(db)
    put(db, delivery(1, 10), delivery(2, 10, kind=MESSAGE), delivery(3, 11))
    take(db, held)
    sent(db, held, 3)
    end(db, held, retry=[(1, at(60), "Slack 500", True)])
    put(db, delivery(4, 11, kind=MESSAGE))
    assert ids(take(db, held)) == [4]
    sent(db, held, 4)
    assert take(db, held) == []
    assert due(db) == at(60)
    (again,) = take(db, held, now=at(60))
    assert (again.id, again.attempts, again.unsure, again.reason) == (1, 2, True, "Slack 500")


def test_what_another_destination_has_not_sent_blocks_nothing(db: Database) -> None:
    put(db, delivery(1, 10, destination="desk"), delivery(2, 10))
    assert ids(take(db, lane(db))) == [2]


def test_a_claim_put_back_does_not_count(db: Database) -> None:
    held = lane(db)
    put(db, delivery(1, 10))
    take(db, held)
    end(db, held, put_back=[(1, at(5), "the destination is paused", False)])
    (row,) = take(db, held, now=at(5))
    assert (row.attempts, row.unsure) == (1, False)


def test_what_a_dead_sender_had_in_hands_comes_back_unsure(db: Database) -> None:
    first = lane(db, "甲")
    put(db, delivery(1, 10), delivery(2, 11))
    assert ids(take(db, first, limit=1)) == [1]
    db.write(lambda conn: release(conn, first))
    second = lane(db, "乙")
    assert due(db) == NOW
    rows = take(db, second)
    assert [(row.id, row.attempts, row.unsure) for row in rows] == [(1, 2, True), (2, 1, False)]
    with pytest.raises(LeaseLost):
        sent(db, first, 1)
    with pytest.raises(LeaseLost):
        take(db, first)
    assert states(db)[1] == ("pending", None)
    end(db, second, retry=[(1, NOW, "again", False)])
    (row, _) = take(db, second)
    assert not row.unsure  # it was looked for, and is not there


def test_a_row_is_not_claimed_before_it_is_due(db: Database) -> None:
    held = lane(db)
    put(db, delivery(1, 10, due_at=at(2)), delivery(2, 11, due_at=None))
    assert ids(take(db, held)) == [2]
    sent(db, held, 2)
    assert due(db) == at(2)


def test_nothing_waiting_is_never_due(db: Database) -> None:
    assert due(db) is None
    put(
        db,
        delivery(1, 10, state=DeliveryState.SKIPPED, reason="quiet"),
        delivery(2, destination="x"),
    )
    assert due(db) is None


def test_the_newest_card_takes_the_place_of_older_ones(db: Database) -> None:
    held = lane(db)
    put(db, delivery(1, 10))
    sent(db, held, *ids(take(db, held)))
    put(db, delivery(2, 10, due_at=at(2)))
    put(db, delivery(3, 10, kind=MESSAGE))
    put(db, delivery(4, 10, due_at=at(4)))
    assert states(db)[2] == ("skipped", "superseded by 4")
    assert ids(take(db, held)) == [3]  # it does not wait for the edit that fell away
    sent(db, held, 3)
    assert ids(take(db, held, now=at(2))) == [4]  # an edit is put off once, not for ever


def test_the_card_that_is_to_be_created_is_not_skipped(db: Database) -> None:
    held = lane(db)
    put(db, delivery(1, 10))
    put(db, delivery(2, 10, kind=MESSAGE), delivery(3, 10))
    put(db, delivery(4, 10), delivery(5, 11))
    assert {id: state for id, (state, _) in states(db).items()} == {
        1: "pending",
        2: "pending",
        3: "skipped",
        4: "pending",
        5: "pending",
    }
    assert ids(take(db, held)) == [1, 5]


def test_a_card_that_is_being_sent_is_not_skipped(db: Database) -> None:
    held = lane(db)
    put(db, delivery(1, 10))
    sent(db, held, *ids(take(db, held)))
    put(db, delivery(2, 10))
    take(db, held)
    put(db, delivery(3, 10))
    assert states(db)[2] == ("pending", None)
    end(db, held, retry=[(2, at(60), "500", False)])
    assert states(db)[2] == ("skipped", "superseded by 3")
    assert ids(take(db, held)) == [3]


def test_what_waits_becomes_as_urgent_as_what_comes(db: Database) -> None:
    held = lane(db)
    put(db, *[delivery(n, n, priority=Priority.P3) for n in range(1, 6)])
    put(db, delivery(9, 5, priority=Priority.P1))
    assert ids(take(db, held, limit=1)) == [5]


def test_what_was_sent_is_remembered_with_its_receipt(db: Database) -> None:
    held = lane(db)
    put(db, delivery(1, 10), delivery(2, 11))
    take(db, held)
    sent(db, held, 1)
    with db.read() as conn:
        assert receipt(conn, "social", 10) == Receipt("C1:1", "https://slack.example/1")
        assert receipt(conn, "desk", 10) is None
        assert receipt(conn, "social", 11) is None
        state = destination_state(conn, "social")
        (row,) = list_deliveries(conn, state=DeliveryState.SENT)
    assert state is not None
    assert (state.failures, state.last_success_at) == (0, NOW)
    assert (row.sent_at, row.external_id, row.reason) == (NOW, "C1:1", None)


def test_a_message_under_a_card_is_not_the_cards_receipt(db: Database) -> None:
    held = lane(db)
    put(db, delivery(1, 10))
    sent(db, held, *ids(take(db, held)))
    put(db, delivery(2, 10, kind=MESSAGE))
    sent(db, held, *ids(take(db, held)))
    with db.read() as conn:
        assert receipt(conn, "social", 10) == Receipt("C1:1", "https://slack.example/1")


def test_a_paused_destination_gives_nothing_until_then(db: Database) -> None:
    held = lane(db)
    put(db, delivery(1, 10))
    db.write(lambda conn: pause(conn, "social", at(30), "Retry-After 30"))
    assert take(db, held) == []
    with db.read() as conn:
        state = destination_state(conn, "social")
        assert destination_state(conn, "desk") is None
    assert state is not None
    assert (state.paused_until, state.last_error, state.failures) == (at(30), "Retry-After 30", 1)
    assert ids(take(db, held, now=at(30))) == [1]


def test_dead_letters_are_listed_and_can_be_put_back(db: Database) -> None:
    held = lane(db)
    put(db, *[delivery(n, n) for n in (1, 2, 3)])
    take(db, held)
    end(
        db,
        held,
        dead=[(1, "channel_not_found"), (2, "消息太长")],
        skipped=[(3, "told in the digest 9")],
    )
    with db.read() as conn:
        dead = list_deliveries(conn, state=DeliveryState.DEAD)
        assert backlog(conn) == {}
    assert [(row.id, row.reason) for row in dead] == [(1, "channel_not_found"), (2, "消息太长")]
    assert db.write(lambda conn: retry(conn, ids=[2, 3], now=at(9))) == 1
    assert due(db) == at(9)
    assert db.write(lambda conn: retry(conn, now=at(9))) == 1
    with db.read() as conn:
        assert backlog(conn) == {"social": 2}
    assert [row.attempts for row in take(db, held, now=at(9))] == [1, 1]
    assert states(db)[3] == ("skipped", "told in the digest 9")


def test_a_dead_letter_unblocks_its_conversation(db: Database) -> None:
    held = lane(db)
    put(db, delivery(1, 10), delivery(2, 10))
    take(db, held)
    end(db, held, dead=[(1, "invalid_blocks")])
    assert ids(take(db, held)) == [2]


def test_a_list_with_a_limit_has_the_newest(db: Database) -> None:
    put(db, *[delivery(n, n) for n in (1, 2, 3)], delivery(4, destination="desk"))
    with db.read() as conn:
        assert ids(list_deliveries(conn, limit=2)) == [3, 4]
        assert ids(list_deliveries(conn, destination="desk")) == [4]


# --- the card -----------------------------------------------------------------------------------


def conversation_of(db: Database) -> tuple[Fence, Decision]:
    held = fence(db)
    decided = decision(db.new_id, message(1))
    commit(db, held, decided)
    return held, decided


def add(db: Database, held: Fence, decided: Decision, number: int, **changes: Any) -> int:
    about = decided.conversations[0].id
    one = message(number, person="u1", author=Author("u1", "用户1"), **changes)
    verdict = decided.messages[0].verdict if one.direction is Direction.INBOUND else None
    stored = StoredMessage(db.new_id(), ACCOUNT, one, at(600), about, None, verdict, None)
    commit(db, held, Decision(messages=(stored,)))
    return stored.id


def test_a_card_shows_the_conversation_as_it_stands(db: Database) -> None:
    held, decided = conversation_of(db)
    about = decided.conversations[0]
    later = add(db, held, decided, 2, sent_at=at(60), text="人呢？")
    add(db, held, decided, 3, sent_at=at(30), text="在吗")
    ours = add(db, held, decided, 4, sent_at=at(90), direction=Direction.OUTBOUND, text="在的")
    with db.read() as conn:
        card, matches = load_card(conn, about.id)
        said = load_said(conn, ours)
    assert card.conversation == replace(about, version=1)
    assert card.contact == Author("u1", "用户1", "user1", 42, False)
    assert (card.first.id, card.latest.id, card.count) == (decided.messages[0].id, later, 3)
    assert (card.latest.text, card.latest.at) == ("人呢？", at(60))
    assert (card.sentiment, card.score, card.why) == ("negative", -0.5, ())
    assert card.clock == decided.clocks[about.id][0]
    assert card.answered == said
    assert said is not None
    assert (said.text, said.direction) == ("在的", Direction.OUTBOUND)
    assert len(matches) == 3
    assert matches[0][0] == Match("refund-waiting", "退款", 4, 6)


def test_a_card_shows_the_clock_that_runs_else_the_last(db: Database) -> None:
    held, decided = conversation_of(db)
    about = decided.conversations[0].id

    def shown(*clocks: Clock) -> Clock | None:
        commit(db, held, Decision(clocks={about: clocks}))
        with db.read() as conn:
            return load_card(conn, about)[0].clock

    met = clock(1, stopped_at=NOW, outcome=Outcome.MET, events=())
    later = clock(2, cycle=2, started_at=at(60), events=())
    late = replace(later, outcome=Outcome.BREACHED, breached_at=at(90))
    assert shown(met, later) == later
    assert shown(met, late) == late
    done = replace(late, stopped_at=at(99))
    assert shown(met, done) == done
    assert shown() is None


def test_a_withdrawn_message_says_so(db: Database) -> None:
    held, decided = conversation_of(db)
    id = add(db, held, decided, 2, deleted_at=at(60))
    with db.read() as conn:
        said = load_said(conn, id)
        assert load_said(conn, 1) is None
    assert said is not None
    assert said.deleted


def test_a_card_of_no_conversation_is_an_error(db: Database) -> None:
    with db.read() as conn, pytest.raises(LookupError):
        load_card(conn, 1)


def test_a_lease_of_another_name_does_not_let_anyone_send(db: Database) -> None:
    put(db, delivery(1, 10))
    held = db.write(lambda conn: acquire(conn, "destination:desk", "我", 30))
    assert held is not None
    with pytest.raises(LeaseLost):
        take(db, replace(held, name="destination:social"))
