"""Whether a word is negated: 不 没 not never n't … before it, near, in the same clause."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable

from aggregator.triage.scan import Cover, Hit
from aggregator.triage.text import cjk

WITHIN_CHARACTERS = 6
WITHIN_WORDS = 3
_FAR = 60  # three words are never longer

# 、 goes on: 没有起火、冒烟 denies both.
_CLAUSE_ENDS = re.compile(r"[,。!?;\n]|\.(?!\w)|但|\bbut\b")


class Negation:
    """The negators of one text. Those inside a longer one or inside a mask negate nothing."""

    def __init__(self, text: str, negators: Iterable[Hit], masks: Iterable[Hit]) -> None:
        self._text = text
        masked, end = Cover(masks), 0
        self._negators: list[Hit] = []
        for hit in sorted(negators, key=lambda one: (one.start, -one.end)):
            if hit.start >= end and not masked.holds(hit.start, hit.end):
                self._negators.append(hit)
                end = hit.end
        self._starts = [hit.start for hit in self._negators]

    def __bool__(self) -> bool:
        return bool(self._negators)

    def negates(self, hit: Hit, others: Cover) -> bool:
        """An odd number of negators stands before `hit`; one inside `others` counts for nothing."""
        count, at = 0, bisect_left(self._starts, hit.start) - 1
        while at >= 0 and hit.start - self._starts[at] <= _FAR:
            one = self._negators[at]
            if one.end <= hit.start and not others.holds(one.start, one.end):
                between = self._text[one.end : hit.start]
                if _CLAUSE_ENDS.search(between):
                    break
                count += _near(self._text[one.end - 1], between)
            at -= 1
        return count % 2 == 1


def _near(last: str, between: str) -> bool:
    if cjk(last):
        return len(between) < WITHIN_CHARACTERS
    return len(between.split()) < WITHIN_WORDS
