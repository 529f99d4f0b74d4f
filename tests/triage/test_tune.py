from __future__ import annotations

from pathlib import Path

import pytest

from aggregator.errors import SettingsError
from aggregator.triage.loader import lint, load_texts, try_folder
from aggregator.triage.ruleset import Ruleset
from tests.triage.making import hits, judged

SHIPPED = """
schema: 1
rules:
  - id: safety-incident
    when: {any: [起火, 冒烟], mask: [冒烟测试]}
    then: {urgency: 3, importance: 3, labels: [safety]}
    tests:
      - hit: 充电宝起火了
        expect: {priority: P1}
      - miss: 冒烟测试
  - id: refund-waiting
    when: {all: [{any: [退款]}, {any: [还没]}], within: 20}
    then: {urgency: 2, labels: [refund]}
    tests: [{hit: 退款还没到}, {miss: 退款}]
  - id: only-mood
    when: {sentiment: {lt: -0.5}}
    then: {importance: 1}
    tests: [{miss: 你好}]
"""


def tuned(*tunes: str) -> Ruleset:
    files = {f"site-{at}.yaml": f"schema: 1\ntune: [{one}]\n" for at, one in enumerate(tunes)}
    return load_texts({"10-shipped.yaml": SHIPPED, **files})


def test_words_masks_and_vetoes_are_added_to_a_rule_that_stays_as_shipped() -> None:
    rules = tuned(
        "{rules: [safety-incident], add_any: [自燃], add_mask: [起火锅], add_not: [演习]}"
    )
    assert hits(rules, "车自燃了") == ["自燃"]
    assert hits(rules, "现场起火") == ["起火"]
    assert hits(rules, "起火锅真好吃") == []
    assert hits(rules, "冒烟测试") == []
    assert hits(rules, "消防演习起火") == []


def test_a_veto_and_a_mask_may_be_the_first_of_their_rule() -> None:
    assert (
        judged(tuned("{rules: [refund-waiting], add_not: [已到账]}"), "退款还没看，已到账").tags
        == ()
    )
    assert judged(tuned("{rules: [refund-waiting], add_mask: [还没看]}"), "退款还没看").tags == ()


def test_a_status_and_effects_are_set_and_the_rest_stays() -> None:
    rules = tuned("{rules: [refund-waiting], set: {urgency: 0, labels: [money]}}")
    verdict = judged(rules, "退款还没到")
    assert (verdict.urgency, verdict.tags) == (0, ("money",))
    shadow = tuned("{rules: [safety-incident, refund-waiting], status: shadow}")
    verdict = judged(shadow, "起火了，退款还没到")
    assert verdict.tags == ()
    assert sum(reason.startswith("shadow") for reason in verdict.reasons) == 2
    assert judged(tuned("{rules: [safety-incident], status: off}"), "起火了").tags == ()


def test_lists_may_be_named_and_a_literal_at_sign_is_written_twice() -> None:
    text = "schema: 1\nlists: {burns: [自燃, 燎着了]}\ntune: [{rules: [safety-incident], add_any: ['@burns', '@@消防']}]\n"
    rules = load_texts({"a.yaml": SHIPPED, "b.yaml": text})
    assert hits(rules, "燎着了，@消防 快来") == ["燎着了", "@消防"]


def test_two_tunes_of_one_rule_come_together_whatever_their_order() -> None:
    one, two = (
        "{rules: [safety-incident], add_any: [自燃]}",
        "{rules: [safety-incident], add_any: [燎着], set: {importance: 1}}",
    )
    first, second = tuned(one, two), tuned(two, one)
    assert first.version == second.version
    assert judged(first, "燎着自燃") == judged(second, "燎着自燃")
    assert first.version != tuned(one).version


def lint_with(tmp_path: Path, *tunes: str) -> list[tuple[str, str, str]]:
    (tmp_path / "a.yaml").write_text(SHIPPED, encoding="utf-8")
    for at, one in enumerate(tunes):
        (tmp_path / f"site-{at}.yaml").write_text(f"schema: 1\ntune: [{one}]\n", encoding="utf-8")
    return [(one.code, one.place.removeprefix(f"{tmp_path}/"), one.text) for one in lint(tmp_path)]


@pytest.mark.parametrize(
    ("tunes", "code", "place", "words"),
    [
        (["{rules: [safety-incidnt], status: off}"], "unknown-rule", "site-0.yaml:2:17", "did you mean 'safety-incident'?"),
        (["{rules: [refund-waiting], add_any: [退钱]}"], "tune", "site-0.yaml:2:34", "write a rule of your own"),
        (["{rules: [only-mood], set: {urgency: 2}}"], "tune", "site-0.yaml:2:44", "urgency never comes from sentiment"),
        (["{rules: [safety-incident], add_any: [“自燃”]}"], "full-width", "site-0.yaml:2:45", "full-width quotes"),
        (["{rules: [safety-incident], add_any: ['@burns']}"], "missing-list", "site-0.yaml:2:45", "there is no list burns"),
        (["{rules: [safety-incident], add_any: [着火, 起火]}"], "duplicate-keyword", "site-0.yaml:2:35", "stands in the rule already"),
        (["{rules: [safety-incident]}"], "schema", "site-0.yaml:2:8", "changes nothing"),
        (["{rules: [safety-incident], ad_any: [自燃]}"], "schema", "site-0.yaml:2:35", "did you mean 'add_any'?"),
        (["{rules: [safety-incident], set: {urgncy: 1}}"], "schema", "site-0.yaml:2:41", "did you mean 'urgency'?"),
        (
            ["{rules: [safety-incident], set: {urgency: 1}}", "{rules: [safety-incident], set: {urgency: 2}}"],
            "tune-conflict",
            "site-1.yaml:2:50",
            "site-0.yaml:2:50 sets another urgency",
        ),
    ],
)  # fmt: skip
def test_a_tune_that_does_not_fit_is_named_with_its_place(
    tmp_path: Path, tunes: list[str], code: str, place: str, words: str
) -> None:
    found = [
        one for one in lint_with(tmp_path, *tunes) if one[0] not in ("example-tuned", "unused-list")
    ]
    assert [one[:2] for one in found] == [(code, place)]
    assert words in found[0][2]


def test_two_tunes_that_say_the_same_are_no_conflict(tmp_path: Path) -> None:
    same = "{rules: [refund-waiting], status: shadow}"
    assert lint_with(tmp_path, same, same) == []


def test_a_shipped_example_that_only_a_tune_contradicts_is_a_warning(tmp_path: Path) -> None:
    found = lint_with(tmp_path, "{rules: [safety-incident], set: {urgency: 1}}")
    assert [one[0] for one in found] == ["example-tuned"]
    assert "expected P1, it is P3" in found[0][2]
    assert all(one.passed for one in try_folder(tmp_path))
    load_texts(
        {"a.yaml": SHIPPED, "b.yaml": "tune: [{rules: [safety-incident], set: {urgency: 1}}]"}
    )


def test_an_example_under_tune_must_hold(tmp_path: Path) -> None:
    good = "{rules: [safety-incident], add_any: [自燃], tests: [{hit: 自燃了}, {miss: 自然}]}"
    assert lint_with(tmp_path, good) == []
    ((code, place, _),) = lint_with(tmp_path, good.replace("自燃了", "自然了"))
    assert (code, place) == ("example-failed", "site-0.yaml:2:64")
    with pytest.raises(SettingsError):
        tuned(good.replace("自燃了", "自然了"))


def test_a_tune_of_a_rule_whose_file_is_bad_just_now_waits_for_it(tmp_path: Path) -> None:
    from aggregator.triage.reload import RuleBook

    (tmp_path / "a.yaml").write_text("rules: [", encoding="utf-8")
    (tmp_path / "site.yaml").write_text(
        "tune: [{rules: [safety-incident], status: shadow}]", encoding="utf-8"
    )
    book = RuleBook(tmp_path)
    assert {one.partition(":")[0].rpartition("/")[2] for one in book.problems} == {"a.yaml"}
    assert "site.yaml" in book.current.sources
