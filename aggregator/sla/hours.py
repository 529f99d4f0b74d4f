"""Business calendars and intervals as admins write them in targets.yaml."""

from __future__ import annotations

import re
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from aggregator.findings import Findings, nearest
from aggregator.sla.calendar import DAY_MINUTES, BusinessCalendar, Window
from aggregator.sla.interval import Interval
from aggregator.sla.zone import zone_named
from aggregator.yamltext import Loc

CALENDAR_KEYS = ("timezone", "hours", "holidays", "extra_workdays", "extra_holidays")
INTERVAL_KEYS = ("days", "from", "to", "timezone")
CERTAIN = frozenset({"CN", "HK", "TW", "SG", "JP", "KR", "US", "GB", "DE", "FR"})
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_LONG = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})")


def read_calendar(found: Findings, name: str, node: Any, loc: Loc) -> BusinessCalendar | None:
    """The calendar, or None if it cannot be used; what is wrong is in `found`."""
    before = len(found.problems)
    tree = found.mapping(node, loc, CALENDAR_KEYS)
    zone = _zone(found, tree, loc)
    week = _week(found, tree.get("hours"), (*loc, "hours"))
    holidays = _holidays(found, tree.get("holidays"), (*loc, "holidays"))
    workdays = _dates(found, tree.get("extra_workdays"), (*loc, "extra_workdays"))
    closed = _dates(found, tree.get("extra_holidays"), (*loc, "extra_holidays"))
    for day in sorted(workdays.keys() & closed.keys()):
        found.say(closed[day], f"{day} is an extra workday too; keep one of the two")
    if workdays and week is not None and not week[0]:
        where = next(iter(workdays.values()))
        found.say(where, "an extra workday has Monday's hours, and mon has none; give mon hours")
    if zone is None or week is None or len(found.problems) > before:
        return None
    return BusinessCalendar(name, zone, week, holidays, frozenset(workdays), frozenset(closed))


def read_interval(found: Findings, name: str, node: Any, loc: Loc) -> Interval | None:
    """The interval, or None if it cannot be used; what is wrong is in `found`."""
    tree = found.mapping(node, loc, INTERVAL_KEYS)
    zone = _zone(found, tree, loc)
    days: list[int] | None = list(range(7))
    if tree.get("days") is not None:
        text = found.text(tree["days"], (*loc, "days"))
        days = None if text is None else _days(found, text, (*loc, "days"))
    ends: list[int | None] = []
    for key in ("from", "to"):
        text = found.text(tree.get(key), (*loc, key))
        minute = None if text is None else _minute(text)
        if text is not None and minute is None:
            found.say((*loc, key), f"{text!r} is no time of day; write it like 22:00")
        ends.append(minute)
    begins, until = ends
    if zone is None or days is None or begins is None or until is None:
        return None
    if begins == until:
        found.say((*loc, "to"), "from and to are the same; for a whole day write 00:00 to 24:00")
        return None
    return Interval(name, zone, frozenset(days), begins, until)


def _zone(found: Findings, tree: dict[str, Any], loc: Loc) -> ZoneInfo | None:
    path = (*loc, "timezone")
    if "timezone" not in tree:
        found.say(loc, f"{'.'.join(map(str, path))} is missing; add one, such as Asia/Shanghai")
        return None
    text = found.text(tree["timezone"], path)
    if text is None:
        return None
    try:
        return zone_named(text)
    except ValueError as error:
        found.say(path, str(error))
        return None


def _week(found: Findings, node: Any, loc: Loc) -> tuple[tuple[Window, ...], ...] | None:
    before = len(found.problems)
    tree = found.mapping(node, loc)
    week: list[tuple[Window, ...]] = [()] * 7
    said: dict[int, str] = {}
    for key, value in tree.items():
        path = (*loc, key)
        windows = _windows(found, value, path)
        for day in _days(found, key, path) or ():
            if day in said:
                found.say(path, f"{DAYS[day]} stands already in {said[day]!r}; keep one", key=True)
            said[day] = key
            week[day] = windows
    if len(found.problems) > before:
        return None
    if not any(week):
        found.say(
            loc, "the calendar never opens; give hours, such as mon-fri: 09:00-18:00, or use 24x7"
        )
        return None
    return tuple(week)


def _days(found: Findings, text: str, loc: Loc) -> list[int] | None:
    """`mon`, `mon-fri`, `sat,sun`; a range may go round the end of the week."""
    days: list[int] = []
    for part in text.split(","):
        ends = [_day(word) for word in part.split("-")]
        if len(ends) > 2 or None in ends:
            found.say(
                loc, f"{text!r} is no day of the week; write mon, mon-fri or sat,sun", key=True
            )
            return None
        first, last = ends[0] or 0, ends[-1] or 0
        days += [(first + step) % 7 for step in range((last - first) % 7 + 1)]
    return days


def _day(word: str) -> int | None:
    word = word.strip().lower()
    for names in (DAYS, _LONG):
        if word in names:
            return names.index(word)
    return None


def _windows(found: Findings, node: Any, loc: Loc) -> tuple[Window, ...]:
    """Windows in order; an empty list is a closed day."""
    windows: list[Window] = []
    for text, where in found.texts(node, loc):
        window = _window(text)
        if window is None:
            found.say(
                where, f"{text!r} is no window; write it like 09:00-18:00, with ASCII : and -"
            )
        elif window[0] >= window[1]:
            found.say(
                where,
                f"{text} ends before it begins; past midnight, end it at 24:00 "
                "and begin the next day's at 00:00",
            )
        elif any(window[0] < end and begin < window[1] for begin, end in windows):
            found.say(where, f"{text} overlaps another window of the day; join them")
        else:
            windows.append(window)
    return tuple(sorted(windows))


def _window(text: str) -> Window | None:
    begin, dash, end = text.partition("-")
    one, two = _minute(begin), _minute(end)
    return None if not dash or one is None or two is None else (one, two)


def _minute(text: str) -> int | None:
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        return None
    minute = int(match[1]) * 60 + int(match[2])
    return minute if int(match[2]) < 60 and minute <= DAY_MINUTES else None


def _holidays(found: Findings, node: Any, loc: Loc) -> str | None:
    if node is None:
        return None
    text = found.text(node, loc)
    if text is None:
        return None
    country, dash, part = text.upper().partition("-")
    if country in CERTAIN and not dash:
        return country  # without the import, which takes longer than all the rest of a start
    from holidays import country_holidays, list_supported_countries

    try:
        country_holidays(country, subdiv=part or None, years=())
    except NotImplementedError:  # only now the list of all: it imports every country
        countries = list_supported_countries()
        if country in countries:
            known = ", ".join(countries[country][:8]) or "none"
            remedy = f"parts of {country} with days of their own: {known}"
        else:
            remedy = nearest(country, countries, otherwise="write a country code, such as CN")
        found.say(loc, f"no public holidays are known for {text!r}; {remedy}")
        return None
    return f"{country}{dash}{part}"


def _dates(found: Findings, node: Any, loc: Loc) -> dict[date, Loc]:
    days: dict[date, Loc] = {}
    for text, where in found.texts(node, loc):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            found.say(where, f"{text!r} is no date; write it like 2026-10-10")
            continue
        if day in days:
            found.say(where, f"{day} stands here twice; keep one")
        days[day] = where
    return days
