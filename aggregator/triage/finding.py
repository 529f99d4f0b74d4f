"""A problem in a rule file: where it stands, what is wrong, the remedy, and the line itself."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from aggregator.errors import SettingsError
from aggregator.yamltext import Document, Loc

_AROUND = 60  # characters of a line that are shown on either side of the caret
_LONGEST = 10_000  # a longer line was never written by a person


class Severity(StrEnum):
    """An error keeps a file from being used; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """`file`: its name in the rules folder; `place`: `file:line:column` as a person would open it."""

    severity: Severity
    code: str
    file: str
    place: str
    text: str
    source: str = ""

    @property
    def problem(self) -> str:
        return f"{self.place}: {self.text}"

    @property
    def at(self) -> tuple[str, int, int]:
        """File, line and column, the last two from 1."""
        file, line, column = self.place.rsplit(":", 2)
        return file, int(line), int(column)

    @property
    def caret(self) -> str:
        """The line, and a caret under the column; wide characters take two places.

        Of a long line what stands around the column; control characters are shown as ·.
        """
        if not self.source:
            return ""
        at = self.at[2] - 1
        first = max(at - _AROUND, 0) if len(self.source) > 2 * _AROUND else 0
        shown = "".join(
            char if char.isprintable() or char == "\u3000" else "·"
            for char in self.source[first : first + 2 * _AROUND]
        )
        before = shown[: at - first]
        wide = sum(unicodedata.east_asian_width(char) in "WF" for char in before)
        return f"    {shown}\n    {' ' * (len(before) + wide)}^"

    def __str__(self) -> str:
        head = f"{self.place}: {self.severity}: {self.text} [{self.code}]"
        return f"{head}\n{self.caret}" if self.source else head


def finding(
    document: Document,
    file: str,
    loc: Sequence[str | int],
    code: str,
    text: str,
    *,
    severity: Severity = Severity.ERROR,
    key: bool = False,
) -> Finding:
    """`key`: point at the key of a mapping, not at its value."""
    place = document.at(loc, key=key)
    return Finding(severity, code, file, place, text, _line(document.lines, place))


def refused(error: SettingsError, file: str, shown: str, text: str, code: str) -> list[Finding]:
    """What a reader raised, line by line."""
    found, lines = [], text.split("\n")
    for problem in error.problems:
        rest = problem.removeprefix(f"{shown}:")
        place, _, said = rest.partition(": ")
        numbers = place.split(":")
        where = f"{shown}:{place}" if len(numbers) > 1 else f"{shown}:{place}:1"
        found.append(Finding(Severity.ERROR, code, file, where, said, _line(lines, where)))
    return found


def errors(found: Iterable[Finding]) -> list[Finding]:
    return [one for one in found if one.severity is Severity.ERROR]


def _line(lines: Sequence[str], place: str) -> str:
    number = int(place.split(":")[-2])
    line = lines[number - 1].rstrip("\r") if number <= len(lines) else ""
    return line if len(line) <= _LONGEST else ""


def empties(document: Document, file: str, *, nested: Loc = ()) -> list[Finding]:
    """Keys without a value, and lists in lists, which is what YAML makes of an unquoted `[怒]`.

    `nested`: the key under which a list of lists is meant.
    """
    found: list[Finding] = []

    def look(value: object, loc: Loc) -> None:
        if value is None:
            said = (
                "empty; give a value or remove it (YAML reads an unquoted # as a comment "
                "and an unquoted null as nothing)"
            )
            found.append(finding(document, file, loc, "empty", said))
        elif isinstance(value, dict):
            for key, one in value.items():
                look(one, (*loc, key))
        elif isinstance(value, list):
            for at, one in enumerate(value):
                if type(one) is str:  # most of all is lists of words
                    continue
                if isinstance(one, list) and loc != nested:
                    said = f'a list inside a list; if it is text, quote it: "[{_joined(one)}]"'
                    found.append(finding(document, file, (*loc, at), "unquoted", said))
                else:
                    look(one, (*loc, at))

    for key, one in document.tree.items() if isinstance(document.tree, dict) else ():
        look(one, (key,))
    return found


def _joined(items: Sequence[object]) -> str:
    return ", ".join(str(one) for one in items)
