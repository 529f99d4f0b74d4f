"""A closer look at one message: which words every rule found there, and why those that nearly fired did not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from aggregator.model import Match
from aggregator.triage.conditions import (
    Facts,
    Group,
    Told,
    Words,
    enough,
    in_part,
    negated,
    window_of,
)
from aggregator.triage.negation import Cover
from aggregator.triage.reading import Reading
from aggregator.triage.rule import Fired, Rule
from aggregator.triage.ruleset import Engine, Ruleset, Subject
from aggregator.triage.scan import Found, Hit
from aggregator.triage.sentiment import Mood
from aggregator.triage.text import cjk
from aggregator.triage.words import Keyword

SHOWN = 5  # words of a list


class State(StrEnum):
    """What became of a keyword that stands in the message."""

    OWN = "own"
    QUOTED = "quoted"  # in quoted words, whether the rule reads them or not
    MASKED = "masked"
    NEGATED = "negated"
    VETOED = "vetoed"
    VETO = "veto"  # the word under `not` itself
    IDLE = "idle"  # the rule lacked something else


@dataclass(frozen=True, slots=True)
class Mark:
    """A match with its state; the offsets are those of a Match."""

    match: Match
    state: State


@dataclass(frozen=True, slots=True)
class Near:
    """A rule of which a word stands there, and why it does not fire all the same."""

    rule: Rule
    why: str


@dataclass(frozen=True, slots=True)
class Look:
    """`marks`: every keyword of a rule that stands there. `fired`: as Ruleset.fired. `near`: the nearest first."""

    fired: tuple[Fired, ...]
    near: tuple[Near, ...]
    marks: tuple[Mark, ...]


def look(rules: Ruleset, subject: Subject) -> Look:
    """Slower than judging by far: for one message that a person asks about."""
    _, fired, feeling = rules.fired(subject)
    reading, found = rules.found(subject)
    closer = _Closer(rules, subject, reading, found, feeling)
    marks: list[Mark] = []
    for one in fired:
        marks.extend(closer.fired(one))
    near: list[tuple[float, Near]] = []
    holds = {one.rule.id for one in fired}
    for rule in rules.rules.values():
        if rule.status == "off" or rule.id in holds:
            continue
        groups = rule.condition.words.groups
        there = sum(1 for group in groups if group.slot in found)
        if there:
            why, some = closer.missed(rule)
            marks.extend(some)
            near.append((there / len(groups), Near(rule, why)))
    near.sort(key=lambda one: (-one[0], -_weight(one[1].rule), one[1].rule.id))
    marks.sort(key=lambda one: (one.match.quoted, one.match.start, one.match.end, one.match.rule))
    return Look(tuple(fired), tuple(one for _, one in near), tuple(marks))


def _weight(rule: Rule) -> int:
    return rule.effect.urgency + rule.effect.importance


@dataclass(frozen=True, slots=True)
class _Closer:
    rules: Ruleset
    subject: Subject
    reading: Reading
    found: Found
    feeling: Mood

    def fired(self, fired: Fired) -> Iterator[Mark]:
        """Of a rule that holds also the words that did not count."""
        rule, why = fired.rule, fired.evidence
        counted = set(why.hits)
        for hit in why.hits:
            yield self._mark(rule, hit, State.NEGATED if why.denied else self._whose(hit))
        words = rule.condition.words
        rest = [hit for row in self._rows(words) for hit in row if hit not in counted]
        yield from self._marks(rule, words, rest)

    def missed(self, rule: Rule) -> tuple[str, list[Mark]]:
        """The steps of `conditions.evidence` again, and which of them ends it."""
        condition = rule.condition
        words = condition.words
        rows = self._rows(words)
        every = [hit for row in rows for hit in row]
        idle = list(self._marks(rule, words, every))
        lacking = [group for group in words.groups if group.slot not in self.found]
        if lacking:
            there = _named(every)
            chinese = any(cjk(hit.keyword.text[0]) for hit in every)
            lists = " and none of ".join(self._list(group, chinese) for group in lacking)
            return f"{there} is there, and none of {lists}", idle
        if words.veto is not None:
            vetoes = in_part(words, self.reading, self.found.get(words.veto, ()))
            if vetoes:
                marks = [self._mark(rule, hit, State.VETO) for hit in vetoes]
                marks += [self._mark(rule, hit, State.VETOED) for hit in every]
                return f"{_named(every)}: vetoed by {_named(vetoes)}", marks
        mine = [in_part(words, self.reading, row) for row in rows]
        if not all(mine):
            other = "in quoted words only" if words.part == "own" else "in the author's own words"
            return f"{_named(every)} stands {other}", idle
        return self._narrower(rule, mine, every), idle

    def _narrower(self, rule: Rule, rows: list[Sequence[Hit]], every: Sequence[Hit]) -> str:
        condition = rule.condition
        words = condition.words
        masks = Cover(self.found.get(words.mask, ())) if words.mask is not None else Cover(())
        free = [[hit for hit in row if not masks.holds(hit.start, hit.end)] for row in rows]
        if not all(free):
            hidden = [hit for row in rows for hit in row if masks.holds(hit.start, hit.end)]
            over = [one for one in self.found[words.mask or 0] if _covers(one, hidden)]
            return f"{_named(hidden)} lies inside the mask {_named(over)}"
        denied = negated(words, free, self.reading)
        if words.negation == "block":
            free = [[hit for hit in row if hit not in denied] for row in free]
            if not all(free):
                return f"{_named(denied)} is negated"
        for group, row in zip(words.groups, free, strict=True):
            if not enough(group, row):
                count = len({hit.keyword.folded for hit in row})
                return f"{_named(row)}: {count} of at least {group.least} different words"
        near = words.near
        if words.within is not None and (
            window_of(words.groups[near:], free[near:], words.within) is None
        ):
            return f"{_named(every)} are not within {words.within} characters"
        if condition.sentiment is not None and not condition.sentiment.hold(self.feeling.score):
            return f"{_named(every)} is there, and the sentiment is {self.feeling.score:+.2f}"
        wrong = "; ".join(_wrong(condition.facts, self.rules.told(self.subject)))
        return f"{_named(every)} is there, but {wrong or 'a condition does not hold'}"

    def _marks(self, rule: Rule, words: Words, hits: Iterable[Hit]) -> Iterator[Mark]:
        masks = Cover(self.found.get(words.mask, ())) if words.mask is not None else Cover(())
        hits = list(dict.fromkeys(hits))
        denied = negated(words, [hits], self.reading)
        for hit in hits:
            if masks.holds(hit.start, hit.end):
                yield self._mark(rule, hit, State.MASKED)
            else:
                quoted = self._whose(hit) is State.QUOTED
                free = State.QUOTED if quoted else State.IDLE
                yield self._mark(rule, hit, State.NEGATED if hit in denied else free)

    def _rows(self, words: Words) -> list[Sequence[Hit]]:
        return [self.found.get(group.slot, ()) for group in words.groups]

    def _list(self, group: Group, chinese: bool) -> str:
        """The first words of it, those in the script of what stands there before the others."""
        words = [one.text for one in _keywords(self.rules.engine, group.slot)]
        words.sort(key=lambda word: cjk(word[0]) is not chinese)
        return ", ".join(words[:SHOWN]) + (" …" if len(words) > SHOWN else "")

    def _whose(self, hit: Hit) -> State:
        return State.OWN if self.reading.part(hit.start) == "own" else State.QUOTED

    def _mark(self, rule: Rule, hit: Hit, state: State) -> Mark:
        return Mark(Match(rule.id, hit.keyword.text, *hit.place), state)


def _keywords(engine: Engine, slot: int) -> list[Keyword]:
    found = list(engine.scanner.keywords(slot))
    if engine.originals is not None:
        found += engine.originals.keywords(slot)
    return found


def _named(hits: Iterable[Hit]) -> str:
    words = list(dict.fromkeys(hit.keyword.text for hit in sorted(hits, key=lambda hit: hit[:2])))
    return ", ".join(words[:SHOWN]) + (" …" if len(words) > SHOWN else "")


def _covers(mask: Hit, hits: Iterable[Hit]) -> bool:
    return any(mask.start <= hit.start and hit.end <= mask.end for hit in hits)


def _wrong(facts: Facts, told: Told) -> Iterator[str]:
    """Every fact that a rule asks for and the message has not."""
    author = told.author
    for name, wanted, given in (
        ("platform", facts.platform, told.platform),
        ("kind", facts.kind, told.kind),
        ("account", facts.account, told.account),
        ("lang", facts.lang, told.lang),
    ):
        if wanted and given not in wanted:
            yield f"the {name} is {given or 'unknown'}, not {' or '.join(sorted(wanted))}"
    followers = author.followers if author else None
    if facts.followers is not None and not facts.followers.hold(followers):
        told_followers = "an unknown number of" if followers is None else followers
        yield f"the author has {told_followers} followers"
    verified = author.verified if author else None
    if facts.verified is not None and verified is not facts.verified:
        said = {True: "verified", False: "not verified", None: "of unknown standing"}[verified]
        yield f"the author is {said}"
    if facts.calendar is not None:
        at = told.sent_at
        if at is None:
            yield "the platform does not say when it was sent"
        elif facts.calendar.open_at(at) is not facts.open:
            yield f"it was sent {'outside' if facts.open else 'inside'} the hours"
