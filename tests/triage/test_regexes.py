from __future__ import annotations

import random
import time

import pytest

from aggregator.errors import SettingsError
from aggregator.triage.regexes import HITS, LONGEST, Regexes, regex
from tests.triage.making import hits, ruleset, when


def test_a_regex_is_matched_on_the_text_as_written_whatever_its_case() -> None:
    rules = when("{regex: ['订单号?\\s*\\d{6,}', 'rma-[0-9]+']}")
    assert hits(rules, "您好，订单 123456 还没到，Rma-77") == ["订单 123456", "Rma-77"]
    assert hits(rules, "订单 １２３４５６") == []  # \d is ASCII, and nothing was folded
    assert hits(rules, "訂單 123456") == []


def test_a_match_points_at_the_original_behind_emoji_and_wide_signs() -> None:
    assert hits(when("{regex: ['退.{0,3}款']}"), "😀👨‍👩‍👧㎏退👍了款") == ["退👍了款"]


def test_a_regex_is_a_group_among_groups() -> None:
    rules = when("{all: [{any: [退款]}, {regex: ['\\d+ ?天']}], within: 10}")
    assert hits(rules, "退款等了 5 天") == ["退款", "5 天"]
    assert hits(rules, "退款的事情我已经不想再说什么了，等了5天") == []
    assert hits(when("{any: [退款], regex: ['[0-9]+']}"), "退款") == []


def test_masks_vetoes_and_negators_hold_for_a_regex_too() -> None:
    assert hits(when("{regex: ['爆炸'], mask: [颜值爆炸]}"), "颜值爆炸") == []
    assert hits(when("{regex: ['爆.'], not: [演习]}"), "爆炸演习") == []
    assert hits(when("{regex: ['好.用'], negation: block}"), "不好使用") == []


def test_a_regex_reads_the_rules_part() -> None:
    quoted = when("{regex: ['起火'], part: quoted}")
    assert hits(quoted, "转发//@某人:真的起火了") == ["起火"]
    assert hits(quoted, "真的起火了") == []


REFUSED = [
    (r"(?<!不)好", "use mask: for what stands around a word"),
    (r"好(?!吃)", "no lookbehind and no lookahead"),
    (r"(好)\1", "no backreference"),
    (r"(?P<a>好)(?P=a)", "no backreference"),
    (r"好{1001}", "at most 1000 repetitions"),
    (r"(?>好)", "RE2 has no such group"),
    (r"好(", "missing )"),
    (r"[好", "missing ]"),
    (r"好*", "matches even an empty text"),
    (r".{0,1000}诉", "too big"),
    ("好" * (LONGEST + 1), "200 are allowed"),
    ("", "an empty regex"),
]


@pytest.mark.parametrize(("written", "words"), REFUSED)
def test_what_re2_refuses_is_told_with_what_to_write_instead(written: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as refusal:
        regex(written)
    assert words in str(refusal.value)
    assert "b'" not in str(refusal.value)


def test_nothing_is_said_on_stderr_by_the_library(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="missing"):
        regex("(好")
    assert capfd.readouterr().err == ""


def test_there_are_at_most_so_many_regexes() -> None:
    many = ", ".join(f"'订单{number}x+'" for number in range(101))
    with pytest.raises(SettingsError, match="too many regexes"):
        when(f"{{regex: [{many}]}}")


def test_a_text_full_of_hits_gives_a_bounded_number_of_them() -> None:
    assert len(Regexes({0: [regex("啊")]}).scan("啊" * 5_000)[0]) == HITS


def test_where_reading_stops_is_no_end_of_the_text() -> None:
    slow = [regex(f"[款a].{{0,90}}{number}") for number in range(5)]
    rows = Regexes({0: [regex("款$")], 1: slow})
    assert [(hit.start, hit.end) for hit in rows.scan("退款")[0]] == [(1, 2)]
    for spaces in range(12):  # wherever the cut falls, a character may stand just before it
        assert 0 not in rows.scan(" " * spaces + "款012345" * 700)


BOMBS = [
    r"(a+)+$",
    r"^(\w+\s?)+$",
    r"(.*)(.*)(.*)(.*)投诉$",
    r"[退a].{0,100}诉",
    r"(\p{Han}{2,5}\s?){2}诉",
    r"(a|ab|b|ba){50}诉",
    r"(?s).{1,100}",
]


def test_no_regex_makes_a_message_cost_more_than_a_few_milliseconds() -> None:
    chance = random.Random(7)
    texts = ["a" * 5_000, "refund refund " * 350 + "！！"]
    texts += [
        "".join(chance.choices(letters, k=5_000)) for letters in ("😡退a诉", "退款,1ab ", "ab")
    ]
    for bombs in ([one] for one in BOMBS), [BOMBS]:
        for some in bombs:
            rows = Regexes({0: [regex(one) for one in some]})
            for text in texts:
                took = min(_took(rows, text) for _ in range(5))
                assert took < 0.005, (some, text[:20])


def _took(rows: Regexes, text: str) -> float:
    begun = time.perf_counter()
    rows.scan(text)
    return time.perf_counter() - begun


def test_a_regex_in_a_rule_counts_for_the_version() -> None:
    one, other = when("{regex: ['a.b']}"), when("{regex: ['a.c']}")
    assert one.version != other.version
    assert ruleset().version != one.version
