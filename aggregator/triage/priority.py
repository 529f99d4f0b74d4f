"""From the rules that fired to one verdict: a merge that knows no order, then urgency × importance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from aggregator.model import Priority
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
_MOST_SENTIMENT = 3.0  # what all rules together can add, either way
_REMEMBERED = 4_096  # sets of rules that fired together


class Merged(NamedTuple):
    """`counted`: the rules that had a say; `reasons` in words."""

    urgency: int
    importance: int
    priority: Priority
    sentiment: str
    score: float
    labels: tuple[str, ...]
    counted: tuple[Fired, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """All that a set of rules decides whatever made them fire; `counted` and `shadows` number them."""

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

    def merge(self, fired: Sequence[Fired], mood: Mood) -> Merged:
        if len(fired) > 1:
            fired = sorted(fired, key=lambda one: one.rule.id)
        key = tuple([f"!{one.rule.id}" if one.evidence.denied else one.rule.id for one in fired])
        outcome = self._outcomes.get(key)
        if outcome is None:
            outcome = self._outcome(fired)
            if len(self._outcomes) < _REMEMBERED:
                self._outcomes[key] = outcome
        counted = tuple([fired[at] for at in outcome.counted])
        score, sentiment, mood_told = _score(outcome.sentiment, mood)
        reasons = [str(one) for one in counted] or ["no rule matched"]
        reasons.extend(outcome.dropped)
        reasons.extend([f"shadow, no effect: {fired[at]}" for at in outcome.shadows])
        reasons.append(mood_told)
        reasons.append(outcome.told)
        return Merged(
            outcome.urgency,
            outcome.importance,
            outcome.priority,
            sentiment,
            score,
            outcome.labels,
            counted,
            tuple(reasons),
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
                f"{fired[at].rule.id}: dropped by the final rule {finals}"
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
