from __future__ import annotations

import time

import pytest

from tests.triage.making import hits, judged, ruleset, when


@pytest.mark.parametrize(
    ("keyword", "text", "hit"),
    [
        ("vip", "我是VIP啊", "VIP"),
        ("vip", "two vipers", None),
        ("vip", "ｖｉｐ退款", "ｖｉｐ"),
        ("vip", "a_vip_b", "vip"),
        ("refund", "refunded", None),
        ("refund", "REFUND!", "REFUND"),
        ("12315", "打12315投诉", "12315"),
        ("12315", "订单9123150", None),
        ("3天", "等了13天", None),
        ("3天", "等了3天", "3天"),
        ("退款", "我要退 款", "退 款"),
        ("退款", "申請退\u200b款", "退\u200b款"),
        ("錢還沒到", "钱还没到", "钱还没到"),
        ("钱还没到", "錢還沒到", "錢還沒到"),
        ("money back", "my money\n  back now", "money\n  back"),
        ("soo good", "soooooo good", "soooooo good"),
        ("good", "goooood", "goooood"),
        ("退款", "退退款款", "退款"),
        ("great*", "so greatful", "great"),
        ("great*", "ingreat", None),
        ("can't", "I can’t log in", "can’t"),
        ("👨", "👨\u200d👩\u200d👧", None),
        ("👨", "👨👩", "👨"),
        ("👨\u200d👩\u200d👧", "一家👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("👍", "👍🏽", "👍"),
        ("[怒]", "气死[怒]", "[怒]"),
        ("泪", "[泪]", None),
        ("[泪]", "[淚]", "[淚]"),
        ("no", "no", "no"),
        ("off", "turned OFF", "OFF"),
        ("18:00", "营业到１８：００吗", "１８：００"),
    ],
)
def test_a_keyword_hits_by_its_fold_and_its_edges(keyword: str, text: str, hit: str | None) -> None:
    found = hits(when(f"{{any: ['{keyword.replace(chr(39), chr(39) * 2)}']}}"), text)
    assert found == ([hit] if hit else [])


def test_plain_no_off_and_a_time_stay_text() -> None:
    rules = ruleset("""
        schema: 1
        rules:
          - id: plain-words
            when:
              any: [no, off, 18:00, 0755]
            then: {labels: [no]}
        """)
    assert hits(rules, "No, it is 18:00 and 0755") == ["No", "18:00", "0755"]
    assert judged(rules, "off").tags == ("no",)


@pytest.mark.parametrize(
    ("text", "fires"),
    [
        ("这个颜值爆炸，爱了", False),
        ("爆炸头好看", False),
        ("颜值爆炸，但是充电宝也爆炸了", True),
        ("爆炸了", True),
    ],
)
def test_a_mask_takes_away_only_the_hits_inside_it(text: str, fires: bool) -> None:
    assert bool(hits(when("{any: [爆炸], mask: [爆炸头, 颜值爆炸]}"), text)) is fires


def test_a_veto_anywhere_in_the_message_silences_the_rule() -> None:
    rules = when("{any: [退款], not: [已到账]}")
    assert hits(rules, "退款什么时候到") == ["退款"]
    assert hits(rules, "已到账，谢谢，上次的退款处理得很快") == []


def test_all_groups_must_stand_inside_the_span() -> None:
    rules = when('{all: [{any: [退款]}, {any: [还没, "still waiting"]}], within: 10}')
    assert hits(rules, "退款还没到") == ["退款", "还没"]
    assert hits(rules, "还没收到退款") == ["还没", "退款"]
    assert hits(rules, "退款的事情我已经跟你们客服说过了很多遍，还没到") == []
    assert hits(rules, "退款很多遍的事先不说了，你们先看看这个退款还没到") == ["退款", "还没"]


def test_without_a_span_the_groups_may_stand_anywhere() -> None:
    rules = when("{all: [{any: [退款]}, {any: [还没]}]}")
    assert hits(rules, "退款的事情我已经跟你们客服说过了很多遍了，真的很多遍，还没到") == [
        "退款",
        "还没",
    ]
    assert hits(rules, "退款到了") == []


def test_within_counts_folded_characters_to_the_end_of_the_last_hit() -> None:
    rules = when("{all: [{any: [退款]}, {any: [还没]}], within: 7}")
    assert hits(rules, "退款一二三还没")
    assert not hits(rules, "退款一二三四还没")
    assert hits(rules, "退 款 一 二 三 还 没")


def test_count_wants_different_keywords() -> None:
    rules = when("{count: {of: [慢, 贵, 差, 吵], min: 2}}")
    assert hits(rules, "又慢又差") == ["慢", "差"]
    assert hits(rules, "慢慢慢，慢") == []
    assert hits(rules, "慢一点") == []


def test_exact_is_cased_and_reads_the_original() -> None:
    rules = when("{exact: [IT, 髮廊]}")
    assert hits(rules, "the IT desk") == ["IT"]
    assert hits(rules, "it works, says ITV") == []
    assert hits(rules, "这家髮廊") == ["髮廊"]
    assert hits(rules, "这家发廊") == []


def test_exact_may_stand_in_a_group_with_a_span() -> None:
    rules = when("{all: [{exact: [ACME]}, {any: [退款]}], within: 8}")
    assert hits(rules, "ＸＸ ACME 退款") == ["ACME", "退款"]
    assert hits(rules, "acme退款") == []


def test_any_and_exact_together_must_both_hold() -> None:
    rules = when("{any: [退款], exact: [VIP]}")
    assert hits(rules, "VIP要退款") == ["VIP", "退款"]
    assert hits(rules, "vip要退款") == []


def test_a_list_is_used_by_name_and_a_literal_at_is_written_twice() -> None:
    rules = ruleset("""
        schema: 1
        lists:
          refund: [退款, "money back"]
        rules:
          - id: by-list
            when: {any: ["@refund", "@@acme"]}
            then: {labels: [money]}
        """)
    assert hits(rules, "我要Money Back") == ["Money Back"]
    assert hits(rules, "@acme hello") == ["@acme"]
    assert hits(rules, "acme hello") == []


def test_own_words_are_judged_and_a_repost_chain_is_not() -> None:
    own, quoted, both = (
        when(f"{{any: [退款], part: {part}}}") for part in ("own", "quoted", "all")
    )
    chain = "转发微博//@小明:我要退款 // @小红 ：同求"
    assert hits(own, chain) == []
    assert hits(quoted, chain) == ["退款"]
    assert hits(both, "退款//@小明:退款") == ["退款", "退款"]
    assert hits(own, "回复@退款专员: 收到") == []


def test_a_quoted_post_has_offsets_of_its_own() -> None:
    rules = when("{any: [退款], part: quoted}")
    verdict = judged(rules, "看看这个", quoted="大家都在退款")
    (match,) = verdict.matches
    assert (match.quoted, match.start, match.end) == (True, 4, 6)
    assert judged(when("{any: [退款]}"), "看看这个", quoted="大家都在退款").matches == ()


def test_a_veto_reads_the_part_of_its_rule() -> None:
    rules = when("{any: [退款], not: [已到账]}")
    assert hits(rules, "退款呢//@客服:已到账") == ["退款"]


NEGATED = [
    ("没有起火", True),
    ("起火了", False),
    ("特别起火", False),
    ("不仅起火了", False),
    ("没，起火了", False),
    ("没说会不起火", False),
    ("不一二三四五起火", True),
    ("不一二三四五六起火", False),
    ("it did not catch fire: no smoke, no 起火", True),
    ("don't you see 起火", True),
    ("don't you ever really see 起火", False),
    ("not only 起火", False),
]


@pytest.mark.parametrize(("text", "negated"), NEGATED)
def test_a_near_negator_in_the_same_clause_blocks_where_the_rule_says_so(
    text: str, negated: bool
) -> None:
    assert bool(hits(when("{any: [起火], negation: block}"), text)) is not negated
    assert hits(when("{any: [起火]}"), text) == ["起火"]


def test_a_negator_inside_another_hit_of_the_rule_negates_nothing() -> None:
    rules = when("{all: [{any: [还没]}, {any: [退款]}], negation: block}")
    assert hits(rules, "还没退款") == ["还没", "退款"]
    assert hits(rules, "不用退款，还没") == []


def test_a_flipped_rule_turns_its_mood_round_and_says_nothing_else() -> None:
    rules = when("{any: [好用], negation: flip}", "{sentiment: 2, labels: [praise], urgency: 1}")
    plain, denied = judged(rules, "很好用"), judged(rules, "一点都不好用")
    assert plain.score > 0 > denied.score
    assert (plain.tags, plain.urgency) == (("praise",), 1)
    assert (denied.tags, denied.urgency) == ((), 0)
    assert "negated" in denied.reasons[0]


def test_only_the_first_5000_characters_are_judged_and_the_verdict_says_so() -> None:
    rules = when("{any: [退款]}")
    assert hits(rules, "好" * 4998 + "退款") == ["退款"]
    late = judged(rules, "好" * 4999 + "退款")
    assert late.matches == ()
    assert late.truncated
    assert any("5000" in reason for reason in late.reasons)


def test_a_message_without_words_fires_nothing() -> None:
    rules = when("{any: [退款]}")
    for text in (None, "", "\x00\u200b\ud800"):
        assert hits(rules, text) == []
    assert hits(when("{exact: [退款]}"), "\ud83d退款\udc00") == ["退款"]


def test_a_message_made_of_hits_stays_cheap_and_its_evidence_short() -> None:
    rules = when(
        "{all: [{any: [退款, 退, 款]}, {any: [没]}], within: 9, mask: [退款了, 没了], negation: block}"
    )
    started = time.perf_counter()
    verdict = judged(rules, "退款没了" * 1250)
    assert time.perf_counter() - started < 1.0
    assert len(verdict.matches) <= 20


def test_the_same_words_in_two_rules_are_evidence_of_both() -> None:
    rules = ruleset("""
        schema: 1
        rules:
          - {id: first-rule, when: {any: [退款]}, then: {labels: [a]}}
          - {id: second-rule, when: {any: [退款, 款]}, then: {labels: [b]}}
        """)
    verdict = judged(rules, "要退款")
    assert [(one.rule, one.term, one.start, one.end) for one in verdict.matches] == [
        ("first-rule", "退款", 1, 3),
        ("second-rule", "退款", 1, 3),
        ("second-rule", "款", 2, 3),
    ]
    assert verdict.tags == ("a", "b")
