from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aggregator.model import Author, Kind, Match, Priority
from aggregator.triage.ruleset import Subject
from tests.triage.making import CELEBRITY, judged, ruleset, when

RULES = """
schema: 1
rules:
  - {id: urgent-words, title: 着急 / in a hurry, when: {any: [急]}, then: {urgency: 2, labels: [urgent]}}
  - {id: important-words, when: {any: [律师]}, then: {urgency: 1, importance: 3, labels: [legal], sentiment: -2}}
  - {id: floor-words, when: {any: [起火]}, then: {at_least: P1}}
  - {id: ceiling-words, when: {any: [抽奖]}, then: {at_most: P4}}
  - {id: in-shadow, status: shadow, when: {any: [影子]}, then: {urgency: 3, importance: 3, labels: [shadow]}}
  - {id: turned-off, status: off, when: {any: [关闭]}, then: {urgency: 3, importance: 3}}
  - {id: spam-words, final: true, weight: 10, when: {any: [加微信]}, then: {labels: [spam], at_most: P4}}
  - {id: heavy-words, weight: 20, when: {any: [触电]}, then: {urgency: 3, importance: 3, labels: [safety]}}
"""


@pytest.mark.parametrize(
    ("text", "priority"),
    [
        ("急，我的律师会来", Priority.P1),
        ("急", Priority.P2),
        ("律师", Priority.P3),
        ("你好", Priority.P4),
        ("起火", Priority.P1),
        ("急，律师，抽奖", Priority.P4),
        ("起火，抽奖", Priority.P1),
        ("影子", Priority.P4),
        ("关闭", Priority.P4),
    ],
)
def test_urgency_and_importance_make_the_priority_and_clamps_come_last(
    text: str, priority: Priority
) -> None:
    assert judged(ruleset(RULES), text).priority is priority


def test_the_maximum_and_the_union_of_all_rules_count() -> None:
    verdict = judged(ruleset(RULES), "急，律师")
    assert (verdict.urgency, verdict.importance, verdict.tags) == (2, 3, ("legal", "urgent"))


def test_no_match_is_an_outcome_with_a_reason() -> None:
    verdict = judged(ruleset(RULES), "今天天气真好")
    assert verdict.priority is Priority.P4
    assert "no rule matched" in verdict.reasons


def test_a_shadow_rule_is_recorded_and_has_no_effect() -> None:
    verdict = judged(ruleset(RULES), "影子")
    assert (verdict.tags, verdict.matches) == ((), ())
    assert any("shadow" in reason and "in-shadow" in reason for reason in verdict.reasons)


def test_a_final_rule_drops_lighter_ones_and_no_heavier_one() -> None:
    rules = ruleset(RULES)
    verdict = judged(rules, "急！加微信")
    assert (verdict.tags, verdict.priority) == (("spam",), Priority.P4)
    assert any("dropped" in reason and "urgent-words" in reason for reason in verdict.reasons)
    assert judged(rules, "触电了，加微信").tags == ("safety", "spam")


def test_the_reasons_name_rule_term_and_effect() -> None:
    reasons = judged(ruleset(RULES), "急，我的律师").reasons
    assert any(
        "important-words: 律师 → urgency 1, importance 3, labels legal" in one for one in reasons
    )
    assert any("urgency 2 × importance 3 is P1" in one for one in reasons)


def test_the_sentiment_of_rules_is_a_bounded_sum() -> None:
    verdict = judged(when("{any: [退款]}", "{sentiment: -2}"), "退款")
    assert (verdict.score, verdict.sentiment) == (pytest.approx(-0.535), "negative")
    both = ruleset("""
        schema: 1
        rules:
          - {id: one-rule, when: {any: [退款]}, then: {sentiment: -3}}
          - {id: two-rule, when: {any: [退款]}, then: {sentiment: -3}}
        """)
    assert judged(both, "退款").score == pytest.approx(-0.688)


def test_a_site_may_write_its_own_matrix() -> None:
    matrix = "schema: 1\nmatrix: [[P4, P4, P4, P4], [P3, P3, P3, P3], [P2, P2, P2, P2], [P1, P1, P1, P1]]"
    rules = ruleset(RULES, priority=matrix)
    assert judged(rules, "律师").priority is Priority.P3
    assert judged(rules, "急，律师").priority is Priority.P2


ANGRY = """
schema: 1
rules:
  - {id: angry-words, when: {sentiment: {lt: -0.3}}, then: {importance: 3, labels: [angry]}}
  - {id: urgent-words, when: {any: [急]}, then: {urgency: 2}}
"""
STEEP = (
    "schema: 1\nmatrix: [[P4, P4, P2, P1], [P4, P4, P2, P1], [P2, P2, P1, P1], [P2, P2, P1, P1]]"
)


def test_sentiment_alone_never_raises_above_p3_whatever_the_matrix_says() -> None:
    assert judged(ruleset(ANGRY), "很差[怒]").priority is Priority.P3
    verdict = judged(ruleset(ANGRY, priority=STEEP), "很差[怒]")
    assert verdict.priority is Priority.P3
    assert any("sentiment alone" in reason for reason in verdict.reasons)


def test_sentiment_makes_no_urgent_matter_a_p1() -> None:
    assert judged(ruleset(ANGRY), "急，很差[怒]").priority is Priority.P2
    assert judged(ruleset(ANGRY), "急").priority is Priority.P2


def test_a_sentiment_condition_reads_the_lexicon_before_any_rule() -> None:
    rules = ruleset("""
        schema: 1
        rules:
          - {id: makes-bad, when: {any: [退款]}, then: {sentiment: -3}}
          - {id: reads-mood, when: {sentiment: {lt: -0.1}}, then: {labels: [angry]}}
        """)
    assert judged(rules, "退款").tags == ()
    assert judged(rules, "退款，很差").tags == ("angry",)


@pytest.mark.parametrize(
    ("condition", "facts", "fires"),
    [
        ("platform: weibo", {"platform": "weibo"}, True),
        ("platform: [weibo, x]", {"platform": "facebook"}, False),
        ("platform: weibo", {}, False),
        ("kind: direct_message", {"kind": Kind.DIRECT_MESSAGE}, True),
        ("kind: [mention, comment]", {"kind": Kind.REVIEW}, False),
        ("account: x_acme", {"account": "x_acme"}, True),
        ("lang: zh", {"lang": "zh"}, True),
        ("lang: zh", {}, True),
        ("lang: en", {}, False),
        ("author: {followers: {gte: 10000}}", {"author": CELEBRITY}, True),
        ("author: {followers: {gte: 10000}}", {"author": Author(followers=9999)}, False),
        ("author: {followers: {gte: 10000}}", {"author": Author()}, False),
        ("author: {verified: true}", {"author": CELEBRITY}, True),
        ("author: {verified: false}", {"author": CELEBRITY}, False),
        ("author: {verified: true}", {}, False),
    ],
)
def test_a_fact_must_be_known_and_hold(
    condition: str, facts: dict[str, object], fires: bool
) -> None:
    rules = when(f"{{any: [退款], {condition}}}")
    assert bool(judged(rules, "我要退款", **facts).matches) is fires


TARGETS = """
schema: 1
calendars:
  office:
    timezone: Asia/Shanghai
    hours: {mon-fri: ["09:00-18:00"]}
    holidays: CN
"""


@pytest.mark.parametrize(
    ("at", "inside"),
    [
        (datetime(2026, 3, 4, 2, 0, tzinfo=UTC), True),  # Wednesday 10:00 in Shanghai
        (datetime(2026, 3, 4, 12, 0, tzinfo=UTC), False),
        (datetime(2026, 2, 14, 2, 0, tzinfo=UTC), True),  # a make-up Saturday
        (datetime(2026, 2, 18, 2, 0, tzinfo=UTC), False),  # Spring Festival
    ],
)
def test_hours_go_by_a_calendar_at_the_time_it_was_sent(at: datetime, inside: bool) -> None:
    for word, expected in (("inside", inside), ("outside", not inside)):
        rules = ruleset(
            f"""
            schema: 1
            rules:
              - {{id: by-hours, when: {{any: [急], hours: {{{word}: office}}}}, then: {{labels: [now]}}}}
            """,
            targets=TARGETS,
        )
        assert bool(judged(rules, "急", sent_at=at).tags) is expected
        assert judged(rules, "急").tags == ()


def test_facts_alone_may_fire_a_rule() -> None:
    rules = ruleset("""
        schema: 1
        rules:
          - {id: big-names, when: {author: {followers: {gte: 50000}}}, then: {importance: 2, labels: [vip]}}
        """)
    assert judged(rules, "你好", author=CELEBRITY).tags == ("vip",)
    assert judged(rules, "你好").tags == ()


def test_why_gives_one_line_a_rule_with_title_and_terms_in_the_reader_s_language() -> None:
    rules = ruleset(RULES)
    matches = judged(rules, "急急，我的律师").matches
    assert rules.why(matches) == ("important-words：律师", "着急：急")
    assert rules.why(matches, language="en") == ("important-words: 律师", "in a hurry: 急")
    assert (
        rules.why(matches, text_of=lambda one: f"{one.start}", language="en")[1]
        == "in a hurry: 0, 1"
    )


def test_why_survives_a_rule_that_is_gone() -> None:
    assert ruleset(RULES).why([Match("old-rule", "退款", 0, 2)]) == ("old-rule：退款",)
    assert ruleset(RULES).title("old-rule") == "old-rule"


def test_judging_the_same_subject_twice_gives_the_same_verdict() -> None:
    rules = ruleset(RULES)
    subject = Subject("急！我的律师[怒]，加微信", author=CELEBRITY)
    assert rules.judge(subject) == rules.judge(subject)
