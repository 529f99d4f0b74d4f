"""Sending: in order, at the rate that is asked for, looked for before sent again, and never lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from aggregator.destinations.base import Options
from aggregator.dispatcher import HOLD_S, MAX_ATTEMPTS, REAUTHORISE, Sender
from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Backfill, Notice, Page, Receipt
from storage.engine import Database
from storage.leases import acquire
from storage.outbox import claim, finish
from tests.conftest import NOW
from tests.fakes import FakeConnector, FakeDestination, House, bring, said


@pytest.fixture
def house(db: Database) -> Iterator[House]:
    made = House(db)
    yield made
    made.end()


def states(house: House) -> list[tuple[str, int]]:
    return [(row["state"], row["attempts"]) for row in house.deliveries()]


def down(times: int) -> list[Exception | None]:
    return [Unavailable("502 from 群聊") for _ in range(times)]


def test_the_most_urgent_goes_first_then_the_oldest(house: House) -> None:
    bring(house, said(1, "一"), said(2, "二"), said(3, "起火了"))
    room = FakeDestination()
    house.sender(room).turn()
    assert room.said() == ["起火了", "一", "二"]
    assert states(house) == [("sent", 1)] * 3


def test_of_a_conversation_nothing_goes_out_before_what_came_earlier(house: House) -> None:
    bring(house, said(1, "一"), said(2, "二", person="c1"), said(3, "三"))
    room = FakeDestination(Unavailable("502"))
    sender = house.sender(room)
    sender.turn()
    assert room.said() == ["三"]
    house.clock.on(seconds=10)
    while sender.turn() == 0.0:
        pass
    assert [one.kind.value for one in room.took] == ["card", "card", "message"]


def test_a_rate_limit_is_one_pause_for_the_whole_destination(house: House) -> None:
    bring(house, *(said(number) for number in range(5)))
    room = FakeDestination(RateLimited("429", retry_after_s=60))
    sender = house.sender(room)
    for _ in range(59):
        assert sender.turn() >= 0
        house.clock.on(seconds=1)
    assert room.calls == 1
    assert states(house) == [("pending", 0)] * 5
    house.clock.on(seconds=1)
    sender.turn()
    assert len(room.took) == 5


def test_a_dead_token_keeps_the_queue_and_is_told_once_and_when_it_is_over(house: House) -> None:
    bring(house, said(1), said(2))
    dead = [Unauthorized("invalid_auth", remedy="renew the token") for _ in range(20)]
    room = FakeDestination(*dead)
    sender = house.sender(room)
    for _ in range(25):
        sender.turn()
        house.clock.on(seconds=REAUTHORISE.total_seconds())
    assert states(house) == [("sent", 1)] * 2
    assert house.ops_said() == [
        "⚠️ social refuses us: invalid_auth; renew the token",
        "✅ social takes messages again",
    ]


def test_after_an_ambiguous_failure_it_is_looked_for_and_not_sent_again(house: House) -> None:
    bring(house, said(1))
    room = FakeDestination()

    def took_it_and_hung_up(notice: Notice) -> None:
        room.took.append(notice)
        raise Unavailable("cut", maybe_done=True)

    room.troubles.append(took_it_and_hung_up)
    sender = house.sender(room)
    sender.turn()
    house.clock.on(seconds=10)
    sender.turn()
    assert (len(room.took), room.calls, len(room.looked_for)) == (1, 1, 1)
    assert states(house) == [("sent", 2)]


def test_a_plain_failure_is_not_looked_for(house: House) -> None:
    bring(house, said(1))
    room = FakeDestination(Unavailable("refused"))
    sender = house.sender(room)
    sender.turn()
    house.clock.on(seconds=10)
    sender.turn()
    assert (len(room.took), room.looked_for) == (1, [])


def test_a_question_that_is_refused_is_no_verdict_on_the_notice(house: House) -> None:
    class Mute(FakeDestination):
        def find(self, notice: Notice) -> Receipt | None:
            raise Rejected("no history here")

    bring(house, said(1))
    room = Mute(Unavailable("cut", maybe_done=True))
    sender = house.sender(room)
    sender.turn()
    house.clock.on(seconds=10)
    sender.turn()
    assert states(house) == [("sent", 2)]


def test_what_was_in_flight_when_a_process_died_is_looked_for_first(house: House) -> None:
    bring(house, said(1))
    fence = house.leases.hold("destination:social")
    assert fence is not None
    house.db.write(lambda conn: claim(conn, fence=fence, destination="social", now=NOW, limit=10))
    room = FakeDestination()
    house.sender(room).turn()
    assert len(room.looked_for) == 1
    assert states(house) == [("sent", 2)]


def test_what_the_other_side_never_wants_is_dead_with_its_reason_and_told(house: House) -> None:
    bring(house, said(1, "一"), said(2, "二"))
    house.sender(FakeDestination(Rejected("channel_not_found"))).turn()
    [first, second] = house.deliveries()
    assert (first["state"], first["reason"]) == ("dead", "channel_not_found")
    assert second["state"] == "sent"
    assert ["channel_not_found" in one for one in house.ops_said()] == [True]


def test_one_notice_that_always_fails_dies_and_the_others_are_not_held_up(house: House) -> None:
    bring(house, said(1, "毒"))

    def only_this_fails(notice: Notice) -> None:
        if notice.card is not None and notice.card.latest.text == "毒":
            raise Unavailable("500", maybe_done=True)

    room = FakeDestination(*[only_this_fails] * 200)
    sender = house.sender(room)
    for number in range(3, 100):
        bring(house, said(number, "好"))
        sender.turn()
        house.clock.on(minutes=2)
        if house.deliveries()[0]["state"] == "dead":
            break
    assert states(house)[0] == ("dead", MAX_ATTEMPTS)
    assert {state for state, _ in states(house)[1:]} <= {"sent", "pending"}
    assert len(room.took) > 10


def test_an_outage_of_hours_kills_nothing_and_is_over_within_a_minute(house: House) -> None:
    bring(house, said(1, "起火"), *(said(number) for number in range(2, 6)))
    room = FakeDestination(*down(10_000))
    sender = house.sender(room)
    for _ in range(6 * 60 * 2):
        sender.turn()
        house.clock.on(seconds=30)
    assert {state for state, _ in states(house)} == {"pending"}
    assert room.calls < 6 * 60 * 3
    room.troubles.clear()
    for _ in range(80):
        sender.turn()
        house.clock.on(seconds=1)
    assert room.said()[0] == "起火"
    assert {state for state, _ in states(house)} == {"sent"}


def test_a_defect_in_rendering_never_shows_a_customers_words_as_the_reason(house: House) -> None:
    bring(house, said(1, "张三的电话"))
    house.sender(FakeDestination(ValueError("张三的电话"))).turn()
    [row] = house.deliveries()
    assert row["state"] == "pending"
    assert row["reason"].startswith("a defect of inboxd: ValueError in ")


def test_what_a_backfill_found_is_told_in_one_digest(house: House) -> None:
    old = [said(n, sent_at=NOW - timedelta(days=1)) for n in range(30)]
    connector = FakeConnector(messages=[Page(tuple(old), "1")])
    house.poller(connector, backfill=Backfill.ALERT).tick()
    room = FakeDestination()
    house.clock.on(minutes=1)
    house.sender(room).turn()
    [digest] = room.took
    assert (digest.count, len(digest.digest)) == (30, 20)
    assert sorted(state for state, _ in states(house)) == ["sent"] + ["skipped"] * 0 + [
        "skipped"
    ] * 29 or sorted({state for state, _ in states(house)}) == ["sent", "skipped"]


def test_edits_of_one_card_that_wait_are_one_edit(house: House) -> None:
    bring(house, said(1, "一"))
    room = FakeDestination()
    sender = house.sender(room)
    sender.turn()
    more = [Page((said(n, str(n), person="c1"),), str(n)) for n in range(2, 6)]
    connector = FakeConnector(messages=more)
    account = next(iter({row["account"] for row in house.rows(_messages)}))
    poller = house.poller(connector, account=account)
    for _ in more:
        poller.wake("messages")
        poller.tick()
    house.clock.on(seconds=3)
    while sender.turn() == 0.0:
        pass
    assert [one.kind.value for one in room.took] == ["card", *["message"] * 4, "card"]


def _messages(conn: object) -> object:
    from storage import history

    return history.messages(conn)  # type: ignore[arg-type]


def test_a_stop_in_the_middle_of_a_batch_puts_the_rest_back_uncounted(house: House) -> None:
    bring(house, *(said(number) for number in range(5)))
    room = FakeDestination()
    sender = house.sender(room)
    room.troubles.append(lambda _: sender.stop())
    sender.turn()
    assert states(house) == [("sent", 1)] + [("pending", 0)] * 4


def test_something_urgent_waits_for_one_slow_call_and_not_for_a_batch(house: House) -> None:
    bring(house, *(said(number) for number in range(5)))
    room = FakeDestination()

    def slow(_: Notice) -> None:
        house.clock.on(seconds=HOLD_S + 1)
        bring(house, said(9, "起火"))

    room.troubles.append(slow)
    sender = house.sender(room)
    sender.turn()
    sender.turn()
    assert room.said()[1] == "起火"


def test_a_sender_that_is_no_longer_sure_of_its_lease_sends_nothing_more(house: House) -> None:
    bring(house, *(said(number) for number in range(3)))
    room = FakeDestination(lambda _: house.clock.on(seconds=16))
    house.sender(room).turn()
    assert room.calls == 1


def test_a_sender_that_lost_its_lease_writes_nothing_and_the_next_one_looks_first(
    house: House,
) -> None:
    bring(house, said(1))

    def another_takes_over(_: Notice) -> None:
        from sqlalchemy import text

        def steal(conn: object) -> None:
            conn.execute(text("UPDATE lease SET expires_at = 0"))  # type: ignore[attr-defined]
            assert acquire(conn, "destination:social", "另一个", 0) is not None  # type: ignore[arg-type]

        house.db.write(steal)

    room = FakeDestination(another_takes_over)
    sender = house.sender(room)
    sender.turn()
    assert states(house) == [("pending", 1)]
    house.clock.on(seconds=60)
    sender.turn()
    assert (len(room.took), len(room.looked_for)) == (1, 1)
    assert states(house) == [("sent", 2)]


def test_no_more_than_so_many_a_minute(house: House) -> None:
    bring(house, *(said(number) for number in range(10)))
    room = FakeDestination()
    sender = house.sender(room, per_minute=3)
    sent = []
    for _ in range(180):
        assert sender.turn() >= 0.0
        sent.append(room.calls)
        house.clock.on(seconds=1)
    assert [sent[at] for at in (0, 59, 61, 121)] == [3, 3, 6, 9]
    assert [state for state, _ in states(house)].count("sent") == 9


def test_a_conversation_that_is_gone_is_skipped_with_a_reason(house: House) -> None:
    bring(house, said(1))

    def erase(conn: object) -> None:
        from sqlalchemy import text

        conn.execute(text("UPDATE message SET direction = 'outbound'"))  # type: ignore[attr-defined]

    house.db.write(erase)
    room = FakeDestination()
    house.sender(room).turn()
    [row] = house.deliveries()
    assert (row["state"], row["reason"], room.calls) == (
        "skipped",
        "there is nothing left to tell",
        0,
    )


def test_an_idle_or_beaten_sender_is_no_hot_loop(house: House) -> None:
    fence = house.db.write(lambda conn: acquire(conn, "destination:social", "另一个", 30))
    bring(house, said(1))
    sender = house.sender(FakeDestination())
    assert sender.turn() >= 1.0  # another process has it
    assert house.sender(FakeDestination(), name="desk").turn() >= 1.0  # nothing waits
    assert fence is not None


def test_a_database_that_is_away_ends_no_thread(house: House) -> None:
    sender = house.sender(FakeDestination(), idle_s=0.01)
    turns = threading.Semaphore(0)
    plain = sender.turn

    def counted() -> float:
        turns.release()
        return plain()

    sender.turn = counted  # type: ignore[method-assign]
    house.db.close()
    sender.start()
    for _ in range(3):
        assert turns.acquire(timeout=20)
    assert sender.is_alive()
    sender.stop()
    sender.join(20)
    assert not sender.is_alive()


def test_a_wake_up_right_after_the_commit_is_taken_and_a_slow_destination_delays_no_other(
    house: House,
) -> None:
    arrived, hung, go_on = threading.Event(), threading.Event(), threading.Event()

    def hangs(_: Notice) -> None:
        hung.set()
        assert go_on.wait(20)

    slow = house.sender(FakeDestination(hangs), idle_s=3600)
    fast = house.sender(FakeDestination(lambda _: arrived.set()), name="ops", idle_s=3600)
    bring(house, said(1))
    senders: list[Sender] = [slow, fast]
    for sender in senders:
        sender.start()
    assert hung.wait(20)
    house.ops.broken("x", "测试")
    fast.wake()
    assert arrived.wait(20)
    go_on.set()
    for sender in senders:
        sender.stop()
        sender.join(20)


def test_what_finish_is_told_twice_stays_as_it_was_first(house: House) -> None:
    bring(house, said(1))
    fence = house.leases.hold("destination:social")
    assert fence is not None
    rows = house.db.write(
        lambda conn: claim(conn, fence=fence, destination="social", now=NOW, limit=10)
    )
    for sent, dead in (([(rows[0].id, Receipt("r1"))], []), ([], [(rows[0].id, "迟了")])):
        house.db.write(
            lambda conn, sent=sent, dead=dead: finish(  # type: ignore[misc]
                conn, fence=fence, now=NOW, sent=sent, dead=dead
            )
        )
    assert states(house) == [("sent", 1)]
    assert Options().per_minute is None
