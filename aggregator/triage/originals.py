"""What is matched on texts as they were written: exact keywords and regexes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter

from ahocorasick_rs import AhoCorasick

from aggregator.triage.folding import GLUES, JOINS
from aggregator.triage.reading import Reading
from aggregator.triage.regexes import Regexes
from aggregator.triage.scan import BUDGET, LONG, Hit, forbids
from aggregator.triage.text import ZWJ, joins
from aggregator.triage.words import Keyword

_END = attrgetter("end")
PLACES = 8  # of one exact keyword in one message
_LOOKED = 1_000  # hits times the lists that hold the keyword, whatever stands at their edges

_Row = tuple[int, int, Hit]  # slot, number of the piece, and where in that


class Exact:
    """Finds keywords by slot in the pieces of one message, with the edges that they ask for."""

    def __init__(self, slots: Sequence[Iterable[Keyword]]) -> None:
        uses: dict[str, list[tuple[int, Keyword, int, int]]] = {}
        for slot, keywords in enumerate(slots):
            for one in keywords:
                uses.setdefault(one.folded, []).append(
                    (slot, one, forbids(whole=one.left), forbids(whole=one.right))
                )
        self._uses = list(uses.values())
        self._longest = max(map(len, uses), default=0)
        self._automaton = AhoCorasick(uses)

    def keywords(self, slot: int) -> list[Keyword]:
        return [one for uses in self._uses for at, one, *_ in uses if at == slot]

    def read(self, pieces: Sequence[str]) -> tuple[list[_Row], bool]:
        """Each hit with its slot and the number of its piece; and whether a bound left something out."""
        found: list[_Row] = []
        places: Counter[int] = Counter()
        looked, cut = 0, False
        for number, text in enumerate(pieces):
            for pattern, start, end in self._hits(text):
                uses = self._uses[pattern]
                looked += len(uses)
                if looked > _LOOKED or len(found) > BUDGET:
                    return found, True
                if places[pattern] == PLACES:
                    cut = True
                    continue
                before, after = _edge(text, start - 1), _edge(text, end)
                fine = [
                    (slot, number, Hit(start, end, one))
                    for slot, one, left, right in uses
                    if not (before & left or after & right)
                ]
                places[pattern] += bool(fine)
                found.extend(fine)
        return found, cut

    def _hits(self, text: str) -> Iterator[tuple[int, int, int]]:
        for after in range(0, len(text), LONG):
            first = max(0, after - self._longest)
            part = text[first : after + LONG]
            for pattern, start, end in self._automaton.find_matches_as_indexes(
                part, overlapping=True
            ):
                if end + first > after:
                    yield pattern, start + first, end + first


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
        for hits in found.values():
            hits.sort(key=_END)
        return found, cut


def _edge(text: str, at: int) -> int:
    if not 0 <= at < len(text):
        return 0
    return JOINS if joins(text[at]) else GLUES if text[at] == ZWJ else 0
