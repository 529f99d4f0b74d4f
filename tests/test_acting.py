"""What a person does with a conversation shows at once, and its clocks say whose word it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from aggregator.acting import Asked, What, act_on
from aggregator.errors import Rejected
from aggregator.escalation import Escalation
from aggregator.explaining import standing_lines
from aggregator.model import (
    Author,
    Backfill,
    Clock,
    ClockKind,
    Conversation,
    Decision,
    Direction,
    KnownConversation,
    Outcome,
    Page,
    Priority,
    Rung,
)
from aggregator.rechecking import Recheck
from aggregator.triage.loader import load_texts
from storage import history
from storage.conversations import conversation_known, every_conversation
from storage.engine import Database
from storage.history import conversations
from storage.outbox import list_deliveries
from storage.polls import commit_decision
from tests.fakes import RULE_FILES, FakeConnector, House, bring, said

RULES = load_texts(
    {
        **RULE_FILES,
        "targets.yaml": """
schema: 1
targets:
  quick:
    calendar: 24x7
    first_response: {P1: 10m, P2: 1h, P3: 1h, P4: 1h}
    next_response: {P1: 10m, P2: 1h, P3: 1h, P4: 1h}
    resolution: {P1: 4h, P2: 4h, P3: 4h, P4: 4h}
    escalate: [{at: due, to: [leads]}]
""",
    }
)


@pytest.fixture
def house(db: Database) -> Iterator[House]:
    made = House(db, rules=RULES)
    bring(made, said(1, "还没发货吗", person="c1", author=Author("c1")))
    yield made
    made.end()


def the_one(house: House) -> int:
    return int(house.rows(conversations)[0]["id"])


def known(house: House) -> KnownConversation:
    with house.db.read() as conn:
        found = conversation_known(conn, the_one(house))
    assert found is not None
    return found


def clock(house: House, kind: ClockKind) -> Clock:
    return [one for one in known(house).clocks if one.kind is kind][-1]


def act(
    house: House, what: What, by: str = "李娜", priority: Priority | None = None
) -> Conversation:
    return act_on(
        the_one(house),
        Asked(what, by, "command", priority),
        db=house.db,
        rules=lambda: house.rules,
        backfill=lambda _: Backfill.SILENT,
        now=house.clock,
        told=house._told,
    )


def comes(house: House, number: int, text: str, *, ours: bool = False) -> None:
    given = said(
        number,
        text,
        person="c1",
        author=Author("me" if ours else "c1"),
        direction=Direction.OUTBOUND if ours else Direction.INBOUND,
    )
    page = Page((replace(given, sent_at=house.clock()),), str(number))
    poller = house.poller(
        FakeConnector(messages=[page]), account=house.rows(conversations)[0]["account"]
    )
    poller.wake("messages")
    poller.tick()


def watch(house: House) -> None:
    Escalation(
        db=house.db,
        leases=house.leases,
        now=house.clock,
        told=house._told,
        metrics=house.metrics,
        rules=lambda: house.rules,
        destinations=("social", "leads"),
        ops=house.ops,
    ).tick()


def told(house: House, to: str) -> list[tuple[str, str]]:
    with house.db.read() as conn:
        rows = list_deliveries(conn, destination=to)
    return [(row.kind.value, Rung.of_json(row.text).level) for row in rows if row.text]


def test_a_claim_is_no_answer_and_shows_on_the_card_at_once(house: House) -> None:
    now_is = act(house, What.CLAIM)
    assert (now_is.claimed_by, now_is.state.value) == ("李娜", "open")
    assert clock(house, ClockKind.FIRST_RESPONSE).stopped_at is None
    with house.db.read() as conn:
        newest = list_deliveries(conn, destination="social")[-1]
    assert (newest.kind.value, newest.due_at) == ("card", house.clock())
    assert [(one.what, one.by, one.way) for one in known(house).acts] == [
        ("claimed", "李娜", "command")
    ]


def test_a_claim_without_an_answer_is_reminded_of_then_released_and_escalates(house: House) -> None:
    act(house, What.CLAIM)
    house.clock.on(minutes=29)
    watch(house)
    assert told(house, "social") == []
    house.clock.on(minutes=1)
    watch(house)
    watch(house)
    assert told(house, "social") == [("warning", "claim")]
    assert known(house).conversation.claimed_by == "李娜"
    house.clock.on(minutes=15)
    watch(house)
    watch(house)
    assert told(house, "social")[1:] == [("escalation", "claim")]
    about = known(house)
    assert (about.conversation.claimed_by, about.conversation.window_look_at) == (None, None)
    released = about.acts[-1]
    assert (released.what, released.by, released.way, released.value) == (
        "released",
        "inboxd",
        "decay",
        "李娜",
    )


def test_an_answered_claim_does_not_decay(house: House) -> None:
    act(house, What.CLAIM)
    house.clock.on(minutes=5)
    comes(house, 2, "马上帮您查", ours=True)
    house.clock.on(minutes=90)
    watch(house)
    assert known(house).conversation.claimed_by == "李娜"
    assert told(house, "social") == []


def test_resolving_without_an_answer_cancels_the_response_and_names_who_did_it(
    house: House,
) -> None:
    house.clock.on(minutes=5)
    act(house, What.RESOLVE, by="王磊")
    first, matter = (clock(house, one) for one in (ClockKind.FIRST_RESPONSE, ClockKind.RESOLUTION))
    assert (first.outcome, matter.outcome) == (Outcome.UNANSWERED_CLOSED, Outcome.MET)
    for one in (first, matter):
        assert (one.events[-1].by, one.events[-1].way) == ("王磊", "command")
    with pytest.raises(Rejected, match="resolved already"):
        act(house, What.RESOLVE)


def test_thanks_that_need_no_answer_are_an_outcome_of_their_own(house: House) -> None:
    comes(house, 2, "已经帮您补发", ours=True)
    house.clock.on(minutes=1)
    comes(house, 3, "谢谢")
    house.clock.on(minutes=1)
    assert act(house, What.NO_ANSWER).state.value == "waiting"
    assert clock(house, ClockKind.NEXT_RESPONSE).outcome is Outcome.NOT_NEEDED
    assert [one.event for one in clock(house, ClockKind.RESOLUTION).events][-1] == "pause"
    house.clock.on(minutes=9)
    comes(house, 4, "又坏了")
    assert known(house).conversation.state.value == "open"
    assert clock(house, ClockKind.NEXT_RESPONSE).cycle == 2
    assert [one.event for one in clock(house, ClockKind.RESOLUTION).events][-1] == "resume"


def test_waiting_for_the_customer_moves_the_resolution_and_not_the_response(house: House) -> None:
    due = clock(house, ClockKind.RESOLUTION).due_at
    house.clock.on(minutes=10)
    act(house, What.WAIT)
    paused = clock(house, ClockKind.RESOLUTION).events[-1]
    assert (paused.event, paused.by, paused.cause) == ("pause", "李娜", None)
    house.clock.on(minutes=20)
    comes(house, 2, "订单号是 123")
    assert (clock(house, ClockKind.RESOLUTION).due_at - due).total_seconds() == 20 * 60
    assert clock(house, ClockKind.FIRST_RESPONSE).stopped_at is None


@pytest.mark.parametrize("end", [What.RESOLVE, What.CLOSE, What.NO_ANSWER])
def test_reopening_takes_the_end_back_the_customer_waited_all_along(
    house: House, end: What
) -> None:
    before = clock(house, ClockKind.FIRST_RESPONSE)
    house.clock.on(minutes=5)
    act(house, end)
    assert clock(house, ClockKind.FIRST_RESPONSE).stopped_at == house.clock()
    house.clock.on(minutes=5)
    assert act(house, What.REOPEN).state.value == "open"
    again = clock(house, ClockKind.FIRST_RESPONSE)
    assert (again.due_at, again.stopped_at, again.outcome) == (before.due_at, None, None)
    house.clock.on(hours=2)
    watch(house)
    assert told(house, "leads") == [("escalation", "due")]


def test_a_closed_one_is_not_reopened_where_the_customer_began_anew(house: House) -> None:
    this = the_one(house)
    act(house, What.CLOSE)
    house.clock.on(minutes=1)
    comes(house, 2, "喂？")
    assert len(house.rows(conversations)) == 2
    assert the_one(house) == this
    with pytest.raises(Rejected, match="another conversation"):
        act(house, What.REOPEN)


def test_a_priority_that_a_person_sets_holds_from_now_on_and_may_breach_now(house: House) -> None:
    house.clock.on(minutes=20)
    assert act(house, What.PRIORITY, priority=Priority.P1).priority is Priority.P1
    late = clock(house, ClockKind.FIRST_RESPONSE)
    assert (late.priority, late.breached_at) == (Priority.P1, house.clock())
    house.clock.on(minutes=1)
    act(house, What.PRIORITY, priority=Priority.P4)
    comes(house, 2, "在吗")
    assert known(house).conversation.priority is Priority.P4
    comes(house, 3, "起火了")
    assert known(house).conversation.priority is Priority.P1


def test_nobody_acts_on_what_is_not_there(house: House) -> None:
    with pytest.raises(Rejected, match="nobody has claimed it"):
        act(house, What.RELEASE)
    with pytest.raises(Rejected, match="open already"):
        act(house, What.REOPEN)


def recheck(house: House) -> list[str]:
    checker = Recheck(
        sources=lambda version: (
            dict(house.rules.sources) if version == house.rules.version else None
        ),
        backfill=lambda _: Backfill.SILENT,
        now=house.clock(),
    )
    with house.db.read() as conn:
        return [line for one in every_conversation(conn) for line in checker.differences(one)]


def test_clocks_computed_anew_from_what_is_stored_are_those_that_are_stored(house: House) -> None:
    for number, what in enumerate(
        [What.CLAIM, What.WAIT, What.REOPEN, What.RESOLVE, What.REOPEN, What.NO_ANSWER, What.CLOSE]
    ):
        house.clock.on(minutes=7)
        comes(house, 10 + 2 * number, "还在吗")
        house.clock.on(minutes=7)
        if number % 3 == 2:
            comes(house, 11 + 2 * number, "在的", ours=True)
        if what is not What.REOPEN or known(house).conversation.state.value != "open":
            act(house, what)
        watch(house)
        assert recheck(house) == []
    house.clock.on(hours=9)
    assert recheck(house) == []


def test_a_clock_that_was_tampered_with_is_found(house: House) -> None:
    with_wrong = replace(clock(house, ClockKind.FIRST_RESPONSE), due_at=house.clock())
    about = known(house).conversation
    rest = [one for one in known(house).clocks if one.kind is not ClockKind.FIRST_RESPONSE]
    wrong = Decision(conversations=(about,), clocks={about.id: (with_wrong, *rest)})
    house.db.write(lambda c: commit_decision(c, fence=None, decision=wrong, now=house.clock()))
    (line,) = recheck(house)
    assert "first_response 1: due_at is" in line


def test_changed_rules_rewrite_nothing_that_was_met_or_breached(house: House) -> None:
    house.clock.on(minutes=30)
    comes(house, 2, "已补发", ours=True)
    before = clock(house, ClockKind.FIRST_RESPONSE)
    stricter = {
        **RULES.sources,
        "targets.yaml": RULES.sources["targets.yaml"].replace("P4: 1h", "P4: 1m"),
    }
    house.rules = load_texts(stricter)
    house.clock.on(minutes=1)
    comes(house, 3, "谢谢，另外发票呢")
    assert clock(house, ClockKind.FIRST_RESPONSE) == before
    assert clock(house, ClockKind.NEXT_RESPONSE).policy.endswith(house.rules.version)
    versions = {RULES.version: dict(RULES.sources), house.rules.version: stricter}
    checker = Recheck(versions.get, lambda _: Backfill.SILENT, house.clock())
    assert list(checker.differences(known(house))) == []


def test_explain_says_by_whose_word_clocks_started_paused_and_stopped(house: House) -> None:
    act(house, What.CLAIM)
    house.clock.on(minutes=2)
    act(house, What.WAIT, by="王磊")
    [message] = house.rows(history.messages)
    with house.db.read() as conn:
        decision = history.message_decision(conn, int(message["id"]))
    assert decision is not None
    lines = standing_lines(decision["standing"], ZoneInfo("Asia/Shanghai"))
    assert lines[0].startswith("claimed by 李娜 since ")
    assert any(line.startswith("first_response 1, quick P4: due ") for line in lines)
    assert any(line.endswith(f"activate by message {message['id']}") for line in lines)
    assert any(line.endswith("pause by 王磊, command") for line in lines)
