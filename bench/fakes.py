"""A platform and a destination that cost nothing, so that what is measured is ours."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

from aggregator.app import Daemon
from aggregator.destinations.base import Options as DestinationOptions
from aggregator.destinations.registry import DESTINATIONS
from aggregator.model import Author, Direction, Identity, Kind, Message, Notice, Page, Receipt
from aggregator.now import utc_now
from aggregator.options import Registry
from aggregator.settings import load
from bench.posts import A_DAY, RULES
from connectors.base import Keep, Options
from connectors.registry import CONNECTORS

PAGE = 100
WRITES = 3  # messages of each customer, in one conversation


class BurstOptions(Options):
    messages: int = 0


class Burst:
    """A connector with `messages` comments to hand over, a page at a time, as fast as they are asked for."""

    options: ClassVar[type[Options]] = BurstOptions
    streams = ("comments",)

    def __init__(self, options: BurstOptions, *, keep: Keep, now: Callable[[], datetime]) -> None:
        self._left = options.messages
        self._now = now

    def check(self) -> Identity:
        return Identity("1", "burst")

    def poll(self, stream: str, cursor: str | None) -> Page:
        start = int(cursor or 0)
        end = min(start + PAGE, self._left)
        at = self._now()
        made = tuple(_message(number, at) for number in range(start, end))
        return Page(made, str(end), more=end < self._left)


def _message(number: int, at: datetime) -> Message:
    who = str(7_000_000_000 + number // WRITES)
    text = f"{A_DAY[number % len(A_DAY)]} {number}"
    raw = {"id": number, "text": text, "user": {"id": who}} | {f"f{n}": n * 7919 for n in range(40)}
    return Message(
        native_id=str(4_900_000_000_000_000 + number),
        platform="weibo",
        kind=Kind.COMMENT,
        direction=Direction.INBOUND,
        author=Author(who, f"用户{who}", f"user{who}", 120, False),
        text=text,
        sent_at=at + timedelta(microseconds=number % PAGE),
        root="4900000000000001",
        person=who,
        lang="zh",
        url=f"https://weibo.example/{number}",
        raw=json.dumps(raw).encode(),
    )


class Sink:
    """A destination that takes everything at once; `taken` is when, by notice key."""

    options: ClassVar[type[DestinationOptions]] = DestinationOptions

    def __init__(self, options: DestinationOptions, *, now: Callable[[], datetime]) -> None:
        self.taken: dict[str, float] = {}

    def check(self) -> str:
        return "nowhere"

    def send(self, notice: Notice) -> Receipt:
        self.taken[notice.key] = time.perf_counter()
        return Receipt(notice.key)


@contextmanager
def daemon(folder: Path, *, messages: int = 0, roles: tuple[str, ...]) -> Iterator[Daemon]:
    """A daemon on SQLite with both of them, not started yet."""
    CONNECTORS["burst"] = "bench.fakes:Burst"
    DESTINATIONS["sink"] = "bench.fakes:Sink"
    path = folder / "settings.yaml"
    places = ("social", "leads", "desk", "ops")
    path.write_text(
        json.dumps(
            {
                "database": f"sqlite:///{folder / 'inboxd.db'}",
                "rules": str(RULES),
                "http": {"listen": "127.0.0.1:0"},
                "accounts": {"acme": {"connector": "burst", "messages": str(messages)}},
                "destinations": {name: {"kind": "sink"} for name in places},
            }
        ),
        "utf-8",
    )
    settings = load(
        path,
        {},
        connectors=Registry(("burst",), lambda _: BurstOptions),
        destinations=Registry(("sink",), lambda _: DestinationOptions),
    )
    made = Daemon(settings, now=utc_now, roles=roles)
    try:
        yield made
    finally:
        made.stop()
