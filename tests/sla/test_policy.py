"""targets.yaml: what is read, and that every mistake is told with its place and remedy."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from holidays import list_supported_countries
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.errors import SettingsError
from aggregator.model import ClockKind, Priority
from aggregator.sla.hours import CERTAIN
from aggregator.sla.policy import Escalation, Targets, parse_targets
from aggregator.yamltext import parse

GOOD = """\
schema: 1
calendars:
  客服:
    timezone: Asia/Shanghai
    hours: {mon-fri: ["09:00-12:00", "13:30-18:00"], sat: 10:00-12:00}
    holidays: CN
    extra_workdays: [2026-05-16]
    extra_holidays: []
targets:
  urgent:
    calendar: 24x7
    first_response: {P1: 10m, P2: 30m, P3: 1h, P4: 1h}
    warn_at: [50%]
    escalate: [{at: 50%, to: [leads]}]
  standard:
    calendar: 客服
    first_response: {P1: 15m, P2: 1h30m}
    resolution: {P1: 4h, P2: 2d}
    warn_at: [80%, 50%]
    escalate: [{at: due, to: leads}, {at: due+30m, to: [leads], mention: ["<!here>"]}]
intervals:
  night: {days: mon-sun, from: 22:00, to: 08:00, timezone: Asia/Shanghai}
  lunch: {days: "mon,wed-fri", from: 12:00, to: 13:30, timezone: Asia/Shanghai}
"""
HOUR = 3_600_000
ROOT = Path(__file__).parent.parent.parent


def read(text: str = GOOD) -> Targets:
    return parse_targets(parse(text.encode(), name="targets.yaml"))


def problems(text: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        read(text)
    return list(raised.value.problems)


def test_targets_are_read_by_priority_and_a_day_is_the_longest_of_the_week() -> None:
    standard = read().targets["standard"]
    assert standard.calendar.name == "客服"
    assert standard.ms(ClockKind.FIRST_RESPONSE, Priority.P2) == 1.5 * HOUR
    assert standard.ms(ClockKind.FIRST_RESPONSE, Priority.P3) is None
    assert standard.ms(ClockKind.NEXT_RESPONSE, Priority.P1) is None
    assert standard.ms(ClockKind.RESOLUTION, Priority.P2) == 2 * 7.5 * HOUR
    assert standard.warn_at == (50, 80)


def test_escalations_are_kept_as_they_are_written() -> None:
    found = read().targets
    assert found["urgent"].escalate == (Escalation(50, 0, ("leads",)),)
    assert found["standard"].escalate == (
        Escalation(None, 0, ("leads",)),
        Escalation(None, HOUR // 2, ("leads",), ("<!here>",)),
    )


def test_calendars_keep_their_days() -> None:
    calendar = read().calendars["客服"]
    assert calendar.week[4:] == (((540, 720), (810, 1080)), ((600, 720),), ())
    assert calendar.holidays == "CN"
    assert calendar.extra_workdays == {date(2026, 5, 16)}
    assert "24x7" in read().calendars


@pytest.mark.parametrize(
    ("moment", "night", "lunch"),
    [
        ("2026-03-04 22:00", True, False),
        ("2026-03-05 07:59", True, False),
        ("2026-03-05 08:00", False, False),
        ("2026-03-04 12:00", False, True),
        ("2026-03-04 13:30", False, False),
        ("2026-03-03 12:30", False, False),
    ],
)
def test_one_interval_may_cross_midnight(moment: str, *, night: bool, lunch: bool) -> None:
    intervals = read().intervals
    at = datetime.fromisoformat(f"{moment}+08:00")
    assert (intervals["night"].covers(at), intervals["lunch"].covers(at)) == (night, lunch)


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    text = GOOD.replace("days: mon-sun", "days: fri")
    night = read(text).intervals["night"]
    assert night.covers(datetime.fromisoformat("2026-03-07T03:00:00+08:00"))
    assert not night.covers(datetime.fromisoformat("2026-03-06T03:00:00+08:00"))


def test_unknown_make_up_days_are_a_warning_and_no_problem() -> None:
    (line,) = read().warnings(datetime(2030, 6, 1, tzinfo=UTC))
    assert "2030" in line
    assert "客服" in line
    assert read().warnings(datetime(2026, 6, 1, tzinfo=UTC)) == ()


@pytest.mark.parametrize("text", ["", "schema: 1\n", "targets:\ncalendars:\n"])
def test_a_file_without_targets_is_fine(text: str) -> None:
    assert read(text).targets == {}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("schema: 1", "schema: 2", "targets.yaml:1:9: this version reads schema 1 only; write schema: 1"),
        ("intervals:", "interval:", "targets.yaml:21:1: unknown key interval; did you mean 'intervals'?"),
        ("    holidays:", "    holiday:", "targets.yaml:6:5: unknown key calendars.客服.holiday; did you mean 'holidays'?"),
        ("holidays: CN", "holidays: XX", "targets.yaml:6:15: no public holidays are known for 'XX'; write a country code, such as CN"),
        ("holidays: CN", "holidays: US-XX", "targets.yaml:6:15: no public holidays are known for 'US-XX'; parts of US with days of their own: AK, AL, AR, AS, AZ, CA, CO, CT"),
        ("2026-05-16", "16.5.2026", "targets.yaml:7:22: '16.5.2026' is no date; write it like 2026-10-10"),
        ("extra_holidays: []", "extra_holidays: [2026-05-16]", "targets.yaml:8:22: 2026-05-16 is an extra workday too; keep one of the two"),
        ("timezone: Asia/Shanghai\n    hours", "timezone: Asia/Shanghia\n    hours", "targets.yaml:4:15: 'Asia/Shanghia' is no time zone; did you mean 'Asia/Shanghai'?"),
        ("    timezone: Asia/Shanghai\n", "", "targets.yaml:4:5: calendars.客服.timezone is missing; add one, such as Asia/Shanghai"),
        ("13:30-18:00", "13：30-18：00", "targets.yaml:5:38: '13：30-18：00' is no window; write it like 09:00-18:00, with ASCII : and -"),
        ("13:30-18:00", "13:30-18:60", "targets.yaml:5:38: '13:30-18:60' is no window; write it like 09:00-18:00, with ASCII : and -"),
        ("13:30-18:00", "18:00-13:30", "targets.yaml:5:38: 18:00-13:30 ends before it begins; past midnight, end it at 24:00 and begin the next day's at 00:00"),
        ("13:30-18:00", "11:59-18:00", "targets.yaml:5:38: 11:59-18:00 overlaps another window of the day; join them"),
        ("mon-fri:", "mon-fre:", "targets.yaml:5:13: 'mon-fre' is no day of the week; write mon, mon-fri or sat,sun"),
        ("sat: 10", "fri: 10", "targets.yaml:5:54: fri stands already in 'mon-fri'; keep one"),
        ('hours: {mon-fri: ["09:00-12:00", "13:30-18:00"], sat: 10:00-12:00}', "hours: {}", "targets.yaml:5:12: the calendar never opens; give hours, such as mon-fri: 09:00-18:00, or use 24x7"),
        ("mon-fri:", "tue-fri:", "targets.yaml:7:22: an extra workday has Monday's hours, and mon has none; give mon hours"),
        ("  客服:", "  24x7:", "targets.yaml:3:3: 24x7 is there already; give yours another name"),
        ("  urgent:", "  ur@gent:", "targets.yaml:10:3: 'ur@gent' is no name; use letters, digits, _ and -"),
        ("calendar: 24x7", "calendar: 24x6", "targets.yaml:11:15: there is no calendar '24x6'; did you mean '24x7'?"),
        ("    calendar: 24x7\n", "", "targets.yaml:11:5: targets.urgent.calendar is missing; name one, or write calendar: 24x7"),
        ("P1: 10m", "P1: 十分钟", "targets.yaml:12:26: '十分钟' is no duration; write it like 90s, 15m, 1h30m or 2d"),
        ("P1: 10m", "P1: 10", "targets.yaml:12:26: '10' is no duration; a number needs a unit; write it like 90s, 15m, 1h30m or 2d"),
        ("P1: 10m", "P0: 10m", "targets.yaml:12:22: unknown key targets.urgent.first_response.P0; use one of P1, P2, P3, P4"),
        ("{P1: 10m, P2: 30m, P3: 1h, P4: 1h}", "10m", "targets.yaml:12:21: targets.urgent.first_response must be keys and values; write `key: value` lines"),
        ("[50%]", "[100%]", "targets.yaml:13:15: '100%' is no level; write a percentage from 1% to 99%, such as 50%"),
        ("[80%, 50%]", "[50%, 50%]", "targets.yaml:19:20: 50% stands here twice; keep one"),
        ("at: due+30m", "at: due+soon", "targets.yaml:20:43: 'soon' is no duration; write it like 90s, 15m, 1h30m or 2d"),
        ("at: due+30m", "at: later", "targets.yaml:20:43: 'later' is no moment; write 50%, due or due+30m"),
        ("to: leads", "too: leads", None),
        ("from: 22:00", "from: 25:00", "targets.yaml:22:32: '25:00' is no time of day; write it like 22:00"),
        ("to: 08:00", "to: 22:00", "targets.yaml:22:43: from and to are the same; for a whole day write 00:00 to 24:00"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_with_its_place_and_remedy(
    old: str, new: str, told: str | None
) -> None:
    assert old in GOOD
    found = problems(GOOD.replace(old, new, 1))
    if told is None:
        assert len(found) == 2
    else:
        assert told in found


def test_a_start_does_not_import_the_holidays_library_and_its_usual_countries_are_known_to_it() -> (
    None
):
    code = (
        "import sys, pathlib\n"
        "from aggregator.sla.policy import parse_targets\n"
        "from aggregator.yamltext import parse\n"
        "parse_targets(parse(sys.stdin.buffer.read(), name='t'))\n"
        "assert 'holidays' not in sys.modules"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        input=GOOD.encode(),
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    assert set(list_supported_countries()) >= CERTAIN


def test_all_mistakes_are_told_at_once() -> None:
    text = GOOD.replace("P1: 10m", "P1: soon").replace("calendar: 客服", "calendar: 客户")
    text = text.replace("from: 22:00", "from: late").replace("mon-fri:", "mon-fre:")
    assert len(problems(text)) == 4


def test_a_calendar_that_is_wrong_is_not_called_missing_as_well() -> None:
    (line,) = problems(GOOD.replace("13:30-18:00", "18:00-13:30"))
    assert "ends before" in line


ODD = st.one_of(
    st.sampled_from(
        ["", "~", "[]", "{}", "[a, [b]]", "{a: {b: c}}", "24x7", "-1", "99999999999d", "00:00"]
    ),
    st.text(st.characters(codec="utf-8"), max_size=12).map(json.dumps),
)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 22), ODD, st.booleans())
def test_whatever_stands_in_a_line_it_is_read_or_told(line: int, odd: str, whole: bool) -> None:
    lines = GOOD.splitlines()
    key, _, _ = lines[line].partition(":")
    lines[line] = odd if whole else f"{key}: {odd}"
    try:
        read("\n".join(lines))
    except SettingsError as error:
        assert all(re.match(r"targets.yaml:\d+:\d+: ", one) for one in error.problems)
