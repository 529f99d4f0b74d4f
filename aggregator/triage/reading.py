"""One message as matching sees it: own words first, then quoted ones, folded, with the way back."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass

from aggregator.triage.text import BREAK, Folder, split

_HALVES = re.compile("[\ud800-\udfff]")
LIMIT = 5_000  # characters of a text, and of a quoted one, that are judged


@dataclass(slots=True)
class _Piece:
    at: int  # where it begins in the reading
    text: str
    base: int  # where it begins in the original
    quoted: bool
    offsets: tuple[list[int], list[int]] | None = None


class Reading:
    """`text` is all folded words, pieces apart by BREAK; the author's own end at `own_end`."""

    __slots__ = ("_folder", "_pieces", "own_end", "text", "truncated")

    def __init__(self, folder: Folder, text: str, quoted: str = "") -> None:
        self.truncated = len(text) > LIMIT or len(quoted) > LIMIT
        text, quoted = text[:LIMIT], quoted[:LIMIT]
        self._folder = folder
        own, chain = split(text)
        first = text if own == (0, len(text)) else text[slice(*own)]
        self._pieces = [_Piece(0, first, own[0], quoted=False)]
        self.text = folder.fold(first)
        self.own_end = len(self.text)
        for start, end in chain:
            self._add(text[start:end], start, quoted=False)
        if quoted:
            self._add(quoted, 0, quoted=True)

    @property
    def own_only(self) -> bool:
        return self.own_end == len(self.text)

    def part(self, start: int) -> str:
        """Whose words begin at `start`: `own` or `quoted`."""
        return "own" if start < self.own_end else "quoted"

    def span(self, start: int, end: int) -> tuple[int, int, bool]:
        """Where [start, end) of the reading stands in the original, and whether in the quoted text."""
        piece = next(one for one in reversed(self._pieces) if one.at <= start)
        starts, ends = self._offsets(piece)
        first, last = start - piece.at, end - piece.at
        if first >= len(starts):
            return piece.base + len(piece.text), piece.base + len(piece.text), piece.quoted
        stop = ends[last - 1] if last > first else starts[first]
        return piece.base + starts[first], piece.base + stop, piece.quoted

    def originals(self) -> list[tuple[int, str]]:
        """The pieces as written, each with its number; half a surrogate pair becomes �, as in a fold."""
        return [(at, _HALVES.sub("\ufffd", piece.text)) for at, piece in enumerate(self._pieces)]

    def folded_span(self, number: int, start: int, end: int) -> tuple[int, int]:
        """The other way: where [start, end) of a piece as written stands in the reading."""
        piece = self._pieces[number]
        starts, _ = self._offsets(piece)
        return piece.at + bisect_left(starts, start), piece.at + bisect_left(starts, end)

    def _add(self, text: str, base: int, *, quoted: bool) -> None:
        self._pieces.append(_Piece(len(self.text) + 1, text, base, quoted))
        self.text = f"{self.text}{BREAK}{self._folder.fold(text)}"

    def _offsets(self, piece: _Piece) -> tuple[list[int], list[int]]:
        if piece.offsets is None:
            _, starts, ends = self._folder.offsets(piece.text)
            piece.offsets = (starts, ends)
        return piece.offsets
