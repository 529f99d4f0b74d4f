"""What a lexicon makes of a text: a score from -1 to 1, and the terms that made it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from aggregator.triage.words import Keyword

POSITIVE_FROM = 0.2  # nearer to 0 is neutral: praise is said lightly, trouble is not
NEGATIVE_FROM = -0.15
_HALF_WAY = 10.0  # the square of a sum that scores 0.7


class Slot(IntEnum):
    """The lexicon's places in the scanner; the rules' follow. Masks are terms without weight."""

    TERMS = 0
    INTENSIFIERS = 1
    NEGATORS = 2
    NEGATOR_MASKS = 3
    CONTRASTS = 4
    DOUBTS = 5
    PLAIN = 6
    IRONY = 7


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Keywords by slot; an emoticon is a term."""

    slots: tuple[tuple[Keyword, ...], ...] = ((),) * len(Slot)


@dataclass(frozen=True, slots=True)
class Mood:
    """`total` is the plain sum of what the terms added, `score` the same between -1 and 1."""

    total: float
    terms: tuple[tuple[str, float], ...]  # as in the lexicon, and what each added

    @property
    def score(self) -> float:
        return squeezed(self.total)


NEUTRAL = Mood(0.0, ())


def squeezed(total: float) -> float:
    """A sum as a score: each further term adds less, and no sum reaches 1."""
    return round(total / math.sqrt(total * total + _HALF_WAY), 3) + 0.0  # never -0.0


def label(score: float) -> str:
    if score >= POSITIVE_FROM:
        return "positive"
    return "negative" if score <= NEGATIVE_FROM else "neutral"
