"""Whether a word is negated: 不 没 not never n't … before it, near, in the same clause."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from aggregator.triage.scan import Cover, Hit
from aggregator.triage.text import cjk

WITHIN_CHARACTERS = 6
WITHIN_WORDS = 3
NEXT_TO_CHARACTERS = 3  # 没有任何问题
NEXT_TO_WORDS = 2  # not a problem
_FAR = 60  # three words are never longer

# 、 goes on: 没有起火、冒烟 denies both.
_CLAUSE_ENDS = re.compile(r"[,。!?;\n]|\.(?!\w)|但|(?<![a-z0-9_])but(?![a-z0-9_])")
_WORD = re.compile(r"\S+")


class Negation:
    """The negators of one text. Those inside a longer one or inside a mask negate nothing.

    Each question costs the same however many negators there are.
    """

    def __init__(self, text: str, negators: Iterable[Hit], masks: Iterable[Hit]) -> None:
        self._text = text
        masked, end = Cover(masks), 0
        self._negators: list[Hit] = []
        for hit in sorted(negators, key=_longest_first):
            if hit.start >= end and not masked.holds(hit.start, hit.end):
                self._negators.append(hit)
                end = hit.end
        self._others: Cover | None = None  # for which the next three are
        self._cjk: list[int] = []  # where negators end that reach over characters
        self._starts: list[int] = []  # where those start that reach over words, and where they end
        self._ends: list[int] = []
        self._clauses: list[int] | None = None
        self._words: tuple[list[int], list[int]] | None = None

    def __bool__(self) -> bool:
        return bool(self._negators)

    def negates(self, hit: Hit, others: Cover, *, next_to: bool = False) -> bool:
        """An odd number of negators stands before `hit`; one inside `others` counts for nothing.

        `next_to`: only those with two characters or a word between at most.
        """
        if others is not self._others:
            self._count_without(others)
        start = hit.start
        first = bisect_right(
            self._cjk, start - (NEXT_TO_CHARACTERS if next_to else WITHIN_CHARACTERS)
        )
        after = bisect_right(self._cjk, start, first)
        far = bisect_left(self._starts, start - _FAR)
        until = bisect_right(self._ends, start, far)
        if first == after and far == until:
            return False
        clause = self._clause(start)
        first = bisect_left(self._cjk, clause, first, after)
        if far < until:
            words = self._before(start, NEXT_TO_WORDS if next_to else WITHIN_WORDS)
            far = bisect_left(self._ends, max(clause, words), far, until)
        return (after - first + until - far) % 2 == 1

    def _count_without(self, others: Cover) -> None:
        self._others, self._cjk, self._starts, self._ends = others, [], [], []
        for start, end, _ in self._negators:
            if others.holds(start, end):
                continue
            if cjk(self._text[end - 1]):
                self._cjk.append(end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def _clause(self, at: int) -> int:
        """Where the clause begins that `at` stands in."""
        if self._text[at - 1 : at] == ".":
            return at
        if self._clauses is None:
            self._clauses = [found.end() for found in _CLAUSE_ENDS.finditer(self._text)]
        before = bisect_right(self._clauses, at)
        return self._clauses[before - 1] if before else 0

    def _before(self, at: int, words: int) -> int:
        """From where on fewer than so many words stand before `at`."""
        if self._words is None:
            found = [one.span() for one in _WORD.finditer(self._text)]
            self._words = [start for start, _ in found], [end for _, end in found]
        starts, ends = self._words
        before = bisect_left(starts, at) - words
        return ends[before] if before >= 0 else 0


def _longest_first(hit: Hit) -> tuple[int, int]:
    return hit.start, -hit.end
