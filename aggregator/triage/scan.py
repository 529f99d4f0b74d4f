"""One pass over a text for every keyword of every list: an automaton, and what the edges allow."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ahocorasick_rs import AhoCorasick

from aggregator.triage.text import ZWJ, joins
from aggregator.triage.words import Keyword


class Hit(NamedTuple):
    """[start, end) of the text that was scanned."""

    start: int
    end: int
    keyword: Keyword


Found = Mapping[int, Sequence[Hit]]  # by slot; in the order of their ends


class Scanner:
    """Finds keywords by slot: a slot is one list of one rule, or a part of the lexicon."""

    def __init__(self, slots: Sequence[Iterable[Keyword]]) -> None:
        uses: dict[str, list[tuple[int, Keyword]]] = {}
        for slot, keywords in enumerate(slots):
            for one in keywords:
                uses.setdefault(one.folded, []).append((slot, one))
        self._uses = [(rows[0][1].left, tuple(rows)) for rows in uses.values()]
        self._automaton = AhoCorasick(uses) if uses else None

    def scan(self, text: str) -> dict[int, list[Hit]]:
        found: dict[int, list[Hit]] = {}
        if self._automaton is None:
            return found
        length, table, whole = len(text), self._uses, ZWJ in text
        for pattern, start, end in self._automaton.find_matches_as_indexes(text, overlapping=True):
            left, uses = table[pattern]
            if left and start and joins(text[start - 1]):
                continue
            if whole and ZWJ in (text[start - 1 : start], text[end : end + 1]):
                continue  # a part of 👨‍👩‍👧 is not 👨
            joined = end < length and joins(text[end])
            for slot, keyword in uses:
                if joined and keyword.right:
                    continue
                found.setdefault(slot, []).append(Hit(start, end, keyword))
        return found


class Cover:
    """Answers fast whether a span lies inside one of many."""

    def __init__(self, hits: Iterable[Hit]) -> None:
        spans = sorted((hit.start, hit.end) for hit in hits)
        self._starts = [start for start, _ in spans]
        self._reach: list[int] = []
        for _, end in spans:
            self._reach.append(max(end, self._reach[-1]) if self._reach else end)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def holds(self, start: int, end: int) -> bool:
        at = bisect_right(self._starts, start)
        return at > 0 and self._reach[at - 1] >= end
