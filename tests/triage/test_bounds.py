"""What a message may cost, whatever it holds: what is left out, and that the verdict says so."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.errors import SettingsError
from aggregator.model import Match, Priority, Verdict
from aggregator.triage import drafts
from aggregator.triage.folding import Folded
from aggregator.triage.loader import load_texts
from aggregator.triage.negation import Negators, Spans
from aggregator.triage.priority import CUT
from aggregator.triage.reading import LIMIT
from aggregator.triage.ruleset import Ruleset, Subject
from aggregator.triage.scan import BUDGET, LONG, MOST, NEST
from aggregator.triage.text import REPOSTS, Folder
from tests.triage.making import hits, judged, ruleset, when


def sharing(rules: int, condition: str) -> Ruleset:
    """So many rules that all hold the same words."""
    rows = [
        f"  - {{id: rule-{at:03}, when: {condition}, then: {{labels: [l{at}]}}}}"
        for at in range(rules)
    ]
    words = 'lists: {shared: ["退款", "投诉", "还没", "终点"]}'
    return load_texts({"a.yaml": "\n".join(["schema: 1", words, "rules:", *rows])})


def test_of_many_rules_with_one_list_each_keeps_the_first_place_of_every_word() -> None:
    rules = sharing(BUDGET // 4, '{any: ["@shared"]}')
    verdict = judged(rules, "退款，投诉，还没，" * 200 + "终点")
    assert len(verdict.tags) == BUDGET // 4
    assert {match.term for match in verdict.matches} == {"退款", "投诉", "还没", "终点"}
    assert verdict.truncated
    assert CUT in verdict.reasons


def test_what_a_hundred_rules_share_costs_a_short_message_nothing_of_its_words() -> None:
    verdict = judged(sharing(100, '{any: ["@shared"]}'), "退款还没到")
    assert len(verdict.matches) == 200
    assert not verdict.truncated


@pytest.mark.parametrize("other", ["好的", "星期", "慢"])
def test_a_long_message_is_read_in_parts_and_no_word_falls_between_two(other: str) -> None:
    rules = when("{any: [申请退款了]}")
    for before in range(LONG - 8, LONG + 3):
        text = (other * LONG)[:before] + "申请退款了" + other * LONG
        assert hits(rules, text) == ["申请退款了"], before
        assert hits(rules, "好", text) == []


def test_a_message_full_of_words_is_not_read_to_its_end_and_says_so() -> None:
    full = "慢，" * (MOST + LONG)
    quiet = ruleset(
        more="schema: 1\nrules: [{id: the-end, when: {any: [终点]}, then: {urgency: 1}}]"
    )
    verdict = judged(quiet, full[: LIMIT - 2] + "终点", quoted=full)
    assert verdict.truncated
    assert judged(quiet, "好，" * (LIMIT // 2 - 2) + "终点").urgency == 1


def test_the_last_reposts_of_an_endless_chain_are_one_piece_and_are_read() -> None:
    rules = when("{any: [退款], part: quoted}")
    chain = "看看" + "//@小明:转发" * (REPOSTS * 2) + "退款"
    assert hits(rules, chain) == ["退款"]


def test_an_exact_word_and_a_regex_count_a_few_times_and_the_verdict_says_so() -> None:
    for condition in ("{exact: [退款]}", "{regex: [退款]}"):
        rules = when(condition)
        assert not judged(rules, "退款，" * 8).truncated
        verdict = judged(rules, "退款，" * 9)
        assert len(verdict.matches) == 8
        assert verdict.truncated


def test_a_score_of_nothing_has_no_sign() -> None:
    rules = ruleset(sentiment__more='schema: 1\nterms: {"0.7": [甲乙], "-0.7": [丙丁]}')
    assert str(judged(rules, "丙丁甲乙").score) == "0.0"


def test_what_judging_makes_is_what_the_constructors_make() -> None:
    match = drafts.match("a-rule", "退款", 1, 3, True)
    assert match == Match("a-rule", "退款", 1, 3, quoted=True)
    assert type(match) is Match
    verdict = drafts.verdict(1, 2, Priority.P3, "neutral", 0.0, ("甲",), (match,), ("x",), False)
    assert verdict == Verdict(1, 2, Priority.P3, "neutral", 0.0, ("甲",), (match,), ("x",))
    assert hash(verdict) == hash(
        Verdict(1, 2, Priority.P3, "neutral", 0.0, ("甲",), (match,), ("x",))
    )
    with pytest.raises(FrozenInstanceError):
        match.term = "退钱"  # type: ignore[misc]


WORDS = st.lists(
    st.sampled_from(
        [
            "不",
            "没有",
            "not ",
            "no ",
            "never ",
            "退款",
            "good ",
            "，",
            "。",
            ". ",
            "v.",
            "但",
            "but ",
        ]
    ),
    min_size=1,
    max_size=14,
)


@given(WORDS, st.booleans())
def test_one_word_at_a_time_is_denied_as_many_at_once_are(words: list[str], whole: bool) -> None:
    folded = Folded(Folder(), ["".join(words)])
    found = {
        kind: [
            (at, at + len(word))
            for word in some
            for at in range(len(folded.text))
            if folded.text.startswith(word, at)
        ]
        for kind, some in {
            "no": ("不", "没有", "not", "no", "never"),
            "hit": ("退款", "good"),
        }.items()
    }
    if not found["no"] or not found["hit"]:
        return
    others = [*found["hit"], *(found["no"][:1] if whole else [])]
    every = Negators(folded, _spans(found["no"]), None)
    one = every.of(1, len(folded.text) - 1)
    assert one is not None
    starts = np.array([start for start, _ in found["hit"]])
    denied = every.deny(starts, np.zeros(len(starts), np.bool_), _spans(others))
    asked = one.deny((*found["hit"], *others))
    assert list(asked[: len(starts)]) == denied.tolist()


def _spans(rows: list[tuple[int, int]]) -> Spans:
    return Spans(np.array([start for start, _ in rows]), np.array([end for _, end in rows]))


def test_a_subject_without_text_costs_and_says_nothing() -> None:
    assert judged(ruleset(), "").reasons == ruleset().judge(Subject(None)).reasons


@pytest.mark.parametrize("key", ["any", "exact"])
def test_too_many_keywords_that_end_in_one_another_are_refused(key: str) -> None:
    nest = ["星月" * (at // 2) + "星" * (at % 2) for at in range(1, NEST + 3)]
    ends = sorted({word[-at:] for word in nest for at in range(1, len(nest) + 1)}, key=len)
    chain = [one for one in ends if one.endswith("月")]
    assert when(f"{{{key}: {chain[:NEST]}}}")
    with pytest.raises(SettingsError, match="ends in 8 other keywords"):
        when(f"{{{key}: {chain[: NEST + 1]}}}")
