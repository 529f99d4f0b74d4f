"""The keyword lists of all files, folded once, with what lint says of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aggregator.triage.files import Parsed
from aggregator.triage.finding import Finding, Severity, finding
from aggregator.triage.originals import Exact
from aggregator.triage.regexes import LARGEST_TOGETHER, MOST, Regex, regex
from aggregator.triage.scan import NEST
from aggregator.triage.schema import LexiconFile, RuleFile
from aggregator.triage.sentiment import Lexicon, Slot
from aggregator.triage.text import Folder
from aggregator.triage.words import Keyword, exact, keyword
from aggregator.yamltext import Loc

_QUOTES = ("“", "”", "「")
_RUN = re.compile(r"([^\W\d_])\1\1")


@dataclass(slots=True)
class Notes:
    """The findings of one compilation."""

    rows: list[Finding] = field(default_factory=list)
    rules: dict[str, tuple[Parsed, Loc]] = field(default_factory=dict)  # by id: where each stands

    def error(self, parsed: Parsed, loc: Loc, code: str, text: str, *, key: bool = False) -> None:
        self.rows.append(finding(parsed.document, parsed.name, loc, code, text, key=key))

    def warn(self, parsed: Parsed, loc: Loc, code: str, text: str, *, key: bool = False) -> None:
        severity = Severity.WARNING
        self.rows.append(
            finding(parsed.document, parsed.name, loc, code, text, severity=severity, key=key)
        )


@dataclass(slots=True)
class Lists:
    """The named lists, each folded once; which of them a rule used."""

    folder: Folder
    notes: Notes
    complete: bool = True  # no file is missing: a name that is not here is nowhere
    folds: Mapping[str, str] = field(default_factory=dict)  # of words that were folded together
    keywords: dict[str, tuple[Keyword, ...]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    _where: dict[str, tuple[Parsed, Loc]] = field(default_factory=dict)
    _items: dict[str, Sequence[str]] = field(default_factory=dict)
    _long: list[tuple[str, Parsed, Loc]] = field(default_factory=list)
    _long_exact: list[tuple[str, Parsed, Loc]] = field(default_factory=list)
    _regexes: int = 0
    _steps: int = 0

    def add(self, parsed: Parsed, content: RuleFile) -> None:
        for name, items in content.lists.items():
            loc: Loc = ("lists", name)
            if name in self._where:
                first, at = self._where[name]
                said = f"the list {name} stands already in {first.document.at(at, key=True)}; merge them"
                self.notes.error(parsed, loc, "duplicate-list", said, key=True)
                continue
            self._where[name] = (parsed, loc)
            self._items[name] = items
            self.keywords[name] = self.read(parsed, loc, items, inside=True)

    def read(
        self, parsed: Parsed, loc: Loc, items: Sequence[str], *, inside: bool = False
    ) -> tuple[Keyword, ...]:
        """The keywords at `loc`, `"@name"` filled in; what is wrong with one is a finding."""
        found: list[Keyword] = []
        seen: dict[tuple[str, bool], str] = {}
        for at, item in enumerate(items):
            where = (*loc, at)
            if item.startswith("@") and not item.startswith("@@"):
                listed = self._list(parsed, where, item[1:], inside=inside)
                seen.update({(one.folded, one.right): one.text for one in listed})
                found.extend(listed)
            elif (one := self.one(parsed, where, item.removeprefix("@"))) is not None:
                self._doubtful(parsed, where, one)
                if (one.folded, one.right) in seen:
                    other = seen[one.folded, one.right]
                    said = f"{one.text} and {other} are the same after folding; keep one"
                    self.notes.warn(parsed, where, "duplicate-keyword", said)
                seen[one.folded, one.right] = one.text
                found.append(one)
        return tuple(found)

    def one(
        self, parsed: Parsed, loc: Loc, item: str, *, weight: float = 0.0, literal: bool = False
    ) -> Keyword | None:
        if item[:1] in ("“", "”", "「") or item[-1:] in ("“", "”", "」"):
            said = f"full-width quotes are part of {item}; YAML wants \" or '"
            self.notes.error(parsed, loc, "full-width", said)
            return None
        try:
            made = keyword(item, self._fold, weight=weight, literal=literal)
        except ValueError as error:
            self.notes.error(parsed, loc, "keyword", str(error))
            return None
        if "，" in item or "、" in item:
            said = (
                f"{item!r} is one keyword with a comma in it; a list has a YAML comma (,) between"
            )
            self.notes.warn(parsed, loc, "comma", said)
        if len(made.folded) > NEST:
            self._long.append((made.folded, parsed, loc))
        return made

    def exact(self, parsed: Parsed, loc: Loc, items: Sequence[str]) -> tuple[Keyword, ...]:
        """Keywords of the original text; `"@name"` stands for a list here too."""
        found: list[Keyword] = []
        seen: set[str] = set()
        for at, item in enumerate(items):
            where = (*loc, at)
            written: Sequence[str] = (item.removeprefix("@"),)
            if item.startswith("@") and not item.startswith("@@"):
                self._list(parsed, where, item[1:], inside=False)
                written = [one.removeprefix("@") for one in self._items.get(item[1:], ())]
            for one in written:
                if len(one) > NEST:
                    self._long_exact.append((one, parsed, where))
                if one in seen:
                    said = f"{one} stands here twice; keep one"
                    self.notes.warn(parsed, where, "duplicate-keyword", said)
                try:
                    found.append(exact(one))
                except ValueError as error:
                    self.notes.error(parsed, where, "keyword", str(error))
                    continue
                seen.add(one)
                self._doubtful(parsed, where, found[-1])
        return tuple(found)

    def nested(self, words: Iterable[Keyword], exacts: Iterable[Keyword]) -> None:
        """Too many keywords that end in one another would all end at each place of a text made for it."""
        for long, every in (
            (self._long, {one.folded for one in words}),
            (self._long_exact, {one.folded for one in exacts}),
        ):
            for word, parsed, loc in long:
                ends = [word[at:] for at in range(len(word)) if word[at:] in every]
                if len(ends) > NEST:
                    said = (
                        f"{word} ends in {len(ends) - 1} other keywords, each inside the next, such as "
                        f"{ends[-1]}; at most {NEST} may end at one place: remove some"
                    )
                    self.notes.error(parsed, loc, "nested-keywords", said)

    def _fold(self, text: str) -> str:
        return self.folds.get(text) or self.folder.fold(text)

    def _doubtful(self, parsed: Parsed, loc: Loc, one: Keyword) -> None:
        if len(one.folded) == 1 and one.folded.isalnum():
            said = f"{one.text} is one character and hits much; write a longer word"
            self.notes.warn(parsed, loc, "short-keyword", said)
        if one.folded != one.text and (run := _RUN.search(one.text)):
            said = f"{one.text}: more than two {run[1]} are read as two; write two"
            self.notes.warn(parsed, loc, "long-run", said)

    def regexes(self, parsed: Parsed, loc: Loc, items: Sequence[str]) -> tuple[Regex, ...]:
        found = []
        for at, item in enumerate(items):
            try:
                one = regex(item)
            except ValueError as error:
                self.notes.error(parsed, (*loc, at), "regex", str(error))
                continue
            self._regexes += 1
            self._steps += one.size
            if self._regexes > MOST or self._steps > LARGEST_TOGETHER:
                said = (
                    f"too many regexes (at most {MOST}, and {LARGEST_TOGETHER} steps together); "
                    "words in any cost nothing: use them"
                )
                self.notes.error(parsed, (*loc, at), "regex", said)
                continue
            found.append(one)
        return tuple(found)

    def unused(self) -> None:
        for name, (parsed, loc) in self._where.items():
            if name not in self.used:
                said = f'no rule uses the list {name}; write "@{name}" in one, or remove it'
                self.notes.warn(parsed, loc, "unused-list", said, key=True)

    def _list(self, parsed: Parsed, loc: Loc, name: str, *, inside: bool) -> tuple[Keyword, ...]:
        if inside:
            said = f"a list holds words, not lists; write @@{name} for a literal @"
            self.notes.error(parsed, loc, "nested-list", said)
            return ()
        if name not in self.keywords:
            said = f"there is no list {name}; add it under lists, or write @@{name} for a literal @"
            if self.complete:
                self.notes.error(parsed, loc, "missing-list", said)
            return ()
        self.used.add(name)
        return self.keywords[name]


def lexicon(files: Iterable[Parsed], lists: Lists) -> Lexicon:
    """All sentiment files as one. A term may stand in one place only, so that no order matters."""
    slots: list[list[Keyword]] = [[] for _ in Slot]
    first: dict[str, tuple[Parsed, Loc]] = {}
    for parsed in files:
        content = parsed.content
        assert isinstance(content, LexiconFile)
        for section, slot, rows in (
            ("terms", Slot.TERMS, content.terms),
            ("emoticons", Slot.TERMS, content.emoticons),
            ("masks", Slot.TERMS, {"0": content.masks}),
            ("intensifiers", Slot.INTENSIFIERS, content.intensifiers),
            ("plain", Slot.PLAIN, content.plain),
        ):
            for weight, items in rows.items():
                for at, item in enumerate(items):
                    loc: Loc = (section, at) if section == "masks" else (section, weight, at)
                    literal = section == "emoticons"  # `/::*` ends in no wildcard
                    one = lists.one(parsed, loc, item, weight=float(weight), literal=literal)
                    if one is None:
                        continue
                    if slot is Slot.TERMS and one.folded in first:
                        other, where = first[one.folded]
                        said = f"{item} stands already in {other.document.at(where)}; keep one"
                        lists.notes.error(parsed, loc, "duplicate-term", said)
                        continue
                    if slot is Slot.TERMS:
                        first[one.folded] = (parsed, loc)
                    slots[slot].append(one)
        for section, slot, words in (
            ("negators", Slot.NEGATORS, content.negators),
            ("negator_masks", Slot.NEGATOR_MASKS, content.negator_masks),
            ("contrasts", Slot.CONTRASTS, content.contrasts),
            ("doubts", Slot.DOUBTS, content.doubts),
            ("irony", Slot.IRONY, content.irony),
        ):
            made = (lists.one(parsed, (section, at), one) for at, one in enumerate(words))
            slots[slot].extend(one for one in made if one is not None)
    slots[Slot.PLAIN] = _together(slots[Slot.PLAIN])
    return Lexicon(tuple(tuple(slot) for slot in slots))


def _together(words: Iterable[Keyword]) -> list[Keyword]:
    """Where a sign stands twice, such as ? and ？, both count."""
    found: dict[tuple[str, bool], Keyword] = {}
    for one in words:
        key = one.folded, one.right
        weight = one.weight * (found[key].weight if key in found else 1)
        found[key] = replace(one, weight=weight)
    return list(found.values())


def hidden(keywords: Iterable[Keyword], masks: Sequence[Keyword]) -> list[tuple[Keyword, Keyword]]:
    """Keywords that a mask always covers, because it says the same."""
    same = {one.folded: one for one in masks}
    return [(one, same[one.folded]) for one in keywords if one.folded in same]


def vetoed(keywords: Iterable[Keyword], vetoes: Sequence[Keyword]) -> list[tuple[Keyword, Keyword]]:
    """Keywords that hold a veto inside them, so that they can never hit."""
    found = list(keywords)
    rows = Exact([vetoes]).read([one.folded for one in found])[0]
    first: dict[int, Keyword] = {}
    for _, number, hit in rows:
        first.setdefault(number, hit.keyword)
    return [(found[number], veto) for number, veto in first.items()]
