"""A year of a calendar in four time zones against a slow count, minute by minute, by the clock on the wall."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import holidays
import pytest

from aggregator.sla.calendar import BusinessCalendar

MINUTE = timedelta(minutes=1)
WEEK = (((540, 720), (810, 1080)),) * 5 + (((600, 840),), ())
BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "country"),
    [
        ("Asia/Shanghai", "CN"),
        ("America/New_York", "US"),
        ("Europe/London", None),
        ("Australia/Lord_Howe", None),  # 夏令时只差半小时
    ],
)
def test_a_year_of_business_time_is_what_a_slow_count_says(zone: str, country: str | None) -> None:
    place = ZoneInfo(zone)
    calendar = BusinessCalendar(zone, place, WEEK, country)
    days = holidays.country_holidays(country, years=(2025, 2026, 2027)) if country else None
    windows: dict[date, tuple[tuple[int, int], ...]] = {}

    def hours(day: date) -> tuple[tuple[int, int], ...]:
        if day not in windows:
            made_up = days is not None and day in days.weekend_workdays
            closed = days is not None and day in days and not made_up
            windows[day] = () if closed else WEEK[0 if made_up else day.weekday()]
        return windows[day]

    marks, counted, at, total = [BEGIN], [0], BEGIN, 0
    number = 0
    while at < END:
        local = at.astimezone(place)
        minute = local.hour * 60 + local.minute
        total += any(begin <= minute < end for begin, end in hours(local.date()))
        at += MINUTE
        number += 1
        if number % 997 == 0 or at == END:
            marks.append(at)
            counted.append(total)
    assert calendar.elapsed(BEGIN, END) == total * 60_000
    for (one, two), (before, after) in zip(pairwise(marks), pairwise(counted), strict=True):
        ms = (after - before) * 60_000
        assert calendar.elapsed(one, two) == ms
        if ms:
            due = calendar.add(one, ms)
            assert due <= two
            assert calendar.elapsed(due, two) == 0


def test_a_deadline_across_a_weekend_of_changing_clocks_is_of_the_wall() -> None:
    place = ZoneInfo("Europe/London")
    calendar = BusinessCalendar("london", place, WEEK)
    start = datetime(2026, 3, 27, 17, 30, tzinfo=place)  # 星期五；星期日凌晨拨快
    assert calendar.add(start, 5 * 3_600_000) == datetime(2026, 3, 30, 9, 30, tzinfo=place)
