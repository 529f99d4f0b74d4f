"""Regular expressions of rules: RE2 only, on the text as written, with a bound on what one message costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import re2

from aggregator.triage.scan import Hit
from aggregator.triage.words import Keyword

LONGEST = 200  # characters of one regex
MOST = 100  # regexes of all rules together
LARGEST = 1_000  # instructions that RE2 makes of one; `.{0,100}` is 900
LARGEST_TOGETHER = 5_000
HITS = 8  # of one regex in one message
# Bytes times instructions that one text may cost; a step is 3 to 4 ns where a text is made to be slow.
STEPS = 600_000
_MEMORY = 1 << 20  # bytes that RE2 may keep of one regex


@dataclass(frozen=True, slots=True, eq=False)
class Regex:
    """One compiled regex; `keyword` names it in a match, `size` is how many instructions it has."""

    keyword: Keyword
    size: int
    program: Any  # re2 has no types


def regex(written: str) -> Regex:
    """Raises ValueError, with what to write instead, for what RE2 or a bound refuses."""
    if not written:
        raise ValueError("an empty regex; remove it")
    if len(written) > LONGEST:
        raise ValueError(
            f"a regex of {len(written)} characters; {LONGEST} are allowed: use any for words"
        )
    try:
        program = re2.compile(written.encode("utf-8"), _options())
    except UnicodeEncodeError:
        raise ValueError("half a character stands in the regex; type it again") from None
    except re2.error as error:
        raise ValueError(_refusal(written, error)) from None
    if program.fullmatch(b"") is not None:
        raise ValueError(
            f"{written!r} matches even an empty text, and so everything; write + instead of * or ?"
        )
    if program.programsize > LARGEST:
        raise ValueError(
            f"{written!r} is too big (RE2 makes {program.programsize} steps of it, {LARGEST} are "
            "allowed); write a smaller {n,m}, or all with within for words far apart"
        )
    name = Keyword(written, written, left=False, right=False)
    return Regex(name, program.programsize, program)


class Regexes:
    """Finds regexes by slot in the pieces of one message.

    Only those whose literal parts stand in a piece are tried. They read the whole text where it is
    short, else as much of its beginning as STEPS allow for their sizes together.
    """

    def __init__(self, slots: Mapping[int, Sequence[Regex]]) -> None:
        self._rows = [(slot, one) for slot, regexes in slots.items() for one in regexes]
        self._filter = re2.Filter()
        for _, one in self._rows:
            self._filter.Add(one.program.pattern, _options())
        self._filter.Compile()

    def __bool__(self) -> bool:
        return bool(self._rows)

    def keywords(self, slot: int) -> list[Keyword]:
        """Those of one list, to show them."""
        return [one.keyword for at, one in self._rows if at == slot]

    def scan(self, text: str) -> dict[int, list[Hit]]:
        """What stands in one text."""
        found: dict[int, list[Hit]] = {}
        for slot, _, hit in self.read([text])[0]:
            found.setdefault(slot, []).append(hit)
        for hits in found.values():
            hits.sort(key=_place)
        return found

    def read(self, pieces: Sequence[str]) -> tuple[list[tuple[int, int, Hit]], bool]:
        """Each hit with its slot and the number of its piece; and whether a bound left something out."""
        found: list[tuple[int, int, Hit]] = []
        steps, cut = STEPS, False
        left = [HITS] * len(self._rows)
        for number, text in enumerate(pieces):
            data = text.encode("utf-8")
            tried = self._filter.Match(data, True)
            if not tried:
                continue
            size = sum([self._rows[at][1].size for at in tried])
            until = min(len(data), steps // size)
            steps -= until * size
            cut = cut or until < len(data)
            spans = []
            for at in sorted(tried):
                for match in self._rows[at][1].program.finditer(data, 0, until):
                    first, last = match.span()
                    if first == last:
                        continue
                    if not left[at]:
                        cut = True
                        break
                    left[at] -= 1
                    spans.append((at, first, last))
            if spans:
                places = _characters(data)
                for at, first, last in spans:
                    slot, one = self._rows[at]
                    hit = Hit(places[first], places[last], one.keyword)
                    found.append((slot, number, hit))
        return found, cut


def _characters(data: bytes) -> Sequence[int]:
    """By place in UTF-8, how many characters stand before it."""
    begins = (np.frombuffer(data, np.uint8) & 0xC0) != 0x80
    return [0, *np.cumsum(begins).tolist()]


def _place(hit: Hit) -> tuple[int, int]:
    return hit.end, hit.start


def _options() -> Any:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = _MEMORY
    return options


def _refusal(written: str, error: Exception) -> str:
    said = error.args[0] if error.args else "refused"
    said = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    if "(?<!" in said or "(?<=" in said or "(?!" in said or "(?=" in said:
        remedy = "use mask: for what stands around a word, not: for what must not be there"
        return f"{written!r}: no lookbehind and no lookahead; {remedy}"
    if ("escape" in said and said[-1:].isdigit()) or "\\k" in said or "(?P=" in written:
        return f"{written!r}: no backreference (\\1); write the words out"
    if "repetition size" in said:
        return f"{written!r}: at most 1000 repetitions; use * or +, or a smaller number"
    if "(?P" in said or "(?<" in said or "(?>" in said or "perl operator" in said:
        return f"{written!r}: RE2 has no such group ({said}); write (?:…) or leave the group out"
    return f"{written!r}: RE2 refuses it ({said}); mend it, or use any for words"
