"""Whether a word is negated: 不 没 not never n't … before it, near, in the same clause."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aggregator.triage.folding import Folded

WITHIN_CHARACTERS = 6
WITHIN_WORDS = 3
NEXT_TO_CHARACTERS = 3  # 没有任何问题
NEXT_TO_WORDS = 2  # not a problem
_FAR = 60  # three words are never longer

Places = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]


class Spans(NamedTuple):
    """Stretches of a folded text, [starts, ends)."""

    starts: Places
    ends: Places

    def only(self, kept: Flags | Places) -> Spans:
        return Spans(self.starts[kept], self.ends[kept])

    def inside(self, others: Spans) -> Flags:
        """Which of these lie inside one of the others."""
        if not len(others.starts):
            return np.zeros(len(self.starts), np.bool_)
        order = np.argsort(others.starts, kind="stable")
        reach = np.maximum.accumulate(others.ends[order])
        at = np.searchsorted(others.starts[order], self.starts, "right") - 1
        held: Flags = (at >= 0) & (reach[at] >= self.ends)
        return held


class Negators:
    """The negators of many texts. Those inside a longer one or inside a mask negate nothing.

    Each question costs the same however many negators there are.
    """

    def __init__(self, folded: Folded, spans: Spans, masks: Spans | None) -> None:
        if masks is not None:
            spans = spans.only(~spans.inside(masks))
        spans = spans.only(np.lexsort((-spans.ends, spans.starts)))
        self._folded = folded
        self._spans = spans.only(_apart(spans))
        self._cjk = folded.han(
            self._spans.ends
        )  # these reach over characters, the others over words

    def of(self, begin: int, end: int) -> Negation | None:
        """Those in [begin, end), for a few questions; None if there is none."""
        first, after = np.searchsorted(self._spans.starts, (begin, end)).tolist()
        if first == after:
            return None
        spans = self._spans.starts[first:after].tolist(), self._spans.ends[first:after].tolist()
        rows = list(zip(*spans, self._cjk[first:after].tolist(), strict=True))
        return Negation(self._folded, begin, end, rows)

    def deny(self, starts: Places, next_to: Flags, others: Spans) -> Flags:
        """Of which words, by where they start, an odd number of negators stands before.

        `next_to`: only those with two characters or a word between at most. A negator inside one of
        `others` counts for nothing.
        """
        counted = ~self._spans.inside(others)
        ours = counted & self._cjk
        characters = self._spans.ends[ours]
        ours = counted & ~self._cjk
        begins, ends = self._spans.starts[ours], self._spans.ends[ours]
        clauses = self._folded.clauses
        clause = clauses[np.searchsorted(clauses, starts, "right") - 1]
        clause = np.where(self._folded.dotted(starts), starts, clause)
        reach = starts - np.where(next_to, NEXT_TO_CHARACTERS, WITHIN_CHARACTERS) + 1
        first = np.searchsorted(characters, np.maximum(reach, clause))
        count = np.maximum(np.searchsorted(characters, starts, "right") - first, 0)
        if len(ends):
            words, word_ends = self._folded.words
            before = np.searchsorted(words, starts) - np.where(next_to, NEXT_TO_WORDS, WITHIN_WORDS)
            nearest = np.maximum(clause, np.where(before >= 0, word_ends[np.maximum(before, 0)], 0))
            far = np.searchsorted(begins, starts - _FAR)
            first = np.maximum(far, np.searchsorted(ends, nearest))
            count += np.maximum(np.searchsorted(ends, starts, "right") - first, 0)
        denied: Flags = count % 2 == 1
        return denied


class Negation:
    """The negators of one message. What Negators.deny answers for many words, this does for one at a time."""

    def __init__(
        self, folded: Folded, begin: int, end: int, rows: Sequence[tuple[int, int, bool]]
    ) -> None:
        self._text = folded.text
        # Many rules share a list, and ask the same of one message.
        self._asked: dict[tuple[tuple[int, int], ...], Sequence[bool]] = {}
        self._characters = [(first, last) for first, last, cjk in rows if cjk]
        self._phrases = [(first, last) for first, last, cjk in rows if not cjk]
        self._character_ends = [last for _, last in self._characters]
        self._phrase_ends = [last for _, last in self._phrases]
        self._clauses = _between(folded.clauses, begin, end + 1)
        self._words, self._word_ends = [0], [0]
        if self._phrases:
            self._words = _between(folded.words[0], begin, end)
            self._word_ends = _between(folded.words[1], begin, end + 1)

    def deny(self, words: tuple[tuple[int, int], ...]) -> Sequence[bool]:
        """Which of them an odd number stands before; one inside one of them counts for nothing."""
        denied = self._asked.get(words)
        if denied is None:
            others = Cover(words)
            denied = self._asked[words] = [self._denies(start, others) for start, _ in words]
        return denied

    def _denies(self, start: int, others: Cover) -> bool:
        count = 0
        clause = -1
        at = bisect_right(self._character_ends, start)
        while at and self._character_ends[at - 1] > start - WITHIN_CHARACTERS:
            at -= 1
            if clause < 0:
                clause = self._clause(start)
            if self._character_ends[at] < clause:
                break
            count += not others.holds(*self._characters[at])
        at = bisect_right(self._phrase_ends, start)
        if at:
            if clause < 0:
                clause = self._clause(start)
            before = bisect_left(self._words, start) - WITHIN_WORDS
            nearest = max(clause, self._word_ends[before] if before >= 0 else 0)
            while at and self._phrase_ends[at - 1] >= nearest:
                at -= 1
                if self._phrases[at][0] >= start - _FAR:
                    count += not others.holds(*self._phrases[at])
        return count % 2 == 1

    def _clause(self, start: int) -> int:
        """Where the clause begins that `start` stands in."""
        if self._text[start - 1] == ".":
            return start
        return self._clauses[bisect_right(self._clauses, start) - 1]


def _between(places: Places, begin: int, end: int) -> list[int]:
    first, after = np.searchsorted(places, (begin, end)).tolist()
    found: list[int] = places[first:after].tolist()
    return found


def _apart(spans: Spans) -> Flags:
    """Which stay where of two that overlap the earlier stays, of those that start together the longer."""
    kept = np.ones(len(spans.starts), np.bool_)
    if (spans.starts[1:] < spans.ends[:-1]).any():
        bound = -1
        rows = zip(spans.starts.tolist(), spans.ends.tolist(), strict=True)
        for at, (start, end) in enumerate(rows):
            if start >= bound:
                bound = end
            else:
                kept[at] = False
    return kept


class Cover:
    """Answers fast whether a span lies inside one of many."""

    def __init__(self, spans: Iterable[tuple[Any, ...]]) -> None:
        """`spans`: whatever begins with a start and an end, such as hits."""
        spans = sorted([(one[0], one[1]) for one in spans])
        self._starts = [start for start, _ in spans]
        self._reach: list[int] = []
        for _, end in spans:
            self._reach.append(max(end, self._reach[-1]) if self._reach else end)

    def holds(self, start: int, end: int) -> bool:
        at = bisect_right(self._starts, start)
        return at > 0 and self._reach[at - 1] >= end
