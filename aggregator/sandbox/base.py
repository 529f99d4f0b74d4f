"""What every stand-in shares: a loopback HTTP server, faults on demand, and a script's lines.

The stand-ins speak the platforms' wire contracts, as unforgiving as the real thing. They import nothing of
ours but the model, so that a connector cannot agree with its own misreading.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

MAX_BODY = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came. Header names are lower case; `query` keeps the last of a repeated name."""

    method: str
    path: str
    query: Mapping[str, str]
    raw_query: str
    headers: Mapping[str, str]
    body: bytes
    url: str  # as the client called it, without the query

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("utf-8"), keep_blank_values=True))

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=utf-8"


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON answer, non-ASCII kept."""
    return Answer(json.dumps(value, ensure_ascii=False).encode(), status, headers or {})


@dataclass(slots=True)
class Fault:
    """What goes wrong with the next `times` requests whose path starts with `path`.

    `kind`: status (answer `status` with `body`), html (a 503 page), html_ok (a page with 200), truncated
    (half of the true JSON), cut (the connection ends before anything is done), cut_after (done, then the
    connection ends), slow (waits `seconds`, then answers).
    """

    kind: str
    path: str = "/"
    times: int = 1
    status: int = 500
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


Route = Callable[[Request, "re.Match[str]"], Answer]


class Standin:
    """A loopback server. A subclass fills `self.routes` and says how a client gets in (`options`).

    `calls` is the ledger of what was asked, (method, path); `now` is the stand-in's clock.
    """

    name = "standin"

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.lock = threading.RLock()
        self.routes: list[tuple[str, re.Pattern[str], Route]] = []
        self.faults: deque[Fault] = deque()
        self.calls: list[tuple[str, str]] = []
        self._server: ThreadingHTTPServer | None = None

    def route(self, method: str, pattern: str, handler: Route) -> None:
        self.routes.append((method, re.compile(pattern + r"\Z"), handler))

    def fault(self, kind: str, **more: Any) -> None:
        with self.lock:
            self.faults.append(Fault(kind, **more))

    @property
    def base_url(self) -> str:
        assert self._server is not None, "not started"
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self, port: int = 0) -> None:
        standin = self

        class Handler(_Handler):
            owner = standin

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self._server = Server(("127.0.0.1", port), Handler)
        threading.Thread(
            target=self._server.serve_forever,
            args=(0.05,),
            name=f"sandbox-{self.name}",
            daemon=True,
        ).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def not_found(self, request: Request) -> Answer:
        return answer({"error": "not found"}, 404)

    def headers(self, request: Request, given: Answer) -> Mapping[str, str]:
        """Headers that this platform puts on every answer (rate limits, say)."""
        return {}

    def handle(self, request: Request) -> Answer:
        for method, pattern, handler in self.routes:
            match = pattern.match(request.path)
            if match and method == request.method:
                return handler(request, match)
        return self.not_found(request)

    def take_fault(self, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if path.startswith(fault.path):
                    fault.times -= 1
                    if fault.times <= 0:
                        self.faults.remove(fault)
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Standin

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the daemon's own log tells what happened."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        length = min(int(self.headers.get("Content-Length") or 0), MAX_BODY)
        payload = self.rfile.read(length) if length else b""
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            raw_query=parts.query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=payload,
            url=f"http://{self.headers.get('Host', '')}{parts.path}",
        )
        owner = self.owner
        with owner.lock:
            owner.calls.append((request.method, request.path))
        fault = owner.take_fault(request.path)
        if fault and fault.kind == "cut":
            self._cut()
            return
        if fault and fault.kind == "slow":
            time.sleep(fault.seconds)
        if fault and fault.kind == "status":
            self._write(Answer(fault.body, fault.status, fault.headers), request)
            return
        if fault and fault.kind in ("html", "html_ok"):
            page = "<html><body><h1>Sorry, something went wrong</h1></body></html>".encode()
            status = 503 if fault.kind == "html" else 200
            self._write(Answer(page, status, {}, "text/html"), request)
            return
        with owner.lock:
            given = owner.handle(request)
        if fault and fault.kind == "cut_after":
            self._cut()
            return
        if fault and fault.kind == "truncated":
            given = Answer(given.body[: len(given.body) // 2], given.status, given.headers)
        self._write(given, request)

    def _write(self, given: Answer, request: Request) -> None:
        try:
            self.send_response_only(given.status)
            now = self.owner.now()
            self.send_header("Date", now.strftime("%a, %d %b %Y %H:%M:%S GMT"))
            self.send_header("Content-Type", given.content_type)
            self.send_header("Content-Length", str(len(given.body)))
            for name, value in {**self.owner.headers(request, given), **given.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(given.body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


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
    False for posts that only carry comments.
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
        """Let the line happen at platform time `at`; `told` are the lines so far, by label."""
        ...
