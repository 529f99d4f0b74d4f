"""Hits by rule and day, and where a model and people agreed."""

from __future__ import annotations

from datetime import date

from aggregator.model import Correction, Priority
from aggregator.triage.learned import Learned
from aggregator.triage.reasons import Role
from aggregator.triage.ruleset import Subject
from aggregator.triage.tallied import Tallied
from tests.conftest import NOW
from tests.triage.making import ruleset
from tests.triage.test_learned import model

RULES = """
schema: 1
rules:
  - {id: money-words, when: {any: [退款]}, then: {urgency: 1, labels: [refund]}}
  - {id: in-shadow, status: shadow, when: {any: [退款]}, then: {urgency: 3}}
  - {id: spam-words, final: true, weight: 5, when: {any: [加微信]}, then: {labels: [spam]}}
  - {id: never-words, when: {any: [爆炸]}, then: {urgency: 3}}
  - {id: turned-off, status: off, when: {any: [关]}, then: {urgency: 3}}
"""
MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)


def said(**more: object) -> Correction:
    return Correction(1, 1, NOW, "小王", **more)  # type: ignore[arg-type]


def test_hits_are_counted_by_day_and_by_what_the_rule_had_to_say() -> None:
    rules, found = ruleset(RULES), Tallied()
    for day, text, words in (
        (MONDAY, "退款", [said(priority=Priority.P1)]),
        (TUESDAY, "退款加微信", []),
        (TUESDAY, "你好", []),
    ):
        verdict = rules.judge(Subject(text))
        found.add(day, verdict, verdict.sentiment, words)
    assert (found.messages, found.corrected) == (3, 1)
    assert found.hits["money-words"].days == {MONDAY: 1, TUESDAY: 1}
    assert found.hits["money-words"].roles == {Role.COUNTED: 1, Role.DROPPED: 1}
    assert found.hits["in-shadow"].roles == {Role.SHADOW: 2}
    assert found.hits["money-words"].corrected == 1
    assert found.never(rules.rules) == ["never-words"]
    assert found.too_often() == []  # of three messages a share says nothing


def test_a_rule_that_fires_on_more_than_a_twentieth_is_too_often() -> None:
    rules, found = ruleset(RULES), Tallied()
    for at in range(200):
        verdict = rules.judge(Subject("退款" if at < 11 else "加微信" if at < 21 else "你好"))
        found.add(MONDAY, verdict, verdict.sentiment, [])
    assert found.too_often() == ["in-shadow", "money-words"]


def test_a_model_is_held_to_what_people_said_and_to_nothing_else() -> None:
    rules, found = ruleset(RULES).having(Learned(model())), Tallied()
    version = model().version
    for text, words in (
        ("尺码", [said(added=("size",))]),
        ("尺码！", [said(removed=("size",), sentiment="negative")]),
        ("批批", [said(priority=Priority.P3)]),
        ("批", [said(priority=Priority.P2)]),
        ("烦", []),
    ):
        verdict = rules.judge(Subject(text))
        found.add(MONDAY, verdict, verdict.sentiment, words)
    agreement = found.models[version]
    assert agreement.asked == {"label size": 2, "sentiment": 1, "important": 2}
    assert agreement.agreed == {"label size": 1, "sentiment": 0, "important": 1}
