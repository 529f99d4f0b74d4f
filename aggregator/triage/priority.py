"""From the rules that fired to one verdict: a merge that knows no order, then urgency × importance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter

from aggregator.model import Match, Priority, Verdict
from aggregator.triage.conditions import Evidence
from aggregator.triage.drafts import match, verdict
from aggregator.triage.reading import LIMIT, Reading
from aggregator.triage.reasons import DROPPED, SHADOW
from aggregator.triage.rule import Effect, Fired, Rule
from aggregator.triage.scan import Place
from aggregator.triage.sentiment import label, squeezed

P1, P2, P3, P4 = Priority.P1, Priority.P2, Priority.P3, Priority.P4
Matrix = tuple[tuple[Priority, ...], ...]  # a row per urgency, a column per importance

MATRIX: Matrix = (
    (P4, P4, P3, P3),
    (P4, P4, P3, P3),
    (P2, P2, P1, P1),
    (P2, P2, P1, P1),
)
EVIDENCE = 20  # matches kept of one rule
CUT = "more words of the rules stand here than are judged of one message: repeats or the end are left out"
_NO_RULE, _NO_TERM = "no rule matched", "no term of the lexicon"
_MOST_SENTIMENT = 3.0  # what all rules together can add, either way
_ID = attrgetter("rule.id")
_Key = str | tuple[str, ...]
_REMEMBERED = 16_384  # sets of rules that fired together


@dataclass(frozen=True, slots=True)
class _Outcome:
    """All that a set of rules decides whatever made them fire.

    `counted`, those that have a say, and `shadows` number them.
    """

    counted: tuple[int, ...]
    shadows: tuple[int, ...]
    dropped: tuple[str, ...]
    urgency: int
    importance: int
    priority: Priority
    labels: tuple[str, ...]
    sentiment: float
    added: str  # that in words
    all: bool  # every one counts
    told: str


class Merger:
    """Maximum, union and bounded sum; `at_most` then `at_least`; sentiment alone never above P3."""

    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix
        self._outcomes: dict[_Key, _Outcome] = {}  # by the rules that fired
        self._alone: dict[str, tuple[_Outcome, str, str]] = {}  # by the rule; what its reason says

    def merge(
        self,
        fired: Sequence[Fired],
        reading: Reading,
        total: float = 0.0,
        terms: str = "",
        *,
        cut: bool = False,
    ) -> Verdict:
        """The verdict; matches carry offsets into the original text, reasons are in words.

        `total` of the lexicon's `terms`; `cut`: a bound left some of the message's words out.
        """
        if len(fired) == 1 and not (cut or reading.truncated or fired[0].evidence.denied):
            rule, (hits, _) = fired[0]
            if len(hits) == 1:
                return self.alone(rule, hits[0].keyword.text, hits[0].place, total, terms)
        if len(fired) == 1:
            key: _Key = (
                fired[0].rule.id if not fired[0].evidence.denied else ("!", fired[0].rule.id)
            )
        else:
            fired = sorted(fired, key=_ID)
            key = tuple([f"!{rule.id}" if why.denied else rule.id for rule, why in fired])
        outcome = self._remembered(key, fired)
        counted = fired if outcome.all else [fired[at] for at in outcome.counted]
        score, label, told = _scored(total + outcome.sentiment)
        reasons = [one.told() for one in counted] or [_NO_RULE]
        if not outcome.all:
            reasons.extend(outcome.dropped)
            reasons.extend([f"{SHADOW}{fired[at].told()}" for at in outcome.shadows])
        reasons.append(f"{told}{terms or _NO_TERM}{outcome.added}")
        reasons.append(outcome.told)
        if reading.truncated:
            reasons.append(f"only the first {LIMIT} characters were judged")
        if cut:
            reasons.append(CUT)
        return verdict(
            outcome.urgency,
            outcome.importance,
            outcome.priority,
            label,
            score,
            outcome.labels,
            _matches(counted) if counted else (),
            tuple(reasons),
            reading.truncated or cut,
        )

    def alone(self, rule: Rule, word: str, place: Place, total: float, terms: str) -> Verdict:
        """The verdict of a message in which one word of one rule stands, in its own words."""
        found = self._alone.get(rule.id)
        if found is None:
            outcome = self._outcome([Fired(rule, Evidence())])
            lead, tail = f"{rule.id}: ", f" → {rule.told}"
            if rule.status == "shadow":
                lead = f"{SHADOW}{lead}"
            found = self._alone[rule.id] = outcome, lead, tail
        outcome, lead, tail = found
        score, label, told = _scored(total + outcome.sentiment)
        why = f"{lead}{word}{tail}"
        mood = f"{told}{terms or _NO_TERM}{outcome.added}"
        return verdict(
            outcome.urgency,
            outcome.importance,
            outcome.priority,
            label,
            score,
            outcome.labels,
            (match(rule.id, word, *place),) if outcome.all else (),
            (why, mood, outcome.told) if outcome.all else (_NO_RULE, why, mood, outcome.told),
            False,
        )

    def plain(self, words: Sequence[tuple[Rule, str, Place]], total: float, terms: str) -> Verdict:
        """The same where several words stand, each of which fires its rule."""
        rules: dict[str, Rule] = {}
        said: dict[str, list[tuple[Place, str]]] = {}
        for rule, word, place in words:
            if rule.id in said:
                said[rule.id].append((place, word))
            else:
                rules[rule.id] = rule
                said[rule.id] = [(place, word)]
        ids = sorted(said)
        key = tuple(ids) if len(ids) > 1 else ids[0]
        outcome = self._remembered(key, [Fired(rules[one], Evidence()) for one in ids])
        told = [f"{one}: {_words(said[one])} → {rules[one].told}" for one in ids]
        counted = ids
        reasons = told
        if not outcome.all:
            counted = [ids[at] for at in outcome.counted]
            reasons = [told[at] for at in outcome.counted] or [_NO_RULE]
            reasons.extend(outcome.dropped)
            reasons.extend([f"{SHADOW}{told[at]}" for at in outcome.shadows])
        score, label, mood = _scored(total + outcome.sentiment)
        rows = [(*place, one, word) for one in counted for place, word in said[one][:EVIDENCE]]
        rows.sort()
        return verdict(
            outcome.urgency,
            outcome.importance,
            outcome.priority,
            label,
            score,
            outcome.labels,
            tuple([match(one, word, first, last, no) for first, last, no, one, word in rows]),
            (*reasons, f"{mood}{terms or _NO_TERM}{outcome.added}", outcome.told),
            False,
        )

    def _remembered(self, key: _Key, fired: Sequence[Fired]) -> _Outcome:
        outcome = self._outcomes.get(key)
        if outcome is None:
            outcome = self._outcome(fired)
            if len(self._outcomes) < _REMEMBERED:
                self._outcomes[key] = outcome
        return outcome

    def _outcome(self, fired: Sequence[Fired]) -> _Outcome:
        live = [at for at, one in enumerate(fired) if one.rule.status == "live"]
        floor = max([fired[at].rule.weight for at in live if fired[at].rule.final], default=None)
        places = [at for at in live if floor is None or fired[at].rule.weight >= floor]
        counted = [fired[at].rule for at in places]
        effects = [fired[at].effect for at in places]
        priority, urgency, importance = _level(effects, self._matrix)
        told = f"urgency {urgency} × importance {importance} is {priority}"
        if any(rule.sentiment_only for rule in counted):
            worded = [
                one for rule, one in zip(counted, effects, strict=True) if not rule.sentiment_only
            ]
            cap = min(_level(worded, self._matrix)[0], P3)
            if priority < cap:
                told += f", {cap} because sentiment alone raises no further"
                priority = cap
        clamped = _clamp(priority, effects)
        if clamped != priority:
            told += f", clamped to {clamped}"
        added = sum([one.sentiment for one in effects])
        bounded = max(-_MOST_SENTIMENT, min(_MOST_SENTIMENT, added))
        dropped: tuple[str, ...] = ()
        if len(places) < len(live):
            finals = ", ".join(rule.id for rule in counted if rule.final)
            rest = sorted(set(live).difference(places))
            dropped = tuple(f"{fired[at].rule.id}: {DROPPED}{finals}" for at in rest)
        return _Outcome(
            counted=tuple(places),
            shadows=tuple([at for at, one in enumerate(fired) if one.rule.status == "shadow"]),
            dropped=dropped,
            urgency=urgency,
            importance=importance,
            priority=clamped,
            labels=tuple(sorted({label for one in effects for label in one.labels})),
            sentiment=bounded,
            added=f", rules {bounded:+g}" if bounded else "",
            all=len(places) == len(fired),
            told=told,
        )


def _words(said: list[tuple[Place, str]]) -> str:
    if len(said) == 1:
        return said[0][1]
    said.sort()
    return ", ".join(dict.fromkeys([word for _, word in said]))


def _matches(fired: Sequence[Fired]) -> tuple[Match, ...]:
    rows = [
        (quoted, first, last, rule.id, keyword.text)
        for rule, why in fired
        for _, _, keyword, (first, last, quoted) in why.hits[:EVIDENCE]
    ]
    rows.sort()
    return tuple(
        [match(rule, term, first, last, quoted) for quoted, first, last, rule, term in rows]
    )


def _level(effects: Sequence[Effect], matrix: Matrix) -> tuple[Priority, int, int]:
    urgency = max([one.urgency for one in effects], default=0)
    importance = max([one.importance for one in effects], default=0)
    return matrix[urgency][importance], urgency, importance


def _clamp(priority: Priority, effects: Sequence[Effect]) -> Priority:
    most = [one.at_most for one in effects if one.at_most]
    least = [one.at_least for one in effects if one.at_least]
    return min([max([priority, *most]), *least])


@lru_cache(4_096)
def _scored(total: float) -> tuple[float, str, str]:
    """The score of a sum, its label, and both in words."""
    score = squeezed(total)
    named = label(score)
    return score, named, f"sentiment {score:+.2f} {named}: "
