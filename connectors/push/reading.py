"""Reading the fields of one object that a stranger's script wrote; every problem is told, with its remedy."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from connectors.fields import parse_time, scrub, text_id
from connectors.payload import MAX_ID

MAX_PROBLEMS = 5  # of one item: the sixth helps nobody
MAX_URL = 4096
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?(?P<zone>[Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_EPOCH = re.compile(r"\d{1,16}(\.\d{1,9})?", re.ASCII)
_FIRST_YEAR = 2000  # what is before is a unit mistaken, or a platform's way to say "none"
_URL = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one field, in words for whoever wrote the script; None: with the whole."""

    field: str | None
    problem: str
    remedy: str


class Reading:
    """The fields of one object. A null is a field that is not there; what cannot be read is None, and told."""

    def __init__(
        self,
        told: dict[str, Any],
        known: Collection[str],
        problems: list[Problem],
        marks: list[str],
        within: str = "",
    ) -> None:
        self._told = told
        self._problems = problems
        self._marks = marks
        self._within = within
        for name in told:
            if len(problems) >= MAX_PROBLEMS:
                break
            if name not in known:
                self.wrong(_short(name), "is unknown", _nearest(name, known))

    def wrong(self, field: str, problem: str, remedy: str) -> None:
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(Problem(self._within + field, problem, remedy))

    def get(self, field: str) -> Any:
        return self._told.get(field)

    def id(self, field: str) -> str | None:
        """Text or a whole number of any size, kept exactly."""
        value = self.get(field)
        if value is None:
            return None
        if isinstance(value, float):
            self.wrong(field, "is a number that has lost digits", "send it as text")
            return None
        found = text_id(value)
        if found is None:
            self.wrong(field, "is no id", "send text, or a whole number")
        elif len(found) > MAX_ID:
            self.wrong(field, f"has more than {MAX_ID} characters", "send a digest of it")
        else:
            return found
        return None

    def text(self, field: str, longest: int) -> str | None:
        """What no database takes (NUL, half a character) becomes U+FFFD, and is marked."""
        value = self.get(field)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            self.wrong(field, "is no text", "send text, or leave it out")
            return None
        if len(value) > longest:
            self.wrong(field, f"has more than {longest:,} characters", "cut it, or leave it out")
            return None
        clean, changed = scrub(value)
        if changed and "text.scrubbed" not in self._marks:
            self._marks.append("text.scrubbed")
        return clean

    def word(self, field: str, known: Collection[str], default: str | None = None) -> str | None:
        """One of `known`; without a default it must be there."""
        value = default if self.get(field) is None else self.get(field)
        if isinstance(value, str) and value in known:
            return value
        if value is None:
            self.wrong(field, "is missing", f"write one of {', '.join(known)}")
        else:
            self.wrong(field, "is none of ours", _nearest(value, known))
        return None

    def url(self, field: str) -> str | None:
        value = self.text(field, MAX_URL)
        if value is None:
            return None
        value = value.strip()
        if _URL.fullmatch(value):
            return value
        self.wrong(field, "is no web address", "send one with http:// or https://, or leave it out")
        return None

    def time(self, field: str) -> datetime | None:
        """RFC 3339 with its zone, or epoch seconds or milliseconds."""
        value = self.get(field)
        if value is None:
            return None
        if isinstance(value, str):
            value = value.strip().upper()
            match = _RFC3339.fullmatch(value)
            if match and not match["zone"]:
                self.wrong(field, "is a time without its zone", "add Z, or an offset as +08:00")
                return None
            if not match and not _EPOCH.fullmatch(value):
                value = None
        at = parse_time(value)
        if at is not None and at.year >= _FIRST_YEAR:
            return at
        self.wrong(
            field,
            "is no time" if at is None else f"is before the year {_FIRST_YEAR}",
            "write it as 2026-03-04T10:00:00+08:00, or in seconds or milliseconds since 1970",
        )
        return None

    def count(self, field: str) -> int | None:
        value = self.get(field)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53:
            return value
        self.wrong(field, "is no number of people", "send a whole number, or leave it out")
        return None

    def flag(self, field: str) -> bool | None:
        value = self.get(field)
        if value is None or isinstance(value, bool):
            return value
        self.wrong(field, "is neither true nor false", "send true or false, or leave it out")
        return None


def _nearest(word: Any, known: Collection[str]) -> str:
    near = get_close_matches(word[:64], list(known), n=1) if isinstance(word, str) else []
    return f"did you mean {near[0]}?" if near else f"use one of {', '.join(known)}"


def _short(name: str) -> str:
    return name if len(name) <= 64 else f"{name[:63]}…"
