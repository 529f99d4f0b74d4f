"""Messages as matching sees them: own words first, then quoted ones, folded, with the way back."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Protocol

from aggregator.triage.folding import Folded
from aggregator.triage.text import Folder, split, whole

_HALVES = re.compile("[\ud800-\udfff]")
LIMIT = 5_000  # characters of a text, and of a quoted one, that are judged


class Written(Protocol):
    @property
    def text(self) -> str | None: ...
    @property
    def quoted(self) -> str | None: ...


class Readings:
    """Many messages folded in one go; `ends` is where each ends in the folded text of all."""

    def __init__(self, folder: Folder, messages: Sequence[Written]) -> None:
        self.pieces: list[str] = []
        self.truncated: set[int] = set()  # the numbers of those that are not judged whole
        # Of the pieces that do not begin with their text: where they do, and whether that is the quoted one.
        self.bases: dict[int, tuple[int, bool]] = {}
        counts = [1] * len(messages)  # pieces of each message
        add = self.pieces.append
        for number, message in enumerate(messages):
            text = message.text or ""
            if message.quoted or len(text) > LIMIT or not whole(text):
                counts[number] = self._split(number, text, message.quoted or "")
            else:
                add(text)
        self._first = [0, *accumulate(counts)]  # the number of each message's first piece
        self.folded = Folded(folder, self.pieces)
        self.ends = list(map(self.folded.bounds.__getitem__, self._first[1:]))

    def __getitem__(self, number: int) -> Reading:
        first, after = self._first[number : number + 2]
        return Reading(self, first, after, truncated=number in self.truncated)

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
    """One message. `text` is all its folded words, pieces apart by BREAK; the author's own end at `own_end`."""

    __slots__ = ("_after", "_all", "_begin", "_first", "own_only", "truncated")

    def __init__(self, readings: Readings, first: int, after: int, *, truncated: bool) -> None:
        self._all, self._first, self._after = readings, first, after
        self._begin = readings.folded.bounds[first] + 1
        self.own_only = after == first + 1
        self.truncated = truncated

    @property
    def text(self) -> str:
        folded = self._all.folded
        return folded.text[self._begin : folded.bounds[self._after]]

    @property
    def own_end(self) -> int:
        return self._all.folded.bounds[self._first + 1] - self._begin

    def part(self, start: int) -> str:
        """Whose words begin at `start`: `own` or `quoted`."""
        return "own" if start < self.own_end else "quoted"

    def span(self, start: int, end: int) -> tuple[int, int, bool]:
        """Where [start, end) of the reading stands in the original, and whether in the quoted text."""
        readings, piece = self._all, self._first
        start, end = start + self._begin, end + self._begin
        if not self.own_only:
            piece = bisect_right(readings.folded.bounds, start - 1, piece, self._after) - 1
        first, last = readings.folded.span(piece, start, end)
        if piece not in readings.bases:
            return first, last, False
        base, quoted = readings.bases[piece]
        return base + first, base + last, quoted

    def originals(self) -> Iterator[tuple[int, str]]:
        """The pieces as written, each with its number; half a surrogate pair becomes �, as in a fold."""
        for piece in range(self._first, self._after):
            yield piece, _HALVES.sub("\ufffd", self._all.pieces[piece])

    def folded_span(self, piece: int, start: int, end: int) -> tuple[int, int]:
        """The other way: where [start, end) of a piece as written stands in the reading."""
        place = self._all.folded.place
        return place(piece, start) - self._begin, place(piece, end) - self._begin
