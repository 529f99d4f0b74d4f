"""Deciding on a page: repeats, threads, answers that come early, edits, backfills, and who is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.intake import AccountFacts, decide
from aggregator.model import (
    Author,
    Backfill,
    ClockKind,
    Contact,
    ConversationState,
    Decision,
    DeliveryState,
    Direction,
    Entry,
    Kind,
    Known,
    KnownConversation,
    Message,
    NoticeKind,
    Outcome,
    Page,
    Priority,
    Seen,
)
from aggregator.triage.loader import load_texts
from aggregator.triage.ruleset import Ruleset

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
START = NOON - timedelta(days=3)
US = Author("us", "露沐", "lumo")

FILES = {
    "rules.yaml": """
schema: 1
rules:
  - id: fire
    title: 起火 / fire
    when: {any: [起火, "on fire"]}
    then: {urgency: 3, importance: 3, labels: [safety]}
    tests: [{hit: 起火了}, {miss: 好用}]
  - id: spam
    title: 广告 / spam
    when: {any: [加V信]}
    then: {labels: [spam]}
    tests: [{hit: 加V信}, {miss: 你好}]
""",
    "routes.yaml": """
schema: 1
routes:
  - {id: safety, when: {priority: [P1]}, to: [social, desk], targets: urgent}
  - {id: spam, when: {labels: [spam]}, to: []}
  - {id: rest, to: [social], targets: urgent}
""",
    "targets.yaml": """
schema: 1
targets:
  urgent:
    calendar: 24x7
    first_response: {P1: 10m, P2: 30m, P3: 1h, P4: 1h}
    next_response: {P1: 10m, P2: 30m, P3: 1h, P4: 1h}
""",
}


@pytest.fixture(scope="module")
def rules() -> Ruleset:
    return load_texts(FILES)


NUMBERS = count(1000)


def message(
    native_id: str,
    text: str | None,
    *,
    minute: float = 0,
    who: str | None = "c1",
    root: str | None = None,
    kind: Kind = Kind.MENTION,
    **more: object,
) -> Message:
    fields: dict[str, object] = {
        "native_id": native_id,
        "platform": "weibo",
        "kind": kind,
        "direction": Direction.INBOUND,
        "author": Author(who, f"客户{who}") if who else None,
        "text": text,
        "sent_at": NOON + timedelta(minutes=minute),
        "root": root or (None if kind is Kind.DIRECT_MESSAGE else native_id),
        "person": who,
        **more,
    }
    return Message(**fields)  # type: ignore[arg-type]


def ours(native_id: str, text: str, *, minute: float, **more: object) -> Message:
    fields = {"author": US, "direction": Direction.OUTBOUND, "person": None, **more}
    return replace(message(native_id, text, minute=minute), **{"root": None, **fields})  # type: ignore[arg-type]


def on(
    rules: Ruleset,
    *messages: Message,
    known: Known | None = None,
    backfill: Backfill = Backfill.SILENT,
    now: datetime = NOON + timedelta(hours=1),
) -> Decision:
    return decide(
        Page(messages, None),
        known or Known(first_poll_at=START),
        account=AccountFacts("weibo_acme", backfill),
        rules=rules,
        now=now,
        new_id=lambda: next(NUMBERS),
    )


def after(decision: Decision) -> Known:
    """What the store would know once `decision` is in it."""
    conversations = []
    for one in decision.conversations:
        mine = [m for m in decision.messages if m.conversation_id == one.id]
        entries = tuple(
            Entry(m.id, m.message.direction, m.message.sent_at or m.received_at, m.received_at)
            for m in mine
        )
        stored = replace(one, version=one.version + 1)
        conversations.append(KnownConversation(stored, entries, decision.clocks[one.id]))
    return Known(
        first_poll_at=START,
        seen={
            m.message.key: Seen(
                m.id, m.conversation_id, m.message.direction, m.message.text, None, None
            )
            for m in decision.messages
        },
        conversations=tuple(conversations),
        replied={
            m.message.native_id: m.conversation_id
            for m in decision.messages
            if m.conversation_id is not None
        },
        contacts={c.author.native_id or "": c for c in decision.contacts},
        waiting=tuple(m for m in decision.messages if m.conversation_id is None),
    )


def kinds(decision: Decision) -> list[tuple[str, str]]:
    return [(d.destination, d.kind.value) for d in decision.deliveries]


def test_a_customer_opens_a_conversation_and_each_destination_gets_one_card(rules: Ruleset) -> None:
    decision = on(rules, message("m1", "充电宝起火了"))
    [conversation] = decision.conversations
    assert conversation.priority is Priority.P1
    assert conversation.labels == ("safety",)
    assert conversation.state is ConversationState.OPEN
    assert kinds(decision) == [("social", "card"), ("desk", "card")]
    [clock] = decision.clocks[conversation.id]
    assert clock.kind is ClockKind.FIRST_RESPONSE
    assert clock.due_at == NOON + timedelta(minutes=10)


def test_a_message_that_comes_again_changes_nothing(rules: Ruleset) -> None:
    first = on(rules, message("m1", "你好"))
    again = on(rules, message("m1", "你好"), known=after(first))
    assert (again.messages, again.conversations, again.deliveries) == ((), (), ())
    assert again.repeated == 1


def test_a_message_twice_on_one_page_is_stored_once(rules: Ruleset) -> None:
    decision = on(rules, message("m1", "你好"), message("m1", "你好"))
    assert len(decision.messages) == 1
    assert decision.repeated == 1


def test_the_same_id_of_another_kind_is_another_message(rules: Ruleset) -> None:
    page = (message("m1", "你好"), message("m1", "你好", kind=Kind.COMMENT, root="p9"))
    assert len(on(rules, *page).messages) == 2


def test_comments_under_one_post_are_grouped_by_author(rules: Ruleset) -> None:
    decision = on(
        rules,
        message("m1", "还没发货", root="p1", kind=Kind.COMMENT),
        message("m2", "me too", root="p1", kind=Kind.COMMENT, who="c2"),
        message("m3", "在吗", root="p1", kind=Kind.COMMENT, minute=1),
    )
    assert {c.key for c in decision.conversations} == {"p:p1:c1", "p:p1:c2"}


def test_two_messages_without_an_author_are_two_conversations(rules: Ruleset) -> None:
    page = (message("m1", "匿名", who=None, root="p1"), message("m2", "匿名", who=None, root="p1"))
    assert len(on(rules, *page).conversations) == 2


def test_a_later_message_goes_under_the_card_and_the_card_is_edited(rules: Ruleset) -> None:
    first = on(rules, message("m1", "你好", root="p1"))
    second = on(rules, message("m2", "在吗", root="p1", minute=2), known=after(first))
    assert kinds(second) == [("social", "message"), ("social", "card")]
    assert second.conversations[0].version == 1


def test_a_conversation_that_gets_worse_reaches_further_destinations_too(rules: Ruleset) -> None:
    first = on(rules, message("m1", "你好", root="p1"))
    worse = on(rules, message("m2", "起火了", root="p1", minute=2), known=after(first))
    [conversation] = worse.conversations
    assert conversation.destinations == ("social", "desk")
    assert conversation.priority is Priority.P1
    assert ("desk", "card") in kinds(worse)
    assert ("desk", "message") not in kinds(worse)
    assert [aim.priority for aim in conversation.aims] == [Priority.P4, Priority.P1]


def test_what_nobody_is_told_has_a_row_with_the_reason(rules: Ruleset) -> None:
    [row] = on(rules, message("m1", "日结，加V信")).deliveries
    assert row.state is DeliveryState.SKIPPED
    assert row.reason == "route spam tells nobody"


def test_our_answer_stops_the_clock(rules: Ruleset) -> None:
    first = on(rules, message("m1", "起火了"))
    answer = ours("a1", "抱歉", minute=5, reply_to="m1", root="m1")
    second = on(rules, answer, known=after(first))
    [conversation] = second.conversations
    assert conversation.state is ConversationState.WAITING
    [clock] = second.clocks[conversation.id]
    assert clock.outcome is Outcome.MET
    assert clock.wall_ms == 5 * 60 * 1000


def test_an_answer_seen_before_its_question_is_kept_until_that_comes(rules: Ruleset) -> None:
    early = on(rules, ours("a1", "抱歉", minute=5, reply_to="m1", root="m1", person="c1"))
    assert early.messages[0].conversation_id is None
    assert early.conversations == ()
    late = on(rules, message("m1", "起火了"), known=after(early))
    [conversation] = late.conversations
    assert late.adopted == {early.messages[0].id: conversation.id}
    assert late.clocks[conversation.id][0].outcome is Outcome.MET


def test_a_post_of_our_own_opens_no_conversation(rules: Ruleset) -> None:
    decision = on(rules, ours("p1", "新品上市", minute=0, root="p1"))
    assert (decision.messages, decision.conversations, decision.skipped) == ((), (), 1)


def test_an_answer_without_an_address_joins_the_only_open_conversation_under_its_root(
    rules: Ruleset,
) -> None:
    first = on(rules, message("m1", "还没发货", root="p1"))
    second = on(rules, ours("a1", "抱歉", minute=3, root="p1"), known=after(first))
    assert second.messages[0].conversation_id == first.conversations[0].id


def test_an_answer_without_an_address_is_not_guessed_between_two(rules: Ruleset) -> None:
    first = on(rules, message("m1", "一", root="p1"), message("m2", "二", root="p1", who="c2"))
    second = on(rules, ours("a1", "抱歉", minute=3, root="p1"), known=after(first))
    assert second.messages == ()


def test_an_answer_to_what_has_not_come_yet_joins_nobody_else_under_the_root(
    rules: Ruleset,
) -> None:
    first = on(rules, message("m1", "还没发货", root="p1"))
    early = on(rules, ours("a1", "抱歉", minute=3, reply_to="m2", root="p1"), known=after(first))
    assert early.messages[0].conversation_id is None
    late = on(rules, message("m2", "多少钱？", root="p1", who="c2"), known=after(early))
    [conversation] = late.conversations
    assert conversation.id != first.conversations[0].id
    assert late.adopted == {early.messages[0].id: conversation.id}


def test_an_idle_public_conversation_is_closed_and_a_new_one_begins(rules: Ruleset) -> None:
    first = on(rules, message("m1", "你好", root="p1"))
    later = NOON + timedelta(days=8)
    fresh = replace(message("m2", "你好", root="p1"), sent_at=later)
    second = on(rules, fresh, known=after(first), now=later + timedelta(minutes=1))
    old, new = second.conversations
    assert (old.state, new.state) == (ConversationState.CLOSED, ConversationState.OPEN)
    assert second.clocks[old.id][0].outcome is Outcome.UNANSWERED_CLOSED


def test_a_resolved_conversation_reopens_within_72_hours(rules: Ruleset) -> None:
    first = on(rules, message("m1", "你好", root="p1"))
    known = after(first)
    [one] = known.conversations
    done = replace(one.conversation, state=ConversationState.RESOLVED, resolved_at=NOON)
    known = replace(known, conversations=(replace(one, conversation=done),))
    second = on(
        rules,
        message("m2", "又坏了", root="p1", minute=60),
        known=known,
        now=NOON + timedelta(hours=2),
    )
    assert [c.id for c in second.conversations] == [one.conversation.id]
    assert second.conversations[0].state is ConversationState.OPEN


def test_history_is_stored_and_nobody_is_told(rules: Ruleset) -> None:
    known = Known(first_poll_at=NOON + timedelta(minutes=30))
    decision = on(rules, message("m1", "起火了"), known=known)
    assert decision.messages[0].history
    assert decision.clocks[decision.conversations[0].id] == ()
    assert [row.state for row in decision.deliveries] == [DeliveryState.SKIPPED]
    assert decision.conversations[0].destinations == ()


def test_history_is_left_out_where_the_account_skips_it(rules: Ruleset) -> None:
    known = Known(first_poll_at=NOON + timedelta(minutes=30))
    decision = on(rules, message("m1", "起火了"), known=known, backfill=Backfill.SKIP)
    assert (decision.messages, decision.skipped) == ((), 1)


def test_history_goes_into_a_digest_where_the_account_asks_for_it(rules: Ruleset) -> None:
    known = Known(first_poll_at=NOON + timedelta(minutes=30))
    decision = on(rules, message("m1", "起火了"), known=known, backfill=Backfill.ALERT)
    assert {row.kind for row in decision.deliveries} == {NoticeKind.DIGEST}


def test_a_customer_who_writes_again_after_history_is_told_of(rules: Ruleset) -> None:
    known = Known(first_poll_at=NOON + timedelta(minutes=30))
    old = on(rules, message("m1", "你好", root="p1"), known=known)
    before = replace(after(old), first_poll_at=NOON + timedelta(minutes=30))
    new = on(rules, message("m2", "在吗", root="p1", minute=40), known=before)
    assert kinds(new) == [("social", "card")]


def test_an_edit_is_judged_anew(rules: Ruleset) -> None:
    first = on(rules, message("m1", "你好"))
    edited = replace(message("m1", "起火了"), edited_at=NOON + timedelta(minutes=3))
    second = on(rules, edited, known=after(first))
    assert second.messages == ()
    [version] = second.versions
    assert version.verdict is not None
    assert version.verdict.priority is Priority.P1
    assert second.conversations[0].priority is Priority.P1


def test_a_withdrawn_message_stops_its_clock_without_meeting_it(rules: Ruleset) -> None:
    first = on(rules, message("m1", "起火了"))
    gone = replace(message("m1", None), deleted_at=NOON + timedelta(minutes=2))
    second = on(rules, gone, known=after(first))
    [clock] = second.clocks[first.conversations[0].id]
    assert clock.outcome is Outcome.WITHDRAWN


def test_a_platform_time_in_the_future_is_kept_and_marked_and_starts_no_clock_early(
    rules: Ruleset,
) -> None:
    now = NOON + timedelta(hours=1)
    ahead = replace(message("m1", "起火了"), sent_at=now + timedelta(days=300))
    decision = on(rules, ahead, now=now)
    stored = decision.messages[0].message
    assert stored.sent_at == now + timedelta(days=300)
    assert "time.future" in stored.marks
    assert decision.clocks[decision.conversations[0].id][0].started_at == now


def test_a_message_without_a_time_counts_from_when_it_was_received(rules: Ruleset) -> None:
    now = NOON + timedelta(hours=1)
    decision = on(rules, replace(message("m1", "起火了"), sent_at=None), now=now)
    assert decision.clocks[decision.conversations[0].id][0].started_at == now


def test_a_contact_keeps_what_a_later_message_does_not_tell(rules: Ruleset) -> None:
    known = Known(
        first_poll_at=START,
        contacts={"c1": Contact(5, "weibo_acme", Author("c1", "老名字", "old", 10, True))},
    )
    decision = on(rules, message("m1", "你好"), known=known)
    assert [c.author for c in decision.contacts] == [Author("c1", "客户c1", "old", 10, True)]


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(6)), st.integers(1, 5))
def test_the_order_of_arrival_does_not_change_a_conversations_clocks(
    rules: Ruleset, order: list[int], cut: int
) -> None:
    # All of one priority: a message that makes it worse counts from when it is known.
    page = [
        message("m1", "你好", root="p1", minute=0),
        message("m2", "在吗", root="p1", minute=2),
        ours("a1", "抱歉", minute=5, reply_to="m1", root="p1", person="c1"),
        message("m3", "还是不行", root="p1", minute=9),
        message("m4", "快点", root="p1", minute=11),
        ours("a2", "好的", minute=30, reply_to="m3", root="p1", person="c1"),
    ]
    shuffled = [page[index] for index in order]
    first = on(rules, *shuffled[:cut])
    known = after(first)
    second = on(rules, *shuffled[cut:], known=known)
    final = {**first.clocks, **second.clocks}
    straight = on(rules, *page)
    [expected] = straight.clocks.values()
    [got] = final.values()
    assert [(c.kind, c.started_at, c.stopped_at, c.outcome) for c in got] == [
        (c.kind, c.started_at, c.stopped_at, c.outcome) for c in expected
    ]


def test_a_post_of_our_own_is_no_answer_to_what_is_said_under_it(rules: Ruleset) -> None:
    first = on(rules, message("m1", "还没发货", root="p1", kind=Kind.COMMENT))
    post = ours("p1", "新品上市", minute=3, root="p1")
    second = on(rules, post, known=after(first))
    assert (second.messages, second.conversations) == ((), ())
