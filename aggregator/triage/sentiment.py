"""The mood of a text by a lexicon: a score from -1 to 1, and the terms that made it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from operator import itemgetter

from aggregator.triage.negation import Negation
from aggregator.triage.scan import Cover, Found, Hit
from aggregator.triage.words import Keyword

LABEL_FROM = 0.15  # nearer to 0 is neutral
_HALF_WAY = 10.0  # the square of a sum that scores 0.7
_SAID = 3  # a term said more often counts no further
_REACH = 4  # characters between an intensifier and what it strengthens
_NEGATED_GOOD = -0.8
_NEGATED_BAD = -0.5  # 不差 is less than 好


class Slot(IntEnum):
    """The lexicon's places in the scanner; the rules' follow."""

    TERMS = 0
    MASKS = 1
    INTENSIFIERS = 2
    NEGATORS = 3
    NEGATOR_MASKS = 4


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
    return round(total / math.sqrt(total * total + _HALF_WAY), 3)


def label(score: float) -> str:
    if score >= LABEL_FROM:
        return "positive"
    return "negative" if score <= -LABEL_FROM else "neutral"


def mood(found: Found, end: int, negation: Negation) -> Mood:
    """The mood of the first `end` characters of a reading: the author's own words."""
    chosen = _longest(found, end)
    strong = found.get(Slot.INTENSIFIERS, ())
    if strong:
        chosen = _without_adverbs(chosen, strong)
    terms = [hit for hit in chosen if hit.keyword.weight]
    if not terms:
        return NEUTRAL
    cover = Cover(chosen)
    if strong:
        strong = sorted(
            (hit for hit in strong if not cover.holds(hit.start, hit.end)),
            key=lambda hit: hit.end,
        )
    said: dict[Keyword, int] = {}
    added: dict[str, float] = {}
    for hit in terms:
        said[hit.keyword] = said.get(hit.keyword, 0) + 1
        if said[hit.keyword] > _SAID:
            continue
        value = hit.keyword.weight * _strength(hit, strong)
        if negation and negation.negates(hit, cover):
            value *= _NEGATED_GOOD if value > 0 else _NEGATED_BAD
        added[hit.keyword.text] = added.get(hit.keyword.text, 0.0) + value
    terms_told = tuple((text, round(value, 2)) for text, value in added.items())
    return Mood(sum(added.values()), terms_told)


def _longest(found: Found, end: int) -> list[Hit]:
    """Terms and masks that do not overlap, the longest first; in the order of the text."""
    hits = [hit for hit in found.get(Slot.TERMS, ()) if hit.end <= end]
    if not hits:
        return hits
    hits.extend(hit for hit in found.get(Slot.MASKS, ()) if hit.end <= end)
    if len(hits) == 1:
        return hits
    taken, chosen = bytearray(end), []
    for hit in sorted(hits, key=_longest_first):
        if 1 not in taken[hit.start : hit.end]:
            taken[hit.start : hit.end] = b"\x01" * (hit.end - hit.start)
            chosen.append(hit)
    return sorted(chosen, key=itemgetter(0))


def _longest_first(hit: Hit) -> tuple[int, int]:
    return hit.start - hit.end, hit.start


def _without_adverbs(chosen: list[Hit], intensifiers: Sequence[Hit]) -> list[Hit]:
    """好 in 好慢 strengthens 慢 and praises nothing."""
    adverbs = {(hit.start, hit.end) for hit in intensifiers}
    begins = {hit.start for hit in chosen if hit.keyword.weight}
    return [one for one in chosen if (one.start, one.end) not in adverbs or one.end not in begins]


def _strength(hit: Hit, intensifiers: Sequence[Hit]) -> float:
    """The nearest intensifier before the term (很慢), or right behind it (慢死了)."""
    factor = 1.0
    for one in intensifiers:
        if 0 <= hit.start - one.end <= _REACH or one.start == hit.end:
            factor = one.keyword.weight
    return factor
