"""Everything the rule files say, compiled: judges a message, and names who is told. Pure and immutable."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from aggregator.model import Author, Kind, Match, Priority, Verdict
from aggregator.sla.policy import Targets
from aggregator.triage.conditions import evidence, plain_evidence
from aggregator.triage.examples import Example
from aggregator.triage.negation import Negation
from aggregator.triage.priority import MATRIX, Matrix, Merger
from aggregator.triage.reading import Reading, Readings
from aggregator.triage.regexes import Regexes
from aggregator.triage.routes import Route, RouteRule, choose
from aggregator.triage.rule import Fired, Rule
from aggregator.triage.scan import Found, Hit, Scanner
from aggregator.triage.sentiment import NEUTRAL, Mood, Slot, mood
from aggregator.triage.text import Folder, language

TERMS_SHOWN = 5
MESSAGES, CHARACTERS = 256, 40_000  # of one pass
_NONE = Negation("", (), ())
_TERMS, _NEGATORS = int(Slot.TERMS), int(Slot.NEGATORS)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged. Facts that the platform did not give are None."""

    text: str | None
    quoted: str | None = None
    platform: str | None = None
    kind: Kind | None = None
    account: str | None = None
    lang: str | None = None
    author: Author | None = None
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Engine:
    """The compiled parts that a ruleset judges with; `by_slot`: the rules that a keyword may fire."""

    folder: Folder
    scanner: Scanner
    exact: Scanner | None
    regexes: Regexes | None
    by_slot: Mapping[int, Sequence[Rule]]
    wordless: Sequence[Rule]
    asks_language: bool = False


@dataclass(frozen=True, eq=False)
class Ruleset:
    """Safe to share between threads; a change of the files makes another one.

    `version`: 16 hex digits, the same for files that decide the same. `sources`: file name → text.
    """

    version: str
    sources: Mapping[str, str] = field(repr=False)
    rules: Mapping[str, Rule] = field(repr=False)
    routes: tuple[RouteRule, ...] = field(repr=False)
    targets: Targets = field(repr=False)
    engine: Engine = field(repr=False)
    matrix: Matrix = field(default=MATRIX, repr=False)
    examples: tuple[Example, ...] = field(default=(), repr=False)
    _merger: Merger = field(init=False, repr=False)
    _quiet: Verdict = field(init=False, repr=False)  # of every message that says nothing

    def __post_init__(self) -> None:
        object.__setattr__(self, "_merger", Merger(self.matrix))
        nothing = Readings(self.engine.folder, [Subject("")])[0]
        object.__setattr__(self, "_quiet", self._merger.merge((), NEUTRAL, nothing))

    def judge(self, subject: Subject) -> Verdict:
        """The verdict; matches carry offsets into the original text, reasons are in words."""
        return self.evaluate_many([subject])[0]

    def evaluate_many(self, subjects: Sequence[Subject]) -> list[Verdict]:
        """The same verdicts as one at a time, for a fraction of the work."""
        verdicts: list[Verdict] = []
        for some in _together(subjects):
            quiet = [self._quiet] * len(some)
            for number, reading, found in self._read(some):
                fired, feeling = self._decide(some[number], reading, found)
                if fired or feeling is not NEUTRAL or reading.truncated:
                    quiet[number] = self._merger.merge(fired, feeling, reading)
            verdicts.extend(quiet)
        return verdicts

    def fired(self, subject: Subject) -> tuple[Reading, list[Fired], Mood]:
        """Every rule that holds, shadow ones too, before any merge."""
        reading, found = self.found(subject)
        return reading, *self._decide(subject, reading, found)

    def found(self, subject: Subject) -> tuple[Reading, Found]:
        """What stands there of all keywords and the lexicon, by slot, whatever it comes to."""
        for _, reading, found in self._read([subject]):
            return reading, found
        return Readings(self.engine.folder, [Subject("")])[0], {}

    def _read(
        self, subjects: Sequence[Subject]
    ) -> Iterator[tuple[int, Reading, dict[int, list[Hit]]]]:
        """Those of which there is anything to say, by their numbers."""
        engine = self.engine
        readings = Readings(engine.folder, subjects)
        folded = readings.folded
        every = engine.scanner.scan_all(folded.text, folded.edges, readings.ends)
        if not engine.wordless and engine.exact is None and engine.regexes is None:
            for number in readings.truncated:
                every.setdefault(number, {})
            for number, found in every.items():
                yield number, readings[number], found
            return
        for number in range(len(subjects)):
            reading, found = readings[number], every.get(number, {})
            if engine.exact is not None:
                _scan_original(engine.exact, reading, found)
            if engine.regexes is not None:
                _scan_original(engine.regexes, reading, found)
            yield number, reading, found

    def _decide(self, subject: Subject, reading: Reading, found: Found) -> tuple[list[Fired], Mood]:
        engine = self.engine
        negation = negation_in(reading, found)
        feeling = (
            mood(found, reading.text, reading.own_end, negation) if _TERMS in found else NEUTRAL
        )
        fired = []
        rules_of, own_only = engine.by_slot.get, reading.own_only
        for slot, hits in found.items():
            for rule in rules_of(slot, ()):
                if own_only and rule.condition.plain:
                    fired.append(Fired(rule, plain_evidence(hits)))
                    continue
                why = evidence(rule.condition, reading, found, negation)
                if why is not None and self._holds(rule, subject, feeling):
                    fired.append(Fired(rule, why))
        for rule in engine.wordless:
            why = evidence(rule.condition, reading, found, negation)
            if why is not None and self._holds(rule, subject, feeling):
                fired.append(Fired(rule, why))
        return fired, feeling

    def _holds(self, rule: Rule, subject: Subject, feeling: Mood) -> bool:
        """What a rule asks besides words."""
        condition = rule.condition
        if condition.sentiment is not None and not condition.sentiment.hold(feeling.score):
            return False
        return not condition.asks or condition.facts.hold(self.told(subject))

    def route(
        self, subject: Subject, *, priority: Priority, labels: Collection[str]
    ) -> tuple[Route, ...]:
        """The routes of a conversation that stands at `priority` with `labels`; the last always matches."""
        return choose(self.routes, self.told(subject), priority, labels)

    def title(self, rule_id: str, language: str | None = None) -> str:
        """The rule's title, in one language if it has both; the id of a rule that is gone."""
        rule = self.rules.get(rule_id)
        return rule.name(language) if rule else rule_id

    def why(
        self,
        matches: Sequence[Match],
        text_of: Callable[[Match], str] | None = None,
        language: str = "zh",
    ) -> tuple[str, ...]:
        """One line a rule, the weightiest first: its title and terms, or what `text_of` finds there."""
        terms: dict[str, dict[str, None]] = {}
        for match in matches:
            term = text_of(match) if text_of else match.term
            terms.setdefault(match.rule, {})[term] = None
        colon, comma = ("：", "、") if language == "zh" else (": ", ", ")
        lines = []
        for rule_id in sorted(terms, key=self._rank):
            shown = list(terms[rule_id])
            more = "…" if len(shown) > TERMS_SHOWN else ""
            said = comma.join(shown[:TERMS_SHOWN]) + more
            lines.append(f"{self.title(rule_id, language)}{colon}{said}")
        return tuple(lines)

    def _rank(self, rule_id: str) -> tuple[int, str]:
        rule = self.rules.get(rule_id)
        return (-(rule.effect.urgency + rule.effect.importance) if rule else 1, rule_id)

    def told(self, subject: Subject) -> Subject:
        """Where a rule asks for the language and the platform did not say, the letters do."""
        if not self.engine.asks_language or subject.lang or not subject.text:
            return subject
        return replace(subject, lang=language(subject.text))


def _together(subjects: Sequence[Subject]) -> Iterator[Sequence[Subject]]:
    """Parts that are worth one pass, and whose arrays stay in the processor's cache."""
    half = len(subjects) // 2
    if len(subjects) > MESSAGES:
        for at in range(0, len(subjects), MESSAGES):
            yield from _together(subjects[at : at + MESSAGES])
    elif half and sum([len(one.text or "") for one in subjects]) > CHARACTERS:
        yield from _together(subjects[:half])
        yield from _together(subjects[half:])
    elif subjects:
        yield subjects


def negation_in(reading: Reading, found: Found) -> Negation:
    if _NEGATORS not in found:
        return _NONE
    return Negation(reading.text, found[_NEGATORS], found.get(Slot.NEGATOR_MASKS, ()))


def _scan_original(
    scanner: Scanner | Regexes, reading: Reading, found: dict[int, list[Hit]]
) -> None:
    for number, text in reading.originals():
        for slot, hits in scanner.scan(text).items():
            for hit in hits:
                start, end = reading.folded_span(number, hit.start, hit.end)
                found.setdefault(slot, []).append(Hit(start, end, hit.keyword))
