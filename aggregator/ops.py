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
from storage.troubles import begin_trouble, end_trouble, open_troubles

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

    A trouble that lasts is told once, and once more when it is over, however many processes see it and
    however often they are started meanwhile: what was told is in the store. A store that cannot be written
    just now is asked again with the next repeat of the trouble.
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
        self.refresh()

    def refresh(self) -> None:
        """Look which troubles are open: another process may have told of one that this one sees end."""
        try:
            with self._db.read() as conn:
                found = open_troubles(conn)
        except Unavailable as error:
            log.warning("ops.not_refreshed", reason=error.reason)
            return
        with self._lock:
            self._open = set(found)

    def broken(self, key: str, text: str, *, changed: bool = False, again: bool = False) -> None:
        """Something a person should mend. Repeats are not told; `changed`: other words about it are.

        `again`: it is told once more where it was last told AGAIN ago.
        """
        self._begin(key, text, changed=changed, over=False, again=again)

    def mended(self, key: str, text: str) -> None:
        """The trouble of that key is over; says nothing where none was told."""
        with self._lock:
            if key not in self._open:
                return
        row = self._row(key, "mended", f"✅ {text}", self._now())
        try:
            told = self._db.write(lambda conn: end_trouble(conn, key, notice=row))
        except Unavailable as error:
            log.warning("ops.not_told", about=key, reason=error.reason)
            return
        with self._lock:
            self._open.discard(key)
        if told:
            self._say(key, f"✅ {text}")

    def lost(self, key: str, text: str) -> None:
        """Something has happened that is over already; of several within an hour the first is told."""
        self._begin(key, text, changed=False, over=True)

    def _begin(
        self, key: str, text: str, *, changed: bool, over: bool, again: bool = False
    ) -> None:
        with self._lock:
            if key in self._open and not (changed or again):
                return
        now = self._now()
        words = f"⚠️ {text}"
        row = self._row(key, "broken", words, now)
        try:
            told = self._db.write(
                lambda conn: begin_trouble(
                    conn,
                    key,
                    text,
                    now=now,
                    not_since=now - AGAIN,
                    changed=changed,
                    over=over,
                    notice=row,
                    again=again,
                )
            )
        except Unavailable as error:
            log.warning("ops.not_told", about=key, reason=error.reason, text=bounded(words))
            return
        if told:
            with self._lock:
                if not over:
                    self._open.add(key)
            self._say(key, words)

    def _say(self, key: str, text: str) -> None:
        log.warning("ops.notice", about=key, text=bounded(text))
        if self._present:
            self._told({OPS})

    def notice(self, key: str, text: str, *, mark: str = "⚠️") -> Delivery | None:
        """A row to be stored together with what it tells of; None where there is no `ops`. Logged at once."""
        words = f"{mark} {text}"
        log.warning("ops.notice", about=key, text=bounded(words))
        return self._row(key, "noted", words, self._now())

    def _row(self, key: str, what: str, text: str, now: datetime) -> Delivery | None:
        if not self._present:
            return None
        text = bounded(text)
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
