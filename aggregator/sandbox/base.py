"""What every stand-in shares: its routes and its faults, and the words of a script.

The stand-ins speak the platforms' wire contracts, as unforgiving as the real thing. They import nothing of
ours but the model, so that a connector cannot agree with its own misreading.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from aggregator.sandbox.wire import MAX_BODY, Answer, Fault, Request, Server, answer

__all__ = [
    "MAX_BODY",
    "Answer",
    "Fault",
    "Line",
    "Person",
    "Platform",
    "Request",
    "Standin",
    "Truth",
    "answer",
]

MAX_CALLS = 50_000

Route = Callable[[Request, "re.Match[str]"], Answer]


class Standin:
    """A loopback server. A subclass fills its routes and says how a client gets in (`options`).

    `calls` is the ledger of what was asked, (method, path), the newest MAX_CALLS of it; `now` is the
    stand-in's clock, aware UTC; `errors` holds what the stand-in's own code raised: always a bug in the
    stand-in, never part of the game, so that a test can assert that it is empty. Handlers run one at a
    time under `lock`; whoever reads or changes a stand-in from outside takes it too.
    """

    name = "standin"

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.lock = threading.RLock()
        self.routes: list[tuple[str, re.Pattern[str], Route]] = []
        self.faults: deque[Fault] = deque()
        self.calls: list[tuple[str, str]] = []
        self.errors: list[str] = []
        self._server: Server | None = None

    def route(self, method: str, pattern: str, handler: Route) -> None:
        """`pattern` is matched against the whole path, as it came (percent-encoded)."""
        self.routes.append((method, re.compile(pattern + r"\Z"), handler))

    def fault(self, kind: str, **more: Any) -> None:
        with self.lock:
            self.faults.append(Fault(kind, **more))

    @property
    def base_url(self) -> str:
        assert self._server is not None, "not started"
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self, port: int = 0) -> None:
        self._server = Server(self, port)
        threading.Thread(
            target=self._server.serve_forever,
            args=(0.05,),
            name=f"sandbox-{self.name}",
            daemon=True,
        ).start()

    def stop(self) -> None:
        """Close the port and every connection: from here on it is as dead as a killed process."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.hang_up()
            self._server = None

    def not_found(self, request: Request) -> Answer:
        return answer({"error": "not found"}, 404)

    def headers(self, request: Request, given: Answer) -> Mapping[str, str]:
        """Headers that this platform puts on every answer (rate limits, say)."""
        return {}

    def handle(self, request: Request) -> Answer:
        method = "GET" if request.method == "HEAD" else request.method
        for wanted, pattern, handler in self.routes:
            match = pattern.match(request.path)
            if match and wanted == method:
                return handler(request, match)
        return self.not_found(request)

    def take_fault(self, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if not path.startswith(fault.path):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return None

    def count(self, request: Request) -> None:
        """Into the ledger, which is bounded: the daemon runs on long after the script has ended."""
        with self.lock:
            self.calls.append((request.method, request.path))
            if len(self.calls) > 2 * MAX_CALLS:
                del self.calls[:-MAX_CALLS]


# --- a script, and what is true when it was played -------------------------------------------------


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the cast; `number` makes the native ids, which each platform writes its own way."""

    number: int
    name: str
    handle: str
    followers: int = 120
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happens on one platform, `at` minutes into the hour.

    `kind`: mention comment direct_message review, or own_post (a post of the brand that comments stand
    under; never in the export). `who`: a person, or None for our team. `to`: the label of the line that it
    answers. `under`: the label of the post that it stands under. `attachment`: image voice video location
    link sticker. `action`: say, edit or delete (of `to`).
    """

    at: float
    platform: str
    kind: str
    label: str
    who: Person | None
    text: str | None
    to: str | None = None
    under: str | None = None
    attachment: str | None = None
    action: str = "say"


@dataclass(frozen=True, slots=True)
class Truth:
    """What `export messages` must say of a line; names as in interface.md, times aware UTC.

    `conversation`: any value equal for the lines of one conversation and different for others. `exported`:
    False for posts that only carry comments. `edited_at`: of the last edit, where the platform tells it;
    `deleted`: withdrawn, so that `deleted_at` is set once the daemon has learnt of it.
    """

    label: str
    platform: str
    kind: str
    direction: str
    native_id: str
    author: Mapping[str, str | None]  # native_id, name, handle
    text: str | None
    url: str | None
    sent_at: datetime
    reply_to: str | None
    conversation: str
    attachments: tuple[str, ...] = ()  # their kinds
    root: str | None = None
    exported: bool = True
    edited_at: datetime | None = None
    deleted: bool = False


class Platform(Protocol):
    """A stand-in of a platform: what the script's player needs of it."""

    name: str

    def start(self, port: int = 0) -> None: ...

    def stop(self) -> None: ...

    @property
    def base_url(self) -> str: ...

    def options(self) -> dict[str, str]:
        """The account's options in settings.yaml (interface.md, "Option names"), base_url included."""
        ...

    def play(self, line: Line, at: datetime, told: Mapping[str, Truth]) -> Truth:
        """Let the line happen at platform time `at`; `told` are the lines so far, by label.

        An edit or a deletion returns the new truth of the line that it changes, with that line's label.
        """
        ...
