"""From parsed files to a ruleset, with a finding for everything that does not fit together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

from aggregator.sla.policy import Targets
from aggregator.triage.conditions import Condition, Group, Words
from aggregator.triage.examples import Example
from aggregator.triage.files import Parsed
from aggregator.triage.folding import fold_all
from aggregator.triage.keywords import Lists, Notes, hidden, lexicon, vetoed
from aggregator.triage.originals import Exact, Originals
from aggregator.triage.parts import example, facts, limits
from aggregator.triage.priority import MATRIX
from aggregator.triage.regexes import Regex, Regexes
from aggregator.triage.routing import check_escalations, compile_routes
from aggregator.triage.rule import Effect, Rule
from aggregator.triage.ruleset import Candidate, Engine, Ruleset
from aggregator.triage.scan import Scanner
from aggregator.triage.schema import (
    File,
    LexiconFile,
    PriorityFile,
    RouteFile,
    RuleFile,
    RuleNode,
    TuneNode,
    When,
)
from aggregator.triage.schema import Group as GroupNode
from aggregator.triage.sentiment import Slot
from aggregator.triage.text import Folder
from aggregator.triage.tune import Tune, tunes
from aggregator.triage.words import Keyword
from aggregator.yamltext import Loc

_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True)
_FORMAT = 1  # changes when the same files come to mean something else
_Content = TypeVar("_Content", bound=File)


def compile_files(
    files: Sequence[Parsed],
    sources: Mapping[str, str],
    *,
    destinations: Collection[str] | None,
    complete: bool,
    tuned: bool = True,
) -> tuple[Ruleset, Notes]:
    """A ruleset of what fits together. `complete`: no file is missing, so that every name must be known.

    `tuned` False: as if nothing stood under `tune`.
    The order of `files` decides nothing but which of two doubles is named.
    """
    notes = Notes()
    words = _of(files, LexiconFile)
    codes = [
        item
        for _, content in words
        for item in _flat(content.emoticons.values())
        if item.startswith(("[", "/:"))
    ]
    folder = Folder(codes)
    folds = fold_all(folder, {item for one in files for item in _texts(one)})
    lists = Lists(folder, notes, complete, folds)
    build = _Rules(lists, _targets(files), complete=complete)
    build.slots.extend(list(slot) for slot in lexicon((one for one, _ in words), lists).slots)
    build.exacts.extend([] for _ in Slot)
    for parsed, content in _of(files, RuleFile):
        lists.add(parsed, content)
    written = _of(files, RuleFile)
    if tuned:
        named = {node.id: node for _, content in written for node in content.rules}
        build.tunes = tunes(written, named, notes, complete=complete)
    for parsed, content in written:
        for at, node in enumerate(content.rules):
            build.add(parsed, ("rules", at), node)
    lists.unused()
    lists.nested(chain.from_iterable(build.slots), chain.from_iterable(build.exacts))
    route_file = next(iter(_of(files, RouteFile)), None)
    routes, route_examples = compile_routes(
        route_file,
        build.targets,
        notes,
        destinations=destinations,
        labels={one for rule in build.rules.values() for one in rule.effect.labels},
        complete=complete,
    )
    for one in files:
        if isinstance(one.content, Targets):
            check_escalations(one, destinations, notes)
    matrix = next((content.matrix for _, content in _of(files, PriorityFile)), MATRIX)
    ruleset = Ruleset(
        version=_version(files),
        sources=dict(sources),
        rules=build.rules,
        routes=routes,
        targets=build.targets or Targets(),
        engine=build.engine(asks_language=build.asks_language or _ask_language(route_file)),
        matrix=matrix,
        examples=(*build.examples, *route_examples),
    )
    return ruleset, notes


class _Rules:
    """Gives every list of every rule its slot in the scanner."""

    def __init__(self, lists: Lists, targets: Targets | None, *, complete: bool) -> None:
        self.lists, self.notes, self.targets = lists, lists.notes, targets
        self.complete = complete
        self.slots: list[list[Keyword]] = []
        self.exacts: list[list[Keyword]] = []
        self.regexes: dict[int, tuple[Regex, ...]] = {}
        self.rules: dict[str, Rule] = {}
        self.examples: list[Example] = []
        self.tunes: dict[str, Tune] = {}
        self.asks_language = False

    def add(self, parsed: Parsed, loc: Loc, node: RuleNode) -> None:
        if node.id in self.notes.rules:
            first, at = self.notes.rules[node.id]
            said = f"the rule {node.id} stands already in {first.document.at(at)}; rename one"
            self.notes.error(parsed, (*loc, "id"), "duplicate-id", said)
            return
        self.notes.rules[node.id] = (parsed, (*loc, "id"))
        tune = self.tunes.get(node.id) or Tune()
        node = tune.applied(node, self.notes)
        condition = Condition(
            words=self._words(parsed, (*loc, "when"), node.when, tune),
            facts=facts(
                node.when, parsed, (*loc, "when"), self.targets, self.notes, complete=self.complete
            ),
            sentiment=limits(node.when.sentiment),
        )
        then = node.then
        effect = Effect(
            urgency=then.urgency,
            importance=then.importance,
            labels=then.labels,
            sentiment=then.sentiment,
            at_least=then.at_least,
            at_most=then.at_most,
        )
        self.asks_language = self.asks_language or node.when.lang is not None
        self.rules[node.id] = Rule(
            id=node.id,
            title=node.title,
            condition=condition,
            effect=effect,
            told=str(effect),
            sentiment_only=condition.sentiment_only,
            status=node.status,
            final=node.final,
            weight=node.weight or 0,
        )
        if not node.tests:
            said = f"the rule {node.id} has no examples; add tests with a hit and a miss"
            self.notes.warn(parsed, (*loc, "id"), "no-examples", said)
        if node.status == "off":
            return
        tests: list[tuple[tuple[Parsed, Loc], RuleNode | TuneNode]]
        tests = [((parsed, (*loc, "tests")), node), *tune.tests]
        for (where, at), written in tests:
            self.examples.extend(
                example(where, (*at, number), one, node) for number, one in enumerate(written.tests)
            )

    def engine(self, *, asks_language: bool) -> Engine:
        by_slot: dict[int, list[Candidate]] = {}
        wordless = []
        for rule in self.rules.values():
            if rule.status == "off":
                continue
            groups = rule.condition.words.groups
            if not groups:
                wordless.append(rule)
                continue
            # Every group must be found: one of them is enough to look at the rule.
            others = [group.slot for group in groups[1:]]
            words = rule.condition.words
            barring = frozenset(one for one in (words.mask, words.veto) if one is not None)
            by_slot.setdefault(groups[0].slot, []).append(
                (rule, rule.condition.plain, others, barring)
            )
        plain = {
            slot: rules[0][0] for slot, rules in by_slot.items() if len(rules) == 1 and rules[0][1]
        }
        scanner = Scanner(self.slots, lexicon=len(Slot), plain=plain)
        return Engine(
            folder=self.lists.folder,
            scanner=scanner,
            alone={at: (plain[slot], word.text) for at, slot, word in scanner.alone()},
            originals=self._originals(),
            by_slot=by_slot,
            wordless=tuple(wordless),
            asks_language=asks_language,
        )

    def _originals(self) -> Originals | None:
        exact = Exact(self.exacts) if any(self.exacts) else None
        regexes = Regexes(self.regexes) if any(self.regexes.values()) else None
        return Originals(exact, regexes) if exact or regexes else None

    def _words(self, parsed: Parsed, loc: Loc, when: When, tune: Tune) -> Words:
        apart = self._groups(parsed, loc, when, tune)
        near = [
            group
            for at, node in enumerate(when.all or ())
            for group in self._groups(parsed, (*loc, "all", at), node)
        ]
        veto = self._list(parsed, (*loc, "not"), when.not_, tune)
        mask = self._list(parsed, (*loc, "mask"), when.mask, tune)
        words = Words(
            groups=(*apart, *near),
            near=len(apart),
            within=when.within,
            veto=self._slot(veto) if veto else None,
            mask=self._slot(mask) if mask else None,
            part=when.part,
            negation=when.negation,
        )
        self._hidden(parsed, loc, words)
        if when.within is not None:
            self._reachable(parsed, loc, words.groups[words.near :], when.within)
        return words

    def _reachable(self, parsed: Parsed, loc: Loc, groups: Sequence[Group], within: int) -> None:
        shortest = [
            min((len(one.folded) for one in self.slots[group.slot]), default=0) for group in groups
        ]
        if max(shortest, default=0) > within:
            said = (
                f"a keyword of one group has {max(shortest)} characters at least, so that nothing "
                f"lies within {within}; write a larger number"
            )
            self.notes.error(parsed, (*loc, "within"), "within", said)

    def _groups(
        self, parsed: Parsed, loc: Loc, node: When | GroupNode, tune: Tune | None = None
    ) -> list[Group]:
        groups = []
        if node.any:
            words = self._list(parsed, (*loc, "any"), node.any, tune or Tune())
            groups.append(Group(self._slot(words)))
        if node.exact:
            found = self.lists.exact(parsed, (*loc, "exact"), node.exact)
            groups.append(Group(self._slot((), found)))
        if node.regex:
            slot = self._slot(())
            self.regexes[slot] = self.lists.regexes(parsed, (*loc, "regex"), node.regex)
            groups.append(Group(slot))
        if node.count:
            at: Loc = (*loc, "count")
            found = self.lists.read(parsed, (*at, "of"), node.count.of)
            if node.count.min > len({one.folded for one in found}):
                said = f"min is {node.count.min} and there are fewer keywords; it can never hold"
                self.notes.error(parsed, (*at, "min"), "count", said)
            groups.append(Group(self._slot(found), node.count.min))
        return groups

    def _list(
        self, parsed: Parsed, loc: Loc, items: Sequence[str] | None, tune: Tune
    ) -> list[Keyword]:
        """A list of a rule, and what tunes add to it."""
        found = list(self.lists.read(parsed, loc, items or ()))
        for (where, at), added in tune.words.get(str(loc[-1]), ()):
            seen = {(one.folded, one.right) for one in found}
            for one in self.lists.read(where, at, added):
                if (one.folded, one.right) in seen:
                    said = f"{one.text} stands in the rule already; remove it here"
                    self.notes.warn(where, at, "duplicate-keyword", said, key=True)
                found.append(one)
        return found

    def _slot(self, words: Sequence[Keyword], exacts: Sequence[Keyword] = ()) -> int:
        self.slots.append(list(words))
        self.exacts.append(list(exacts))
        return len(self.slots) - 1

    def _hidden(self, parsed: Parsed, loc: Loc, words: Words) -> None:
        keywords = [one for group in words.groups for one in self.slots[group.slot]]
        if words.mask is not None:
            for one, by in hidden(keywords, self.slots[words.mask]):
                said = f"{one.text} never hits: the mask {by.text} always covers it; remove one"
                self.notes.warn(parsed, (*loc, "mask"), "hidden-keyword", said, key=True)
        if words.veto is not None:
            for one, by in vetoed(keywords, self.slots[words.veto]):
                said = (
                    f"{one.text} never hits: it holds {by.text}, which stands under not; remove one"
                )
                self.notes.warn(parsed, (*loc, "not"), "hidden-keyword", said, key=True)


def _of(files: Iterable[Parsed], kind: type[_Content]) -> list[tuple[Parsed, _Content]]:
    return [(one, one.content) for one in files if isinstance(one.content, kind)]


def _targets(files: Iterable[Parsed]) -> Targets | None:
    return next((one.content for one in files if isinstance(one.content, Targets)), None)


def _flat(rows: Iterable[Sequence[str]]) -> list[str]:
    return [item for row in rows for item in row]


def _texts(file: Parsed) -> Iterator[str]:
    """All that may be a keyword, and with its * what stands before it."""
    if not isinstance(file.content, RuleFile | LexiconFile):
        return
    rest: list[Any] = [file.document.tree]
    while rest:
        value = rest.pop()
        if isinstance(value, str):
            yield value[:-1] if value.endswith("*") else value
        elif isinstance(value, list):
            # Most of all is lists of words, so they take a short way.
            yield from [one for one in value if type(one) is str and one[-1:] != "*"]
            rest.extend([one for one in value if type(one) is not str or one[-1:] == "*"])
        elif isinstance(value, dict):
            rest.extend(one for key, one in value.items() if key != "tests")


def _ask_language(file: tuple[Parsed, RouteFile] | None) -> bool:
    return file is not None and any(one.when and one.when.lang for one in file[1].routes)


def _version(files: Iterable[Parsed]) -> str:
    """The same for any order of files, rules, keys and comments, and for other titles and examples."""
    rows: list[Any] = []
    lexicon: dict[tuple[str, ...], list[str]] = {}  # by section, and weight
    for one in files:
        if isinstance(one.content, RuleFile):
            tree = one.content.model_dump(mode="json", exclude_defaults=True, by_alias=True)
            rows.extend(["list", name, sorted(items)] for name, items in one.content.lists.items())
            for rule in tree.get("rules", ()):
                rows.append(
                    ["rule", {k: v for k, v in rule.items() if k not in ("tests", "title")}]
                )
            for tune in tree.get("tune", ()):
                rows.append(["tune", {k: v for k, v in tune.items() if k != "tests"}])
        elif isinstance(one.content, LexiconFile):
            for section, items in _lexicon_parts(one.content):
                lexicon.setdefault(section, []).extend(items)
        else:
            tree = {k: v for k, v in one.document.tree.items() if k != "tests"}
            rows.append([one.name, tree])
    rows.extend(["lexicon", *section, sorted(items)] for section, items in lexicon.items() if items)
    lines = sorted(map(_JSON.encode, rows))
    whole = f"{_FORMAT}\n" + "\n".join(lines)
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _lexicon_parts(content: LexiconFile) -> Iterator[tuple[tuple[str, ...], Sequence[str]]]:
    for section in LexiconFile.model_fields.keys() - File.model_fields.keys():
        value = getattr(content, section)
        if isinstance(value, dict):
            yield from (((section, str(float(weight))), items) for weight, items in value.items())
        else:
            yield (section,), value
