"""A part of the day's calls for one purpose, so that it neither starves nor eats up the rest."""

from __future__ import annotations

import json
from collections.abc import Callable

from connectors.base import Keep, Now
from connectors.payload import items
from connectors.weibo.ledger import BEIJING_S, DAY_S, Ledger

_RACES = 20


class Share:
    """One part in `part` of the calls of a day, counted in the Keep by Beijing days."""

    def __init__(self, ledger: Ledger, keep: Keep, now: Now, *, name: str, part: int) -> None:
        self._row = f"share.{name}"
        self._part = part
        self._ledger = ledger
        self._keep = keep
        self._now = now

    def take(self) -> bool:
        """Whether one more is in the share; then it is counted."""
        return self._put(lambda used, most: used + 1 if used < most else None)

    def close(self) -> None:
        """Nothing more today."""
        self._put(max)

    def _put(self, change: Callable[[int, int], int | None]) -> bool:
        now = self._now().timestamp()
        today, most = int((now + BEIJING_S) // DAY_S), self._ledger.read(now).limit // self._part
        for _ in range(_RACES):
            old = self._keep.get(self._row)
            used = change(_used(old, today), most)
            if used is None:
                return False
            if self._keep.swap(self._row, old, json.dumps([today, used])):
                return True
        return False


def _used(text: str | None, today: int) -> int:
    try:
        told = items(json.loads(text or "[]"))
    except ValueError:
        return 0
    if len(told) != 2 or told[0] != today or type(told[1]) is not int:
        return 0
    return max(told[1], 0)
