"""Everything the rule files say, compiled: judges a message, and names who is told. Pure and immutable."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from aggregator.model import Author, Kind, Match, Priority, Verdict
from aggregator.sla.policy import Targets
from aggregator.triage.conditions import evidence, plain_evidence
from aggregator.triage.examples import Example
from aggregator.triage.learned import Learned
from aggregator.triage.moods import Moods
from aggregator.triage.negation import Negators
from aggregator.triage.originals import Originals
from aggregator.triage.priority import MATRIX, Matrix, Merger
from aggregator.triage.reading import Reading, Readings
from aggregator.triage.routes import Route, RouteRule, choose
from aggregator.triage.rule import Fired, Rule
from aggregator.triage.scan import Alone, Found, Hit, Scanner
from aggregator.triage.sentiment import Mood, Slot
from aggregator.triage.text import Folder, language

TERMS_SHOWN = 5
_NOTHING: Found = {}
MESSAGES, CHARACTERS = 512, 40_000  # of one pass


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


# A rule that a keyword may fire; whether any is all that it asks for, the lists that it needs besides, and
# those of which a word may keep it from firing.
Candidate = tuple[Rule, bool, Sequence[int], frozenset[int]]


@dataclass(frozen=True, slots=True)
class Engine:
    """The compiled parts that a ruleset judges with.

    `by_slot`: the rules that a keyword may fire; `alone`: by the scanner's pattern, the rule that it fires
    by itself, and the keyword.
    """

    folder: Folder
    scanner: Scanner
    originals: Originals | None
    by_slot: Mapping[int, Sequence[Candidate]]
    wordless: Sequence[Rule]
    asks_language: bool = False
    alone: Mapping[int, tuple[Rule, str]] = field(default_factory=dict)


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
    learned: Learned | None = field(default=None, repr=False)
    _merger: Merger = field(init=False, repr=False)
    _quiet: Verdict = field(init=False, repr=False)  # of every message that says nothing

    def __post_init__(self) -> None:
        object.__setattr__(self, "_merger", Merger(self.matrix))
        nothing = Readings(self.engine.folder, [Subject("")])[0]
        object.__setattr__(self, "_quiet", self._merger.merge((), nothing))

    def judge(self, subject: Subject) -> Verdict:
        """The verdict; matches carry offsets into the original text, reasons are in words."""
        return self.evaluate_many([subject])[0]

    def evaluate_many(self, subjects: Sequence[Subject]) -> list[Verdict]:
        """The same verdicts as one at a time, for a fraction of the work."""
        verdicts: list[Verdict] = []
        merger, alone = self._merger, self.engine.alone
        for some in _together(subjects):
            made = [self._quiet] * len(some)
            batch = _Batch(self, some)
            readings, moods, found, cut = batch.readings, batch.moods, batch.found, batch.cut
            for number, words in batch.alone:
                rows = [(*alone[pattern], place) for pattern, place in words]
                if len(rows) == 1:
                    made[number] = merger.alone(*rows[0], *moods.of(number))
                else:
                    made[number] = merger.plain(rows, *moods.of(number))
            for number in batch.others:
                reading, hits = readings[number], found.get(number, _NOTHING)
                fired = self._fired(some[number], reading, hits, moods.score(number))
                if fired or number in moods or reading.truncated or number in cut:
                    told = moods.of(number)
                    made[number] = merger.merge(fired, reading, *told, cut=number in cut)
            verdicts.extend(made)
        if self.learned is not None:
            learned = self.learned.applied
            return [
                learned(verdict, subject.text, self.matrix)
                for verdict, subject in zip(verdicts, subjects, strict=True)
            ]
        return verdicts

    def having(self, learned: Learned | None) -> Ruleset:
        """The same rules with a model behind them."""
        return self if learned is self.learned else replace(self, learned=learned)

    def fired(self, subject: Subject) -> tuple[Reading, list[Fired], Mood]:
        """Every rule that holds, shadow ones too, before any merge."""
        return next(self.fired_of([subject]))

    def fired_of(self, subjects: Sequence[Subject]) -> Iterator[tuple[Reading, list[Fired], Mood]]:
        """The same of many, one after the other."""
        for some in _together(subjects):
            batch = _Batch(self, some, alone=False)
            for number, subject in enumerate(some):
                reading, found = batch.readings[number], batch.found.get(number, _NOTHING)
                fired = self._fired(subject, reading, found, batch.moods.score(number))
                yield reading, fired, batch.moods.mood(number)

    def found(self, subject: Subject) -> tuple[Reading, Found]:
        """What stands there of the keywords of all rules, by slot, whatever it comes to."""
        batch = _Batch(self, [subject], alone=False)
        return batch.readings[0], batch.found.get(0, _NOTHING)

    def _fired(self, subject: Subject, reading: Reading, found: Found, score: float) -> list[Fired]:
        fired: list[Fired] = []
        new = tuple.__new__
        engine, own_end = self.engine, reading.own_end
        rules_of = engine.by_slot.get
        for slot, hits in found.items():
            for rule, plain, others, barring in rules_of(slot, ()):
                if plain and hits[-1][1] <= own_end and not (barring and barring & found.keys()):
                    fired.append(new(Fired, (rule, plain_evidence(hits))))
                    continue
                for other in others:
                    if other not in found:  # most rules end here
                        break
                else:
                    why = evidence(rule.condition, reading, found)
                    if why is not None and self.holds(rule, subject, score):
                        fired.append(new(Fired, (rule, why)))
        for rule in engine.wordless:
            why = evidence(rule.condition, reading, found)
            if why is not None and self.holds(rule, subject, score):
                fired.append(Fired(rule, why))
        return fired

    def holds(self, rule: Rule, subject: Subject, score: float) -> bool:
        """What a rule asks besides words; `score` of the lexicon's terms."""
        condition = rule.condition
        if condition.sentiment is not None and not condition.sentiment.hold(score):
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


class _Batch:
    """What was found in a few messages.

    `found`: by message and slot; `alone`: messages with nothing but words each of which fires its rule;
    `others`: those of which there is something to say besides; `cut`: what a bound left some words out of.
    """

    def __init__(self, rules: Ruleset, subjects: Sequence[Subject], *, alone: bool = True) -> None:
        engine = rules.engine
        self.readings = readings = Readings(engine.folder, subjects)
        scan = engine.scanner.find(readings.folded, readings.ends)
        if scan is not None and (negators := scan.part(Slot.NEGATORS)) is not None:
            masks = scan.part(Slot.NEGATOR_MASKS)
            readings.negators = Negators(readings.folded, negators.spans, masks and masks.spans)
        self.moods = moods = Moods(engine.scanner.names, scan, readings)
        self.cut: set[int] = set()
        further = {
            number
            for rule in engine.wordless
            for number, subject in enumerate(subjects)
            if rules.holds(rule, subject, moods.score(number))
        }
        written: dict[int, dict[int, list[Hit]]] = {}
        if engine.originals is not None:
            for number in range(len(subjects)):
                hits, less = engine.originals.find(readings[number])
                if hits:
                    written[number] = hits
                if less:
                    self.cut.add(number)
        further.update(written, self.cut, readings.truncated)
        self.found: dict[int, dict[int, list[Hit]]] = {}
        self.alone: Sequence[Alone] = ()
        if scan is not None:
            simple = readings.simple() if alone else None
            if simple is not None and further:
                simple[list(further)] = False
            self.found, self.alone, cut = scan.of_rules(readings, simple)
            self.cut |= cut
        for number, hits in written.items():
            self.found.setdefault(number, {}).update(hits)
        self.others = {*self.found, *moods, *further}.difference([one[0] for one in self.alone])
