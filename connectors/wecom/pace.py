"""How often kf/sync_msg may be asked without a callback's token: WeCom does not tell, so it is learnt."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from connectors.base import Keep
from connectors.payload import integer, mapping

KEY = "sync_pace"
SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(minutes=10)
REMEMBERED = timedelta(days=1)


class Pace:
    """Each refusal doubles the time between two such calls; a day without one forgets it. The calls that
    a callback's token goes with are not held up: new messages come as fast as ever."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep

    def waits(self, now: datetime) -> datetime | None:
        """Until when no such call is to be made."""
        until = datetime.fromtimestamp(integer(_read(self._keep.get(KEY)).get("until")), now.tzinfo)
        return until if now < until <= now + LONGEST else None

    def refused(self, now: datetime) -> None:
        raw = self._keep.get(KEY)
        before = timedelta(seconds=integer(_read(raw).get("wait")))
        self._set(raw, now, min(max(2 * before, SHORTEST), LONGEST), now)

    def answered(self, now: datetime) -> None:
        raw = self._keep.get(KEY)
        row = _read(raw)
        if not row:
            return
        last = datetime.fromtimestamp(integer(row.get("refused")), now.tzinfo)
        if now - last > REMEMBERED:
            self._keep.swap(KEY, raw, None)
        else:
            self._set(raw, now, timedelta(seconds=integer(row.get("wait"))), last)

    def _set(self, raw: str | None, now: datetime, wait: timedelta, last: datetime) -> None:
        """Whoever is faster has learnt the same a moment ago."""
        row = {
            "until": int((now + wait).timestamp()),
            "wait": int(wait.total_seconds()),
            "refused": int(last.timestamp()),
        }
        self._keep.swap(KEY, raw, json.dumps(row))


def _read(raw: str | None) -> dict[str, Any]:
    try:
        row = mapping(json.loads(raw or "{}"))
    except ValueError:
        return {}
    return row if all(0 < integer(row.get(one)) < 2**33 for one in ("until", "wait")) else {}
