"""How often each rule fired on stored messages, by day, and how people saw it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from aggregator.model import Correction, Priority, corrected
from aggregator.triage.backtest import Said
from aggregator.triage.learned import Opinion, recorded
from aggregator.triage.often import ENOUGH, SHARE
from aggregator.triage.reasons import Role, named
from aggregator.triage.rule import Rule


@dataclass(slots=True)
class Hits:
    """Of one rule: messages by day and by what it had to say; `corrected`: those people put right."""

    days: Counter[date] = field(default_factory=Counter)
    roles: Counter[Role] = field(default_factory=Counter)
    corrected: int = 0

    @property
    def total(self) -> int:
        return sum(self.roles.values())


@dataclass(slots=True)
class Agreement:
    """Of what people said of messages that a model had judged before: how often it had said the same."""

    asked: Counter[str] = field(default_factory=Counter)
    agreed: Counter[str] = field(default_factory=Counter)

    def add(self, what: str, same: bool) -> None:
        self.asked[what] += 1
        self.agreed[what] += same


@dataclass(slots=True)
class Tallied:
    """`hits`: by rule, those of rules that are gone too. `models`: by version of a learnt model."""

    messages: int = 0
    corrected: int = 0
    days: Counter[date] = field(default_factory=Counter)
    hits: dict[str, Hits] = field(default_factory=dict)
    models: dict[str, Agreement] = field(default_factory=dict)

    def add(self, day: date, said: Said, sentiment: str, words: Sequence[Correction]) -> None:
        """One message: its verdict as stored, and what people said of it."""
        self.messages += 1
        self.days[day] += 1
        self.corrected += bool(words)
        reasons = said.reasons
        for rule, role in named(reasons):
            hits = self.hits.setdefault(rule, Hits())
            hits.days[day] += 1
            hits.roles[role] += 1
            hits.corrected += bool(words)
        if words and (found := recorded(reasons)) is not None:
            version, opinion = found
            self._agree(
                self.models.setdefault(version, Agreement()), opinion, said, sentiment, words
            )

    @staticmethod
    def _agree(
        agreement: Agreement,
        opinion: Opinion,
        said: Said,
        sentiment: str,
        words: Sequence[Correction],
    ) -> None:
        left = corrected(said.priority, sentiment, said.tags, words)
        for label in sorted({one for row in words for one in (*row.added, *row.removed)}):
            agreement.add(f"label {label}", (label in left.tags) is (label in opinion.labels))
        if any(one.sentiment for one in words):
            agreement.add("sentiment", opinion.sentiment == left.sentiment)
        if any(one.priority for one in words):
            important = left.priority in (Priority.P1, Priority.P3)
            agreement.add("important", opinion.important is important)

    def never(self, rules: Mapping[str, Rule]) -> list[str]:
        """Rules that are not off and fired on nothing."""
        return sorted(
            id for id, one in rules.items() if one.status != "off" and id not in self.hits
        )

    def too_often(self) -> list[str]:
        """Rules that fired on more than SHARE of ENOUGH messages or more."""
        if self.messages < ENOUGH:
            return []
        return sorted(id for id, one in self.hits.items() if one.total > SHARE * self.messages)
