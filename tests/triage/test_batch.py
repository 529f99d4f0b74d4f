from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.triage.reading import LIMIT
from aggregator.triage.ruleset import MESSAGES, Subject
from aggregator.triage.scan import BUDGET
from tests.triage.making import judged, ruleset, when

RULES = ruleset("""
    schema: 1
    rules:
      - {id: any-of, when: {any: [退款, vip, kg, ss, 👨‍👩‍👧, "[怒]", "no way"]}, then: {urgency: 2}}
      - {id: near, when: {all: [{any: [退款]}, {any: [还没, not]}], within: 8}, then: {labels: [wait]}}
      - {id: masked, when: {any: [差, 爆炸], mask: [差不多, 颜值爆炸]}, then: {importance: 2}}
      - {id: quoted, when: {any: [退款], part: quoted}, then: {labels: [quoted]}}
      - {id: blocked, when: {any: [好用, great*], negation: block}, then: {sentiment: 2}}
      - {id: exact, when: {exact: [VIP, 退款]}, then: {labels: [exact]}}
      - {id: gloomy, when: {sentiment: {lt: -0.3}}, then: {importance: 1}}
    """)
MIXTURE = (
    "退款 退\u200b款 退\u3000款 ＶＩＰ vip VIP ㎏ kg ß ss 👨\u200d👩\u200d👧 👨 [怒] [淚] 還沒 还没 not 差 差不多 "
    "爆炸 颜值爆炸 不好用 好用 greatest ，了 。 ! 啊啊啊啊 e\u0301 \u0336 \u200d \ufe0f //@王五:  回复@a:回 \ud83d … "
    "１２３ no\u00a0way"
)
WORDS = st.sampled_from(MIXTURE.split(" "))
TEXT = st.lists(st.one_of(WORDS, st.characters()), max_size=14).map("".join)
SUBJECTS = st.lists(st.builds(Subject, st.none() | TEXT, quoted=st.none() | TEXT), max_size=6)


@settings(deadline=None)
@given(SUBJECTS)
def test_messages_judged_together_are_judged_as_each_alone(subjects: list[Subject]) -> None:
    assert RULES.evaluate_many(subjects) == [RULES.judge(one) for one in subjects]


@settings(deadline=None)
@given(SUBJECTS)
def test_every_match_points_at_words_of_the_original_that_fold_to_its_keyword(
    subjects: list[Subject],
) -> None:
    folder = RULES.engine.folder
    for subject, verdict in zip(subjects, RULES.evaluate_many(subjects), strict=True):
        for match in verdict.matches:
            written = (subject.quoted if match.quoted else subject.text) or ""
            assert 0 <= match.start < match.end <= len(written)
            found = written[match.start : match.end]
            if match.rule == "exact":
                assert found == match.term
            else:
                assert folder.fold(found) == folder.fold(match.term.removesuffix("*"))


def test_more_messages_than_one_pass_takes_keep_their_order() -> None:
    texts = [f"第{number}条{'，退款' if number % 3 else ''}" for number in range(MESSAGES * 2 + 1)]
    verdicts = RULES.evaluate_many([Subject(one) for one in texts])
    assert [bool(one.matches) for one in verdicts] == ["退款" in one for one in texts]
    assert all(
        text[match.start : match.end] == "退款"
        for text, verdict in zip(texts, verdicts, strict=True)
        for match in verdict.matches
    )


def test_long_messages_are_told_of_as_such_in_any_company() -> None:
    long = Subject("好" * (LIMIT + 1))
    verdicts = RULES.evaluate_many([Subject("退款"), long, Subject(None), *[long] * 30])
    assert [one.truncated for one in verdicts] == [False, True, False, *[True] * 30]


@pytest.mark.parametrize("text", ["退款", "慢退款，还没"])
def test_a_word_said_a_thousand_times_counts_as_often_as_a_message_needs(text: str) -> None:
    rules = when("{all: [{any: [退款]}, {any: [终点]}], within: 20}")
    assert not judged(rules, text * 1000).matches
    near = judged(when("{any: [退款], mask: [退款政策]}"), "退款政策，" * (BUDGET // 2))
    assert not near.matches
    assert judged(when("{any: [退款, 终点]}"), text * 1000 + "终点").matches


PLAIN = ruleset("""
    schema: 1
    rules:
      - {id: refund, when: {any: [退款, 退钱, refund]}, then: {urgency: 2, labels: [money]}}
      - {id: anger, when: {any: [投诉, 差评], mask: [差评师]}, then: {importance: 2, sentiment: -1}}
      - {id: aside, status: shadow, when: {any: [物流]}, then: {urgency: 3}}
      - {id: spam, when: {any: [加微信]}, final: true, weight: 5, then: {at_most: P4}}
    """)
SAID = st.lists(
    st.sampled_from(
        [
            "退款",
            "退钱",
            "refund ",
            "投诉",
            "差评",
            "差评师",
            "物流",
            "加微信",
            "慢",
            "，",
            "㎏",
            "很好用",
        ]
    ),
    max_size=9,
).map("".join)


@given(SAID)
def test_the_short_way_of_plain_rules_comes_to_what_the_long_one_does(text: str) -> None:
    short, long = PLAIN.evaluate_many([Subject(text), Subject(text, quoted="。")])
    assert short == long
