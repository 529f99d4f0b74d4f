"""Sets of whole numbers, short enough for a cursor: `0-812,815`."""

from __future__ import annotations

import re
from collections.abc import Collection

LONGEST = 2_000  # characters; what needs more is not remembered
_SPAN = re.compile(r"(\d{1,19})(?:-(\d{1,19}))?", re.ASCII)
_MOST = 1_000_000  # numbers in one set


def told(numbers: Collection[int]) -> str | None:
    """None where it would be too long."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    text = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)
    return text if len(text) <= LONGEST else None


def read(text: object) -> set[int]:
    """What `told` wrote; of anything else nothing."""
    numbers: set[int] = set()
    if not isinstance(text, str):
        return numbers
    for part in text.split(","):
        found = _SPAN.fullmatch(part)
        if found is None:
            continue
        low, high = int(found[1]), int(found[2] or found[1])
        if high - low < _MOST:
            numbers.update(range(low, high + 1))
    return numbers
