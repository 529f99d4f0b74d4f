"""Keywords as admins write them, folded, with what their edges ask of the neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aggregator.triage.text import joins

OPEN_AFTER = 3  # `gr*` would hit half the dictionary


@dataclass(frozen=True, slots=True, eq=False)
class Keyword:
    """One keyword of one list. `left`, `right`: that edge needs a neighbour that is no letter or digit.

    `weight` has a meaning in the lexicon only. Two are the same only if they are one object.
    """

    text: str
    folded: str
    left: bool
    right: bool
    weight: float = 0.0


def keyword(
    written: str, fold: Callable[[str], str], *, weight: float = 0.0, literal: bool = False
) -> Keyword:
    """Raises ValueError, with the remedy, where nothing sensible can be matched.

    `literal`: a * is a character like any other.
    """
    if written.startswith("*") and not literal:
        raise ValueError(f"{written!r}: no * in front; write the words out")
    stem = written[:-1] if written.endswith("*") and not literal else written
    folded = fold(stem).strip(" ")
    if not folded:
        raise ValueError(f"{written!r} is empty after folding; remove it")
    if stem != written:
        letters = 0
        while letters < len(folded) and joins(folded[-1 - letters]):
            letters += 1
        if letters < OPEN_AFTER:
            remedy = "Chinese needs no *" if letters == 0 else "write the words out"
            raise ValueError(f"{written!r}: * stands after {OPEN_AFTER} letters or more; {remedy}")
    return Keyword(
        written,
        folded,
        left=joins(folded[0]),
        right=joins(folded[-1]) and stem == written,
        weight=weight,
    )


def exact(written: str) -> Keyword:
    """A keyword that is matched on the original text, cased, with the same edges."""
    if not written:
        raise ValueError("an empty keyword; remove it")
    return Keyword(written, written, left=joins(written[0]), right=joins(written[-1]))


@dataclass(frozen=True, slots=True)
class Expanded:
    """A list of keywords with its `"@name"`s filled in: each text, the item it came from, its list."""

    words: tuple[tuple[str, int, str | None], ...]
    missing: tuple[tuple[int, str], ...]


def expand(items: Sequence[str], lists: Mapping[str, Sequence[str]]) -> Expanded:
    words: list[tuple[str, int, str | None]] = []
    missing = []
    for at, item in enumerate(items):
        if item.startswith("@@"):
            words.append((item[1:], at, None))
        elif not item.startswith("@"):
            words.append((item, at, None))
        elif item[1:] in lists:
            words.extend((_literal(one), at, item[1:]) for one in lists[item[1:]])
        else:
            missing.append((at, item[1:]))
    return Expanded(tuple(words), tuple(missing))


def _literal(item: str) -> str:
    return item[1:] if item.startswith("@@") else item
