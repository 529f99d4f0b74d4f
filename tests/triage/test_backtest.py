"""What a change of rules would have done: counted per cell, rule, route; bounded."""

from __future__ import annotations

import pytest

from aggregator.model import Priority
from aggregator.triage import backtest
from aggregator.triage.backtest import EXAMPLES, Tally, ordered
from aggregator.triage.reasons import Role, named
from aggregator.triage.ruleset import Ruleset, Subject
from tests.triage.making import judged, ruleset

P1, P2, P3, P4 = Priority

OLD = """
schema: 1
rules:
  - {id: money-words, when: {any: [退款]}, then: {urgency: 2, labels: [refund]}}
  - {id: fire-words, when: {any: [起火]}, then: {urgency: 3, importance: 3}}
"""
NEW = """
schema: 1
rules:
  - {id: money-words, when: {any: [退款]}, then: {urgency: 2, importance: 2, labels: [refund]}}
  - {id: praise-words, status: shadow, when: {any: [好用]}, then: {importance: 2}}
"""
ROUTES = """
schema: 1
routes:
  - {id: top, when: {priority: [P1]}, to: [social, desk]}
  - {id: spam, when: {labels: [spam]}, to: []}
  - {id: rest, to: [social]}
"""


def rules(text: str) -> Ruleset:
    return ruleset(text, routes=ROUTES)


def tally(*texts: str, conversations: list[int] | None = None) -> Tally:
    made = Tally(rules(OLD), rules(NEW))
    for at, text in enumerate(texts):
        subject = Subject(text)
        conversation = conversations[at] if conversations else at
        old, new = made.old.judge(subject), made.new.judge(subject)
        made.add(at, conversation, subject, old, new)
    return made


def test_each_message_is_in_one_cell_of_the_matrix() -> None:
    found = tally("退款", "我要退款", "起火了", "好用", "你好")
    assert dict(found.cells) == {(P2, P1): 2, (P1, P4): 1, (P4, P4): 2}
    assert (found.total, found.changed) == (5, 3)
    assert ordered(found.cells) == [(P2, P1), (P1, P4)]


def test_the_messages_of_each_rule_are_counted_on_both_sides_in_shadow_too() -> None:
    found = tally("退款", "起火了", "好用", "好用！退款")
    assert found.old_hits == {"money-words": 2, "fire-words": 1}
    assert found.new_hits == {"money-words": 2, "praise-words": 2}


def test_a_changed_cell_keeps_its_newest_examples_with_the_rules_that_came_and_went() -> None:
    found = tally(*[f"起火了 {at}" for at in range(15)])
    kept = found.examples[P1, P4]
    assert [one.text for one in kept] == [f"起火了 {at}" for at in range(15 - EXAMPLES, 15)]
    assert {(one.gone, one.come) for one in kept} == {(("fire-words",), ())}
    assert (P4, P4) not in tally("你好").examples


def test_a_conversation_gets_one_card_a_destination_whatever_is_said_in_it() -> None:
    found = tally("你好", "退款", "退款", "退款", conversations=[7, 7, 7, 8])
    assert found.old_cards.made == {("rest", "social"): 2}
    assert found.new_cards.made == {("rest", "social"): 1, ("top", "desk"): 2, ("top", "social"): 1}


def test_what_reaches_nobody_and_what_has_no_conversation_makes_no_card() -> None:
    quiet = rules(OLD.replace("labels: [refund]", "labels: [spam]").replace("urgency: 2, ", ""))
    made = Tally(quiet, quiet)
    for number, text in ((1, "退款"), (None, "你好")):
        verdict = judged(quiet, text)
        made.add(1, number, Subject(text), verdict, verdict)
    assert made.old_cards.made == {}


def test_more_conversations_than_are_remembered_cost_no_more_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backtest, "CONVERSATIONS", 10)
    found = tally(*["你好"] * 35)
    assert found.old_cards.made == {("rest", "social"): 35}
    assert len(found.old_cards._open) <= 10


def test_reasons_name_the_rules_that_fired_and_what_became_of_them() -> None:
    final = ruleset("""
        schema: 1
        rules:
          - {id: spam-words, final: true, weight: 10, when: {any: [加微信]}, then: {labels: [spam]}}
          - {id: money-words, when: {any: [退款]}, then: {urgency: 2}}
          - {id: in-shadow, status: shadow, when: {any: [退款]}, then: {urgency: 2}}
          - {id: odd-words, weight: 10, when: {any: ["x: dropped by the final rule y"]}, then: {urgency: 1}}
        """)
    reasons = judged(final, "加微信退款 x: dropped by the final rule y，很差").reasons
    assert list(named(reasons)) == [
        ("odd-words", Role.COUNTED),
        ("spam-words", Role.COUNTED),
        ("money-words", Role.DROPPED),
        ("in-shadow", Role.SHADOW),
    ]
    assert list(named(judged(final, "今天真好").reasons)) == []
