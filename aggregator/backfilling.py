"""The lane in which an account's history is read: a page at a time, apart from what is new, until it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from aggregator.model import Backfill, Decision, Page
from aggregator.troubles import at_pace
from connectors.base import Backfills
from storage.polls import Reach, Stream
from storage.schema import BACKFILL


def lane_of(stream: str) -> str:
    """The name under which a stream's history keeps its cursor, its pause and its last error."""
    return f"{stream}{BACKFILL}"


class History:
    """Which page of history comes next. `left` is False once all of it was read, or none is wanted."""

    def __init__(self, connector: Any, backfill: Backfill, *, pushed: Sequence[str]) -> None:
        wanted = isinstance(connector, Backfills) and backfill is not Backfill.SKIP
        self._connector = connector
        self.streams = tuple(one for one in connector.streams if one not in pushed)
        self.left = wanted and bool(self.streams)

    def next(self, rows: Mapping[str, Stream], now: datetime) -> str | None:
        """The stream whose lane was read longest ago, among those that are not done and need not wait.

        A stream that cannot be read just now has no history read either: it would take its calls.
        """
        lanes = {one: rows.get(lane_of(one)) for one in self.streams}
        open_lanes = {one: row for one, row in lanes.items() if row is None or row.done_at is None}
        self.left = bool(open_lanes)
        ready = [
            stream
            for stream, row in open_lanes.items()
            if _reads(rows.get(stream)) and not _waits(row, now)
        ]
        return min(ready, key=lambda one: _read_at(open_lanes[one]), default=None)

    def page(
        self, stream: str, row: Stream | None, stopping: threading.Event
    ) -> tuple[Page, Callable[[Decision], Reach]]:
        """The next page, and what it says of how far the lane has come. Raises as `poll` does."""
        cursor = row.cursor if row else None
        page = at_pace(partial(self._connector.backfill, stream, cursor), stopping)
        times = [one.sent_at for one in page.messages if one.sent_at is not None]
        if row is not None and row.oldest_at is not None:
            times.append(row.oldest_at)

        def reach(decision: Decision) -> Reach:
            found = (row.found if row else 0) + len(decision.messages)
            return Reach(found, min(times, default=None), done=not page.more)

        return page, reach


def _read_at(row: Stream | None) -> float:
    return row.last_poll_at.timestamp() if row is not None and row.last_poll_at is not None else 0.0


def _reads(row: Stream | None) -> bool:
    return row is not None and row.failures == 0 and row.last_success_at is not None


def _waits(row: Stream | None, now: datetime) -> bool:
    if row is None:
        return False
    return any(at is not None and at > now for at in (row.paused_until, row.next_poll_at))
