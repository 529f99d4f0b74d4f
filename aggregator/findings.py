"""The problems of one document, gathered while its tree is read, so that all are told at once."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aggregator.errors import SettingsError
from aggregator.yamltext import Document, Loc


class Findings:
    """What is wrong with one document. Values are text, as yamltext reads them."""

    def __init__(self, document: Document, places: Mapping[Loc, str] | None = None) -> None:
        self.document = document
        self.places = places or {}  # what does not stand in the file: path → where it does
        self.problems: list[str] = []

    def say(self, loc: Sequence[str | int], what: str, *, key: bool = False) -> None:
        """`what` is wrong at `loc`, and its remedy; `key`: point at the key, not at its value."""
        place = self.places.get(tuple(loc)) or self.document.at(loc, key=key)
        self.problems.append(f"{place}: {what}")

    def mapping(self, value: Any, loc: Loc, known: Collection[str] | None = None) -> dict[str, Any]:
        """`value` if it is a mapping, else {} (and a problem unless it is empty); names unknown keys."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.say(loc, f"{dotted(loc)} must be keys and values; write `key: value` lines")
            return {}
        for key in value:
            if known is not None and key not in known:
                path = (*loc, key)
                few = f"use one of {', '.join(known)}" if len(known) <= 5 else "remove it"
                remedy = nearest(key, known, otherwise=few)
                self.say(path, f"unknown key {dotted(path)}; {remedy}", key=True)
        return value

    def text(self, value: Any, loc: Loc) -> str | None:
        """`value` if it is one word or line of text, else None and a problem."""
        if isinstance(value, str) and value.strip():
            return value.strip()
        self.say(loc, f"{dotted(loc)} must be one value, and is {shape(value)}; write one")
        return None

    def texts(self, value: Any, loc: Loc) -> list[tuple[str, Loc]]:
        """The texts of a list (or of one text alone) with where each stands."""
        if value is None:
            return []
        rows = (
            [(one, (*loc, at)) for at, one in enumerate(value)] if isinstance(value, list) else []
        )
        if not isinstance(value, list):
            rows = [(value, loc)]
        found = [(self.text(one, at), at) for one, at in rows]
        return [(text, at) for text, at in found if text is not None]

    def finish(self) -> None:
        """Raise SettingsError if anything was found."""
        if self.problems:
            raise SettingsError(*self.problems)


def nearest(word: str, known: Collection[str], *, otherwise: str = "remove it") -> str:
    """The remedy for an unknown word: the known one next to it."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise


def dotted(loc: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in loc) or "the file"


def shape(value: Any) -> str:
    if isinstance(value, dict):
        return "keys and values"
    return "a list" if isinstance(value, list) else "empty"
