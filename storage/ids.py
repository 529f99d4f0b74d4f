"""Our ids: 63 bits that grow with time, made without asking the database."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

# Milliseconds are counted from here, so that 41 bits last until 2089.
ZERO = datetime(2020, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_REPLICAS = 1 << 10
_SEQS = 1 << 12


class Ids:
    """`Ids(now)()` is a new id, greater than every one that it gave before, though the clock steps back.

    Two processes take different replica numbers by chance; where they took the same, an id made in the same
    millisecond collides with the primary key, and that unit of work is told so.
    """

    def __init__(self, now: Callable[[], datetime], *, replica: int | None = None) -> None:
        self._now = now
        self._replica = secrets.randbelow(_REPLICAS) if replica is None else replica % _REPLICAS
        self._lock = threading.Lock()
        self._last = 0  # ms << 12 | seq

    def __call__(self) -> int:
        tick = max(0, (self._now() - ZERO) // _MS) << 12
        with self._lock:
            # More than 4096 in a millisecond borrow from the next one.
            self._last = max(tick, self._last + 1)
            ms, seq = divmod(self._last, _SEQS)
        return ms << 22 | self._replica << 12 | seq
