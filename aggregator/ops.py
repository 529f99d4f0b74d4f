"""The daemon speaks of itself: one notice when a trouble begins, one when it ends."""

from __future__ import annotations

import hashlib
import threading
import traceback
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from aggregator.errors import Unavailable
from aggregator.model import Delivery, DeliveryState, NoticeKind, Priority
from storage.engine import Database
from storage.outbox import enqueue

OPS = "ops"
AGAIN = timedelta(
    hours=1
)  # the same trouble is told at most so often, however often it comes and goes
MAX_LINES = 20
MAX_TEXT = 2000
MAX_REASON = 500

log = structlog.get_logger()


class Ops:
    """Tells the destination named `ops`, or the log where there is none. Never raises.

    A trouble that lasts is told once, and once more when it is over; after a restart it is told anew. A
    store that cannot be written just now is asked again with the next repeat of the trouble.
    """

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
        self._open: set[str] = set()
        self._last: dict[str, datetime] = {}

    def broken(self, key: str, text: str, *, changed: bool = False) -> None:
        """Something a person should mend. Repeats are not told; `changed`: there is something new about it."""
        now = self._now()
        with self._lock:
            last = self._last.get(key)
            if not changed and (key in self._open or (last is not None and now - last < AGAIN)):
                return
            self._open.add(key)
            self._last[key] = now
        if not self._tell(key, "broken", f"⚠️ {text}", now):
            with self._lock:
                self._open.discard(key)
                self._last.pop(key, None)

    def mended(self, key: str, text: str) -> None:
        """The trouble of that key is over; says nothing where none was told."""
        with self._lock:
            if key not in self._open:
                return
            self._open.discard(key)
        self._tell(key, "mended", f"✅ {text}", self._now())

    def lost(self, key: str, text: str) -> None:
        """Something has happened that is over already; of several within an hour the first is told."""
        self.broken(key, text)
        with self._lock:
            self._open.discard(key)

    def notice(self, key: str, text: str) -> Delivery | None:
        """A row to be stored together with what it tells of; None where there is no `ops`. Logged at once."""
        return self._row(key, "noted", f"⚠️ {text}", self._now())

    def _tell(self, key: str, what: str, text: str, now: datetime) -> bool:
        row = self._row(key, what, text, now)
        if row is None:
            return True
        try:
            self._db.write(lambda conn: enqueue(conn, [row]))
        except Unavailable as error:
            log.warning("ops.not_told", about=key, reason=error.reason)
            return False
        self._told({OPS})
        return True

    def _row(self, key: str, what: str, text: str, now: datetime) -> Delivery | None:
        text = bounded(text)
        log.warning("ops.notice", about=key, text=text)
        if not self._present:
            return None
        # Replicas, and a process that is started again and again, make the same key within an hour.
        hour = int(now.timestamp() // AGAIN.total_seconds())
        words = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
        return Delivery(
            id=self._db.new_id(),
            destination=OPS,
            kind=NoticeKind.OPS,
            key=f"ops:{key}:{what}:{hour}:{words}",
            state=DeliveryState.PENDING,
            created_at=now,
            due_at=now,
            priority=Priority.P2,
            text=text,
        )


def bounded(text: str) -> str:
    """At most MAX_LINES lines and MAX_TEXT characters; what was cut is counted."""
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], f"… and {len(lines) - MAX_LINES} more"]
    whole = "\n".join(lines)
    return whole if len(whole) <= MAX_TEXT else f"{whole[: MAX_TEXT - 1]}…"


def in_words(error: Exception) -> str:
    """What went wrong, in one bounded line. Of a defect of ours only where: its text may be a customer's."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, str):
        remedy = getattr(error, "remedy", None)
        line = f"{reason}; {remedy}" if isinstance(remedy, str) else reason
        line = " ".join(line.split())
        return line if len(line) <= MAX_REASON else f"{line[: MAX_REASON - 1]}…"
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    last = frames[-1]
    return f"a defect of inboxd: {type(error).__name__} in {Path(last.filename).name}:{last.lineno}"
