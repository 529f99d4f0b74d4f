"""Every way in which a shipped rule could go wrong unnoticed: one mask less, a negation turned round."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aggregator.triage.compiler import compile_files
from aggregator.triage.examples import run
from aggregator.triage.files import Parsed, gather, parse
from aggregator.triage.ruleset import Ruleset
from aggregator.triage.schema import LexiconFile, RuleFile, RuleNode

TURNED = {"ignore": "block", "block": "ignore", "flip": "ignore"}
CLAMPS = ("at_least", "at_most")


@dataclass(frozen=True)
class Mutation:
    """`what` in words; `whole`: it shows in the verdict only, not in whether the rule fires."""

    rule: RuleNode
    what: str
    mutant: RuleNode
    whole: bool = False

    def __str__(self) -> str:
        return f"{self.rule.id}: {self.what}"


def mutations(rule: RuleNode) -> Iterator[Mutation]:
    when = rule.when

    def changed(what: str, **values: Any) -> Mutation:
        return Mutation(rule, what, rule.model_copy(update={"when": _when(rule, **values)}))

    for key in ("mask", "not_"):
        words = getattr(when, key) or ()
        for word in words:
            left = tuple(one for one in words if one != word) or None
            yield changed(f"without {word} under {key.rstrip('_')}", **{key: left})
    if "negation" in when.model_fields_set:  # who wrote it meant it
        turned = TURNED[when.negation]
        yield changed(f"negation {when.negation} made {turned}", negation=turned)
    if when.within is not None:
        yield changed("without within", within=None)
    groups = [key for key in ("any", "exact", "count", "regex") if getattr(when, key)]
    if len(groups) + len(when.all or ()) > 1:
        for key in groups:
            yield changed(f"without {key}", **{key: None})
    for at, _ in enumerate(when.all or ()):
        left = (*when.all[:at], *when.all[at + 1 :]) or None  # type: ignore[index]
        if left or groups:
            yield changed(f"without group {at + 1} of all", all=left)
    for key in CLAMPS:
        if getattr(rule.then, key) is not None:
            then = rule.then.model_copy(update={key: None})
            yield Mutation(
                rule, f"without {key}", rule.model_copy(update={"then": then}), whole=True
            )
    if rule.final:
        yield Mutation(rule, "not final", rule.model_copy(update={"final": False}), whole=True)


def _when(rule: RuleNode, **values: Any) -> Any:
    """`model_fields_set` goes along: it says what a rule asks for."""
    copy = rule.when.model_copy(update=values)
    gone = {key for key, value in values.items() if value is None}
    object.__setattr__(copy, "__pydantic_fields_set__", copy.model_fields_set - gone)
    return copy


class Pack:
    """A folder of rules that can be compiled anew with one rule changed, alone or among all."""

    def __init__(self, folder: Path) -> None:
        parsed = [parse(name, data, name)[0] for name, data in gather(folder).files.items()]
        self.files = [one for one in parsed if one is not None]
        ruled = [one for one in self.files if isinstance(one.content, RuleFile)]
        self.rules = [
            (one, rule)
            for one in ruled
            for rule in one.content.rules  # type: ignore[union-attr]
        ]
        lists: dict[str, tuple[str, ...]] = {}
        for one in ruled:
            lists |= one.content.lists  # type: ignore[union-attr]
        self._lists = lists

    def survives(self, mutation: Mutation) -> bool:
        """No example of the pack notices."""
        if not mutation.whole and not all(_passes(self._alone(mutation.mutant), whole=False)):
            return False
        return all(_passes(self._among(mutation.mutant), whole=True))

    def _alone(self, rule: RuleNode) -> Ruleset:
        """Fast: the rule, all lists, and of the lexicon what rules need."""
        home = next(one for one, other in self.rules if other.id == rule.id)
        only = RuleFile().model_copy(update={"lists": self._lists, "rules": (rule,)})
        lexicons = [
            Parsed(
                one.name, one.document, one.content if rule.when.sentiment else _bare(one.content)
            )
            for one in self.files
            if isinstance(one.content, LexiconFile)
        ]
        return _compiled([Parsed(home.name, home.document, only), *lexicons], complete=False)

    def _among(self, rule: RuleNode) -> Ruleset:
        return _compiled(
            [
                Parsed(one.name, one.document, _with(one.content, rule))
                if isinstance(one.content, RuleFile)
                else one
                for one in self.files
            ],
            complete=True,
        )


def _with(content: RuleFile, rule: RuleNode) -> RuleFile:
    rules = tuple(rule if one.id == rule.id else one for one in content.rules)
    return content.model_copy(update={"rules": rules})


def _bare(content: LexiconFile) -> LexiconFile:
    return content.model_copy(update={"terms": {}, "intensifiers": {}, "masks": ()})


def _compiled(files: list[Parsed], *, complete: bool) -> Ruleset:
    return compile_files(files, {}, destinations=None, complete=complete)[0]


def _passes(rules: Ruleset, *, whole: bool) -> Iterator[bool]:
    return (one.passed for one in run(rules, whole=whole))
