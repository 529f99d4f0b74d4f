"""`tune:` documents: how a site changes shipped rules without touching their files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aggregator.findings import nearest
from aggregator.triage.files import Parsed
from aggregator.triage.keywords import Notes
from aggregator.triage.schema import RuleFile, RuleNode, TuneNode, unfit
from aggregator.yamltext import Loc

Place = tuple[Parsed, Loc]


@dataclass(slots=True)
class Tune:
    """All that the tunes of one rule say together; their order decides nothing."""

    settings: dict[str, tuple[Any, Place]] = field(default_factory=dict)
    words: dict[str, list[tuple[Place, Sequence[str]]]] = field(default_factory=dict)
    tests: list[tuple[Place, TuneNode]] = field(default_factory=list)

    def applied(self, node: RuleNode, notes: Notes) -> RuleNode:
        """The rule with its settings changed; its words are read where they stand, beside the rule's."""
        if not self.settings:
            return node
        status = self.settings.get("status", (node.status,))[0]
        then = {key: row[0] for key, row in self.settings.items() if key != "status"}
        tuned = node.model_copy(
            update={"status": status, "then": node.then.model_copy(update=then)}
        )
        said = unfit(tuned)
        if said and not unfit(node):
            for key, (_, (parsed, loc)) in self.settings.items():
                if key in ("urgency", "at_least"):
                    notes.error(parsed, loc, "tune", f"{node.id}: {said}")
            return node
        return tuned


def tunes(
    files: Iterable[tuple[Parsed, RuleFile]],
    rules: Mapping[str, RuleNode],
    notes: Notes,
    *,
    complete: bool,
) -> dict[str, Tune]:
    """What is to be changed, by rule id. Two that contradict each other are a finding."""
    found: dict[str, Tune] = {}
    for parsed, content in files:
        for at, node in enumerate(content.tune):
            loc: Loc = ("tune", at)
            for rule in _known(parsed, loc, node, rules, notes, complete=complete):
                tune = found.setdefault(rule.id, Tune())
                _merge(tune, parsed, loc, node, rule, notes)
    return found


def _known(
    parsed: Parsed,
    loc: Loc,
    node: TuneNode,
    rules: Mapping[str, RuleNode],
    notes: Notes,
    *,
    complete: bool,
) -> Iterable[RuleNode]:
    for at, name in enumerate(node.rules):
        if name in node.rules[:at]:
            said = f"{name} stands here twice; keep one"
            notes.warn(parsed, (*loc, "rules", at), "tune", said)
        elif name in rules:
            yield rules[name]
        elif complete:
            said = f"there is no rule {name}; {_near(name, rules)}"
            notes.error(parsed, (*loc, "rules", at), "unknown-rule", said)


def _merge(
    tune: Tune, parsed: Parsed, loc: Loc, node: TuneNode, rule: RuleNode, notes: Notes
) -> None:
    written = node.set.model_dump(exclude_unset=True) if node.set else {}
    settings = {key: (value, (*loc, "set", key)) for key, value in written.items()}
    if node.status is not None:
        settings["status"] = (node.status, (*loc, "status"))
    for key, (value, where) in settings.items():
        if key not in tune.settings:
            tune.settings[key] = (value, (parsed, where))
        elif tune.settings[key][0] != value:
            first, at = tune.settings[key][1]
            said = f"{rule.id}: {first.document.at(at)} sets another {key}; keep one of the two"
            notes.error(parsed, where, "tune-conflict", said)
    for key in ("any", "mask", "not"):
        items = getattr(node, f"add_{key}")
        if not items:
            continue
        where = (*loc, f"add_{key}")
        if key == "any" and rule.when.any is None:
            said = (
                f"{rule.id} has no any of its own that words could be added to; "
                "write a rule of your own for them"
            )
            notes.error(parsed, where, "tune", said, key=True)
            continue
        tune.words.setdefault(key, []).append(((parsed, where), items))
    if node.tests:
        tune.tests.append(((parsed, (*loc, "tests")), node))


def _near(name: str, known: Collection[str]) -> str:
    return nearest(name, known, otherwise="`inboxd rules lint` checks ids; remove it")
