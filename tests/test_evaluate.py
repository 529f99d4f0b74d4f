from __future__ import annotations

import json
from pathlib import Path

import pytest

from aggregator.triage.loader import load_texts
from bench.evaluate import Score, own, public, score

RULES = load_texts(
    {
        "sentiment/zh.yaml": 'schema: 1\nterms: {"2": [好吃], "-2": [难吃]}\n',
        "45-complaint.yaml": "schema: 1\nrules: [{id: complaint, when: {any: [投诉]}, "
        "then: {urgency: 2, importance: 2, labels: [complaint]}, tests: [{hit: 投诉}, {miss: 好吃}]}]\n",
    }
)


def test_every_label_weighs_the_same_in_a_macro_figure() -> None:
    rows = [("positive", "positive")] * 8 + [("negative", "positive")] * 2
    assert score(rows, ("negative", "positive")) == Score(0.8, pytest.approx(4 / 9), 0.5)


def test_a_text_without_a_mood_is_negative_where_there_are_two_labels(tmp_path: Path) -> None:
    (tmp_path / "waimai_10k.csv").write_text(
        "label,review\n1,好吃\n0,难吃\n0,还没送到\n", encoding="utf-8"
    )
    ((title, figures),) = public(RULES, str(tmp_path))
    assert "3 texts" in title
    assert {one.name: one.value for one in figures}["accuracy"] == 1.0


def test_a_half_is_every_second_text(tmp_path: Path) -> None:
    (tmp_path / "waimai_10k.csv").write_text(
        "label,review\n1,好吃\n1,难吃\n0,难吃\n", encoding="utf-8"
    )
    halves = [next(public(RULES, str(tmp_path), half)) for half in ("even", "odd")]
    assert [figures[2].value for _, figures in halves] == [1.0, 0.0]


def test_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(public(RULES, "")) == []
    assert list(public(RULES, str(tmp_path))) == []
    assert list(own(RULES, tmp_path / "none")) == []
    said = capsys.readouterr().out
    assert "INBOXD_EVALUATION" in said
    assert "waimai_10k.csv is not in" in said
    assert "labelled" in said


def test_our_own_messages_are_scored_by_level_and_complaint(tmp_path: Path) -> None:
    lines = [
        {"text": "再不退款就投诉", "sentiment": "neutral", "priority": "P1", "complaint": True},
        {"text": "好吃", "sentiment": "positive", "priority": "P4", "complaint": False},
        {"text": "着火了", "sentiment": "negative", "priority": "P1", "complaint": False},
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (tmp_path / "zh.jsonl").write_text(text, encoding="utf-8")
    ((_, figures),) = own(RULES, tmp_path)
    found = {one.name: one.value for one in figures}
    assert found["P1 and P2, recall"] == 0.5
    assert found["P1 and P2, precision"] == 1.0
    assert found["complaints, F1"] == 1.0
