"""Listens where a platform tells at once that there is something new, and has it polled then."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog

from aggregator.errors import Unavailable
from aggregator.leases import Leases
from aggregator.ops import Ops, in_words
from aggregator.troubles import trouble

ASIDE_S = 15.0  # another process listens, or the database is away: look again after this
LASTING = timedelta(
    minutes=5
)  # a connection that held so long was well: the next failure is a first one

log = structlog.get_logger()


class Listener(threading.Thread):
    """The listener of one account, a thread of its own. `wake` is told each stream to poll now.

    It ends whenever it likes without anything being lost: the polls go on by themselves. Connecting again
    waits longer each time it fails, up to a quarter of an hour.
    """

    def __init__(
        self,
        *,
        account: str,
        connector: Any,
        leases: Leases,
        wake: Callable[[str], None],
        ops: Ops,
        now: Callable[[], datetime],
    ) -> None:
        super().__init__(name=f"listener-{account}", daemon=True)
        self.account = account
        self.stopping = threading.Event()
        self._connector = connector
        self._leases = leases
        self._wake = wake
        self._ops = ops
        self._now = now
        self._failures = 0

    def stop(self) -> None:
        """No more is told; a connection that is silent just now is left to end with the process."""
        self.stopping.set()

    def run(self) -> None:
        while not self.stopping.is_set():
            self.stopping.wait(self.turn())

    def turn(self) -> float:
        """Listen until it ends. Returns how many seconds to wait before the next time."""
        began = self._now()
        try:
            fence = self._leases.hold(f"listen:{self.account}")
            if fence is None:
                return ASIDE_S
            for stream in self._connector.listen():
                if self.stopping.is_set() or not self._leases.sure(fence):
                    return ASIDE_S
                if stream is not None:
                    self._wake(stream)
                self._well()
            ended: Exception = Unavailable("the connection was ended")
        except Exception as error:  # noqa: BLE001  the boundary of a connection, as of a poll
            ended = error
        now = self._now()
        if now - began >= LASTING:
            self._failures = 0
        found = trouble(ended, now=now, failures=self._failures, pushed=False)
        if self._failures == 0:
            log.info("listening.ended", account=self.account, reason=in_words(ended))
        self._failures += 1
        if found.told:
            text = f"{self.account} is polled only, nothing tells at once: {in_words(ended)}"
            self._ops.broken(f"listen:{self.account}", text)
        return max((found.retry_at - now).total_seconds(), 1.0)

    def _well(self) -> None:
        self._ops.mended(f"listen:{self.account}", f"{self.account} is told at once again")
