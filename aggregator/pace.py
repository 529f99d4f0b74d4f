"""How fast a destination may be told: so many calls a minute, and how long to wait after a failure."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from datetime import timedelta

BATCH = 10
BACKOFF = (timedelta(seconds=2), timedelta(minutes=15))


class Rate:
    """At most `per_minute` calls in any minute, by the monotonic clock; exact, since one sender sends."""

    def __init__(self, per_minute: int | None, monotonic: Callable[[], float]) -> None:
        self._limit = per_minute
        self._monotonic = monotonic
        self._calls: deque[float] = deque()

    def allowed(self) -> int:
        """How many calls may be made now."""
        if self._limit is None:
            return BATCH
        self._forget()
        return self._limit - len(self._calls)

    def wait_s(self) -> float:
        """Until one more may be made."""
        return max(self._calls[0] + 60.0 - self._monotonic(), 0.01) if self._calls else 0.01

    def spend(self) -> None:
        if self._limit is not None:
            self._calls.append(self._monotonic())

    def _forget(self) -> None:
        while self._calls and self._calls[0] + 60.0 <= self._monotonic():
            self._calls.popleft()


def backoff(attempts: int) -> timedelta:
    first, last = BACKOFF
    wait: timedelta = min(first * (1 << min(attempts - 1, 12)), last)
    return wait * random.uniform(0.75, 1.25)
