"""Where a stream stands: how far all is known, and the walk that is under way."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Walk:
    """From the newest down to what is known, a page a poll.

    Ids are numbers, times epoch seconds. `since` and `start` (never both) bound it below; `until` above,
    once a token of the platform's was refused. `top`, `floor`: the highest of the first page, the lowest so
    far. `began`: X's clock at the first page. `refused`: X gives nothing from before. `via`: what the list
    itself no longer holds is looked for by a search.
    """

    since: int | None = None
    start: int | None = None
    until: int | None = None
    token: str | None = None
    top: int | None = None
    floor: int | None = None
    found: int = 0
    began: int | None = None
    refused: int | None = None
    first: bool = False
    via: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """`high`: the highest id of the last walk that reached what was known before it; `seen`: X's clock then.

    `start`: what was sent before is history, and not read here. `busy`: how many the last walk had to read.
    """

    high: int | None = None
    start: int | None = None
    seen: int | None = None
    busy: int | None = None
    walk: Walk | None = None

    def text(self) -> str:
        walk = self.walk and {k: v for k, v in asdict(self.walk).items() if v}
        told = {"high": self.high, **{key: getattr(self, key) for key in _NUMBERS}, "walk": walk}
        return json.dumps(told, separators=(",", ":"))


def read_cursor(text: str | None) -> Cursor | None:
    """None for the first poll ever. What cannot be read is an empty cursor: all is read again, and known."""
    if text is None:
        return None
    try:
        told: dict[str, Any] = json.loads(text)
        walk = told["walk"]
        numbers = {key: _number(told.get(key)) for key in _NUMBERS}
        walking = None if walk is None else Walk(**_fitting(walk))
        return Cursor(_number(told["high"]), **numbers, walk=walking)
    except (ValueError, TypeError, KeyError, AttributeError):
        return Cursor()


def moment(at: datetime) -> int:
    return int(at.timestamp())


def instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


_NUMBERS = ("start", "seen", "busy")


def _fitting(walk: dict[str, Any]) -> dict[str, Any]:
    """The fields as they are meant, also from a cursor that another version wrote."""
    kinds: dict[str, type] = {field.name: int for field in fields(Walk)} | {"token": str}
    return {key: value for key, value in walk.items() if isinstance(value, kinds.get(key, _Never))}


class _Never:
    """Of no value's type."""


def _number(value: object) -> int | None:
    if value is not None and type(value) is not int:
        raise ValueError(value)
    return value
