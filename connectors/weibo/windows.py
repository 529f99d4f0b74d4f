"""Which mentions the platform called us for: each may have one answer by message, within 48 hours.

Page: https://open.weibo.com/wiki/Messages_reply
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aggregator.model import Direction, Message, ReplyWindow
from connectors.base import Keep, Now
from connectors.payload import mapping
from connectors.weibo.direct import ANSWERABLE, Mentioned

_ROW = "called"
MOST = 500
_RACES = 50


class Windows:
    """Remembers the calls in the Keep, until their time is over; lists bring the mentions themselves."""

    def __init__(self, keep: Keep, now: Now) -> None:
        self._keep = keep
        self._now = now

    def note(self, calls: Sequence[Mentioned]) -> None:
        """Remember them. What cannot be written in a crowd of writers is left out: it is told on a card only."""
        now = self._now()
        fresh = {
            f"{one.kind}:{one.native_id}": int(((one.at or now) + ANSWERABLE).timestamp())
            for one in calls
            if one.native_id is not None
        }
        if not fresh:
            return
        for _ in range(_RACES):
            old = self._keep.get(_ROW)
            row = {**_row(old, now), **fresh}
            newest = dict(sorted(row.items(), key=lambda pair: -pair[1])[:MOST])
            if self._keep.swap(_ROW, old, json.dumps(newest)):
                return

    def on(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """The messages, with a window on those that we were called for."""
        if not any(one.direction is Direction.INBOUND for one in messages):
            return messages
        row = _row(self._keep.get(_ROW), self._now())
        return tuple(
            replace(
                one, reply_window=ReplyWindow(datetime.fromtimestamp(row[one.key], UTC), left=1)
            )
            if one.key in row and one.direction is Direction.INBOUND
            else one
            for one in messages
        )


def _row(text: str | None, now: datetime) -> dict[str, Any]:
    try:
        told = mapping(json.loads(text or "{}"))
    except ValueError:
        return {}
    at = now.timestamp()
    return {key: ends for key, ends in told.items() if type(ends) is int and ends > at}
