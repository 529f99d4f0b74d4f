"""Verdicts and matches as judging makes them, by the hundred thousand a second.

A frozen dataclass sets its fields one by one through `object.__setattr__`, which would be a tenth of all
that judging costs. These are twins with the same slots that become what they stand for when they are full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.model import Match, Priority, Verdict


class _Verdict:
    __slots__ = (
        "importance",
        "matches",
        "priority",
        "reasons",
        "score",
        "sentiment",
        "tags",
        "truncated",
        "urgency",
    )

    def __init__(
        self,
        urgency: int,
        importance: int,
        priority: Priority,
        sentiment: str,
        score: float,
        tags: tuple[str, ...],
        matches: tuple[Match, ...],
        reasons: tuple[str, ...],
        truncated: bool,
    ) -> None:
        self.urgency = urgency
        self.importance = importance
        self.priority = priority
        self.sentiment = sentiment
        self.score = score
        self.tags = tags
        self.matches = matches
        self.reasons = reasons
        self.truncated = truncated
        self.__class__ = Verdict  # type: ignore[assignment]  # noqa: PLE0237


class _Match:
    __slots__ = ("end", "quoted", "rule", "start", "term")

    def __init__(self, rule: str, term: str, start: int, end: int, quoted: bool) -> None:
        self.rule = rule
        self.term = term
        self.start = start
        self.end = end
        self.quoted = quoted
        self.__class__ = Match  # type: ignore[assignment]  # noqa: PLE0237


if TYPE_CHECKING:
    verdict, match = Verdict, Match
else:
    verdict, match = _Verdict, _Match
