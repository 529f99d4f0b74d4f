"""How a conversation stands, for `explain`: its window, its claim, its clocks with their causes, and its acts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row

from aggregator.model import Clock
from storage.acts import acts_of
from storage.known import clocks_of
from storage.sql import from_ms, rfc3339


def standing(connection: Connection, about: Row[Any]) -> dict[str, Any]:
    """Of a row of `conversation`. Times are RFC 3339 UTC."""

    def time(ms: int | None) -> str | None:
        return None if ms is None else rfc3339(from_ms(ms))

    return {
        "state": about.state,
        "claimed_by": about.claimed_by,
        "claimed_at": time(about.claimed_at),
        "reply_window_closes_at": time(about.reply_window_closes_at),
        "reply_window_left": about.reply_window_left,
        "clocks": [_clock(one) for one in clocks_of(connection, [about.id])[about.id]],
        "acts": [
            {"at": rfc3339(one.at), "what": one.what, "by": one.by, "way": one.way}
            | {"value": one.value, "why": one.why}
            for one in acts_of(connection, [about.id])[about.id]
        ],
    }


def _clock(clock: Clock) -> dict[str, Any]:
    return {
        "kind": clock.kind.value,
        "cycle": clock.cycle,
        "priority": clock.priority.value,
        "policy": clock.policy,
        "started_at": rfc3339(clock.started_at),
        "due_at": rfc3339(clock.due_at),
        "outcome": None if clock.outcome is None else clock.outcome.value,
        "late_ingest": clock.late_ingest,
        "clamped": clock.clamped,
        "events": [
            {
                "event": one.event,
                "at": rfc3339(one.at),
                "cause": None if one.cause is None else str(one.cause),
                "reason": one.reason,
                "by": one.by,
                "way": one.way,
            }
            for one in clock.events
        ],
    }
