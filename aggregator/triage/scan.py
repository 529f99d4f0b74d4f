"""One pass over many texts for every keyword of every list: an automaton, and what the edges allow."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from ahocorasick_rs import AhoCorasick

from aggregator.triage.folding import GLUES, JOINS, Folded
from aggregator.triage.negation import Flags, Places, Spans
from aggregator.triage.reading import Readings
from aggregator.triage.words import Keyword

# Hits times the lists of rules that hold the keyword, of one message. What is said again is left out first.
BUDGET = 500
_PLACES = (64, 32, 16, 8, 4, 2, 1)  # of one keyword: as many as the budget allows

Place = tuple[int, int, bool]

# A long message is read in parts, and no further than the one in which so many hits are reached.
LONG = 500
MOST = 2_500
NEST = 8  # keywords that may end at one place

_WHOLE = JOINS | GLUES
_PATTERN, _END = itemgetter(0), itemgetter(2)


class Hit(NamedTuple):
    """[start, end) of the folded text; `place`: where that stands in the original, and whether in the quoted text."""

    start: int
    end: int
    keyword: Keyword
    place: Place = (0, 0, False)


Found = Mapping[int, Sequence[Hit]]  # by slot; in the order of their ends
Use = tuple[int, Keyword, int]  # a slot, the keyword there, and what must not stand behind it


class Scanner:
    """Finds keywords by slot: a slot is one list of one rule, or, the first `lexicon`, a part of the lexicon.

    Of a part of the lexicon every keyword counts once. `plain`: the slots that are all that one rule asks for.
    """

    def __init__(
        self,
        slots: Sequence[Iterable[Keyword]],
        *,
        lexicon: int = 0,
        plain: Collection[int] = (),
    ) -> None:
        uses: dict[str, list[Use]] = {}
        for slot, keywords in enumerate(slots):
            for one in keywords:
                use = slot, one, _WHOLE if one.right else GLUES
                if one.folded in uses:
                    uses[one.folded].append(use)
                else:
                    uses[one.folded] = [use]
        count = len(uses)
        # By pattern, all that follows.
        self.names = [""] * count  # of keywords of the first slot
        self.uses: list[Sequence[Use]] = list(uses.values())  # by rules
        parts = [0] * count  # a bit for each part of the lexicon
        weights = [[0.0] * count for _ in range(lexicon)]
        behind = [[0] * count for _ in range(lexicon)]  # what must not stand there
        for pattern, rows in enumerate(self.uses):
            if rows[0][0] >= lexicon:
                continue
            self.uses[pattern] = [row for row in rows if row[0] >= lexicon]
            for slot, one, right in reversed(rows):
                if slot < lexicon:
                    parts[pattern] |= 1 << slot
                    weights[slot][pattern] = one.weight
                    behind[slot][pattern] = right
                    if not slot:
                        self.names[pattern] = one.text
        self.parts = np.array(parts, np.uint8)
        self.weights = np.array(weights, np.float64).reshape(lexicon, count)
        self.behind = np.array(behind, np.uint8).reshape(lexicon, count)
        self.lengths = np.fromiter(map(len, uses), np.intp, count)
        self._longest = max(map(len, uses), default=0)
        self.lists = np.fromiter(map(len, self.uses), np.intp, count)
        # A part of 👨‍👩‍👧 is not 👨, and vip is no part of vipers.
        lefts = [_WHOLE if rows[0][1].left else GLUES for rows in uses.values()]
        rights = [min([use[2] for use in rows]) for rows in uses.values()]
        self.left, self.right = np.array(lefts, np.uint8), np.array(rights, np.uint8)
        # One use, in a list that by itself is all that its one rule asks for.
        self.lonely = np.fromiter(
            (len(rows) == 1 and rows[0][0] in plain for rows in self.uses), np.bool_, count
        )
        self._automaton = AhoCorasick(uses) if uses else None

    def keywords(self, slot: int) -> list[Keyword]:
        """Those of one list of a rule, to show them."""
        return [one for uses in self.uses for at, one, _ in uses if at == slot]

    def alone(self) -> Iterator[tuple[int, int, Keyword]]:
        """The lonely patterns, each with its slot and keyword."""
        for at in np.flatnonzero(self.lonely).tolist():
            slot, word, _ = self.uses[at][0]
            yield at, slot, word

    def find(self, folded: Folded, ends: Places) -> Scan | None:
        """What stands in many texts, each up to its end; None if nothing does."""
        if self._automaton is None or not len(ends):
            return None
        pattern, end, cut = self._hits(folded.text, ends)
        if not len(end):
            return None
        edges = folded.edges
        start = end - self.lengths[pattern]
        after = edges[end]
        fine = ((edges[start - 1] & self.left[pattern]) | (after & self.right[pattern])) == 0
        if not fine.all():
            pattern, start, end, after = pattern[fine], start[fine], end[fine], after[fine]
        return Scan(self, pattern, start, end, after, np.searchsorted(ends, end), cut)

    def _hits(self, text: str, ends: Places) -> tuple[Places, Places, set[int]]:
        """Which pattern ends where; and the messages that are so full of them that their rest was not read."""
        cut: set[int] = set()
        long = np.flatnonzero(np.diff(ends, prepend=0) > LONG).tolist()
        if not long:
            return *self._window(text, 0, len(text), 0), cut
        windows, read = [], 0
        for number in long:
            begin = int(ends[number - 1]) if number else 0
            end = int(ends[number])
            if begin > read:
                windows.append(self._window(text, read, begin, read))
            count = 0
            for after in range(begin, end, LONG):
                if count > MOST:
                    cut.add(number)
                    break
                first = max(begin, after - self._longest)
                windows.append(self._window(text, first, min(after + LONG, end), after))
                count += len(windows[-1][0])
            read = end
        windows.append(self._window(text, read, len(text), read))
        patterns, places = zip(*windows, strict=True)
        return np.concatenate(patterns), np.concatenate(places), cut

    def _window(self, text: str, first: int, until: int, after: int) -> tuple[Places, Places]:
        """What ends behind `after`, looked for in [first, until)."""
        assert self._automaton is not None
        part = text[first:until] if until - first < len(text) else text
        hits = self._automaton.find_matches_as_indexes(part, overlapping=True)
        count = len(hits)
        pattern = np.fromiter(map(_PATTERN, hits), np.intp, count)
        end = np.fromiter(map(_END, hits), np.intp, count) + first
        if first < after:
            kept = end > after
            pattern, end = pattern[kept], end[kept]
        return pattern, end


# A message, and its words: the pattern of each, and where it stands in the original.
Alone = tuple[int, Sequence[tuple[int, Place]]]


class OfRules(NamedTuple):
    """`found`: by message and slot; `alone`: the rest; `cut`: whose words the budget left out in part."""

    found: dict[int, dict[int, list[Hit]]]
    alone: Sequence[Alone]
    cut: set[int]


class Picked(NamedTuple):
    """The hits of one part of the lexicon, in the order of their ends."""

    messages: Places
    patterns: Places
    starts: Places
    ends: Places
    weights: npt.NDArray[np.float64]

    def only(self, kept: Flags | Places) -> Picked:
        messages, patterns, starts, ends, weights = self
        return Picked(messages[kept], patterns[kept], starts[kept], ends[kept], weights[kept])

    @property
    def spans(self) -> Spans:
        return Spans(self.starts, self.ends)


class Scan:
    """What one pass found, in the order of the ends."""

    def __init__(
        self,
        scanner: Scanner,
        pattern: Places,
        start: Places,
        end: Places,
        after: npt.NDArray[np.uint8],
        message: Places,
        cut: set[int],
    ) -> None:
        self._scanner = scanner
        self.cut = cut  # the messages that were not read to their end
        self._pattern, self._start, self._end, self._message = pattern, start, end, message
        self._after = after  # the edges of what stands behind
        self._parts = scanner.parts[pattern]

    def part(self, slot: int) -> Picked | None:
        """What was found of a part of the lexicon; None if nothing was."""
        at = np.flatnonzero(self._parts & (1 << slot))
        if len(at):
            at = at[(self._scanner.behind[slot, self._pattern[at]] & self._after[at]) == 0]
        if not len(at):
            return None
        pattern = self._pattern[at]
        return Picked(
            self._message[at],
            pattern,
            self._start[at],
            self._end[at],
            self._scanner.weights[slot, pattern],
        )

    def of_rules(self, readings: Readings, simple: Flags | None) -> OfRules:
        """What was found of rules. Of the `simple` messages those whose words are all lonely stand apart."""
        lists = self._scanner.lists[self._pattern]
        at = np.flatnonzero(lists)
        if not len(at):
            return OfRules({}, [], self.cut)
        cut = set(self.cut)
        if len(at) * int(lists.max()) > BUDGET:
            total = np.bincount(self._message[at], lists[at])
            for number in np.flatnonzero(total > BUDGET).tolist():
                cut.add(number)
                first, after = np.searchsorted(self._message[at], (number, number + 1))
                some = at[first:after]
                kept = _affordable(self._pattern[some], lists[some])
                at = np.concatenate((at[:first], some[kept], at[after:]))
        alone: list[Alone] = []
        if simple is not None:
            simple[list(cut)] = False
            message = self._message[at]
            mixed = ~(simple & (np.bincount(message, minlength=len(simple)) > 0))
            mixed[message[~self._scanner.lonely[self._pattern[at]]]] = True
            some = at[~mixed[message]]
            at = at[mixed[message]]
            places = readings.places(self._start[some], self._end[some])
            rows = list(zip(self._pattern[some].tolist(), places, strict=True))
            message = self._message[some]
            begins = np.flatnonzero(np.append(True, message[1:] != message[:-1])[: len(message)])
            ends = [*begins[1:].tolist(), len(rows)]
            numbers = message[begins].tolist()
            alone = [
                (number, rows[first:after])
                for number, first, after in zip(numbers, begins.tolist(), ends, strict=False)
            ]
        return OfRules(self._by_slot(at, readings), alone, cut)

    def _by_slot(self, at: Places, readings: Readings) -> dict[int, dict[int, list[Hit]]]:
        uses, new, last = self._scanner.uses, tuple.__new__, -1
        every: dict[int, dict[int, list[Hit]]] = {}
        found: dict[int, list[Hit]] = {}
        arrays = self._message, self._pattern, self._start, self._end, self._after
        places = readings.places(self._start[at], self._end[at])
        for number, pattern, start, end, after, place in zip(
            *[one[at].tolist() for one in arrays], places, strict=True
        ):
            if number != last:
                last = number
                found = every[number] = {}
            for slot, keyword, behind in uses[pattern]:
                if after & behind:
                    continue
                hit = new(Hit, (start, end, keyword, place))
                if slot in found:
                    found[slot].append(hit)
                else:
                    found[slot] = [hit]
        return every


def _affordable(patterns: Places, lists: Places) -> Flags:
    """Which hits of one message stay: as many places of each keyword as the budget allows, in the order of the text."""
    order = np.argsort(patterns, kind="stable")
    ordered = patterns[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    place = np.empty(len(order), np.intp)  # the how manieth of its keyword
    place[order] = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    for most in _PLACES:
        kept = place < most
        if lists[kept].sum() <= BUDGET:
            return kept
    kept[kept] = np.cumsum(lists[kept]) <= BUDGET
    return kept


def forbids(*, whole: bool) -> int:
    """What must not stand next to an edge: never a joiner, and nothing of a word where it is to be whole."""
    return _WHOLE if whole else GLUES
