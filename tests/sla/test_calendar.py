"""Business time: the vectors, the edges of a day, make-up days and clock changes."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.errors import SettingsError
from aggregator.sla.calendar import ALWAYS, BusinessCalendar
from aggregator.sla.duration import parse_duration

MINUTE = 60_000
HOUR = 60 * MINUTE
SHANGHAI = ZoneInfo("Asia/Shanghai")
NEW_YORK = ZoneInfo("America/New_York")

NINE_TO_SIX = ((9 * 60, 18 * 60),)
OFFICE = BusinessCalendar("客服", SHANGHAI, (NINE_TO_SIX,) * 5 + ((), ()), "CN")
LUNCH = BusinessCalendar("午休", SHANGHAI, (((540, 720), (810, 1080)),) * 5 + ((), ()), "CN")
UTC_9_17 = BusinessCalendar("utc", ZoneInfo("UTC"), (((540, 1020),),) * 5 + ((), ()))
NIGHT = BusinessCalendar("night", NEW_YORK, (((0, 210), (1380, 1440)),) * 7)


def shanghai(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("calendar", "start", "due"),
    [
        (OFFICE, "2026-02-13 17:50", "2026-02-14 09:20"),  # 补班的星期六
        (OFFICE, "2026-02-14 10:00", "2026-02-14 10:30"),
        (OFFICE, "2026-02-14 17:50", "2026-02-24 09:20"),  # 春节
        (OFFICE, "2026-09-30 17:45", "2026-10-08 09:15"),
        (OFFICE, "2026-10-09 17:55", "2026-10-10 09:25"),
        (LUNCH, "2026-03-04 11:50", "2026-03-04 13:50"),
        (LUNCH, "2026-03-04 12:30", "2026-03-04 14:00"),
    ],
)
def test_thirty_minutes_of_business_time_end_where_the_vector_says(
    calendar: BusinessCalendar, start: str, due: str
) -> None:
    assert calendar.add(shanghai(start), 30 * MINUTE) == shanghai(due)


@pytest.mark.parametrize(
    ("start", "minutes", "due"),
    [
        ("2026-01-30 16:30", 60, "2026-02-02 09:30"),
        ("2026-01-30 16:45", 30, "2026-02-02 09:15"),
    ],
)
def test_a_weekend_is_skipped(start: str, minutes: int, due: str) -> None:
    at = datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert UTC_9_17.add(at, minutes * MINUTE) == datetime.fromisoformat(due).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "minutes", "due"),
    [
        ("2026-03-08T01:30:00-05:00", 60, "2026-03-08T03:30:00-04:00"),
        ("2026-11-01T00:30:00-04:00", 120, "2026-11-01T01:30:00-05:00"),
    ],
)
def test_an_always_open_calendar_counts_real_hours_when_clocks_change(
    start: str, minutes: int, due: str
) -> None:
    assert ALWAYS.add(datetime.fromisoformat(start), minutes * MINUTE) == datetime.fromisoformat(
        due
    )


def test_what_passed_before_opening_time_does_not_count() -> None:
    assert OFFICE.elapsed(shanghai("2026-03-04 06:00"), shanghai("2026-03-04 09:05")) == 5 * MINUTE
    assert OFFICE.elapsed(shanghai("2026-03-04 06:00"), shanghai("2026-03-04 08:45")) == 0


def test_a_deadline_exactly_at_closing_time_belongs_to_that_day() -> None:
    assert OFFICE.add(shanghai("2026-03-04 17:30"), 30 * MINUTE) == shanghai("2026-03-04 18:00")


def test_closing_time_itself_is_closed_and_opening_time_is_open() -> None:
    assert OFFICE.open_at(shanghai("2026-03-04 09:00"))
    assert not OFFICE.open_at(shanghai("2026-03-04 18:00"))
    assert not OFFICE.open_at(shanghai("2026-10-01 10:00"))
    assert OFFICE.open_at(shanghai("2026-10-10 10:00"))
    assert ALWAYS.open_at(shanghai("2026-10-01 03:00"))


def test_nothing_added_out_of_hours_is_the_next_opening() -> None:
    assert OFFICE.add(shanghai("2026-03-06 20:00"), 0) == shanghai("2026-03-09 09:00")


def test_an_extra_workday_has_mondays_hours_and_an_extra_holiday_closes() -> None:
    week = (((600, 660),), *(NINE_TO_SIX,) * 4, (), ())
    calendar = BusinessCalendar(
        "本店",
        SHANGHAI,
        week,
        "CN",
        extra_workdays=frozenset({date(2026, 10, 1)}),
        extra_holidays=frozenset({date(2026, 10, 10)}),
    )
    assert calendar.open_at(shanghai("2026-10-01 10:30"))
    assert not calendar.open_at(shanghai("2026-10-01 14:00"))
    assert not calendar.open_at(shanghai("2026-10-10 10:30"))
    assert calendar.open_at(shanghai("2026-02-14 10:30"))  # 补班按周一的时间
    assert not calendar.open_at(shanghai("2026-02-14 14:00"))


def test_a_night_in_which_clocks_go_forward_is_an_hour_shorter() -> None:
    begin = datetime(2026, 3, 8, 0, 0, tzinfo=NEW_YORK)
    assert NIGHT.elapsed(begin, begin + timedelta(hours=12)) == 2.5 * HOUR
    plain = datetime(2026, 3, 10, 0, 0, tzinfo=NEW_YORK)
    assert NIGHT.elapsed(plain, plain + timedelta(hours=12)) == 3.5 * HOUR


def test_a_window_that_clocks_jump_over_begins_at_the_jump_or_not_at_all() -> None:
    inside = BusinessCalendar("in", NEW_YORK, (((135, 165),),) * 7)  # 02:15-02:45
    across = BusinessCalendar("over", NEW_YORK, (((150, 195),),) * 7)  # 02:30-03:15
    day = datetime(2026, 3, 8, 0, 0, tzinfo=NEW_YORK)
    end = day + timedelta(days=1)
    assert inside.elapsed(day, end) == 0
    assert across.elapsed(day, end) == 15 * MINUTE
    assert across.open_at(datetime.fromisoformat("2026-03-08T03:00:00-04:00"))


def test_full_days_lose_and_repeat_nothing_where_midnight_itself_is_skipped() -> None:
    whole = BusinessCalendar("cairo", ZoneInfo("Africa/Cairo"), (((0, 1440),),) * 7)
    begin = datetime(2026, 4, 20, tzinfo=UTC)  # clocks go forward at local midnight on the 24th
    assert whole.elapsed(begin, begin + timedelta(days=10)) == 240 * HOUR


def test_a_year_without_make_up_days_is_missed_from_november_on() -> None:
    assert OFFICE.missing_makeup_years(datetime(2026, 10, 31, 12, tzinfo=UTC)) == ()
    assert OFFICE.missing_makeup_years(datetime(2028, 11, 1, tzinfo=UTC)) == (2028, 2029)
    assert OFFICE.missing_makeup_years(datetime(2028, 10, 1, tzinfo=UTC)) == (2028,)
    assert UTC_9_17.missing_makeup_years(datetime(2028, 11, 1, tzinfo=UTC)) == ()


def test_an_extra_workday_in_a_year_says_that_it_is_looked_after() -> None:
    calendar = BusinessCalendar(
        "o", SHANGHAI, OFFICE.week, "CN", extra_workdays=frozenset({date(2028, 1, 8)})
    )
    assert calendar.missing_makeup_years(datetime(2028, 10, 1, tzinfo=UTC)) == ()


def test_a_calendar_that_never_opens_ends_with_an_error_and_not_in_a_loop() -> None:
    closed = BusinessCalendar("无", ZoneInfo("UTC"), ((),) * 7)
    with pytest.raises(SettingsError, match="does not open"):
        closed.add(datetime(2026, 1, 1, tzinfo=UTC), 1)


def test_times_before_1970_do_not_break_a_sum() -> None:
    assert OFFICE.add(datetime(1, 1, 1, tzinfo=UTC), MINUTE).year == 1970
    assert ALWAYS.elapsed(datetime(1, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)) == 0


def test_a_usual_sum_takes_microseconds() -> None:
    start = shanghai("2026-02-13 17:50")
    OFFICE.add(start, HOUR)
    begin = time.perf_counter()
    for _ in range(1_000):
        OFFICE.elapsed(start, OFFICE.add(start, HOUR))
    assert time.perf_counter() - begin < 0.2


ZONES = st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York", "Africa/Cairo", "Asia/Tehran"])
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))
SPANS = st.integers(1, 10 * 24 * HOUR)


@st.composite
def calendars(draw: st.DrawFn) -> BusinessCalendar:
    def day() -> tuple[tuple[int, int], ...]:
        ends = sorted(draw(st.sets(st.integers(0, 96), max_size=6)))
        return tuple((a * 15, b * 15) for a, b in zip(ends[::2], ends[1::2], strict=False))

    week = tuple(day() for _ in range(7))
    if not any(week):
        week = (((540, 1080),), *week[1:])
    return BusinessCalendar("x", ZoneInfo(draw(ZONES)), week, draw(st.sampled_from([None, "CN"])))


@settings(max_examples=150, deadline=None)
@given(calendars(), MOMENTS, SPANS)
def test_what_was_added_has_elapsed(calendar: BusinessCalendar, start: datetime, ms: int) -> None:
    assert calendar.elapsed(start, calendar.add(start, ms)) == ms


@settings(max_examples=150, deadline=None)
@given(calendars(), MOMENTS, st.integers(0, 15 * 24 * 60), st.integers(0, 15 * 24 * 60))
def test_time_adds_up_and_none_passes_while_closed(
    calendar: BusinessCalendar, start: datetime, one: int, two: int
) -> None:
    middle = start + timedelta(minutes=one)
    end = middle + timedelta(minutes=two)
    whole = calendar.elapsed(start, end)
    assert whole == calendar.elapsed(start, middle) + calendar.elapsed(middle, end)
    assert 0 <= whole <= (end - start) // timedelta(milliseconds=1)
    opening = calendar.add(start, 0)
    assert calendar.elapsed(start, opening) == 0
    assert calendar.open_at(opening)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("90s", 90_000),
        ("15m", 900_000),
        ("1h30m", 5_400_000),
        ("2d", 54_000_000),
        ("1D", 27_000_000),
    ],
)
def test_a_day_is_as_long_as_it_is_said_to_be(text: str, ms: int) -> None:
    assert parse_duration(text, day_ms=27_000_000) == ms


@pytest.mark.parametrize(
    "text", ["", "30", "1.5h", "-5m", "0s", "5 m x", "三分钟", "１５m", "9999d"]
)
def test_what_is_no_duration_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        parse_duration(text)


def test_the_longest_day_is_the_length_of_a_day() -> None:
    assert LUNCH.day_ms == 7.5 * HOUR
    assert ALWAYS.day_ms == 24 * HOUR
