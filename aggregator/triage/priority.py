"""From the rules that fired to one verdict: a merge that knows no order, then urgency × importance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from aggregator.model import Match, Priority, Verdict
from aggregator.triage.reading import LIMIT, Reading
from aggregator.triage.reasons import DROPPED, SHADOW
from aggregator.triage.rule import Fired
from aggregator.triage.sentiment import Mood, label, squeezed

P1, P2, P3, P4 = Priority.P1, Priority.P2, Priority.P3, Priority.P4
Matrix = tuple[tuple[Priority, ...], ...]  # a row per urgency, a column per importance

MATRIX: Matrix = (
    (P4, P4, P3, P3),
    (P4, P4, P3, P3),
    (P2, P2, P1, P1),
    (P2, P2, P1, P1),
)
EVIDENCE = 20  # matches kept of one rule
_MOST_SENTIMENT = 3.0  # what all rules together can add, either way
_REMEMBERED = 4_096  # sets of rules that fired together


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
    told: str


class Merger:
    """Maximum, union and bounded sum; `at_most` then `at_least`; sentiment alone never above P3."""

    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix
        self._outcomes: dict[tuple[str, ...], _Outcome] = {}  # by the rules that fired

    def merge(self, fired: Sequence[Fired], mood: Mood, reading: Reading) -> Verdict:
        """The verdict; matches carry offsets into the original text, reasons are in words."""
        if len(fired) > 1:
            fired = sorted(fired, key=_id)
        key = tuple([f"!{rule.id}" if why.denied else rule.id for rule, why in fired])
        outcome = self._outcomes.get(key)
        if outcome is None:
            outcome = self._outcome(fired)
            if len(self._outcomes) < _REMEMBERED:
                self._outcomes[key] = outcome
        counted = [fired[at] for at in outcome.counted]
        reasons = [one.told() for one in counted] or ["no rule matched"]
        if outcome.dropped:
            reasons.extend(outcome.dropped)
        if outcome.shadows:
            reasons.extend([f"{SHADOW}{fired[at].told()}" for at in outcome.shadows])
        score, sentiment, mood_told = _score(outcome.sentiment, mood)
        reasons.append(mood_told)
        reasons.append(outcome.told)
        if reading.truncated:
            reasons.append(f"only the first {LIMIT} characters were judged")
        return Verdict(
            outcome.urgency,
            outcome.importance,
            outcome.priority,
            sentiment,
            score,
            outcome.labels,
            _matches(reading, counted),
            tuple(reasons),
            reading.truncated,
        )

    def _outcome(self, fired: Sequence[Fired]) -> _Outcome:
        live = [at for at, one in enumerate(fired) if one.rule.status == "live"]
        floor = max((fired[at].rule.weight for at in live if fired[at].rule.final), default=None)
        places = [at for at in live if floor is None or fired[at].rule.weight >= floor]
        counted = [fired[at] for at in places]
        finals = ", ".join(one.rule.id for one in counted if one.rule.final)
        priority, urgency, importance = _level(counted, self._matrix)
        told = f"urgency {urgency} × importance {importance} is {priority}"
        if any(one.rule.sentiment_only for one in counted):
            worded = [one for one in counted if not one.rule.sentiment_only]
            cap = min(_level(worded, self._matrix)[0], P3)
            if priority < cap:
                told += f", {cap} because sentiment alone raises no further"
                priority = cap
        clamped = _clamp(priority, counted)
        if clamped != priority:
            told += f", clamped to {clamped}"
        added = sum(one.effect.sentiment for one in counted)
        return _Outcome(
            counted=tuple(places),
            shadows=tuple(at for at, one in enumerate(fired) if one.rule.status == "shadow"),
            dropped=tuple(
                f"{fired[at].rule.id}: {DROPPED}{finals}"
                for at in live
                if at not in places
            ),
            urgency=urgency,
            importance=importance,
            priority=clamped,
            labels=tuple(sorted({one for row in counted for one in row.effect.labels})),
            sentiment=max(-_MOST_SENTIMENT, min(_MOST_SENTIMENT, added)),
            told=told,
        )


def _id(fired: Fired) -> str:
    return fired.rule.id


def _matches(reading: Reading, fired: Sequence[Fired]) -> tuple[Match, ...]:
    rows = []
    for rule, why in fired:
        for start, end, keyword in why.hits[:EVIDENCE]:
            first, last, quoted = reading.span(start, end)
            rows.append(Match(rule.id, keyword.text, first, last, quoted))
    if len(rows) > 1:
        rows.sort(key=_place)
    return tuple(rows)


def _place(match: Match) -> tuple[bool, int, int, str, str]:
    return match.quoted, match.start, match.end, match.rule, match.term


def _level(fired: Sequence[Fired], matrix: Matrix) -> tuple[Priority, int, int]:
    urgency = max((one.effect.urgency for one in fired), default=0)
    importance = max((one.effect.importance for one in fired), default=0)
    return matrix[urgency][importance], urgency, importance


def _clamp(priority: Priority, fired: Sequence[Fired]) -> Priority:
    most = [one.effect.at_most for one in fired if one.effect.at_most]
    least = [one.effect.at_least for one in fired if one.effect.at_least]
    return min([max([priority, *most]), *least])


def _score(rules: float, mood: Mood) -> tuple[float, str, str]:
    """The score with what the rules add, its label, and both in words."""
    if not mood.terms:
        return _plain_score(rules, mood.total)
    told = ", ".join([f"{text} {value:+g}" for text, value in mood.terms])
    return _scored(rules, mood.total, told)


@lru_cache
def _plain_score(rules: float, total: float) -> tuple[float, str, str]:
    return _scored(rules, total, "no term of the lexicon")


def _scored(rules: float, total: float, told: str) -> tuple[float, str, str]:
    score = squeezed(total + rules)
    named = label(score)
    by_rules = f", rules {rules:+g}" if rules else ""
    return score, named, f"sentiment {score:+.2f} {named}: {told}{by_rules}"
