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
from aggregator.triage.rule import Fired, Rule
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
        outcome = self._outcomes.get(key)
        if outcome is None:
            outcome = self._outcome(fired)
            if len(self._outcomes) < _REMEMBERED:
                self._outcomes[key] = outcome
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

    def alone(
        self, rule: Rule, word: str, place: tuple[int, int, bool], total: float, terms: str
    ) -> Verdict:
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
        bounded = max(-_MOST_SENTIMENT, min(_MOST_SENTIMENT, added))
        return _Outcome(
            counted=tuple(places),
            shadows=tuple(at for at, one in enumerate(fired) if one.rule.status == "shadow"),
            dropped=tuple(
                f"{fired[at].rule.id}: {DROPPED}{finals}" for at in live if at not in places
            ),
            urgency=urgency,
            importance=importance,
            priority=clamped,
            labels=tuple(sorted({one for row in counted for one in row.effect.labels})),
            sentiment=bounded,
            added=f", rules {bounded:+g}" if bounded else "",
            all=len(places) == len(fired),
            told=told,
        )


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


def _level(fired: Sequence[Fired], matrix: Matrix) -> tuple[Priority, int, int]:
    urgency = max((one.effect.urgency for one in fired), default=0)
    importance = max((one.effect.importance for one in fired), default=0)
    return matrix[urgency][importance], urgency, importance


def _clamp(priority: Priority, fired: Sequence[Fired]) -> Priority:
    most = [one.effect.at_most for one in fired if one.effect.at_most]
    least = [one.effect.at_least for one in fired if one.effect.at_least]
    return min([max([priority, *most]), *least])


@lru_cache(4_096)
def _scored(total: float) -> tuple[float, str, str]:
    """The score of a sum, its label, and both in words."""
    score = squeezed(total)
    named = label(score)
    return score, named, f"sentiment {score:+.2f} {named}: "
