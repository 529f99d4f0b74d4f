"""Messages as matching sees them: own words first, then quoted ones, folded, with the way back."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Literal, Protocol

import numpy as np

from aggregator.triage.folding import Folded
from aggregator.triage.negation import Flags, Negation, Negators, Places
from aggregator.triage.text import Folder, split

_HALVES = re.compile("[\ud800-\udfff]")
LIMIT = 5_000  # characters of a text, and of a quoted one, that are judged


class Written(Protocol):
    @property
    def text(self) -> str | None: ...
    @property
    def quoted(self) -> str | None: ...


class Readings:
    """Many messages folded in one go: from `begins` to `ends` in its text, own words until `own_ends`."""

    def __init__(self, folder: Folder, messages: Sequence[Written]) -> None:
        self.pieces: list[str] = []
        self.truncated: set[int] = set()  # the numbers of those that are not judged whole
        # Of the pieces that do not begin with their text: where they do, and whether that is the quoted one.
        self.bases: dict[int, tuple[int, bool]] = {}
        self.negators: Negators | None = None
        counts = np.ones(len(messages), np.intp)  # pieces of each message
        texts = [one.text or "" for one in messages]
        read = 0
        for number in [
            at
            for at, (text, one) in enumerate(zip(texts, messages, strict=True))
            if "//" in text or "回" in text or one.quoted or len(text) > LIMIT
        ]:  # all others are nothing but the author's own words, from end to end
            self.pieces.extend(texts[read:number])
            counts[number] = self._split(number, texts[number], messages[number].quoted or "")
            read = number + 1
        self.pieces.extend(texts[read:])
        first = np.zeros(len(messages) + 1, np.intp)  # the number of each message's first piece
        np.cumsum(counts, out=first[1:])
        self.folded = Folded(folder, self.pieces)
        self.begins: Places = self.folded.bounds[first[:-1]] + 1
        self.own_ends: Places = self.folded.bounds[first[:-1] + 1]
        self.ends: Places = self.folded.bounds[first[1:]]
        self._first: list[int] = first.tolist()
        self._bounds: list[int] = self.folded.bounds.tolist()

    def __getitem__(self, number: int) -> Reading:
        first, after = self._first[number : number + 2]
        return Reading(self, first, after, self._bounds, truncated=number in self.truncated)

    def simple(self) -> Flags:
        """Which of them are one piece that begins with the message, and are judged whole."""
        simple: Flags = np.diff(self._first) == 1
        for number in self.truncated:
            simple[number] = False
        for piece in self.bases:
            simple[bisect_right(self._first, piece) - 1] = False
        return simple

    def places(self, starts: Places, ends: Places) -> Iterable[tuple[int, int, bool]]:
        """Where stretches of the folded text stand in the original, and whether in the quoted text."""
        pieces = np.searchsorted(self.folded.bounds, starts, "right") - 1
        first, last = self.folded.spans(pieces, starts, ends)
        if not self.bases:
            return zip(first.tolist(), last.tolist(), repeat(False))
        bases = [self.bases.get(piece, (0, False)) for piece in pieces.tolist()]
        moved = np.array([base for base, _ in bases], np.intp)
        quoted = [one for _, one in bases]
        return zip((first + moved).tolist(), (last + moved).tolist(), quoted, strict=True)

    def _split(self, number: int, text: str, quoted: str) -> int:
        """How many pieces it has."""
        if len(text) > LIMIT or len(quoted) > LIMIT:
            self.truncated.add(number)
        text, before = text[:LIMIT], len(self.pieces)
        own, chain = split(text)
        self._add(text[slice(*own)], own[0])
        for start, end in chain:
            self._add(text[start:end], start)
        if quoted:
            self._add(quoted[:LIMIT], 0, quoted=True)
        return len(self.pieces) - before

    def _add(self, text: str, base: int, *, quoted: bool = False) -> None:
        if base or quoted:
            self.bases[len(self.pieces)] = base, quoted
        self.pieces.append(text)


class Reading:
    """One message: [begin, end) of the folded text of all, pieces apart by BREAK; the author's own end at `own_end`.

    All places are places in that text.
    """

    __slots__ = (
        "_after",
        "_all",
        "_bounds",
        "_first",
        "_negation",
        "begin",
        "own_end",
        "own_only",
        "truncated",
    )

    def __init__(
        self, readings: Readings, first: int, after: int, bounds: list[int], *, truncated: bool
    ) -> None:
        self._all, self._first, self._after, self._bounds = readings, first, after, bounds
        self.begin = bounds[first] + 1
        self.own_end = bounds[first + 1]
        self.own_only = after == first + 1
        self.truncated = truncated
        self._negation: Negation | Literal[False] | None = False  # not asked for yet

    @property
    def end(self) -> int:
        return self._bounds[self._after]

    @property
    def negation(self) -> Negation | None:
        """What denies words of it, if anything does."""
        if self._negation is False:
            every = self._all.negators
            self._negation = every.of(self.begin, self.end) if every is not None else None
        return self._negation

    def part(self, start: int) -> str:
        """Whose words begin at `start`: `own` or `quoted`."""
        return "own" if start < self.own_end else "quoted"

    def originals(self) -> Iterator[tuple[int, str]]:
        """The pieces as written, each with its number; half a surrogate pair becomes �, as in a fold."""
        for piece in range(self._first, self._after):
            yield piece, _HALVES.sub("\ufffd", self._all.pieces[piece])

    def folded(self, piece: int, start: int, end: int) -> tuple[int, int, tuple[int, int, bool]]:
        """The other way: where [start, end) of a piece as written stands; and its place in the original."""
        place = self._all.folded.place
        base, quoted = self._all.bases.get(piece, (0, False))
        return place(piece, start), place(piece, end), (base + start, base + end, quoted)
