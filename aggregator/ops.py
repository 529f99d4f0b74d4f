"""The daemon speaks of itself: one notice when a trouble begins, one when it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

import structlog

from aggregator.model import Delivery, DeliveryState, NoticeKind, Priority
from storage.engine import Database
from storage.outbox import enqueue

OPS = "ops"
AGAIN = timedelta(hours=1)  # a trouble that lasts is told again so often

log = structlog.get_logger()


class Ops:
    """Tells the destination named `ops`, or the log where there is none."""

    def __init__(
        self,
        *,
        db: Database,
        present: bool,
        now: Callable[[], datetime],
        told: Callable[[Collection[str]], None],
    ) -> None:
        self._db = db
        self._present = present
        self._now = now
        self._told = told
        self._lock = threading.Lock()
        self._broken: dict[str, datetime] = {}

    def broken(self, key: str, text: str) -> None:
        """Something a person should mend; repeats within an hour are not told."""
        now = self._now()
        with self._lock:
            last = self._broken.get(key)
            if last is not None and now - last < AGAIN:
                return
            self._broken[key] = now
        self._tell(key, f"⚠️ {text}", now)

    def mended(self, key: str, text: str) -> None:
        """The trouble of that key is over; says nothing where there was none."""
        with self._lock:
            if self._broken.pop(key, None) is None:
                return
        self._tell(key, f"✅ {text}", self._now())

    def say(self, key: str, text: str) -> None:
        """Something worth knowing, once."""
        self._tell(key, text, self._now())

    def _tell(self, key: str, text: str, now: datetime) -> None:
        log.warning("ops.notice", about=key, text=text)
        if not self._present:
            return
        row = Delivery(
            id=self._db.new_id(),
            destination=OPS,
            kind=NoticeKind.OPS,
            key=f"ops:{key}:{int(now.timestamp() * 1000)}",
            state=DeliveryState.PENDING,
            created_at=now,
            due_at=now,
            priority=Priority.P2,
            text=text,
        )
        self._db.write(lambda conn: enqueue(conn, [row]))
        self._told({OPS})
