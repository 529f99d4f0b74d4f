"""Where a stream stands: how far all is known, and the walk that is under way."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Walk:
    """From the newest down to what is known, a page a poll.

    Ids are numbers. `since` and `start` (never both) bound it below; `until` above, once a token of the
    platform's was refused. `top`, `floor`: the highest of the first page, the lowest so far.
    """

    since: int | None = None
    start: str | None = None
    until: int | None = None
    token: str | None = None
    top: int | None = None
    floor: int | None = None
    found: int = 0
    first: bool = False
    gap: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """`high`: the highest id of the last walk that reached what was known before it."""

    high: int | None = None
    walk: Walk | None = None

    def text(self) -> str:
        walk = self.walk and {k: v for k, v in asdict(self.walk).items() if v}
        return json.dumps({"high": self.high, "walk": walk}, separators=(",", ":"))


def read_cursor(text: str | None) -> Cursor | None:
    """None for the first poll ever, and for what cannot be read: then all is read again, and known."""
    if text is None:
        return None
    try:
        told: dict[str, Any] = json.loads(text)
        walk = told["walk"]
        return Cursor(told["high"], None if walk is None else Walk(**walk))
    except (ValueError, TypeError, KeyError):
        return None
