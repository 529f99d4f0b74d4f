"""The wire under every stand-in: requests, answers, faults on demand, and a loopback server for them."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

MAX_BODY = 8 * 1024 * 1024
HTML = b"<html><body><h1>Sorry, something went wrong</h1></body></html>"


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
    """`stream`: pieces instead of a body, each sent as it comes, until they end or the client has gone."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=utf-8"
    stream: Callable[[], Iterator[bytes]] | None = None


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON answer, non-ASCII kept as it is, but for half a surrogate pair, which only an escape can carry."""
    try:
        body = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        body = json.dumps(value).encode()
    return Answer(body, status, headers or {})


@dataclass(slots=True)
class Fault:
    """What goes wrong with `times` requests whose path starts with `path`, once `after` of them went well.

    `kind`: status (answer `status` with `body`), html (a 503 page), html_ok (a page with 200), truncated
    (half of the true JSON), cut (the connection ends before anything is done), cut_after (done, then the
    connection ends), cut_body (done, then the connection ends within the answer), slow (waits `seconds`,
    then answers).
    """

    kind: str
    path: str = "/"
    times: int = 1
    status: int = 500
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    after: int = 0


class Owner(Protocol):
    """What the server needs of the stand-in that it serves."""

    name: str
    now: Callable[[], datetime]
    lock: threading.RLock
    errors: list[str]

    def handle(self, request: Request) -> Answer: ...

    def headers(self, request: Request, given: Answer) -> Mapping[str, str]: ...

    def take_fault(self, path: str) -> Fault | None: ...

    def count(self, request: Request) -> None: ...


class Server(ThreadingHTTPServer):
    """One thread a connection; a client that hangs up is no news, anything else is kept in `errors`."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, owner: Owner, port: int) -> None:
        self.owner = owner
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            self.owner.errors.append(traceback.format_exc())

    def hang_up(self) -> None:
        with self.owner.lock:
            connections = tuple(self.open)
        for connection in connections:
            _shut(connection)


class _Refused(Exception):
    """A request that HTTP itself does not allow; the connection ends with the answer."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120.0  # an idle or stuck connection gives its thread back
    server: Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.server.owner.lock:
            self.server.open.add(self.connection)

    def finish(self) -> None:
        with self.server.owner.lock:
            self.server.open.discard(self.connection)
        # OSError: the client has gone, and there is nobody left to flush to
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the daemon's own log tells what happened."""

    def do_GET(self) -> None:
        try:
            request = self._request()
        except _Refused as refused:
            self.close_connection = True
            self._write(answer({"error": "bad request"}, refused.status), None)
            return
        owner = self.server.owner
        owner.count(request)
        fault = owner.take_fault(request.path)
        kind = fault.kind if fault else None
        if fault is None:
            self._write(self._handled(request), request)
        elif kind == "cut":
            self._cut()
        elif kind == "status":
            self._write(Answer(fault.body, fault.status, fault.headers), request)
        elif kind in ("html", "html_ok"):
            status = 503 if kind == "html" else 200
            self._write(Answer(HTML, status, fault.headers, "text/html"), request)
        else:
            if kind == "slow":
                time.sleep(fault.seconds)
            given = self._handled(request)
            if kind == "cut_after":
                self._cut()
            elif kind == "cut_body":
                self._write(given, request, half=True)
            elif kind == "truncated":
                half = given.body[: len(given.body) // 2]
                self._write(Answer(half, given.status, given.headers, given.content_type), request)
            else:
                self._write(given, request)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET

    def _request(self) -> Request:
        try:
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=1000))
        except ValueError:
            raise _Refused(400) from None
        return Request(
            method=self.command,
            path=parts.path,
            query=query,
            raw_query=parts.query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self._body(),
            url=f"http://{self.headers.get('Host', '')}{parts.path}",
        )

    def _body(self) -> bytes:
        """The body by its length or by its chunks, never more than MAX_BODY of it."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunks()
        length = self.headers.get("Content-Length", "0").strip()
        if not re.fullmatch(r"[0-9]{1,18}", length):
            raise _Refused(400)
        if int(length) > MAX_BODY:
            raise _Refused(413)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise _Refused(400)
        return body

    def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            size = self.rfile.readline(1024).split(b";")[0].strip()
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size):
                raise _Refused(400)
            if len(body) + int(size, 16) > MAX_BODY:
                raise _Refused(413)
            if int(size, 16) == 0:
                break
            body += self.rfile.read(int(size, 16))
            if self.rfile.readline(8).strip():
                raise _Refused(400)
        for _ in range(100):  # trailers, if any, and the empty line that ends them
            if not self.rfile.readline(8192).strip():
                return bytes(body)
        raise _Refused(400)

    def _handled(self, request: Request) -> Answer:
        owner = self.server.owner
        try:
            with owner.lock:
                return owner.handle(request)
        except Exception:  # noqa: BLE001 the boundary of an HTTP request: a bug here is kept and told
            owner.errors.append(traceback.format_exc())
            return answer({"error": f"the {owner.name} stand-in has a bug; see its errors"}, 500)

    def _write(self, given: Answer, request: Request | None, *, half: bool = False) -> None:
        owner = self.server.owner
        headers = {**owner.headers(request, given), **given.headers} if request else {}
        body = b"" if self.command == "HEAD" else given.body
        try:
            self.send_response_only(given.status)
            self.send_header("Date", format_datetime(owner.now(), usegmt=True))
            self.send_header("Content-Type", given.content_type)
            if given.stream is None:
                self.send_header("Content-Length", str(len(given.body)))
            else:
                self.close_connection = True  # nothing else says where it ends
            if self.close_connection:
                self.send_header("Connection", "close")
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if half else body)
            for piece in given.stream() if given.stream is not None else ():
                self.wfile.write(piece)
        except OSError:
            self.close_connection = True
        if half:
            self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        _shut(self.connection)


def _shut(connection: socket.socket) -> None:
    # OSError: the other side was faster
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
