"""What calls are left: an open app has few a user a day, and an address so many an hour.

Pages: https://open.weibo.com/wiki/Rate-limiting and https://open.weibo.com/wiki/2/account/rate_limit_status
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from aggregator.errors import Unavailable
from aggregator.model import Quota
from connectors.base import Keep, Now
from connectors.payload import integer, mapping

PER_DAY = 100  # until the platform tells another number
PER_HOUR = 15_000  # from one address
FOR_ANSWERS = 5  # one part in five
AHEAD = 0.6  # of what should be left, the part that no walk takes out of its turn
DAY_S, HOUR_S, BEIJING_S = 86_400, 3_600, 8 * 3_600
NIGHT_S, NIGHT_WEIGHT = 8 * HOUR_S, 0.25  # from midnight; a call at night is worth a quarter
_ROW = "calls"
_RACES = 50
_SAME_S = 900  # ends of a period that are told this far apart are one and the same


@dataclass(frozen=True, slots=True)
class Calls:
    """The row in the Keep. Times are Unix seconds.

    `used` of `limit` in the period that `ends`; `span` is its length. `level`: calls that reading has
    saved up, true `at` that time.
    """

    limit: int
    used: int
    ends: float
    span: int
    level: float
    at: float
    hour: int = 0
    hour_used: int = 0
    hour_limit: int = PER_HOUR

    @classmethod
    def first(cls, now: float) -> Calls:
        fresh = cls(PER_DAY, 0, _midnight(now), DAY_S, 0.0, now)
        return replace(fresh, level=fresh.most)

    @property
    def most(self) -> float:
        """Calls that may be saved up: enough for each list and the pages of a busy minute."""
        return max(8.0, self.limit / 50)

    @property
    def left(self) -> int:
        """Calls that reading has left in this period; a fifth stays for answers."""
        return max(self.limit - self.limit // FOR_ANSWERS - self.used, 0)

    def rate(self, now: float) -> float:
        """Calls a second that reading may make, if what is left is to last, more by day than by night."""
        ahead = _weighed(self.ends) - _weighed(now)
        return self.left * _weight(now) / ahead if ahead > 0 else 0.0

    def on(self, now: float) -> Calls:
        """The row as it is at `now`: a period may have ended, and calls have been saved up."""
        row = self
        if now >= row.ends:
            periods = (now - row.ends) // row.span + 1
            row = replace(row, used=0, ends=row.ends + periods * row.span)
        saved = max(now - row.at, 0.0) * row.rate(now)
        row = replace(row, level=min(row.level + saved, row.most), at=max(now, row.at))
        if int(now // HOUR_S) != row.hour:
            row = replace(row, hour=int(now // HOUR_S), hour_used=0)
        return row

    def told(self, status: dict[str, Any], now: float) -> Calls:
        """What rate_limit_status says goes in, where it says it. Others may call for the same user."""
        row = self
        seconds, limit = integer(status.get("reset_time_in_seconds")), status.get("user_limit")
        if 0 < seconds <= DAY_S:
            span = HOUR_S if status.get("limit_time_unit") == "HOURS" else DAY_S
            ends = now + seconds
            if abs(ends - row.ends) > _SAME_S or span != row.span:
                row = replace(row, ends=ends, span=span, used=0)
        if integer(limit) > 0 and integer(limit) != row.limit:
            full = row.level >= row.most
            row = replace(row, limit=integer(limit))
            row = replace(row, level=row.most if full else min(row.level, row.most))
        remaining = status.get("remaining_user_hits")
        if remaining is not None and integer(limit) > 0:
            row = replace(row, used=max(row.used, row.limit - integer(remaining)))
        if integer(status.get("ip_limit")) > 0:
            row = replace(row, hour_limit=integer(status.get("ip_limit")))
            if status.get("remaining_ip_hits") is not None:
                used = row.hour_limit - integer(status.get("remaining_ip_hits"))
                row = replace(row, hour_used=max(row.hour_used, used))
        return row

    def ahead(self, now: float) -> bool:
        """Whether so much is left that a long walk may run ahead of the plan."""
        whole = _weighed(self.ends) - _weighed(self.ends - self.span)
        planned = (self.limit - self.limit // FOR_ANSWERS) * (_weighed(self.ends) - _weighed(now))
        return self.left > AHEAD * planned / whole

    def spent(self, *, saved: bool) -> Calls:
        """One call more. `saved`: out of what was saved up; else the plan for the rest pays for it."""
        level = self.level - 1 if saved else self.level
        return replace(self, used=self.used + 1, hour_used=self.hour_used + 1, level=level)


class Ledger:
    """The row, shared by every replica: changed by compare-and-swap, never lost, never counted twice."""

    def __init__(self, keep: Keep, now: Now) -> None:
        self._keep = keep
        self._now = now

    def read(self, now: float) -> Calls:
        return _row(self._keep.get(_ROW), now).on(now)

    def change(self, now: float, change: Callable[[Calls], Calls | None]) -> Calls | None:
        """Write what `change` makes of the row; None, and nothing written, where it makes None.

        Raises Unavailable after many lost races.
        """
        for _ in range(_RACES):
            old = self._keep.get(_ROW)
            row = change(_row(old, now).on(now))
            if row is None or self._keep.swap(_ROW, old, json.dumps(asdict(row))):
                return row
        raise Unavailable("too many at once count calls to Weibo")

    def left(self) -> tuple[Quota, ...]:
        """Calls left of the user's period and of the address's hour; a fifth of the former stays for answers."""
        now = self._now().timestamp()
        row = self.read(now)
        ends = datetime.fromtimestamp(row.ends, UTC)
        hour = datetime.fromtimestamp((now // HOUR_S + 1) * HOUR_S, UTC)
        return (
            Quota("user", max(row.limit - row.used, 0), row.limit, ends_at=ends),
            Quota("address", max(row.hour_limit - row.hour_used, 0), row.hour_limit, ends_at=hour),
        )

    def refused(self, code: int) -> None:
        """The platform says that calls are used up: of the user (10023) or of the address (10022)."""
        now = self._now().timestamp()
        if code == 10023:
            self.change(now, lambda c: replace(c, used=max(c.used, c.limit)))
        elif code == 10022:
            self.change(now, lambda c: replace(c, hour_used=max(c.hour_used, c.hour_limit)))


def _row(text: str | None, now: float) -> Calls:
    try:
        told = mapping(json.loads(text or "null"))
        if not all(type(told[one.name]) in (int, float) for one in fields(Calls)):
            return Calls.first(now)
        return Calls(**{one.name: told[one.name] for one in fields(Calls)})
    except (ValueError, KeyError):
        return Calls.first(now)


def _midnight(now: float) -> float:
    """The next one in Beijing, where the platform's days begin."""
    return ((now + BEIJING_S) // DAY_S + 1) * DAY_S - BEIJING_S


def _weight(now: float) -> float:
    return NIGHT_WEIGHT if (now + BEIJING_S) % DAY_S < NIGHT_S else 1.0


def _weighed(then: float) -> float:
    """Seconds since the epoch, those of the nights counting less."""
    days, rest = divmod(then + BEIJING_S, DAY_S)
    night = min(rest, NIGHT_S)
    a_day = NIGHT_S * NIGHT_WEIGHT + DAY_S - NIGHT_S
    return float(days * a_day + night * NIGHT_WEIGHT + rest - night)
