"""The token that a callback brings: with it, kf/sync_msg is not held to its strict frequency limit."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from connectors.base import Keep, Now
from connectors.fields import parse_time
from connectors.payload import integer, mapping

KEY = "sync_token"
LIVES = timedelta(minutes=9)  # the platform says ten minutes; a poll takes its time


class Hints:
    """The newest callback's token, shared by replicas. It opens nothing without the app's secret."""

    def __init__(self, keep: Keep, now: Now) -> None:
        self._keep = keep
        self._now = now

    def keep(self, token: Any, created: Any) -> None:
        """Remember `token` until it ends. A replica that was faster has one that is as good."""
        if not isinstance(token, str) or not 0 < len(token) <= 512:
            return
        now = self._now()
        since = min(parse_time(created) or now, now)
        old = self._keep.get(KEY)
        told = json.dumps({"token": token, "until": int((since + LIVES).timestamp())})
        self._keep.swap(KEY, old, told)

    def fresh(self) -> str | None:
        told = _told(self._keep.get(KEY))
        token = told.get("token")
        alive = integer(told.get("until")) > self._now().timestamp()
        return token if alive and isinstance(token, str) else None

    def drop(self, token: str) -> None:
        """Forget a token that was refused, unless a newer one stands in its place."""
        old = self._keep.get(KEY)
        if _told(old).get("token") == token:
            self._keep.swap(KEY, old, None)


def _told(kept: str | None) -> dict[str, Any]:
    try:
        return mapping(json.loads(kept or "{}"))
    except ValueError:
        return {}
