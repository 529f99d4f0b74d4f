"""How much of its quota a Page has used, and when it may be asked again: shared by replicas in the `Keep`.

https://developers.facebook.com/docs/graph-api/overview/rate-limiting: the headers tell percent, and minutes until
access comes back; not every answer has them. Calls while throttled count, and prolong the block, so none is made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from aggregator.errors import RateLimited
from aggregator.model import Quota
from connectors import budget
from connectors.base import Keep, Now
from connectors.fields import parse_time
from connectors.payload import items, mapping

PAGES, MESSENGER, INSTAGRAM, APP = "pages", "messenger", "instagram", "app"
SLOW, STOP = 75, 95  # percent
PROBE_S = 600.0  # at STOP, where no minutes are told, one call so often shows whether it is over
STALE = timedelta(minutes=30)
_STEP = 5  # percent points that are worth a write
_KEY = "usage"
_NEXT = "conversations"
_BETWEEN = timedelta(milliseconds=500)
_RACES = 4
_WINDOWS = {f"{_KEY}.{case}": case for case in (APP, PAGES, MESSENGER, INSTAGRAM)}
_PARTS = ("call_count", "total_time", "total_cputime")


class Usage:
    """`admit` before a call, `learn` after it; `slow` says that what can wait should."""

    def __init__(self, keep: Keep, now: Now) -> None:
        self._keep = keep
        self._now = now

    def admit(self, case: str, *, conversations: bool) -> None:
        """Raises RateLimited where the platform would refuse, or should not be asked.

        The Conversations API takes two calls a second of a Page, from all of us together.
        """
        now = self._now()
        for one in (APP, case):
            budget.admit(self._keep, f"{_KEY}.{one}", now)
        if conversations:
            self._pace(now)

    def _pace(self, now: datetime) -> None:
        """Half a second between two calls, so that no second holds three of them, wherever it begins."""
        for _ in range(_RACES):
            before = self._keep.get(_NEXT)
            wait_s = ((parse_time(before) or now) - now).total_seconds()
            if 0 < wait_s <= _BETWEEN.total_seconds():
                raise RateLimited("two calls a second to conversations", retry_after_s=wait_s)
            if self._keep.swap(_NEXT, before, (now + _BETWEEN).isoformat()):
                return
        raise RateLimited("two calls a second to conversations", retry_after_s=1.0)

    def slow(self, case: str) -> bool:
        row = _read(self._keep.get(_KEY))
        at = parse_time(row.get("at"))
        if at is None or self._now() - at > STALE:
            return False
        return any(_percent(row.get(one)) >= SLOW for one in (APP, case))

    def left(self) -> tuple[Quota, ...]:
        """Percent left of what Facebook tells: the app's calls, the Page's, Messenger's, Instagram's."""
        row, now = _read(self._keep.get(_KEY)), self._now()
        shut = {one.name: one for one in budget.quotas(self._keep, _WINDOWS, now)}
        at = parse_time(row.get("at"))
        fresh = at is not None and now - at <= STALE
        found = []
        for case in _WINDOWS.values():
            if case in shut:
                found.append(Quota(case, 0, 100, "percent", shut[case].ends_at))
            elif fresh and case in row:
                found.append(Quota(case, max(100 - _percent(row[case]), 0), 100, "percent"))
        return tuple(found)

    def learn(self, headers: Mapping[str, str]) -> None:
        """What an answer's headers say, good or bad."""
        told = dict(_told(headers))
        if not told:
            return
        now = self._now()
        longest = max(minutes for _, minutes in told.values())
        for case, (percent, minutes) in told.items():
            if minutes > 0 or percent >= STOP:
                wait_s = (minutes or longest) * 60.0 or PROBE_S
                why = f"{percent} % of Facebook's quota for {case} is used"
                budget.shut(self._keep, f"{_KEY}.{case}", now, seconds=wait_s, why=why)
        before = self._keep.get(_KEY)
        row = _read(before)
        at = parse_time(row.get("at"))
        known = {case: _percent(row.get(case)) // _STEP for case in told}
        if known == {case: percent // _STEP for case, (percent, _) in told.items()} and (
            at is None or now - at < STALE / 2 or not any(known.values())
        ):
            return
        row |= {case: percent for case, (percent, _) in told.items()}
        row["at"] = now.isoformat(timespec="seconds")
        self._keep.swap(_KEY, before, json.dumps(row))  # lost to another: that one knows as well

    def refused(self, case: str, *, seconds: float, why: str) -> None:
        """The platform said "not now": nobody asks again before that is over."""
        budget.shut(self._keep, f"{_KEY}.{case}", self._now(), seconds=seconds, why=why)


def _told(headers: Mapping[str, str]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Case → percent of what is used most, and minutes until access comes back."""
    app = mapping(_json(headers.get("X-App-Usage")))
    if app:
        yield APP, (_most(app), 0)
    found: dict[str, tuple[int, int]] = {}
    for uses in mapping(_json(headers.get("X-Business-Use-Case-Usage"))).values():
        for one in map(mapping, items(uses)):
            case = one.get("type")
            case = case if case in (MESSENGER, INSTAGRAM) else PAGES
            percent, minutes = found.get(case, (0, 0))
            told = _percent(one.get("estimated_time_to_regain_access"))
            found[case] = (max(percent, _most(one)), max(minutes, told))
    yield from found.items()


def _most(use: dict[str, Any]) -> int:
    return max(_percent(use.get(part)) for part in _PARTS)


def _percent(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and 0 <= value < 1e6 else 0


def _json(raw: str | None) -> Any:
    try:
        return json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        return {}


def _read(raw: str | None) -> dict[str, Any]:
    return mapping(_json(raw))
