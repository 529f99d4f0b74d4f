"""What a platform pushes: verified by its connector, stored raw in one short transaction, then answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog

from aggregator.errors import Rejected
from aggregator.metrics import Metrics
from aggregator.model import Accepted, Push
from connectors.base import Receives
from storage.engine import Database
from storage.pushes import store_pushes

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
        self._db = db
        self._now = now
        self._wake = wake
        self._metrics = metrics

    def take(
        self,
        account: str,
        method: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Accepted:
        """Returns what to answer, once what must not be lost is committed.

        Raises Rejected with the 4xx to answer, and Unavailable when the store is too busy to promise.
        """
        if method not in ("GET", "POST"):  # the route lets HEAD through where GET is
            raise Rejected("GET and POST only", status=405)
        connector = self.refuse_unknown(account)
        now = self._now()
        try:
            accepted = connector.verify(Push(method, query, headers, body, now))
        except Rejected as error:
            log.info("callback.refused", account=account, reason=error.reason, status=error.status)
            raise
        if accepted.store and accepted.stream is not None:
            stream = accepted.stream
            self._db.write(
                lambda conn: store_pushes(
                    conn, account, stream, accepted.store, now, new_id=self._db.new_id
                )
            )
            self._wake(account)
        return accepted

    def refuse_unknown(self, account: str) -> Receives:
        """The account's connector. Raises Rejected where there is none that takes callbacks."""
        connector = self._connectors.get(account)
        if connector is None or not isinstance(connector, Receives):
            raise Rejected("no such account takes callbacks", status=404)
        return connector

    def count(self, account: str, status: int) -> None:
        """Counted under the account's name, or `unknown`: what a stranger typed is no label."""
        known = account if account in self._connectors else "unknown"
        self._metrics.callbacks.labels(known, str(status)).inc()
