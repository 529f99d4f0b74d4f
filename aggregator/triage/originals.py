"""What is matched on texts as they were written: exact keywords and regexes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ahocorasick_rs import AhoCorasick

from aggregator.triage.folding import GLUES, JOINS
from aggregator.triage.reading import Reading
from aggregator.triage.regexes import Regexes
from aggregator.triage.scan import BUDGET, Hit, forbids
from aggregator.triage.text import ZWJ, joins
from aggregator.triage.words import Keyword

PLACES = 8  # of one exact keyword in one message

_Row = tuple[int, int, Hit]  # slot, number of the piece, and where in that


class Exact:
    """Finds keywords by slot in the pieces of one message, with the edges that they ask for."""

    def __init__(self, slots: Sequence[Iterable[Keyword]]) -> None:
        uses: dict[str, list[tuple[int, Keyword]]] = {}
        for slot, keywords in enumerate(slots):
            for one in keywords:
                uses.setdefault(one.folded, []).append((slot, one))
        self._uses = list(uses.values())
        self._automaton = AhoCorasick(uses)

    def keywords(self, slot: int) -> list[Keyword]:
        return [one for uses in self._uses for at, one in uses if at == slot]

    def read(self, pieces: Sequence[str]) -> tuple[list[_Row], bool]:
        """Each hit with its slot and the number of its piece; and whether a bound left something out."""
        found: list[_Row] = []
        places: Counter[int] = Counter()
        cut = False
        for number, text in enumerate(pieces):
            hits = self._automaton.find_matches_as_indexes(text, overlapping=True)
            for pattern, start, end in hits:
                before, after = _edge(text, start - 1), _edge(text, end)
                uses = self._uses[pattern]
                fine = [
                    (slot, number, Hit(start, end, one))
                    for slot, one in uses
                    if not (before & forbids(whole=one.left) or after & forbids(whole=one.right))
                ]
                if not fine:
                    continue
                if len(found) + len(fine) > BUDGET:
                    return found, True
                if places[pattern] == PLACES:
                    cut = True
                    continue
                places[pattern] += 1
                found.extend(fine)
        return found, cut


class Originals:
    """Exact keywords and regexes of all rules."""

    def __init__(self, exact: Exact | None, regexes: Regexes | None) -> None:
        self._finders = [one for one in (exact, regexes) if one is not None]

    def keywords(self, slot: int) -> list[Keyword]:
        """Those of one list, to show them."""
        return [one for finder in self._finders for one in finder.keywords(slot)]

    def find(self, reading: Reading) -> tuple[dict[int, list[Hit]], bool]:
        """By slot, what one message holds; and whether a bound left something out."""
        numbers, texts = zip(*reading.originals(), strict=True)
        found: dict[int, list[Hit]] = {}
        cut = False
        for finder in self._finders:
            rows, less = finder.read(texts)
            cut = cut or less
            for slot, at, hit in rows:
                start, end, place = reading.folded(numbers[at], hit.start, hit.end)
                found.setdefault(slot, []).append(Hit(start, end, hit.keyword, place))
        return found, cut


def _edge(text: str, at: int) -> int:
    if not 0 <= at < len(text):
        return 0
    return JOINS if joins(text[at]) else GLUES if text[at] == ZWJ else 0
