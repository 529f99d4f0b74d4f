"""Reports from the store: from the rollup where its rows can tell, else from every clock; and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from aggregator import reports
from storage.engine import Connection
from storage.facts import DIMS, FACET_DIMS, FACETS, MESSAGES, Fact, Tally, between, day_of, local
from storage.histogram import SPAN, middle, pack
from storage.message_rows import unwords
from storage.rollup import rows_between, zone
from storage.sql import to_ms

_FIGURES = 6  # the count, and each outcome
_WORD = np.dtype("<u8")
_NEVER = 10**8  # later than any day


@dataclass(frozen=True, slots=True)
class Asked:
    """`until` None: up to now. Both by the time at which the message was received that started the clock."""

    since: datetime
    until: datetime | None
    by: tuple[str, ...]
    volume: bool = False
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """`zone`: whose days; `note`: why it was read from every clock, where it was."""

    lines: list[dict[str, Any]]
    zone: ZoneInfo
    exact: bool
    note: str | None = None


def report(connection: Connection, asked: Asked) -> Answer:
    """Counts are exact either way; percentiles within 2 % where they come from the rollup."""
    days = zone(connection)
    facets = [one for one in asked.by if one in FACETS]
    beside = [one for one in asked.by if one in DIMS and one != "late_ingest"]
    note = None
    if len(facets) > 1 or (facets and beside):
        note = f"{' with '.join((*facets, *beside))} is not added up ahead: every clock was read"
    if asked.exact or note is not None:
        return Answer(_exact(connection, asked, days), days, True, note)
    facet = facets[0] if facets else ""
    return Answer(_merged(_rows(connection, asked, facet, days), asked, facet), days, False)


def whole_days(at: datetime, days: ZoneInfo) -> datetime:
    """The local midnight at or before this time."""
    return at.astimezone(days).replace(hour=0, minute=0, second=0, microsecond=0)


def _rows(
    connection: Connection, asked: Asked, facet: str, days: ZoneInfo
) -> Iterable[tuple[Any, ...]]:
    """The rows of the whole days; what of the first and the last is asked for only in part is added up now."""
    first, tally = whole_days(asked.since, days), Tally(days)
    end = None if asked.until is None else whole_days(asked.until, days)
    if first != asked.since:
        first = whole_days(first + timedelta(days=1, hours=12), days)
        stop = first if asked.until is None else min(first, asked.until)
        _add(connection, tally, asked.since, stop)
    if end is not None and asked.until is not None and first <= end < asked.until:
        _add(connection, tally, end, asked.until)
    last = _NEVER if end is None else day_of(end) - 1
    yield from rows_between(connection, facet, day_of(first), last)
    for (of, day, dims), figures in tally.figures.items():
        if of == facet:
            yield (day, dims, *figures, pack(tally.times[of, day, dims]))


def _add(connection: Connection, tally: Tally, since: datetime, until: datetime) -> None:
    for fact in between(connection, to_ms(since), to_ms(until)):
        tally.add(fact)


# --- merging ----------------------------------------------------------------------------------------


def _merged(rows: Iterable[tuple[Any, ...]], asked: Asked, facet: str) -> list[dict[str, Any]]:
    numbers: dict[tuple[Any, ...], int] = {}
    known: dict[tuple[int, str] | str, tuple[int, int, bool]] = {}
    daily = "day" in asked.by
    names = tuple(facet if one == "value" else one for one in (FACET_DIMS if facet else DIMS))
    places, figures, lates, packed = [], [], [], []
    for day, dims, *counts, times in rows:
        which = (day, dims) if daily else dims
        place = known.get(which)
        if place is None:
            values = dict(zip(names, json.loads(dims), strict=True))
            key = (
                *(values[one] if one != "day" else iso(day) for one in asked.by),
                values["clock"],
            )
            wanted = (values["clock"] == MESSAGES) == asked.volume
            number = numbers.setdefault(key, len(numbers)) if wanted else -1
            place = known[which] = (number, values["late_ingest"], wanted)
        if place[2]:
            places.append(place[0])
            lates.append(place[1])
            figures.append(counts)
            packed.append(times)
    if not numbers:
        return []
    at, count = np.array(places), len(numbers)
    sums = np.zeros((count, _FIGURES), np.int64)
    late = np.zeros((count, _FIGURES), np.int64)
    table = np.array(figures, np.int64)
    np.add.at(sums, at, table)
    seen = np.array(lates) == 1
    np.add.at(late, at[seen], table[seen])
    ordered = sorted(numbers, key=reports.order)
    if asked.volume:
        return [reports.volume_line(key, asked.by, int(sums[numbers[key], 0])) for key in ordered]
    histograms = _histograms(at, packed, count)
    return [
        reports.line(
            key,
            asked.by,
            sums[number].tolist(),
            late=(int(late[number, 0]), int(late[number, 2])),
            answered=int(histograms[number, SPAN:].sum()),
            times=_times(histograms[number]),
        )
        for key in ordered
        for number in (numbers[key],)
    ]


def _histograms(at: NDArray[Any], packed: Sequence[bytes], count: int) -> NDArray[np.int64]:
    """One row a group: how many in each bucket of business time, then of wall time."""
    words = np.frombuffer(b"".join(packed), _WORD)
    lengths = np.array([len(one) // _WORD.itemsize for one in packed])
    flat = np.repeat(at * (2 * SPAN), lengths) + (words >> np.uint64(32)).astype(np.int64)
    weights = (words & np.uint64(0xFFFFFFFF)).astype(np.float64)
    sums = np.bincount(flat, weights, minlength=count * 2 * SPAN)
    return sums.astype(np.int64).reshape(count, 2 * SPAN)


def _times(histogram: NDArray[np.int64]) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for name, half in (("business", histogram[:SPAN]), ("wall", histogram[SPAN:])):
        upto = np.cumsum(half)
        n = int(upto[-1])
        for rank in reports.PERCENTILES:
            nearest = max(-(-n * rank // 100), 1)
            found[f"{name}_p{rank}_ms"] = middle(int(np.searchsorted(upto, nearest))) if n else None
        found[f"{name}_max_ms"] = middle(int(np.searchsorted(upto, n))) if n else None
    return found


# --- every clock ------------------------------------------------------------------------------------


def _exact(connection: Connection, asked: Asked, days: ZoneInfo) -> list[dict[str, Any]]:
    until = 1 << 62 if asked.until is None else to_ms(asked.until)
    facts = between(connection, to_ms(asked.since), until)
    rows = (_row(one, days) for one in facts if (one.clock == MESSAGES) == asked.volume)
    told = not {*asked.by} & {*FACETS}  # a card says nothing of these
    lines = reports.response_times(
        (row for row in rows if told or row.clock != reports.TOLD), asked.by
    )
    if not asked.volume:
        return lines
    return [{name: line[name] for name in (*asked.by, "count")} for line in lines]


def _row(fact: Fact, days: ZoneInfo) -> reports.ClockRow:
    day, hour = local(fact.at, days)
    return reports.ClockRow(
        clock=fact.clock,
        outcome=fact.outcome,
        business_ms=fact.business_ms,
        wall_ms=fact.wall_ms,
        platform=fact.platform,
        account=fact.account,
        kind=fact.kind,
        clock_priority=fact.priority,
        labels=unwords(fact.labels),
        routes=unwords(fact.routes),
        policy=f"{fact.target}@",
        late_ingest=bool(fact.late),
        person=fact.person,
        hour=hour,
        day=iso(day),
    )


def iso(day: int) -> str:
    return f"{day // 10_000:04}-{day // 100 % 100:02}-{day % 100:02}"
