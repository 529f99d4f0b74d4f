"""What a platform pushes: verified by its connector, stored raw in one short transaction, then answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from aggregator.errors import Rejected
from aggregator.metrics import Metrics
from aggregator.model import Accepted, Push
from connectors.base import Receives
from storage.engine import Database
from storage.pushes import store_pushes

LOG_EVERY = timedelta(minutes=1)
MAX_REASONS = 1000

log = structlog.get_logger()


class Callbacks:
    """`wake` is called after the commit, with the account whose pushes wait."""

    def __init__(
        self,
        *,
        connectors: Mapping[str, Any],
        db: Database,
        now: Callable[[], datetime],
        wake: Callable[[str], None],
        metrics: Metrics,
    ) -> None:
        self._connectors = connectors
        # Asked once: to look whether an object has a Protocol's methods is dearer than a signature.
        self._receivers: Mapping[str, Receives] = {
            name: one for name, one in connectors.items() if isinstance(one, Receives)
        }
        self._db = db
        self._now = now
        self._wake = wake
        self._metrics = metrics
        self._refused: dict[tuple[str, str], _Refusals] = {}

    def verified(
        self,
        account: str,
        method: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Accepted:
        """What to store and what to answer. Nothing is waited for: a wrong signature costs the check alone.

        Raises Rejected with the 4xx to answer.
        """
        connector = self.refuse_unknown(account)
        try:
            return connector.verify(Push(method, query, headers, body, self._now()))
        except Rejected as error:
            self._note(account, error)
            raise

    def stored(self, account: str, accepted: Accepted) -> Future[int] | None:
        """Done once what must not be lost is committed, and the poller called; None where there is nothing.

        Raises Unavailable when the store is too busy to promise.
        """
        stream, now = accepted.stream, self._now()
        if not accepted.store or stream is None:
            return None
        future = self._db.submit(
            lambda conn: store_pushes(
                conn, account, stream, accepted.store, now, new_id=self._db.new_id
            )
        )

        def committed(done: Future[int]) -> None:
            if not done.cancelled() and done.exception() is None:
                self._wake(account)

        future.add_done_callback(committed)
        return future

    def refuse_unknown(self, account: str) -> Receives:
        """The account's connector. Raises Rejected where there is none that takes callbacks."""
        connector = self._receivers.get(account)
        if connector is None:
            raise Rejected("no such account takes callbacks", status=404)
        return connector

    def count(self, account: str, status: int) -> None:
        """Counted under the account's name, or `unknown`: what a stranger typed is no label."""
        known = account if account in self._connectors else "unknown"
        self._metrics.callbacks.labels(known, str(status)).inc()

    def _note(self, account: str, error: Rejected) -> None:
        """One line a minute and reason, with how many there were: a flood is no reason to fill a disk."""
        now = self._now()
        key = (account, error.reason)
        known = self._refused.get(key)
        if known is not None and timedelta(0) <= now - known.since < LOG_EVERY:
            known.more += 1
            return
        if known is None and len(self._refused) >= MAX_REASONS:
            self._refused.clear()
        log.info(
            "callback.refused",
            account=account,
            reason=error.reason,
            status=error.status,
            more=known.more if known is not None else 0,
        )
        self._refused[key] = _Refusals(now)


@dataclass(slots=True)
class _Refusals:
    """Since a line was logged; `more`: how many came after it."""

    since: datetime
    more: int = 0
