"""Business time: when a calendar is open, and sums over it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from aggregator.errors import SettingsError
from aggregator.sla.duration import DAY_MS, MINUTE_MS

Window = tuple[int, int]  # minutes of the local day, half open; 1440 is 24:00

DAY_MINUTES = 24 * 60
MAX_DAYS = 20_000  # no sum looks further than this
MAX_CACHED = 4_096
MAKE_UP = frozenset({"CN", "CHN"})  # whose make-up working days are announced year by year

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def to_ms(at: datetime) -> int:
    """Epoch milliseconds, rounded down: the resolution in which times are stored."""
    return (at - _EPOCH) // _MS


def from_ms(ms: int) -> datetime:
    return _EPOCH + ms * _MS


@dataclass(frozen=True, slots=True)
class BusinessCalendar:
    """Open hours in one IANA zone; without `week` it is always open.

    `week`: the windows of each weekday, Monday first, ordered and apart. `holidays`: a code of the
    `holidays` library (`CN`, `US-CA`), whose make-up working days count too. A make-up or extra working
    day has Monday's hours; an extra holiday closes whatever else is said. Windows go from local time to
    UTC day by day, so a day on which clocks change is as long as it is. Every sum is in milliseconds
    and knows no time before 1970.
    """

    name: str
    zone: ZoneInfo
    week: tuple[tuple[Window, ...], ...] = ()
    holidays: str | None = None
    extra_workdays: frozenset[date] = frozenset()
    extra_holidays: frozenset[date] = frozenset()
    _days: dict[int, tuple[Window, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _years: dict[int, tuple[frozenset[date], frozenset[date]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def day_ms(self) -> int:
        """The longest day of the week: what `1d` means here."""
        if not self.week:
            return DAY_MS
        return max(sum(end - begin for begin, end in day) for day in self.week) * MINUTE_MS

    def add(self, start: datetime, ms: int) -> datetime:
        """The moment when `ms` of open time have passed since `start`.

        A sum that ends exactly at closing time ends then, not at the next opening. With 0 it is `start`
        itself, or the next opening.
        """
        if ms < 0:
            raise ValueError("a calendar adds forwards only")
        begin = max(to_ms(start), 0)
        if not self.week:
            return from_ms(begin + ms)
        first = self._ordinal(begin)
        for ordinal in range(first, first + MAX_DAYS):
            for opens, closes in self._windows(ordinal):
                if closes <= begin:
                    continue
                at = max(opens, begin)
                if ms <= closes - at:
                    return from_ms(at + ms)
                ms -= closes - at
        raise SettingsError(f"calendar {self.name} does not open for years; give it hours")

    def elapsed(self, start: datetime, end: datetime) -> int:
        """Open milliseconds between `start` and `end`; 0 if `end` is not later."""
        begin, until = max(to_ms(start), 0), to_ms(end)
        if until <= begin:
            return 0
        if not self.week:
            return until - begin
        total = 0
        for ordinal in range(self._ordinal(begin), self._ordinal(until) + 2):
            for opens, closes in self._windows(ordinal):
                if opens < until and closes > begin:
                    total += min(closes, until) - max(opens, begin)
        return total

    def open_at(self, at: datetime) -> bool:
        """Whether `at` lies in a window; opening time does, closing time does not."""
        moment = max(to_ms(at), 0)
        if not self.week:
            return True
        first = self._ordinal(moment)
        return any(
            opens <= moment < closes
            for ordinal in (first, first + 1)
            for opens, closes in self._windows(ordinal)
        )

    def missing_makeup_years(self, now: datetime) -> tuple[int, ...]:
        """Years for which make-up working days are not known here: this one and, from November, the next.

        An `extra_workdays` entry in a year says that somebody has looked after it.
        """
        if (self.holidays or "").partition("-")[0] not in MAKE_UP:
            return ()
        local = now.astimezone(self.zone)
        years = (local.year, local.year + 1) if local.month >= 11 else (local.year,)
        cared_for = {day.year for day in self.extra_workdays}
        return tuple(
            year for year in years if year not in cared_for and not self._special_days(year)[1]
        )

    def _ordinal(self, ms: int) -> int:
        return datetime.fromtimestamp(ms // 1000, self.zone).toordinal()

    def _windows(self, ordinal: int) -> tuple[Window, ...]:
        """The windows of one local date, in epoch milliseconds."""
        found = self._days.get(ordinal)
        if found is None:
            if len(self._days) >= MAX_CACHED:
                self._days.clear()
            day = date.fromordinal(ordinal)
            ends = (
                (_utc_ms(day, begin, self.zone), _utc_ms(day, end, self.zone))
                for begin, end in self._hours(day)
            )
            found = self._days[ordinal] = tuple((one, two) for one, two in ends if one < two)
        return found

    def _hours(self, day: date) -> tuple[Window, ...]:
        if day in self.extra_holidays:
            return ()
        if day in self.extra_workdays:
            return self.week[0]
        if self.holidays is not None:
            closed, made_up = self._special_days(day.year)
            if day in made_up:
                return self.week[0]
            if day in closed:
                return ()
        return self.week[day.weekday()]

    def _special_days(self, year: int) -> tuple[frozenset[date], frozenset[date]]:
        """(public holidays, make-up working days) of one year."""
        found = self._years.get(year)
        if found is None:
            # Here, not at the top: the import takes 0.1 s, and many commands need no calendar.
            from holidays import country_holidays

            country, _, part = (self.holidays or "").partition("-")
            # The next year too: its first holidays may be worked for in this year's December.
            days = country_holidays(country, subdiv=part or None, years=(year, year + 1))
            made_up = frozenset(day for day in days.weekend_workdays if day.year == year)
            closed = frozenset(day for day in days if day.year == year)
            found = self._years[year] = (closed, made_up)
        return found


ALWAYS = BusinessCalendar("24x7", ZoneInfo("UTC"))


def _utc_ms(day: date, minute: int, zone: ZoneInfo) -> int:
    """The first moment at which a clock on the wall shows `minute` of `day`, or jumps past it."""
    if minute == DAY_MINUTES:
        day, minute = day + timedelta(days=1), 0
    wall = datetime.combine(day, time(minute // 60, minute % 60), tzinfo=zone)
    ms = to_ms(wall)
    shown = wall.replace(tzinfo=None)
    if _shown(ms, zone) == shown:
        return ms
    # The wall never shows it: clocks go forward here. Find the moment of the jump.
    before, after = to_ms(wall.replace(fold=1)) // 1000, ms // 1000
    while before + 1 < after:
        middle = (before + after) // 2
        if _shown(middle * 1000, zone) < shown:
            before = middle
        else:
            after = middle
    return after * 1000


def _shown(ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(ms // 1000, zone).replace(tzinfo=None, fold=0)
