"""A rule as it is judged: its condition, and what it then does to the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from aggregator.model import Priority
from aggregator.triage.conditions import Condition, Evidence


@dataclass(frozen=True, slots=True)
class Effect:
    """`sentiment` from -3 to 3; `at_most` and `at_least` clamp the priority in the end."""

    urgency: int = 0
    importance: int = 0
    labels: tuple[str, ...] = ()
    sentiment: float = 0.0
    at_least: Priority | None = None
    at_most: Priority | None = None

    def __str__(self) -> str:
        does = [
            f"urgency {self.urgency}" if self.urgency else "",
            f"importance {self.importance}" if self.importance else "",
            f"labels {', '.join(self.labels)}" if self.labels else "",
            f"sentiment {self.sentiment:+g}" if self.sentiment else "",
            f"at least {self.at_least}" if self.at_least else "",
            f"at most {self.at_most}" if self.at_most else "",
        ]
        return ", ".join(filter(None, does)) or "nothing"


@dataclass(frozen=True, slots=True)
class Rule:
    """`told`: the effect in words; `sentiment_only`: nothing but the mood makes it fire."""

    id: str
    title: str
    condition: Condition
    effect: Effect = field(default_factory=Effect)
    told: str = ""
    sentiment_only: bool = False
    status: Literal["live", "shadow", "off"] = "live"
    final: bool = False
    weight: int = 0

    def name(self, language: str | None = None) -> str:
        """`人身安全 / product safety` is a Chinese title and an English one."""
        if not self.title:
            return self.id
        zh, slash, en = self.title.partition(" / ")
        if language is None or not slash:
            return self.title
        return (zh if language == "zh" else en).strip()


class Fired(NamedTuple):
    """A rule that holds for one message, and why."""

    rule: Rule
    evidence: Evidence

    @property
    def effect(self) -> Effect:
        """Of a denied rule (不好用) the mood alone is left, turned round."""
        effect = self.rule.effect
        return Effect(sentiment=-effect.sentiment) if self.evidence.denied else effect

    def told(self) -> str:
        """The rule, the words that made it fire, and what it does."""
        rule, (hits, denied) = self
        if len(hits) == 1 and not denied:
            return f"{rule.id}: {hits[0].keyword.text} → {rule.told}"
        terms = ", ".join(self.terms) or "the facts of the message"
        if denied:
            mood = rule.effect.sentiment  # all that is left of it
            return (
                f"{rule.id}: {terms} (negated) → {f'sentiment {-mood:+g}' if mood else 'nothing'}"
            )
        return f"{rule.id}: {terms} → {rule.told}"

    @property
    def terms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(hit.keyword.text for hit in self.evidence.hits))
