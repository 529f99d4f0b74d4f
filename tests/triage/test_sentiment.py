from __future__ import annotations

import pytest

from tests.triage.making import judged, ruleset

RULES = ruleset()


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("很好用", "positive"),
        ("不好用", "negative"),
        ("不错", "positive"),
        ("没问题", "positive"),
        ("not bad", "positive"),
        ("not great", "negative"),
        ("不是不好用", "positive"),
        ("特别好用", "positive"),
        ("差不多", "neutral"),
        ("很差", "negative"),
        ("今天收到了", "neutral"),
        ("[怒]", "negative"),
        ("/::@", "negative"),
        ("服务/:strong", "positive"),
        ("[允悲][doge]", "neutral"),
        ("", "neutral"),
    ],
)
def test_the_label_follows_terms_negation_and_the_longest_match(text: str, label: str) -> None:
    assert judged(RULES, text).sentiment == label


def test_the_score_comes_with_the_terms_that_made_it() -> None:
    reasons = judged(RULES, "很慢，客服也差[怒]").reasons
    told = next(reason for reason in reasons if reason.startswith("sentiment"))
    assert "慢 -1.5" in told
    assert "差 -2" in told
    assert "[怒] -3" in told


def test_an_intensifier_strengthens_and_the_score_stays_within_bounds() -> None:
    assert judged(RULES, "很慢").score < judged(RULES, "慢").score < 0
    assert judged(RULES, "差[怒]" * 300).score >= -1


def test_shouting_one_word_counts_three_times_at_most() -> None:
    assert judged(RULES, "慢，" * 3).score == judged(RULES, "慢，" * 50).score


def test_quoted_words_make_no_mood() -> None:
    assert judged(RULES, "看看//@小明:太差了[怒]").score == 0


def test_urgency_never_comes_from_the_mood() -> None:
    verdict = judged(RULES, "差差差[怒][怒][怒]")
    assert (verdict.urgency, verdict.importance, verdict.priority) == (0, 0, "P4")


def test_an_adverb_that_is_also_a_word_of_praise_only_strengthens() -> None:
    rules = ruleset(
        sentiment__more="""
        schema: 1
        terms: {"1": [好], "-1": [贵]}
        intensifiers: {"1.5": [好]}
        """
    )
    assert judged(rules, "好贵").sentiment == "negative"
    assert judged(rules, "好").sentiment == "positive"
