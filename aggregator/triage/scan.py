"""One pass over many texts for every keyword of every list: an automaton, and what the edges allow."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from ahocorasick_rs import AhoCorasick

from aggregator.triage.folding import GLUES, JOINS
from aggregator.triage.text import ZWJ, joins
from aggregator.triage.words import Keyword

LONG = 400  # characters
PLACES = 32
HITS = 200


class Hit(NamedTuple):
    """[start, end) of the text that was scanned."""

    start: int
    end: int
    keyword: Keyword


Found = Mapping[int, Sequence[Hit]]  # by slot; in the order of their ends


class Edges(Protocol):
    """JOINS and GLUES of the characters of a text, by their places; 0 before and after it."""

    def __getitem__(self, at: int, /) -> int: ...


class Scanner:
    """Finds keywords by slot: a slot is one list of one rule, or a part of the lexicon.

    A message that is long enough to cost much is not read for all that it repeats: of one keyword its
    first PLACES count, and of one of the first `often` slots its first HITS.
    """

    def __init__(self, slots: Sequence[Iterable[Keyword]], *, often: int = 0) -> None:
        self._often = often
        uses: dict[str, list[tuple[int, Keyword, int]]] = {}
        for slot, keywords in enumerate(slots):
            for one in keywords:
                uses.setdefault(one.folded, []).append((slot, one, _forbids(one.right)))
        # A part of 👨‍👩‍👧 is not 👨, and vip is no part of vipers: by pattern, what no neighbour may be.
        self._uses = [
            (_forbids(rows[0][1].left), min(right for *_, right in rows), tuple(rows))
            for rows in uses.values()
        ]
        self._automaton = AhoCorasick(uses) if uses else None

    def keywords(self, slot: int) -> list[Keyword]:
        """Those of one list, to show them."""
        return [one for *_, uses in self._uses for at, one, _ in uses if at == slot]

    def scan(self, text: str) -> dict[int, list[Hit]]:
        return self.scan_all(text, _Neighbours(text), [len(text)], begin=0).get(0, {})

    def scan_all(
        self, text: str, edges: Edges, ends: Sequence[int], *, begin: int = 1
    ) -> dict[int, dict[int, list[Hit]]]:
        """What each message has, by its number; the hits count from where it begins.

        The first begins at `begin`, each further one after a BREAK at the end of the one before: no
        keyword reaches over that.
        """
        every: dict[int, dict[int, list[Hit]]] = {}
        if self._automaton is None or not ends:
            return every
        table, new, bound = self._uses, tuple.__new__, -1
        found: dict[int, list[Hit]] = {}
        seen: dict[int, int] | None = None
        for pattern, start, end in self._automaton.find_matches_as_indexes(text, overlapping=True):
            left, right, uses = table[pattern]
            if edges[start - 1] & left or edges[end] & right:
                continue
            if end > bound:
                number = bisect_left(ends, end)
                bound = ends[number]
                if number:
                    begin = ends[number - 1] + 1
                found = every[number] = {}
                seen = {} if bound - begin > LONG else None
            places = 0
            if seen is not None:
                places = seen.get(pattern, 0) + 1
                if places > PLACES and not self._counts(uses, found):
                    continue
                seen[pattern] = places
            for slot, keyword, forbidden in uses:  # by slot
                if places > PLACES and slot >= self._often:
                    break
                if forbidden != right and edges[end] & forbidden:
                    continue
                if slot not in found:
                    found[slot] = [new(Hit, (start - begin, end - begin, keyword))]
                elif seen is None or slot >= self._often or len(found[slot]) < HITS:
                    found[slot].append(new(Hit, (start - begin, end - begin, keyword)))
        return every

    def _counts(self, uses: Sequence[tuple[int, Keyword, int]], found: Found) -> bool:
        """A further place of what was said often may be one of a list that is not full."""
        for slot, _, _ in uses:
            if slot >= self._often:
                return False
            if slot not in found or len(found[slot]) < HITS:
                return True
        return False


class _Neighbours:
    """The edges of one text that was not folded with others."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __getitem__(self, at: int) -> int:
        if not 0 <= at < len(self._text):
            return 0
        char = self._text[at]
        return JOINS if joins(char) else GLUES if char == ZWJ else 0


def _forbids(edge: bool) -> int:
    return JOINS | GLUES if edge else GLUES


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
