"""A daemon's callback door for the stand-ins' tests: it keeps what came and answers as it is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from aggregator.sandbox.base import Answer, Person, Request, Standin

NOON = datetime(2026, 3, 4, 4, 0, 0, 250_000, tzinfo=UTC)  # noon in Shanghai, a Wednesday
LI = Person(7, "李雷", "lilei", 12)
MEI = Person(8, "韩梅梅", "meimei", 3400, True)


class Clock:
    """A stand-in's now, moved by hand."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class Receiver(Standin):
    """`echo` answers the handshake, `reply` each push; both may be exchanged."""

    name = "receiver"

    def __init__(self) -> None:
        super().__init__(lambda: NOON)
        self.echo: Callable[[Request], bytes] = lambda request: request.query["echostr"].encode()
        self.reply: Callable[[Request], bytes] = lambda request: b""
        self.pushes: list[Request] = []
        self.route("GET", "/callbacks/here", self._greeted)
        self.route("POST", "/callbacks/here", self._pushed)

    @property
    def url(self) -> str:
        return f"{self.base_url}/callbacks/here"

    def _greeted(self, request: Request, match: re.Match[str]) -> Answer:
        return Answer(self.echo(request), content_type="text/plain")

    def _pushed(self, request: Request, match: re.Match[str]) -> Answer:
        self.pushes.append(request)
        return Answer(self.reply(request), content_type="text/plain")
