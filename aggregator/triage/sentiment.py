"""The mood of a text by a lexicon: a score from -1 to 1, and the terms that made it.

1. Of terms and masks that overlap, the longest stays; an adverb before a term is none itself (好 in 好慢).
2. A term's weight grows or shrinks by the intensifier next to it, and turns where it is denied.
3. Before a but it counts less, behind it more; behind an if, a though or a wish it counts less.
4. Next to mockery praise is worth little; news, advertisements and questions say less of a mood.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from aggregator.triage.negation import Negation
from aggregator.triage.scan import Cover, Found, Hit
from aggregator.triage.words import Keyword

POSITIVE_FROM = 0.2  # nearer to 0 is neutral: praise is said lightly, trouble is not
NEGATIVE_FROM = -0.15
_HALF_WAY = 10.0  # the square of a sum that scores 0.7
_SAID = 3  # a term said more often counts no further
_REACH = 4  # characters between an intensifier and what it strengthens
_NEGATED_GOOD = -0.8
_NEGATED_BAD = -0.5  # 不差 is less than 好
_BEFORE_BUT, _AFTER_BUT = 0.7, 1.3
_IN_DOUBT = 0.5
_MOCKED = 0.3
_SHIFTS = 8  # of a kind, whatever the length of a text: the cost stays in step with it
_PLAINEST = 0.3  # however many signs of news there are

_SENTENCE_MARKS = ("。", "!", "?", ". ")
_SENTENCE_ENDS = re.compile(r"[。!?\n]|\.(?!\w)")
_CLAUSE_ENDS = re.compile(r"[,。!?;\n]|\.(?!\w)")


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


_TERMS, _INTENSIFIERS, _CONTRASTS, _DOUBTS, _PLAIN, _IRONY = (
    int(one)
    for one in (
        Slot.TERMS,
        Slot.INTENSIFIERS,
        Slot.CONTRASTS,
        Slot.DOUBTS,
        Slot.PLAIN,
        Slot.IRONY,
    )
)


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
    if score >= POSITIVE_FROM:
        return "positive"
    return "negative" if score <= NEGATIVE_FROM else "neutral"


def mood(found: Found, text: str, end: int, negation: Negation) -> Mood:
    """The mood of the first `end` characters of a reading, `text`: the author's own words."""
    chosen = _longest(found.get(_TERMS, ()), end)
    if not chosen:
        return NEUTRAL
    strong = found.get(_INTENSIFIERS)
    ending, beginning = _by_place(strong) if strong else (_NO_PLACES, _NO_PLACES)
    if ending:
        chosen = _without_adverbs(chosen, ending, beginning)
    shifts, plain, praise = _tone(found, text, end)
    cover = Cover(chosen) if negation else None
    added: dict[Keyword, float] = {}
    said: dict[Keyword, int] = {}
    before = 0
    for start, stop, keyword in chosen:
        value = keyword.weight
        last, before = before, stop
        if not value:
            continue
        good = value > 0
        value *= plain * praise if good else plain
        if ending:
            value *= _strength(start, stop, last, ending, beginning)
        if cover is not None and negation.negates(
            Hit(start, stop, keyword), cover, next_to=not good
        ):
            value *= _NEGATED_GOOD if good else _NEGATED_BAD
        for first, until, factor in shifts:
            if first <= start < until:
                value *= factor
        if keyword in added:
            times = said.get(keyword, 1)
            if times < _SAID:
                said[keyword] = times + 1
                added[keyword] += value
        else:
            added[keyword] = value
    if not added:
        return NEUTRAL
    told = tuple([(keyword.text, round(value, 2)) for keyword, value in added.items()])
    return Mood(sum(added.values()), told)


def _longest(hits: Sequence[Hit], end: int) -> list[Hit]:
    """What does not overlap, in the order of the text: the longer hit stays, of equals the weightier."""
    chosen: list[Hit] = []
    bound = 0
    for hit in hits:  # in the order of their ends
        start, stop, keyword = hit
        if stop > end:
            break
        if start >= bound:
            chosen.append(hit)
            bound = stop
            continue
        keep = len(chosen)
        while keep and chosen[keep - 1].end > start:
            other = chosen[keep - 1]
            longer = (stop - start) - (other.end - other.start)
            if longer < 0 or (not longer and abs(other.keyword.weight) >= abs(keyword.weight)):
                break
            keep -= 1
        else:
            del chosen[keep:]
            chosen.append(hit)
            bound = stop
    return chosen


Places = dict[int, tuple[int, float]]
_NO_PLACES: Places = {}


def _by_place(intensifiers: Sequence[Hit]) -> tuple[Places, Places]:
    """By where they end: where they begin, and how much they do. And the other way round."""
    ending: Places = {}
    beginning: Places = {}
    for start, stop, keyword in intensifiers:
        if stop not in ending or start < ending[stop][0]:
            ending[stop] = start, keyword.weight
        beginning[start] = stop, keyword.weight  # the longest comes last
    return ending, beginning


def _without_adverbs(chosen: list[Hit], ending: Places, beginning: Places) -> list[Hit]:
    """好 in 好慢 strengthens 慢 and praises nothing; so does 实在 in 实在太慢."""
    kept: list[Hit] = []
    following = -1
    for hit in reversed(chosen):
        start, stop, _ = hit
        adverb = stop in ending and ending[stop][0] == start
        if adverb and (following == stop or stop in beginning):
            following = start
            continue
        kept.append(hit)
        following = start
    kept.reverse()
    return kept


def _strength(start: int, stop: int, last: int, ending: Places, beginning: Places) -> float:
    """The nearest intensifier behind the `last` term and before this one (很慢), or right behind it (慢死了)."""
    for place in range(start, max(last, start - _REACH - 1), -1):
        if place in ending:
            return ending[place][1]
    return beginning[stop][1] if stop in beginning else 1.0


def _tone(found: Found, text: str, end: int) -> tuple[list[tuple[int, int, float]], float, float]:
    """Stretches whose terms count more or less, what every term is worth, and what praise is besides."""
    shifts: list[tuple[int, int, float]] = []
    plain = praise = 1.0
    if _CONTRASTS in found:
        for start, stop, _ in found[_CONTRASTS][:_SHIFTS]:
            if stop <= end:
                shifts.append((_sentence_begin(text, start), start, _BEFORE_BUT))
                mark = _SENTENCE_ENDS.search(text, stop, end)
                shifts.append((stop, mark.start() if mark else end, _AFTER_BUT))
    if _DOUBTS in found:
        for _, stop, _ in found[_DOUBTS][:_SHIFTS]:
            mark = _CLAUSE_ENDS.search(text, stop, end)
            shifts.append((stop, mark.start() if mark else end, _IN_DOUBT))
    if _PLAIN in found:
        for keyword in {hit.keyword for hit in found[_PLAIN]}:
            plain *= keyword.weight
        plain = max(plain, _PLAINEST)
    if _IRONY in found and any(hit.end <= end for hit in found[_IRONY]):
        praise = _MOCKED
    return shifts, plain, praise


def _sentence_begin(text: str, at: int) -> int:
    return max(text.rfind(mark, 0, at) for mark in _SENTENCE_MARKS) + 1
