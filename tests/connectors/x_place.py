"""The stand-in of X with a connector at it, for the tests of what only a whole platform can show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from aggregator.model import Gap, Message
from aggregator.sandbox.base import Person
from aggregator.sandbox.x import XStandin
from aggregator.sandbox.x_objects import Event, Post
from connectors.x import X, XOptions
from tests.connectors.loopback import Clock, MemoryKeep

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
ANN = Person(1, "安妮", "ann_reads", 120)
BEN = Person(2, "Ben", "benb", 4)


class Place:
    """X, a keep that outlives every connector, and a clock for both."""

    def __init__(self, **knobs: Any) -> None:
        self.clock = Clock(NOON)
        self.keep = MemoryKeep()
        self.x = XStandin(self.clock, wall=_wall, **knobs)
        self.gaps: list[Gap] = []

    def connect(self, **more: Any) -> X:
        options = XOptions.model_validate({**self.x.options(), **more})
        return X(options, keep=self.keep, now=self.clock)

    def walk(
        self, stream: str, cursor: str | None, **more: Any
    ) -> tuple[list[Message], str | None]:
        """Poll until there is no more, by a new connector each time; gaps are gathered."""
        found: list[Message] = []
        for _ in range(80):
            page = self.connect(**more).poll(stream, cursor)
            found += page.messages
            self.gaps += page.gaps
            cursor = page.cursor
            if not page.more:
                return found, cursor
        raise AssertionError("the walk does not end")

    def mention(self, text: str = "退款还没到", who: Person = ANN, **more: Any) -> Post:
        return self.x.post(self.x.user(who), f"@lumo {text}", self.clock(), **more)

    def direct(self, text: str = "在吗", who: Person = ANN, **more: Any) -> Event:
        return self.x.message(self.x.user(who), self.x.brand, text, self.clock(), **more)

    def calls(self, path: str, method: str = "GET") -> int:
        return sum(1 for one in self.x.calls if one[0] == method and path in one[1])


@contextmanager
def place(**knobs: Any) -> Iterator[Place]:
    made = Place(**knobs)
    made.x.gate.skew_s = None  # signatures carry this machine's time, which is not the stand-in's
    made.x.start()
    try:
        yield made
    finally:
        made.x.stop()
        assert made.x.errors == []


def _wall() -> float:
    return NOON.timestamp()


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)
