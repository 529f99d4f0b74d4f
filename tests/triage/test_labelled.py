"""Messages of our own, judged by the shipped rules: half of them were looked at while tuning, half were not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from aggregator.model import Verdict
from aggregator.triage.loader import load
from aggregator.triage.ruleset import Ruleset, Subject

ROOT = Path(__file__).parents[2]
LABELLED = ROOT / "tests" / "fixtures" / "labelled"
HIGH = ("P1", "P2")
HALVES = ("dev", "held")


@dataclass(frozen=True, slots=True)
class Message:
    text: str
    lang: str
    sentiment: str
    priority: str
    complaint: bool

    @property
    def half(self) -> str:
        """`dev` may be looked at while rules are tuned, `held` may not."""
        return HALVES[sha256(self.text.encode("utf-8")).digest()[0] % 2]


def messages(lang: str) -> list[Message]:
    lines = (LABELLED / f"{lang}.jsonl").read_text(encoding="utf-8").splitlines()
    return [Message(**json.loads(line)) for line in lines]


@pytest.fixture(scope="module")
def shipped() -> Ruleset:
    return load(ROOT / "rules")


Judged = list[tuple[Message, Verdict]]


@pytest.fixture(scope="module", params=[(lang, half) for lang in ("zh", "en") for half in HALVES])
def judged(request: pytest.FixtureRequest, shipped: Ruleset) -> Judged:
    lang, half = request.param
    return [(one, shipped.judge(Subject(one.text))) for one in messages(lang) if one.half == half]


def test_what_is_urgent_is_found_and_little_else_is_called_urgent(judged: Judged) -> None:
    precision, recall = found([(one.priority in HIGH, it.priority in HIGH) for one, it in judged])
    assert recall >= 0.85, wrong([(one, it) for one, it in judged if one.priority in HIGH])
    assert precision >= 0.70, wrong([(one, it) for one, it in judged if one.priority not in HIGH])


def test_complaints_are_told_from_questions_praise_and_chatter(judged: Judged) -> None:
    precision, recall = found([(one.complaint, "complaint" in it.tags) for one, it in judged])
    assert 2 * precision * recall / (precision + recall) >= 0.70


def test_the_labelled_messages_are_many_of_every_kind_and_none_is_there_twice() -> None:
    for lang, least in (("zh", 200), ("en", 100)):
        rows = messages(lang)
        assert len({one.text for one in rows}) == len(rows) >= least
        assert {one.lang for one in rows} == {lang}
        for half in HALVES:
            mine = [one for one in rows if one.half == half]
            assert {one.priority for one in mine} == {"P1", "P2", "P3", "P4"}
            assert {one.sentiment for one in mine} == {"positive", "neutral", "negative"}
            assert {one.complaint for one in mine} == {True, False}


@pytest.mark.parametrize(
    ("text", "priority"),
    [
        ("点的饭还没到", "P2"),
        ("点的饭两小时才到", "P3"),
        ("包裹五天了还没收到", "P2"),
        ("包裹五天才收到，等得花都谢了", "P3"),
        ("my food still hasn't arrived", "P2"),
        ("my food took two hours, awful", "P3"),
        ("退款申请十天了，一分钱没到账", "P2"),
        ("退款秒到账，好评", "P4"),
    ],
)
def test_an_open_wait_is_urgent_and_a_finished_one_is_not(
    shipped: Ruleset, text: str, priority: str
) -> None:
    verdict = shipped.judge(Subject(text))
    assert verdict.priority == priority, verdict.reasons


def test_a_bad_mood_about_something_else_is_no_complaint(shipped: Ruleset) -> None:
    for text in ("今天心情太糟糕了，好难过", "I hate Mondays, so sad today"):
        verdict = shipped.judge(Subject(text))
        assert verdict.sentiment == "negative"
        assert "complaint" not in verdict.tags, verdict.reasons


def found(pairs: Sequence[tuple[bool, bool]]) -> tuple[float, float]:
    """Precision and recall of pairs (is, was said to be)."""
    both = sum(true and said for true, said in pairs)
    return both / sum(said for _, said in pairs), both / sum(true for true, _ in pairs)


def wrong(rows: Judged) -> list[str]:
    return [
        f"{one.priority} was judged {it.priority}: {one.text}"
        for one, it in rows
        if one.priority != it.priority
    ]
