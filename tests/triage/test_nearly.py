"""A closer look: what became of each word, and why a rule did not fire."""

from __future__ import annotations

import pytest

from aggregator.triage.nearly import State, look
from aggregator.triage.ruleset import Ruleset, Subject
from tests.triage.making import CELEBRITY, ruleset, when


def why(rules: Ruleset, text: str | None, **facts: object) -> dict[str, str]:
    found = look(rules, Subject(text, **facts))  # type: ignore[arg-type]
    return {one.rule.id: one.why for one in found.near}


def states(rules: Ruleset, text: str, quoted: str | None = None) -> list[tuple[str, State]]:
    found = look(rules, Subject(text, quoted=quoted))
    return [
        (((quoted or "") if one.match.quoted else text)[one.match.start : one.match.end], one.state)
        for one in found.marks
    ]


@pytest.mark.parametrize(
    ("condition", "text", "said"),
    [
        (
            "{all: [{any: [退款, 退钱]}, {any: [还没, 一直没]}]}",
            "我要退款",
            "退款 is there, and none of 还没, 一直没",
        ),
        ("{any: [退款], not: [已到账]}", "退款已到账", "退款: vetoed by 已到账"),
        ("{any: [爆炸], mask: [颜值爆炸]}", "颜值爆炸！", "爆炸 lies inside the mask 颜值爆炸"),
        ("{any: [起火], negation: block}", "没有起火", "起火 is negated"),
        (
            "{count: {of: [退款, 投诉, 律师], min: 2}}",
            "退款退款",
            "退款: 1 of at least 2 different words",
        ),
        (
            "{all: [{any: [退款]}, {any: [还没]}], within: 6}",
            "退款的事说了好多好多遍还没有人理",
            "退款, 还没 are not within 6 characters",
        ),
        ("{any: [退款]}", "转发 //@甲: 退款", "退款 stands in quoted words only"),
        (
            "{any: [退款], part: quoted}",
            "退款 //@甲: 好",
            "退款 stands in the author's own words",
        ),
        (
            "{any: [退款], sentiment: {lt: -0.5}}",
            "退款",
            "退款 is there, and the sentiment is +0.00",
        ),
        (
            "{any: [退款], platform: [weibo]}",
            "退款",
            "退款 is there, but the platform is unknown, not weibo",
        ),
        (
            "{regex: ['订单\\d+'], lang: [en]}",
            "订单123",
            "订单\\d+ is there, but the lang is zh, not en",
        ),
        (
            "{any: [退款], author: {verified: true}}",
            "退款",
            "退款 is there, but the author is of unknown standing",
        ),
    ],
)
def test_each_way_to_miss_has_its_words(condition: str, text: str, said: str) -> None:
    rules = when(condition)
    assert rules.judge(Subject(text)).matches == ()
    assert why(rules, text) == {"the-rule": said}


def test_followers_are_told() -> None:
    rules = when("{any: [退款], author: {followers: {lt: 10}}}")
    said = why(rules, "退款", author=CELEBRITY)
    assert said == {"the-rule": "退款 is there, but the author has 860000 followers"}


def test_what_fired_and_what_has_no_word_there_is_not_near() -> None:
    rules = ruleset("""
        schema: 1
        rules:
          - {id: money-words, when: {any: [退款]}, then: {urgency: 1}}
          - {id: fire-words, when: {any: [起火]}, then: {urgency: 1}}
          - {id: turned-off, status: off, when: {all: [{any: [退款]}, {any: [急]}]}, then: {urgency: 1}}
        """)
    assert why(rules, "退款") == {}
    assert why(rules, None) == why(rules, "") == {}


def test_the_nearest_come_first() -> None:
    rules = ruleset("""
        schema: 1
        rules:
          - {id: far-away, when: {all: [{any: [退款]}, {any: [急]}, {any: [火]}]}, then: {urgency: 3}}
          - {id: most-near, when: {any: [退款], not: [谢谢]}, then: {urgency: 1}}
          - {id: half-near, when: {all: [{any: [退款]}, {any: [急]}]}, then: {urgency: 1}}
        """)
    assert list(why(rules, "退款谢谢")) == ["most-near", "half-near", "far-away"]


def test_every_word_of_a_rule_has_its_state() -> None:
    masked = when("{any: [爆炸], mask: [颜值爆炸]}")
    assert states(masked, "颜值爆炸，真的爆炸了") == [("爆炸", State.MASKED), ("爆炸", State.OWN)]
    vetoed = when("{any: [退款], not: [已到账]}")
    assert states(vetoed, "退款已到账") == [("退款", State.VETOED), ("已到账", State.VETO)]
    flipped = when("{any: [好用], negation: flip}", "{sentiment: 1}")
    assert states(flipped, "不好用") == [("好用", State.NEGATED)]
    everywhere = when("{any: [退款], part: all}")
    found = states(everywhere, "退款 //@甲: 退款", quoted="要退款")
    assert found == [("退款", State.OWN), ("退款", State.QUOTED), ("退款", State.QUOTED)]


def test_marks_point_at_the_original_text() -> None:
    rules = when("{all: [{any: [refund]}, {any: [急]}]}")
    assert states(rules, "ＲＥＦＵＮＤ！") == [("ＲＥＦＵＮＤ", State.IDLE)]
