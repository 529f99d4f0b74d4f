"""Watch the running clocks: a breach is recorded once, and the card says so."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

import structlog

from aggregator.leases import Leases
from aggregator.metrics import Metrics
from aggregator.model import Backfill, Conversation
from aggregator.telling import Teller
from storage.clocks import breach_due, may_breach
from storage.engine import Connection, Database
from storage.leases import LeaseLost
from storage.outbox import enqueue

log = structlog.get_logger()


class Escalation:
    """One replica at a time looks for deadlines that have passed. `tick` is called by the scheduler."""

    def __init__(
        self,
        *,
        db: Database,
        leases: Leases,
        now: Callable[[], datetime],
        told: Callable[[Collection[str]], None],
        metrics: Metrics,
    ) -> None:
        self._db = db
        self._leases = leases
        self._now = now
        self._told = told
        self._metrics = metrics

    def tick(self) -> None:
        """Reads first: a second in which nothing is due writes nothing."""
        fence = self._leases.hold("clocks")
        if fence is None:
            return
        now = self._now()
        with self._db.read() as conn:
            if not may_breach(conn, now):
                return
        teller = Teller(Backfill.ALERT, now, self._db.new_id)

        def unit(conn: Connection) -> list[Conversation]:
            late = breach_due(conn, fence=fence, now=now, new_id=self._db.new_id)
            rows = [
                teller.card_update(conversation, destination)
                for conversation in late
                for destination in conversation.destinations
            ]
            enqueue(conn, rows)
            return late

        try:
            late = self._db.write(unit)
        except LeaseLost:
            self._leases.lost(fence)
            return
        for conversation in late:
            self._metrics.breaches.labels(conversation.priority.value).inc()
            log.info(
                "clock.breached", conversation=conversation.id, priority=conversation.priority.value
            )
        if late:
            self._told({to for conversation in late for to in conversation.destinations})
