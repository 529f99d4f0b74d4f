"""Many texts folded at once, character by character in arrays, with the way back to each original."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cached_property
from threading import Lock

import numpy as np
import numpy.typing as npt

from aggregator.triage.text import BREAK, TABLE, ZWJ, Folder, cjk, emoji, joins, repeats

JOINS, GLUES = 1, 2  # what a neighbour says to an edge: it lengthens a word, it is a ZWJ

# One number holds what a character folds to and what that is.
_CODE = (1 << 21) - 1
_EDGE = 21  # JOINS and GLUES, moved up
_CJK = 1 << 23
_EMOJI = 1 << 24
_REPEATS = 1 << 25
_CLAUSE = 1 << 26  # it ends a clause, a sentence; it is part of a word
_SENTENCE = 1 << 27
_WORD = 1 << 28
_UNEVEN = 1 << 31  # it becomes none, or several: the other bits are its number among those

_Points = npt.NDArray[np.uint32]
_Places = npt.NDArray[np.intp]


class _Fold:
    """Code point → such a number, worked out when first met. Safe to share between threads."""

    def __init__(self) -> None:
        self._values = np.zeros(0x110000, np.uint32)  # 0: not met yet
        self._lengths = np.zeros(1, np.intp)  # uneven number 0 becomes nothing
        self._begins = np.zeros(1, np.intp)
        self._several = np.zeros(0, np.uint32)
        self._lock = Lock()

    def of(self, points: _Points) -> _Points:
        values = self._values.take(points)
        if not values.all():
            self._learn(np.unique(points[values == 0]))
            values = self._values.take(points)
        return values

    def spread(self, values: _Points) -> tuple[_Points, _Places]:
        """With every uneven character written out, and where each character stood before."""
        numbers = values[values >= _UNEVEN] - _UNEVEN
        counts = np.ones(len(values), np.intp)
        counts[values >= _UNEVEN] = self._lengths[numbers]
        origin = np.repeat(np.arange(len(values)), counts)
        spread = values[origin]
        at = np.flatnonzero(spread >= _UNEVEN)
        if len(at):
            first = (np.cumsum(counts) - counts)[origin[at]]
            spread[at] = self._several[self._begins[spread[at] - _UNEVEN] + at - first]
        return spread, origin

    def _learn(self, points: _Points) -> None:
        with self._lock:
            for point in points.tolist():
                folded = TABLE[point]
                if len(folded) == 1:
                    self._values[point] = _value(folded)
                elif not folded:
                    self._values[point] = _UNEVEN
                else:
                    # New arrays first: another thread reads them as soon as the number is known.
                    several = np.array([_value(one) for one in folded], np.uint32)
                    self._begins = np.append(self._begins, len(self._several))
                    self._several = np.append(self._several, several)
                    self._lengths = np.append(self._lengths, len(several))
                    self._values[point] = _UNEVEN + len(self._lengths) - 1


def _value(char: str) -> int:
    edge = (JOINS if joins(char) else 0) | (GLUES if char == ZWJ else 0)
    return (
        ord(char)
        | edge << _EDGE
        | (_CJK if cjk(char) else 0)
        | (_EMOJI if emoji(char) else 0)
        | (_REPEATS if repeats(char) else 0)
        | (_CLAUSE if char in ",。!?;\n" else 0)
        | (_SENTENCE if char in "。!?\n" else 0)
        | (_WORD if char.isalnum() or char == "_" else 0)
    )


_FOLD = _Fold()
_BREAK, _SPACE, _ZWJ, _DOT = _value(BREAK), _value(" "), _value(ZWJ), _value(".")
_BUT, _BUTS = _value("但"), re.compile("but")


class Folded:
    """`text`: every piece folded, with a BREAK before, between and after; `bounds` are the BREAKs' places.

    `edges`: JOINS and GLUES of each character.
    """

    def __init__(self, folder: Folder, pieces: Sequence[str]) -> None:
        joined = BREAK.join(("", *pieces, ""))
        points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
        values = _FOLD.of(points)
        begins = np.zeros(len(pieces) + 1, np.intp)
        begins[1:] = np.fromiter(map(len, pieces), np.intp, len(pieces)) + 1
        np.cumsum(begins, out=begins)
        values[begins] = _BREAK
        self._begins: list[int] = begins.tolist()
        self._atoms: tuple[_Places, _Places] | None = None  # where emoticons stood
        parts, atoms = folder.atoms(joined)
        if atoms:
            codes = {code: ord(atom) for code, atom in atoms.items()}
            found = np.fromiter((codes.get(one, 0) for one in parts[1::2]), np.uint32)
            ends = np.cumsum(np.fromiter(map(len, parts), np.intp, len(parts)))
            starts, ends = ends[:-1:2][found > 0], ends[1::2][found > 0]
            sizes = ends - starts
            first = np.repeat(starts - np.cumsum(sizes) + sizes, sizes)
            values[first + np.arange(len(first))] = _UNEVEN
            values[starts] = found[found > 0]
            self._atoms = starts, ends
        # Where each character stood is worked out from those few that went, when it is asked for.
        self._origin: _Places | None = None
        self._removed = np.zeros(0, np.intp)
        if values.max() > _UNEVEN:  # some become several
            values, self._origin = _FOLD.spread(values)
        for gone in (_nothing, _loose, _spaces, _thirds):
            places = gone(values)
            if places is not None and len(places):
                kept = np.ones(len(values), np.bool_)
                kept[places] = False
                values = values[kept]
                self._removed = np.sort(np.append(self._removed, self._before(places)))
        self._values = values
        self.text = (values & _CODE).tobytes().decode("utf-32-le")
        self.edges = ((values >> _EDGE) & (JOINS | GLUES)).astype(np.uint8)
        self.bounds: _Places = np.flatnonzero(values == _BREAK)

    def spans(self, pieces: _Places, starts: _Places, ends: _Places) -> tuple[_Places, _Places]:
        """Where stretches [start, end) of `text` stand in the pieces as they were given; none is empty."""
        begins = np.asarray(self._begins)[pieces] + 1
        first, last = self._before(starts), self._before(ends - 1)
        if self._origin is not None:
            first, last = self._origin[first], self._origin[last]
        until = last + 1
        if self._atoms is not None:
            at = np.minimum(np.searchsorted(self._atoms[0], last), len(self._atoms[0]) - 1)
            until = np.where(self._atoms[0][at] == last, self._atoms[1][at], until)
        return first - begins, until - begins

    def place(self, piece: int, at: int) -> int:
        """The other way: the first character of `text` that comes from `at` of the piece, or later."""
        wanted = self._begins[piece] + 1 + at
        if self._origin is not None:
            wanted = int(np.searchsorted(self._origin, wanted))
        return wanted - int(np.searchsorted(self._removed, wanted))

    def _before(self, places: _Places) -> _Places:
        """Where characters stood before others went."""
        removed = self._removed
        if not len(removed):
            return places
        moved: _Places = places + np.searchsorted(
            removed - np.arange(len(removed)), places, "right"
        )
        return moved

    # What follows is asked for by few texts, or by the lexicon only.

    @cached_property
    def marks(self) -> _Places:
        """Where a clause ends: , 。 ! ? ; a BREAK, and a dot that no letter or digit follows."""
        return self._ends_of(_CLAUSE)

    @cached_property
    def stops(self) -> _Places:
        """Where a sentence ends."""
        return self._ends_of(_SENTENCE)

    @cached_property
    def sentences(self) -> _Places:
        """Where a sentence begins: behind its end, and behind a dot if a space follows."""
        values = self._values
        spaced = self._dots[values[self._dots + 1] == _SPACE]
        return np.sort(np.append(np.flatnonzero(values & _SENTENCE), spaced)) + 1

    @cached_property
    def clauses(self) -> _Places:
        """Where a clause begins for a negator: behind its end, and behind a but."""
        values = self._values
        buts = [
            found.end()
            for found in _BUTS.finditer(self.text)
            if not (_of_word(self.text[found.start() - 1]) or _of_word(self.text[found.end()]))
        ]
        return np.sort(np.concatenate((self.marks + 1, np.flatnonzero(values == _BUT) + 1, buts)))

    @cached_property
    def words(self) -> tuple[_Places, _Places]:
        """Where what stands between spaces begins, and where it ends."""
        blank = (self._values == _SPACE) | (self._values == _BREAK)
        turns = np.flatnonzero(blank[1:] != blank[:-1]) + 1
        return turns[::2], turns[1::2]

    def dotted(self, places: _Places) -> npt.NDArray[np.bool_]:
        """Whether a dot stands right before each place."""
        dots: npt.NDArray[np.bool_] = self._values[places - 1] == _DOT
        return dots

    def han(self, places: _Places) -> npt.NDArray[np.bool_]:
        """Whether a CJK character stands right before each place."""
        han: npt.NDArray[np.bool_] = (self._values[places - 1] & _CJK) != 0
        return han

    @cached_property
    def _dots(self) -> _Places:
        return np.flatnonzero(self._values == _DOT)

    def _ends_of(self, kind: int) -> _Places:
        values = self._values
        found = np.flatnonzero(values & kind)
        loose = self._dots[(values[self._dots + 1] & _WORD) == 0]
        return np.sort(np.append(found, loose)) if len(loose) else found


def fold_all(folder: Folder, texts: Collection[str]) -> dict[str, str]:
    """What `Folder.fold` makes of each, for a fraction of the work."""
    if not texts:
        return {}
    return dict(zip(texts, Folded(folder, list(texts)).text.split(BREAK)[1:-1], strict=True))


def _of_word(char: str) -> bool:
    """What lengthens `but`: a letter, digit or underscore of ASCII."""
    return char == "_" or (char.isascii() and char.isalnum())


# After the table, folding only ever deletes; each of these says what, as the table and the patterns of text.py do.


def _nothing(values: _Points) -> _Places | None:
    """What folds to nothing."""
    return np.flatnonzero(values == _UNEVEN) if values.max() == _UNEVEN else None


def _loose(values: _Points) -> _Places | None:
    """Joiners that do not stand between emoji."""
    found = np.flatnonzero(values == _ZWJ)
    if not len(found):
        return None
    loose: _Places = found[(values[found - 1] & values[found + 1] & _EMOJI) == 0]
    return loose


def _spaces(values: _Points) -> _Places | None:
    """All of a run next to a CJK character, all but the first of any other."""
    found = np.flatnonzero(values == _SPACE)
    if not len(found):
        return None
    before, after = values[found - 1], values[found + 1]
    begins, ends = before != _SPACE, after != _SPACE
    gone = ~begins
    gone[begins] = ((before[begins] | after[ends]) & _CJK) != 0
    spaces: _Places = found[gone]
    return spaces


def _thirds(values: _Points) -> _Places:
    """The third and every further one of a run of letters or punctuation."""
    same = values[1:] == values[:-1]
    found = np.flatnonzero(same[1:] & same[:-1]) + 2
    thirds: _Places = found[(values[found] & _REPEATS) != 0]
    return thirds
