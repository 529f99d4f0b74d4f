"""From the rules that fired to one verdict: a merge that knows no order, then urgency × importance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Merged:
    """`counted`: the rules that had a say; `reasons` in words."""

    urgency: int
    importance: int
    priority: Priority
    sentiment: str
    score: float
    labels: tuple[str, ...]
    counted: tuple[Fired, ...]
    reasons: tuple[str, ...]


def merge(fired: Sequence[Fired], mood: Mood, matrix: Matrix) -> Merged:
    """Maximum, union and bounded sum; `at_most` then `at_least`; sentiment alone never above P3."""
    fired = sorted(fired, key=lambda one: one.rule.id)
    live = [one for one in fired if one.rule.status == "live"]
    floor = max((one.rule.weight for one in live if one.rule.final), default=None)
    counted = [one for one in live if floor is None or one.rule.weight >= floor]
    reasons = [str(one) for one in counted] or ["no rule matched"]
    if len(counted) < len(live):
        finals = ", ".join(one.rule.id for one in counted if one.rule.final)
        dropped = (one.rule.id for one in live if one not in counted)
        reasons.extend(f"{one}: dropped by the final rule {finals}" for one in dropped)
    reasons.extend(f"shadow, no effect: {one}" for one in fired if one.rule.status == "shadow")
    priority, urgency, importance = _level(counted, matrix)
    raised = f"urgency {urgency} × importance {importance} is {priority}"
    if any(one.rule.sentiment_only for one in counted):
        worded = [one for one in counted if not one.rule.sentiment_only]
        cap = min(_level(worded, matrix)[0], P3)
        if priority < cap:
            raised += f", {cap} because sentiment alone raises no further"
            priority = cap
    clamped = _clamp(priority, counted)
    if clamped != priority:
        raised += f", clamped to {clamped}"
    score, mood_told = _score(counted, mood)
    reasons.append(mood_told)
    reasons.append(raised)
    return Merged(
        urgency,
        importance,
        clamped,
        label(score),
        score,
        tuple(sorted({one for row in counted for one in row.effect.labels})),
        tuple(counted),
        tuple(reasons),
    )


def _level(fired: Sequence[Fired], matrix: Matrix) -> tuple[Priority, int, int]:
    urgency = max((one.effect.urgency for one in fired), default=0)
    importance = max((one.effect.importance for one in fired), default=0)
    return matrix[urgency][importance], urgency, importance


def _clamp(priority: Priority, fired: Sequence[Fired]) -> Priority:
    most = [one.effect.at_most for one in fired if one.effect.at_most]
    least = [one.effect.at_least for one in fired if one.effect.at_least]
    return min([max([priority, *most]), *least])


def _score(fired: Sequence[Fired], mood: Mood) -> tuple[float, str]:
    rules = sum(one.effect.sentiment for one in fired)
    rules = max(-_MOST_SENTIMENT, min(_MOST_SENTIMENT, rules))
    score = squeezed(mood.total + rules)
    terms = (
        ", ".join(f"{text} {value:+g}" for text, value in mood.terms) or "no term of the lexicon"
    )
    by_rules = f", rules {rules:+g}" if rules else ""
    return score, f"sentiment {score:+.2f} {label(score)}: {terms}{by_rules}"
