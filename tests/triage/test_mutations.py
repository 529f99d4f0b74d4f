"""The examples of the shipped rules notice when a mask, a veto, a negation, a group, a span or a clamp is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.triage.mutations import Mutation, Pack, mutations

ROOT = Path(__file__).parents[2]
PACK = Pack(ROOT / "rules")


@pytest.mark.parametrize("rule", [rule.id for _, rule in PACK.rules])
def test_an_example_fails_when_a_shipped_rule_is_damaged(rule: str) -> None:
    (node,) = (one for _, one in PACK.rules if one.id == rule)
    unnoticed = [str(one) for one in mutations(node) if PACK.survives(one)]
    assert unnoticed == [], "add an example to the rule for each: " + "; ".join(unnoticed)


def test_a_damage_that_an_example_shows_is_noticed_and_another_is_not(tmp_path: Path) -> None:
    text = (
        "schema: 1\nrules:\n  - id: one-rule\n    when:\n      any: [起火]\n"
        "      mask: [起火锅, 起火车]\n      not: [演习]\n      negation: block\n"
        "    then: {urgency: 1, at_least: P2}\n    tests:\n      - hit: 起火了\n"
        "        expect: {priority: P2}\n      - miss: 起火锅\n      - miss: 没有起火\n"
    )
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "sentiment").mkdir()
    lexicon = "schema: 1\nnegators: [没有]\n"
    (tmp_path / "sentiment" / "zh.yaml").write_text(lexicon, encoding="utf-8")
    pack = Pack(tmp_path)
    found: dict[str, Mutation] = {one.what: one for one in mutations(pack.rules[0][1])}
    alive = {what for what, one in found.items() if pack.survives(one)}
    assert found.keys() == {
        "without 起火锅 under mask",
        "without 起火车 under mask",
        "without 演习 under not",
        "negation block made ignore",
        "without at_least",
    }
    assert alive == {"without 起火车 under mask", "without 演习 under not"}
