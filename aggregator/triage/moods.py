"""The moods of many texts by a lexicon, worked out in arrays.

1. Of terms and masks that overlap, the longest stays; an adverb before a term is none itself (好 in 好慢).
2. A term's weight grows or shrinks by the intensifier next to it, and turns where it is denied.
3. Before a but it counts less, behind it more; behind an if, a though or a wish it counts less.
4. Next to mockery praise is worth little; news, advertisements and questions say less of a mood.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from aggregator.triage.negation import Flags, Places
from aggregator.triage.reading import Readings
from aggregator.triage.scan import Picked, Scan
from aggregator.triage.sentiment import NEUTRAL, Mood, Slot, squeezed

_SAID = 3  # a term said more often counts no further
_REACH = 4  # characters between an intensifier and what it strengthens
_NEGATED_GOOD = -0.8
_NEGATED_BAD = -0.5  # 不差 is less than 好
_BEFORE_BUT, _AFTER_BUT = 0.7, 1.3
_IN_DOUBT = 0.5
_MOCKED = 0.3
_SHIFTS = 8  # of a kind in one text, whatever its length: the cost stays in step with it
_PLAINEST = 0.3  # however many signs of news there are
_TOLD = 100  # terms of one text that the reasons name

_Weights = npt.NDArray[np.float64]


class Moods:
    """The moods of those texts that hold a term in their own words, by number."""

    def __init__(self, names: Sequence[str], scan: Scan | None, readings: Readings) -> None:
        self._names = names
        self._begins: dict[int, int] = {}  # the message → its place among these
        self._ends: list[int] = []  # of its terms
        self._totals: list[float] = []
        self._scores: dict[int, float] = {}  # of those that were asked for
        self._terms: list[int] = []
        self._added: list[float] = []
        self._said: list[str] = []
        terms = scan.part(Slot.TERMS) if scan is not None else None
        if scan is None or terms is None:
            return
        own = terms.ends <= readings.own_ends[terms.messages]
        chosen = _longest(terms if own.all() else terms.only(own))
        strong = scan.part(Slot.INTENSIFIERS)
        strength = _Strength(strong) if strong is not None else None
        if strength is not None:
            chosen = chosen.only(~strength.adverbs(chosen))
        weighty = chosen.weights != 0
        some = chosen.only(weighty)
        if not len(some.weights):
            return
        values = some.weights * _worth(some, scan, readings)
        if strength is not None:
            values *= strength.of(chosen, readings.begins)[weighty]
        if readings.negators is not None:
            bad = some.weights < 0
            denied = readings.negators.deny(some.starts, bad, chosen.spans)
            values[denied] *= np.where(bad[denied], _NEGATED_BAD, _NEGATED_GOOD)
        _shift(values, some.starts, scan, readings)
        self._sum(some.messages, some.patterns, values)

    def __contains__(self, number: int) -> bool:
        return number in self._begins

    def __iter__(self) -> Iterator[int]:
        return iter(self._begins)

    def score(self, number: int) -> float:
        """From -1 to 1; 0 where there is no term."""
        at = self._begins.get(number)
        if at is None:
            return 0.0
        score = self._scores.get(at)
        if score is None:
            score = self._scores[at] = squeezed(self._totals[at])
        return score

    def of(self, number: int) -> tuple[float, str]:
        """The plain sum, and the terms in words, each with what it added; 0 and nothing where there is none."""
        at = self._begins.get(number)
        if at is None:
            return 0.0, ""
        first, after = self._ends[at], self._ends[at + 1]
        if after - first > _TOLD:
            told = (
                f"{', '.join(self._said[first : first + _TOLD])} and {after - first - _TOLD} more"
            )
        else:
            told = ", ".join(self._said[first:after])
        return self._totals[at], told

    def mood(self, number: int) -> Mood:
        if number not in self._begins:
            return NEUTRAL
        at = self._begins[number]
        some = slice(*self._ends[at : at + 2])
        terms = zip(self._terms[some], self._added[some], strict=True)
        told = tuple([(self._names[term], round(added, 2)) for term, added in terms])
        return Mood(self._totals[at], told)

    def _sum(self, messages: Places, terms: Places, values: _Weights) -> None:
        keys = messages * len(self._names) + terms
        order = np.argsort(keys, kind="stable")
        again = np.append(False, keys[order[1:]] == keys[order[:-1]])
        if again.any():  # a term counts where it is said first, and at most _SAID times
            firsts = np.flatnonzero(~again)
            of = np.cumsum(~again) - 1
            counted = np.arange(len(order)) - firsts[of] < _SAID
            totals = np.zeros(len(values))
            np.add.at(totals, order[firsts[of[counted]]], values[order[counted]])
            first = np.sort(order[firsts])
            messages, terms, values = messages[first], terms[first], totals[first]
        begins = np.flatnonzero(np.append(True, messages[1:] != messages[:-1]))
        self._totals = np.add.reduceat(values, begins).tolist()
        self._begins = {one: at for at, one in enumerate(messages[begins].tolist())}
        self._ends = [*begins.tolist(), len(messages)]
        self._terms, self._added = terms.tolist(), values.tolist()
        names = self._names
        self._said = [
            f"{names[term]} {_signed(added)}"
            for term, added in zip(self._terms, self._added, strict=True)
        ]


@lru_cache(4_096)
def _signed(added: float) -> str:
    return f"{round(added, 2):+g}"


def _longest(hits: Picked) -> Picked:
    """What does not overlap, in the order of the text: the longer hit stays, of equals the weightier."""
    starts, ends = hits.starts, hits.ends
    # Nothing that comes later reaches over such a place.
    opens = np.append(True, np.minimum.accumulate(starts[::-1])[-2::-1] >= ends[:-1])
    if opens.all():
        return hits
    begins = np.flatnonzero(opens)
    sizes = np.diff(np.append(begins, len(starts)))
    weights = np.abs(hits.weights)
    kept = np.repeat(sizes == 1, sizes)
    pairs = begins[sizes == 2]
    longer = (ends - starts)[pairs + 1] - (ends - starts)[pairs]
    later = (longer > 0) | ((longer == 0) & (weights[pairs + 1] > weights[pairs]))
    kept[pairs + later] = True
    # One that covers all others of its kind stays alone; the rest are looked at one by one.
    several = np.flatnonzero(sizes > 2)
    if len(several):
        first, size = begins[several], sizes[several]
        low = np.minimum.reduceat(starts, begins)[several]
        length = np.maximum.reduceat(ends - starts, begins)[several]
        covered = length == ends[first + size - 1] - low
        of = np.repeat(np.arange(len(begins)), sizes)
        whole = np.zeros(len(begins), np.intp)
        whole[several[covered]] = length[covered]
        kept |= (ends - starts) == whole[of]
        tangled = np.zeros(len(begins), np.bool_)
        tangled[several[~covered]] = True
        at = np.flatnonzero(tangled[of])
        rows = zip(starts[at].tolist(), ends[at].tolist(), weights[at].tolist(), strict=True)
        kept[at[_fitting(list(rows))]] = True
    return hits.only(kept)


def _fitting(rows: Sequence[tuple[int, int, float]]) -> list[int]:
    """Which of these stay, each (start, end, how much it weighs), in the order of their ends."""
    chosen: list[int] = []
    for at, (start, end, weight) in enumerate(rows):
        keep = len(chosen)
        while keep and rows[chosen[keep - 1]][1] > start:
            before, until, other = rows[chosen[keep - 1]]
            longer = (end - start) - (until - before)
            if longer < 0 or (not longer and other >= weight):
                break
            keep -= 1
        else:
            del chosen[keep:]
            chosen.append(at)
    return chosen


class _Strength:
    """Intensifiers by where they end and by where they begin; of several the longest counts."""

    def __init__(self, hits: Picked) -> None:
        order = np.lexsort((hits.starts, hits.ends))
        first = order[np.append(True, np.diff(hits.ends[order]) != 0)]
        self._ends, self._starts = hits.ends[first], hits.starts[first]
        self._before = hits.weights[first]
        order = np.lexsort((hits.ends, hits.starts))
        last = order[np.append(np.diff(hits.starts[order]) != 0, True)]
        self._begins, self._behind = hits.starts[last], hits.weights[last]

    def adverbs(self, terms: Picked) -> Flags:
        """好 in 好慢 strengthens 慢 and praises nothing; so does 实在 in 实在太慢."""
        at, same = _find(self._ends, terms.ends)
        following = np.append(terms.starts[1:], -1) == terms.ends
        _, stronger = _find(self._begins, terms.ends)
        adverbs: Flags = same & (self._starts[at] == terms.starts) & (following | stronger)
        return adverbs

    def of(self, terms: Picked, begins: Places) -> _Weights:
        """The nearest one behind the last term and before this one (很慢), or right behind it (慢死了)."""
        last = np.maximum(begins[terms.messages], np.append(0, terms.ends[:-1]))
        at = np.searchsorted(self._ends, terms.starts, "right") - 1
        before = (at >= 0) & (self._ends[at] > np.maximum(last, terms.starts - _REACH - 1))
        behind, right = _find(self._begins, terms.ends)
        factors: _Weights = np.where(
            before, self._before[at], np.where(right, self._behind[behind], 1.0)
        )
        return factors


def _find(places: Places, wanted: Places) -> tuple[Places, Flags]:
    """Where each stands among sorted places, and whether it does."""
    at = np.minimum(np.searchsorted(places, wanted), len(places) - 1)
    return at, places[at] == wanted


def _worth(terms: Picked, scan: Scan, readings: Readings) -> _Weights | float:
    """What each term counts next to signs of news, and praise next to mockery."""
    news, mockery = scan.part(Slot.PLAIN), scan.part(Slot.IRONY)
    if news is None and mockery is None:
        return 1.0
    worth = np.ones(len(readings.begins))
    if news is not None:
        _, once = np.unique(news.messages * (1 << 32) + news.patterns, return_index=True)
        np.multiply.at(worth, news.messages[once], news.weights[once])
        worth[news.messages] = np.maximum(worth[news.messages], _PLAINEST)
    factors: _Weights = worth[terms.messages]
    if mockery is not None:
        mocked = np.zeros(len(worth), np.bool_)
        mocked[mockery.messages[mockery.ends <= readings.own_ends[mockery.messages]]] = True
        factors[mocked[terms.messages] & (terms.weights > 0)] *= _MOCKED
    return factors


def _shift(values: _Weights, starts: Places, scan: Scan, readings: Readings) -> None:
    """Terms in the sentence of a but, and those behind an if in its clause."""
    folded = readings.folded
    if (buts := _own(scan.part(Slot.CONTRASTS), readings)) is not None:
        sentences, stops = folded.sentences, folded.stops
        begins = sentences[np.searchsorted(sentences, buts.starts, "right") - 1]
        until = stops[np.searchsorted(stops, buts.ends)]
        first = np.stack((begins, buts.ends), 1).ravel()
        last = np.stack((buts.starts, until), 1).ravel()
        _scale(values, starts, first, last, np.tile((_BEFORE_BUT, _AFTER_BUT), len(begins)))
    if (doubts := _own(scan.part(Slot.DOUBTS), readings)) is not None:
        until = folded.marks[np.searchsorted(folded.marks, doubts.ends)]
        _scale(values, starts, doubts.ends, until, np.full(len(until), _IN_DOUBT))


def _own(hits: Picked | None, readings: Readings) -> Picked | None:
    """The first of each message, in own words."""
    if hits is None:
        return None
    place = np.arange(len(hits.messages)) - np.searchsorted(hits.messages, hits.messages)
    return hits.only((place < _SHIFTS) & (hits.ends <= readings.own_ends[hits.messages]))


def _scale(
    values: _Weights, starts: Places, first: Places, until: Places, factors: _Weights
) -> None:
    """Multiply the values of what starts in [first, until), stretch by stretch."""
    low = np.searchsorted(starts, first)
    counts = np.maximum(np.searchsorted(starts, until) - low, 0)
    at = np.arange(counts.sum()) + np.repeat(low - np.cumsum(counts) + counts, counts)
    np.multiply.at(values, at, np.repeat(factors, counts))
