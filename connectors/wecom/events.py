"""Events that are in no page of WeCom's yet (a customer's rating, say): no messages, and not forgotten either.

Page: https://developer.work.weixin.qq.com/document/path/94670
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.base import Keep, Now
from connectors.payload import integer, mapping, name

KEY = "events"
MOST = 20  # kinds
LONGEST = 60  # letters of one kind
AGAIN = timedelta(days=1)  # how often the time of one is written anew

KNOWN = frozenset(
    {
        "enter_session",
        "msg_send_fail",
        "servicer_status_change",
        "session_status_change",
        "user_recall_msg",
        "servicer_recall_msg",
        "reject_customer_msg_switch_change",
    }
)


class Strange:
    """Which kinds there were, and when last: `check` tells them to a person."""

    def __init__(self, keep: Keep, now: Now) -> None:
        self._keep = keep
        self._now = now

    def note(self, items: Iterable[Any]) -> None:
        """What is strange among the items of a page. A replica that was faster has noted the same."""
        kinds = {
            str(name(mapping(one.get("event")).get("event_type")) or "unnamed")[:LONGEST]
            for one in map(mapping, items)
            if one.get("msgtype") == "event"
        }
        if not (kinds := kinds - KNOWN):
            return
        raw = self._keep.get(KEY)
        row, now = _read(raw), int(self._now().timestamp())
        old = now - int(AGAIN.total_seconds())
        if all(row.get(one, 0) > old for one in kinds):
            return
        newest = sorted({**row, **dict.fromkeys(kinds, now)}.items(), key=lambda one: -one[1])
        self._keep.swap(KEY, raw, json.dumps(dict(newest[:MOST]), ensure_ascii=False))

    def told(self) -> str | None:
        """For a person; None where there was nothing."""
        row = _read(self._keep.get(KEY))
        if not row:
            return None
        kinds = ", ".join(
            f"{kind} ({datetime.fromtimestamp(at, UTC):%Y-%m-%d})" for kind, at in row.items()
        )
        return f"events that are not read, as WeCom describes none of the kind: {kinds}"


def _read(raw: str | None) -> dict[str, int]:
    try:
        row = mapping(json.loads(raw or "{}"))
    except ValueError:
        return {}
    return {kind: integer(at) for kind, at in row.items() if 0 < integer(at) < 2**33}
