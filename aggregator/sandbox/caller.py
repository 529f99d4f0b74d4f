"""The platform's side of a callback: a handshake, then POSTs with a time limit and retries, all on a ledger.

POSTs run in a few daemon threads behind a bounded queue, so that `play` returns at once unless the queue
is full; `settle` waits until everything was answered or given up. Nothing but loopback is called.
"""

from __future__ import annotations

import http.client
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode, urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
WAITING = 1000  # calls that may wait; then the caller of `post` does


class HandshakeFailed(Exception):
    """The receiver did not prove that it is ours: the admin page would refuse this URL."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One attempt, signed afresh: what goes into the query, the body, and headers where it is signed there."""

    query: Mapping[str, str]
    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One line of the ledger. `problem` is None where the platform is content; `status` None: no answer."""

    label: str
    number: int  # from 1
    at: datetime
    seconds: float
    status: int | None
    body: bytes
    problem: str | None


Judge = Callable[[bytes], str | None]  # what is wrong with the body of a 200


@dataclass(frozen=True, slots=True)
class _Call:
    label: str
    make: Callable[[], Outgoing]
    judge: Judge


class Caller:
    """Calls one receiver. Knobs are real seconds, also where the platform's clock runs faster.

    `spoil` says what goes wrong with an attempt (label, number): "lost" on the way there, "late" where the answer
    comes when nobody waits for it any more; None where it goes well.
    """

    def __init__(
        self,
        name: str,
        now: Callable[[], datetime],
        *,
        attempts: int = 3,
        timeout_s: float = 5.0,
        retry_s: float = 5.0,
        workers: int = 4,
    ) -> None:
        self.url: str | None = None
        self.ledger: list[Attempt] = []
        self.spoil: Callable[[str, int], str | None] = lambda label, number: None
        self._name = name
        self._now = now
        self._attempts = attempts
        self._timeout_s = timeout_s
        self._retry_s = retry_s
        self._workers = workers
        self._calls: queue.Queue[_Call] = queue.Queue(WAITING)
        self._threads: list[threading.Thread] = []
        self._guard = threading.Lock()
        self._closed = threading.Event()

    def attach(self, url: str, query: Mapping[str, str], expected: bytes) -> None:
        """The GET handshake; the URL is taken only if it echoes `expected`. Raises HandshakeFailed."""
        if urlsplit(url).hostname not in LOOPBACK:
            raise HandshakeFailed(f"{url} is not on this machine")
        try:
            status, body = self._request("GET", url, query, b"", None)
        except (OSError, http.client.HTTPException) as error:
            raise HandshakeFailed(f"{url}: {type(error).__name__}") from error
        if status != 200 or body != expected:
            raise HandshakeFailed(f"{url}: the echo is wrong (status {status})")
        self.url = url

    def post(self, label: str, make: Callable[[], Outgoing], judge: Judge) -> None:
        """Queue one call; it is tried until the answer is 200 and `judge` is content, or given up."""
        if self.url is None:
            raise RuntimeError(f"{self._name}: attach() a callback URL first")
        with self._guard:
            while len(self._threads) < self._workers:
                name = f"sandbox-{self._name}-{len(self._threads)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
        self._calls.put(_Call(label, make, judge))

    def settle(self, timeout_s: float = 30.0) -> bool:
        """Wait until nothing is queued or under way; False if that took too long."""
        until = time.monotonic() + timeout_s
        with self._calls.all_tasks_done:
            while self._calls.unfinished_tasks:
                left = until - time.monotonic()
                if left <= 0 or not self._calls.all_tasks_done.wait(left):
                    return False
        return True

    def lost(self) -> list[str]:
        """Labels of what was given up: every attempt failed."""
        with self._guard:
            good = {entry.label for entry in self.ledger if entry.problem is None}
            last = [entry for entry in self.ledger if entry.number == self._attempts]
        return [entry.label for entry in last if entry.label not in good]

    def close(self) -> None:
        """End the waits between retries; threads end with what they are doing."""
        self._closed.set()

    def _work(self) -> None:
        while not self._closed.is_set():
            try:
                call = self._calls.get(timeout=0.5)
            except queue.Empty:
                continue
            try:
                self._deliver(call)
            finally:
                self._calls.task_done()

    def _deliver(self, call: _Call) -> None:
        for number in range(1, self._attempts + 1):
            if number > 1 and self._closed.wait(self._retry_s):
                return
            if self._attempt(call, number).problem is None:
                return

    def _attempt(self, call: _Call, number: int) -> Attempt:
        assert self.url is not None
        outgoing = call.make()
        at, started = self._now(), time.monotonic()
        status: int | None = None
        body, problem = b"", None
        spoilt = self.spoil(call.label, number)
        if spoilt == "lost":
            return self._noted(Attempt(call.label, number, at, 0.0, None, b"", "lost on the way"))
        try:
            status, body = self._request(
                "POST",
                self.url,
                outgoing.query,
                outgoing.body,
                outgoing.content_type,
                outgoing.headers,
            )
        except (OSError, http.client.HTTPException) as error:
            problem = f"no answer: {type(error).__name__}"
        seconds = time.monotonic() - started
        if problem is None and (seconds > self._timeout_s or spoilt == "late"):
            problem = "the answer came too late"
        elif problem is None and status != 200:
            problem = f"status {status}"
        elif problem is None:
            problem = call.judge(body)
        return self._noted(Attempt(call.label, number, at, seconds, status, body, problem))

    def _noted(self, entry: Attempt) -> Attempt:
        with self._guard:
            self.ledger.append(entry)
        return entry

    def _request(
        self,
        method: str,
        url: str,
        query: Mapping[str, str],
        body: bytes,
        content: str | None,
        more: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port, timeout=self._timeout_s
        )
        both = "&".join(piece for piece in (parts.query, urlencode(query)) if piece)
        headers = {"User-Agent": "Mozilla/4.0", "Accept": "*/*", "Connection": "close"}
        headers.update(more or {})
        if content is not None:
            headers["Content-Type"] = content
        try:
            connection.request(method, f"{parts.path or '/'}?{both}", body or None, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
