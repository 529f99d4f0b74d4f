"""A learnt model: what it may say, what it may never do, and files that are none."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from aggregator.errors import SettingsError
from aggregator.model import Priority
from aggregator.triage.learned import Learned, Model, Opinion, dump, grams, parse, recorded
from aggregator.triage.modelfile import ModelFile
from aggregator.triage.ruleset import Ruleset, Subject
from tests.triage.making import ruleset

RULES = """
schema: 1
rules:
  - {id: hurry-words, when: {any: [急]}, then: {urgency: 2}}
  - {id: fire-words, when: {any: [起火]}, then: {urgency: 3, importance: 3}}
  - {id: lottery-words, when: {any: [抽奖]}, then: {importance: 2, at_most: P4}}
"""
# 码 speaks for a size, 烦 for a bad mood, 批 (wholesale) for importance.
GRAMS = ["码", "烦", "批"]
HEADS = {
    "label:size": (-2.0, [6.0, 0.0, 0.0]),
    "sentiment:negative": (-2.0, [0.0, 6.0, 0.0]),
    "sentiment:positive": (-2.0, [0.0, 0.0, 0.0]),
    "important": (-2.0, [0.0, 0.0, 6.0]),
}


def model(heads: dict[str, tuple[float, list[float]]] = HEADS) -> Model:
    return parse(dump(GRAMS, [1.0, 1.0, 1.0], heads, {"corrected": 3}).encode(), "m.json")


def judging(*, live: bool) -> Ruleset:
    return ruleset(RULES).having(Learned(model(), live))


def test_in_shadow_a_model_is_recorded_and_has_no_effect() -> None:
    plain, shadow = ruleset(RULES), judging(live=False)
    for text in ("尺码不对", "烦死了", "要批发", "急，码", "", "好"):
        before, after = plain.judge(Subject(text)), shadow.judge(Subject(text))
        assert before.reasons == after.reasons[:-1]
        assert (before.priority, before.tags, before.sentiment, before.importance) == (
            after.priority,
            after.tags,
            after.sentiment,
            after.importance,
        )
    assert "(shadow): labels size" in shadow.judge(Subject("尺码不对")).reasons[-1]
    assert shadow.judge(Subject("")).reasons[-1].endswith("(shadow): nothing")


def test_live_it_adds_labels_a_mood_and_importance() -> None:
    rules = judging(live=True)
    assert rules.judge(Subject("尺码不对")).tags == ("size",)
    assert rules.judge(Subject("烦烦")).sentiment == "negative"
    found = rules.judge(Subject("批批"))
    assert (found.priority, found.importance, found.urgency) == (Priority.P3, 2, 0)


def test_no_model_makes_a_message_p1_or_takes_anything_from_the_rules() -> None:
    rules = judging(live=True)
    hurry = rules.judge(Subject("急！批发批发"))
    assert (hurry.urgency, hurry.importance, hurry.priority) == (2, 2, Priority.P2)
    fire = rules.judge(Subject("起火了，码"))
    assert (fire.priority, fire.tags) == (Priority.P1, ("size",))
    assert rules.judge(Subject("抽奖批批")).priority is Priority.P4


def test_many_are_judged_as_one_at_a_time() -> None:
    rules = judging(live=True)
    subjects = [Subject(text) for text in ("尺码", None, "烦", "急批", "你好" * 3_000)]
    assert rules.evaluate_many(subjects) == [rules.judge(one) for one in subjects]


def test_what_was_recorded_is_read_back() -> None:
    rules = judging(live=False)
    version = model().version
    assert recorded(rules.judge(Subject("码烦")).reasons) == (
        version,
        Opinion(("size",), "negative", False),
    )
    assert recorded(rules.judge(Subject("批")).reasons) == (version, Opinion((), None, True))
    assert recorded(rules.judge(Subject("好")).reasons) == (version, Opinion())
    assert recorded(ruleset(RULES).judge(Subject("码")).reasons) is None


def test_features_are_characters_folded() -> None:
    assert list(grams("碼")) == ["码", " 码", "码 ", " 码 "]
    assert set(grams("ＡＢ")) == set(grams("ab"))
    assert list(grams("")) == []


def test_the_version_is_that_of_the_weights_not_of_the_day() -> None:
    one = parse(dump(GRAMS, [1.0] * 3, HEADS, {"trained_at": "monday"}).encode(), "m")
    other = parse(dump(GRAMS, [1.0] * 3, HEADS, {"trained_at": "tuesday"}).encode(), "m")
    assert one.version == other.version
    assert one.version != parse(dump(GRAMS, [2.0] * 3, HEADS, {}).encode(), "m").version


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"format": 2}',
        b'{"format": 1, "grams": [["a", "x"]], "heads": {}}',
        b'{"format": 1, "grams": [["a", NaN]], "heads": {}}',
        b'{"format": 1, "grams": [[1, 1]], "heads": {}}',
        b'{"format": 1, "grams": [], "heads": {"a": {"bias": 1}}}',
        b'{"format": 1, "grams": [], "heads": {"a": {"bias": true, "weights": {}}}}',
        b'{"format": 1, "grams": [], "heads": {}, "about": 3}',
        b"[" * 100_000,
        dump(GRAMS, [1.0] * 3, HEADS, {}).encode()[:-40],
    ],
)
def test_a_file_that_is_no_model_is_refused_with_a_remedy(data: bytes) -> None:
    with pytest.raises(SettingsError, match=r"m\.json:1: no model"):
        parse(data, "m.json")


def test_a_new_file_is_taken_and_a_bad_one_leaves_the_last_good_one(tmp_path: Path) -> None:
    path = tmp_path / "learned.json"
    file = ModelFile(path, live=True)
    assert (file.current, file.problem) == (None, None)
    path.write_text(dump(GRAMS, [1.0] * 3, HEADS, {}), "utf-8")
    file.look()
    first = file.current
    assert first is not None
    assert first.live
    path.write_text("{", "utf-8")
    file.look()
    assert file.current is first
    assert "no model" in str(file.problem)
    path.unlink()
    file.look()
    assert "is gone" in str(file.problem)
    path.write_text(dump(GRAMS, [2.0] * 3, HEADS, {}), "utf-8")
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 10**9))
    file.look()
    assert file.problem is None
    assert file.current is not first


def test_a_model_holds_data_and_no_code() -> None:
    content = json.loads(dump(GRAMS, [1.0] * 3, HEADS, {"corrected": 3}))
    assert set(content) == {"format", "about", "grams", "heads"}
