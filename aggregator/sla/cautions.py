"""What in targets.yaml is no mistake and yet may surprise: where it stands, and what then happens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from aggregator.sla.calendar import ALWAYS, DAY_MINUTES, to_ms
from aggregator.sla.duration import in_short
from aggregator.sla.policy import METRICS, Targets
from aggregator.yamltext import Loc

FROM, UNTIL = date(2026, 1, 1), date(2032, 1, 1)  # zones are looked at so far: their rules repeat


@dataclass(frozen=True, slots=True)
class Caution:
    loc: Loc
    code: str
    text: str


def cautions(tree: dict[str, Any], targets: Targets) -> Iterator[Caution]:
    """Of a file that was read without a problem."""
    yield from _days_of_24x7(tree, targets)
    yield from _intervals(targets)
    yield from _calendars(tree, targets)


def _days_of_24x7(tree: dict[str, Any], targets: Targets) -> Iterator[Caution]:
    for name, target in targets.targets.items():
        if target.calendar.week:
            continue
        for metric in METRICS:
            for priority, text in (tree["targets"][name].get(metric) or {}).items():
                if "d" in str(text).lower():
                    said = (
                        f"{text} on {ALWAYS.name} is 24 hours a day, nights and weekends too; "
                        "write it in hours, or name a calendar with opening hours"
                    )
                    yield Caution(("targets", name, metric, priority), "day-of-24x7", said)


def _intervals(targets: Targets) -> Iterator[Caution]:
    for name, one in targets.intervals.items():
        if len(one.days) == 7 and one.begins == 0 and one.ends == DAY_MINUTES:
            said = (
                f"{name} covers the whole week: a route that is quiet in it tells of P1 only, and of the "
                "rest never; shorten it"
            )
            yield Caution(("intervals", name), "whole-week", said)
        for minute, key in ((one.begins, "from"), (one.ends, "to")):
            if (odd := _odd(one.zone, minute)) is not None:
                yield Caution(("intervals", name, key), "clock-change", odd)


def _calendars(tree: dict[str, Any], targets: Targets) -> Iterator[Caution]:
    for name, calendar in targets.calendars.items():
        for minute in sorted({m for day in calendar.week for window in day for m in window}):
            if (odd := _odd(calendar.zone, minute)) is None:
                continue
            shown = f"{minute // 60}:{minute % 60:02}"
            keys = [
                key
                for key, value in tree["calendars"][name]["hours"].items()
                if shown in str(value)  # 02:00 too
            ]
            yield Caution(("calendars", name, "hours", *keys[:1]), "clock-change", odd)


def _odd(zone: ZoneInfo, minute: int) -> str | None:
    """What becomes of a time of day on a date on which clocks change over it."""
    for day in _changes(zone):
        wall = datetime.combine(day, time(minute // 60 % 24, minute % 60), tzinfo=zone)
        one, two = wall.utcoffset(), wall.replace(fold=1).utcoffset()
        if one is None or two is None or one == two:
            continue
        shown = f"{minute // 60:02}:{minute % 60:02}"
        change = in_short(abs(to_ms(wall.replace(fold=1)) - to_ms(wall)))
        if two > one:
            then = f"is skipped; that day it counts when the clocks have gone forward by {change}"
        else:
            then = f"comes twice, {change} apart; the first counts"
        return f"on {day} in {zone.key} {shown} {then}"
    return None


@lru_cache(maxsize=16)
def _changes(zone: ZoneInfo) -> tuple[date, ...]:
    """The dates on which its clocks change."""
    days = [FROM + timedelta(days=number) for number in range((UNTIL - FROM).days)]
    offsets = [datetime.combine(day, time(), tzinfo=zone).utcoffset() for day in days]
    return tuple(
        day for number, day in enumerate(days[:-1]) if offsets[number] != offsets[number + 1]
    )
