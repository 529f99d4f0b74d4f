"""A deadline that passes is noted once, shown on the card once, and a quiet second writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from aggregator.escalation import Escalation
from aggregator.model import Author, Direction, Message, Page, ReplyWindow, Rung
from aggregator.triage.loader import load_texts
from storage import history
from storage.engine import Database
from storage.history import conversations
from storage.outbox import list_deliveries
from tests.fakes import RULE_FILES, FakeConnector, House, bring, said


@pytest.fixture
def house(db: Database) -> Iterator[House]:
    made = House(db)
    yield made
    made.end()


def watch(house: House) -> Escalation:
    return Escalation(
        db=house.db,
        leases=house.leases,
        now=house.clock,
        told=house._told,
        metrics=house.metrics,
        rules=lambda: house.rules,
        destinations=("social", "leads", "ops"),
        ops=house.ops,
    )


def test_a_breach_is_one_event_and_one_edit_of_the_card(house: House) -> None:
    bring(house, said(1, "还没发货"), said(2, "在吗", person="c1"))
    escalation = watch(house)
    house.clock.on(minutes=11)
    for _ in range(5):
        escalation.tick()
        house.clock.on(seconds=1)
    [clock] = house.rows(history.clocks)
    assert clock["outcome"] == "breached"
    cards = [row for row in house.deliveries() if row["kind"] == "card"]
    assert len(cards) == 2  # the card, and its edit
    assert house.told[-1] == {"social"}


def test_a_tick_in_which_nothing_is_due_asks_for_no_write(house: House) -> None:
    bring(house, said(1))
    escalation = watch(house)
    escalation.tick()  # takes the lease
    house.db.close()  # whoever writes now is refused; reading still works
    for _ in range(10):
        escalation.tick()


def test_only_one_of_two_replicas_looks(house: House, db_url: str) -> None:
    other = House(Database.open(db_url, now=house.clock), owner="另一个")
    bring(house, said(1))
    watch(house).tick()
    house.clock.on(minutes=11)
    other.clock.on(minutes=11)
    watch(other).tick()
    [clock] = house.rows(history.clocks)
    assert clock["outcome"] is None
    other.end()
    other.db.close()


LADDER = load_texts(
    {
        **RULE_FILES,
        "targets.yaml": """
schema: 1
targets:
  quick:
    calendar: 24x7
    first_response: {P1: 10m, P2: 10m, P3: 10m, P4: 10m}
    warn_at: [50%, 80%]
    escalate:
      - {at: due, to: [leads]}
      - {at: due+30m, to: [boss], mention: ["<!here>"]}
""",
    }
)


def rungs(house: House, destination: str) -> list[tuple[str, str, bool]]:
    with house.db.read() as conn:
        rows = list_deliveries(conn, destination=destination)
    told = [(row.kind.value, Rung.of_json(row.text)) for row in rows if row.text is not None]
    return [(kind, rung.level, rung.late) for kind, rung in told]


def kinds(house: House, destination: str) -> list[str]:
    return [row["kind"] for row in house.deliveries(destination)]


def climbing(db: Database) -> tuple[House, Escalation]:
    house = House(db, rules=LADDER)
    return house, watch(house)


def step(house: House, escalation: Escalation, **more: float) -> None:
    house.clock.on(**more)
    escalation.tick()
    escalation.tick()


def test_each_rung_is_told_once_when_it_is_due_and_to_whom_it_names(db: Database) -> None:
    house, escalation = climbing(db)
    bring(house, said(1, "充电宝还没到"))
    step(house, escalation, minutes=4)
    assert rungs(house, "social") == []
    step(house, escalation, minutes=1)
    assert rungs(house, "social") == [("warning", "50%", False)]
    step(house, escalation, minutes=3)
    step(house, escalation, minutes=2)  # at the deadline itself an answer meets it
    assert rungs(house, "leads") == []
    step(house, escalation, seconds=1)
    assert rungs(house, "social") == [("warning", "50%", False), ("warning", "80%", False)]
    assert rungs(house, "leads") == [("escalation", "due", False)]
    assert kinds(house, "leads") == ["card", "escalation"]  # a card there, kept up to date from now
    house.end()


def test_a_rung_to_a_destination_that_is_gone_tells_ops_and_the_room_itself(db: Database) -> None:
    house, escalation = climbing(db)
    bring(house, said(1))
    step(house, escalation, minutes=10, seconds=1)
    step(house, escalation, minutes=30)
    assert rungs(house, "boss") == []
    assert rungs(house, "social")[-1] == ("escalation", "due+30m", False)
    assert rungs(house, "leads")[-1] == ("escalation", "due+30m", False)
    assert any("escalates to boss" in one for one in house.ops_said())
    house.end()


def test_after_downtime_only_the_most_severe_rung_is_told_and_marked_late(db: Database) -> None:
    house, escalation = climbing(db)
    bring(house, said(1), said(2, "有人吗"))
    step(house, escalation, minutes=25)
    assert rungs(house, "social") == []
    assert rungs(house, "leads") == [("escalation", "due", True)] * 2
    house.end()


def test_what_was_answered_meanwhile_is_not_told(db: Database) -> None:
    house, escalation = climbing(db)
    bring(house, said(1, person="c1", author=Author("c1")))
    answer(house, "c1")
    step(house, escalation, minutes=25)
    assert rungs(house, "social") == rungs(house, "leads") == []
    house.end()


def test_a_clock_set_back_an_hour_tells_nothing_twice_and_loses_nothing(db: Database) -> None:
    house, escalation = climbing(db)
    bring(house, said(1))
    step(house, escalation, minutes=6)
    step(house, escalation, hours=-1)
    bring(house, said(2, "又来一位"))
    for _ in range(75):
        step(house, escalation, minutes=1)
    told = [one[1] for one in rungs(house, "leads")]
    assert told.count("due") == 2
    assert [one[1] for one in rungs(house, "social")].count("50%") == 2
    house.end()


def test_a_restart_with_a_message_in_between_still_tells_what_was_due(db: Database) -> None:
    house, escalation = climbing(db)
    bring(house, said(1, person="c1", author=Author("c1")))
    account = house.rows(conversations)[0]["account"]
    house.clock.on(minutes=9)  # the daemon was down; the first page comes before the first look
    more(house, account, said(7, "还没人吗", person="c1", author=Author("c1")))
    step(house, escalation)
    assert rungs(house, "social") == [("warning", "80%", False)]
    house.end()


def more(house: House, account: str, message: Message) -> None:
    page = Page((replace(message, sent_at=house.clock()),), "2")
    poller = house.poller(FakeConnector(messages=[page]), account=account)
    poller.wake("messages")
    poller.tick()


def answer(house: House, person: str) -> None:
    ours = said(
        9, "您好，马上处理", direction=Direction.OUTBOUND, person=person, author=Author("me")
    )
    more(house, house.rows(conversations)[0]["account"], ours)


def test_a_reply_window_warns_before_it_closes_and_not_after_an_answer(db: Database) -> None:
    house, escalation = climbing(db)
    closes = house.clock() + timedelta(hours=48)
    for number in (1, 2):
        person = f"c{number}"
        window = ReplyWindow(closes, 5)
        bring(house, said(number, person=person, author=Author(person), reply_window=window))
    answer(house, "c1")
    house.clock.on(hours=1)
    escalation.tick()  # the ladder's own rungs
    before = len(rungs(house, "social"))
    step(house, escalation, hours=35)
    step(house, escalation, hours=10)
    step(house, escalation, hours=5)
    told = rungs(house, "social")[before:]
    assert told == [("warning", "25%", False), ("warning", "2h", False)]
    house.end()
