"""Named intervals of the week, such as the night: one range, which may cross midnight."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
LOOKED_AHEAD = 8 * 24 * 60  # minutes: a week, and the hours that clock changes move


@dataclass(frozen=True, slots=True)
class Interval:
    """From `begins` to `ends` (minutes of the local day, half open) on `days` (Monday is 0).

    With `ends` not after `begins` it goes on into the next day; `days` are those on which it begins.
    """

    name: str
    zone: ZoneInfo
    days: frozenset[int]
    begins: int
    ends: int

    def covers(self, at: datetime) -> bool:
        """Whether `at` lies in it, by the clock on the wall."""
        local = at.astimezone(self.zone)
        minute, today = local.hour * 60 + local.minute, local.weekday()
        if self.begins < self.ends:
            return today in self.days and self.begins <= minute < self.ends
        if minute >= self.begins:
            return today in self.days
        return minute < self.ends and (today - 1) % 7 in self.days

    def until(self, at: datetime) -> datetime | None:
        """The first whole minute after `at` that it does not cover; None where it goes on for a week or more."""
        minute = at.replace(second=0, microsecond=0)
        for _ in range(LOOKED_AHEAD):
            minute += MINUTE
            if not self.covers(minute):
                return minute
        return None
