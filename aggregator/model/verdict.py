"""What triage says of a message."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Priority(StrEnum):
    """P1 is the highest; comparing the strings sorts the most urgent first."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"


@dataclass(frozen=True, slots=True)
class Match:
    """Why a rule fired: the offsets are code points of the original `text`, end exclusive."""

    rule: str
    term: str
    start: int
    end: int
    quoted: bool = False  # the offsets are into `quoted` instead


@dataclass(frozen=True, slots=True)
class Verdict:
    """urgency and importance 0–3, score −1…1, label positive|neutral|negative; `reasons` in words."""

    urgency: int
    importance: int
    priority: Priority
    sentiment: str
    score: float
    tags: tuple[str, ...]
    matches: tuple[Match, ...]
    reasons: tuple[str, ...]
    truncated: bool = False
