"""What the connector tests share: a loopback platform that answers as told, a keep, a clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from aggregator.sandbox.base import Answer, Request, Standin

T0 = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, at: datetime = T0) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def on(self, **more: float) -> None:
        self.at += timedelta(**more)


class MemoryKeep:
    """The contract of connectors.base.Keep, in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> str | None:
        return self.rows.get(key)

    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        with self._lock:
            if self.rows.get(key) != old:
                return False
            if new is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = new
            return True


class Loopback(Standin):
    """Asks `say` for the answer to each request; keeps the requests."""

    def __init__(self, say: Callable[[Request], Answer]) -> None:
        super().__init__(Clock())
        self.say = say
        self.requests: list[Request] = []

    def handle(self, request: Request) -> Answer:
        self.requests.append(request)
        return self.say(request)

    def asked(self, path: str) -> list[Request]:
        return [one for one in self.requests if one.path == path]


@contextmanager
def platform(say: Callable[[Request], Answer]) -> Iterator[Loopback]:
    server = Loopback(say)
    server.start()
    try:
        yield server
    finally:
        server.stop()
