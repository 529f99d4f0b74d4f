"""Response times from the clock rows: how many were in time, and how long customers waited. Pure."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any, Protocol, Self

from aggregator.model import ClockKind, Outcome

GROUPS = (
    *("platform", "account", "kind", "priority", "label", "route", "person", "target", "hour"),
    *("day", "late_ingest"),
)
FIGURES = ("count", "met", "breached", "unanswered")
PERCENTILES = (50, 90, 95)
TIMES = tuple(f"{time}_p{rank}_ms" for time in ("business", "wall") for rank in PERCENTILES)
# What came later stands behind, so that what people script against keeps its place.
MORE = (
    *("not_needed", "withdrawn", "late_ingest_count", "late_ingest_breached"),
    *("judged", "in_time", "answered", "business_max_ms", "wall_max_ms"),
)
TOLD = "told"  # from the platform's time of the first message to its first card
MESSAGES = "messages"  # what customers wrote

_CLOCKS = tuple(kind.value for kind in ClockKind)
_WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


class Row(Protocol):
    """One clock as a report sees it; storage.clocks.ClockRow is one, and so is `ClockRow` here."""

    @property
    def clock(self) -> str: ...
    @property
    def outcome(self) -> str | None: ...
    @property
    def business_ms(self) -> int | None: ...
    @property
    def wall_ms(self) -> int | None: ...
    @property
    def platform(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def clock_priority(self) -> str: ...
    @property
    def labels(self) -> Sequence[str]: ...
    @property
    def routes(self) -> Sequence[str]: ...
    @property
    def policy(self) -> str: ...
    @property
    def late_ingest(self) -> bool: ...
    @property
    def person(self) -> str | None: ...
    @property
    def hour(self) -> str: ...
    @property
    def day(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ClockRow:
    """`outcome` None: runs in time. Durations None: not answered. `kind`: of the message that started it."""

    clock: str
    outcome: str | None
    business_ms: int | None
    wall_ms: int | None
    platform: str = ""
    account: str = ""
    kind: str = ""
    clock_priority: str = ""
    labels: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    policy: str = ""
    late_ingest: bool = False
    person: str | None = None
    hour: str = ""  # of the week: `3 09` is Wednesday, from nine
    day: str = ""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """From a mapping with these names (others are left alone); lists become tuples."""
        values = {one.name: row[one.name] for one in fields(cls) if one.name in row}
        for name in ("labels", "routes"):
            values[name] = tuple(values.get(name) or ())
        return cls(**values)


def parse_by(text: str | None) -> tuple[str, ...]:
    """`platform,priority` as names of `GROUPS`. Raises ValueError that names the nearest."""
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    for name in names:
        if name not in GROUPS:
            near = difflib.get_close_matches(name, GROUPS, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else f"use {', '.join(GROUPS)}"
            raise ValueError(f"cannot group by {name!r}; {remedy}")
    return tuple(dict.fromkeys(names))


def response_times(rows: Iterable[Row], by: Sequence[str] = ()) -> list[dict[str, Any]]:
    """One report row for each group and kind of clock, in the order of the group's values, exactly.

    `count` is every clock of the group, those that run in time, were withdrawn or needed no answer too.
    `met` and `breached` are those outcomes: an overdue clock is `breached` although it still runs, one
    that runs in time is neither, so that the share in time is met / (met + breached). `unanswered` is
    `unanswered_closed`. Percentiles are over the answered ones, early or late, by nearest rank: the
    shortest time within which at least p % of them were answered; None where none was.

    `priority` is what the clock was held to, not what its conversation became later. A conversation with
    several labels or routes counts in the group of each, one without any in the group None.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        for key in product(*(_values(row, name) for name in by)):
            groups.setdefault((*key, str(row.clock)), []).append(row)
    found = []
    for key in sorted(groups, key=order):
        group = groups[key]
        outcomes = Counter(row.outcome for row in group)
        late = [row for row in group if row.late_ingest]
        times: dict[str, Any] = {}
        for name in ("business", "wall"):
            took = sorted(ms for row in group if (ms := getattr(row, f"{name}_ms")) is not None)
            for rank in PERCENTILES:
                times[f"{name}_p{rank}_ms"] = percentile(took, rank)
            times[f"{name}_max_ms"] = took[-1] if took else None
        found.append(
            line(
                key,
                by,
                (len(group), *(outcomes[one] for one in Outcome)),
                late=(len(late), sum(one.outcome == Outcome.BREACHED for one in late)),
                answered=sum(row.wall_ms is not None for row in group),
                times=times,
            )
        )
    return found


def line(
    key: Sequence[Any],
    by: Sequence[str],
    figures: Sequence[int],
    *,
    late: tuple[int, int],
    answered: int,
    times: Mapping[str, int | None],
) -> dict[str, Any]:
    """A report row. `figures`: the count and that of each outcome; `late`: what was seen late, and breached so."""
    count, met, breached, unanswered, not_needed, withdrawn = figures
    found = {name: shown(name, value) for name, value in zip((*by, "clock"), key, strict=True)}
    found |= {"count": count, "met": met, "breached": breached, "unanswered": unanswered}
    found |= {name: times[name] for name in TIMES}
    found |= {"not_needed": not_needed, "withdrawn": withdrawn}
    found |= {"late_ingest_count": late[0], "late_ingest_breached": late[1]}
    found["judged"] = met + breached
    found["in_time"] = round(met / (met + breached), 4) if met + breached else None
    found["answered"] = answered
    return found | {f"{name}_max_ms": times[f"{name}_max_ms"] for name in ("business", "wall")}


def volume_line(key: Sequence[Any], by: Sequence[str], count: int) -> dict[str, Any]:
    return {
        **{name: shown(name, value) for name, value in zip(by, key, strict=False)},
        "count": count,
    }


def shown(name: str, value: Any) -> Any:
    """A group's value as people read it; the hour of the week is kept as `3 09` for its order."""
    if name == "hour" and value:
        return f"{_WEEK[int(value[0]) - 1]} {value[2:]}"
    if name == "late_ingest":
        return bool(value)
    return None if name in ("priority", "target") and not value else value


def percentile(ordered: Sequence[int], rank: int) -> int | None:
    """The nearest-rank percentile of values in rising order; None of nothing."""
    if not ordered:
        return None
    return ordered[max(-(-len(ordered) * rank // 100), 1) - 1]


def _values(row: Row, name: str) -> tuple[Any, ...]:
    if name == "label":
        return tuple(dict.fromkeys(row.labels)) or (None,)
    if name == "route":
        return tuple(dict.fromkeys(row.routes)) or (None,)
    if name == "target":
        return (row.policy.rpartition("@")[0],)
    if name == "priority":
        return (str(row.clock_priority),)
    return (getattr(row, name),)


def order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    *group, clock = key
    rank = _CLOCKS.index(clock) if clock in _CLOCKS else len(_CLOCKS)
    return (*((value is None, str(value)) for value in group), rank, clock)
