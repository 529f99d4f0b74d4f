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
    live = sorted((one for one in fired if one.rule.status == "live"), key=lambda one: one.rule.id)
    floor = max((one.rule.weight for one in live if one.rule.final), default=None)
    counted = [one for one in live if floor is None or one.rule.weight >= floor]
    reasons = [_told(one) for one in counted]
    for one in live:
        if one not in counted:
            finals = ", ".join(two.rule.id for two in counted if two.rule.final)
            reasons.append(f"{one.rule.id}: dropped by the final rule {finals}")
    for one in sorted(fired, key=lambda one: one.rule.id):
        if one.rule.status == "shadow":
            reasons.append(f"shadow, no effect: {_told(one)}")
    if not counted:
        reasons.append("no rule matched")
    priority, urgency, importance = _level(counted, matrix)
    worded = [one for one in counted if not one.rule.condition.sentiment_only]
    cap = min(_level(worded, matrix)[0], P3)
    raised = f"urgency {urgency} × importance {importance} is {priority}"
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


def _told(one: Fired) -> str:
    effect = one.effect
    does = [
        f"urgency {effect.urgency}" if effect.urgency else "",
        f"importance {effect.importance}" if effect.importance else "",
        f"labels {', '.join(effect.labels)}" if effect.labels else "",
        f"sentiment {effect.sentiment:+g}" if effect.sentiment else "",
        f"at least {effect.at_least}" if effect.at_least else "",
        f"at most {effect.at_most}" if effect.at_most else "",
    ]
    terms = ", ".join(one.terms) or "the facts of the message"
    negated = " (negated)" if one.evidence.denied else ""
    return f"{one.rule.id}: {terms}{negated} → {', '.join(filter(None, does)) or 'nothing'}"
