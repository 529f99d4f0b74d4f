"""Response times from the clock rows: how many were in time, and how long customers waited. Pure."""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any, Protocol, Self

from rich.console import Console
from rich.table import Table
from rich.text import Text

from aggregator.model import ClockKind, Outcome

GROUPS = ("platform", "account", "kind", "priority", "label", "route", "target", "late_ingest")
FIGURES = ("count", "met", "breached", "unanswered")
PERCENTILES = (50, 90, 95)
TIMES = tuple(f"{time}_p{rank}_ms" for time in ("business", "wall") for rank in PERCENTILES)

_CLOCKS = tuple(kind.value for kind in ClockKind)
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
    """One report row for each group and kind of clock, in the order of the group's values.

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
    for key in sorted(groups, key=_order):
        group = groups[key]
        outcomes = [row.outcome for row in group]
        line = dict(zip((*by, "clock"), key, strict=True))
        line["count"] = len(group)
        line["met"] = outcomes.count(Outcome.MET)
        line["breached"] = outcomes.count(Outcome.BREACHED)
        line["unanswered"] = outcomes.count(Outcome.UNANSWERED_CLOSED)
        for name in ("business", "wall"):
            times = sorted(ms for row in group if (ms := getattr(row, f"{name}_ms")) is not None)
            for rank in PERCENTILES:
                line[f"{name}_p{rank}_ms"] = percentile(times, rank)
        found.append(line)
    return found


def percentile(ordered: Sequence[int], rank: int) -> int | None:
    """The nearest-rank percentile of values in rising order; None of nothing."""
    if not ordered:
        return None
    return ordered[max(-(-len(ordered) * rank // 100), 1) - 1]


def render(
    lines: Sequence[Mapping[str, Any]], form: str, by: Sequence[str] = (), *, width: int = 140
) -> str:
    """The report as text that ends in a line feed; `form` is table, csv or json."""
    if form == "json":
        return as_json(lines) + "\n"
    if form == "csv":
        return as_csv(lines, by)
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(as_table(lines, by) if lines else "no clocks yet")
    return capture.get()


def as_json(lines: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(list(lines), ensure_ascii=False, indent=2)


def as_csv(lines: Sequence[Mapping[str, Any]], by: Sequence[str] = ()) -> str:
    """With a header, also of nothing. No cell begins a spreadsheet formula."""
    file = io.StringIO()
    names = [*by, "clock", *FIGURES, *TIMES]
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(line[name]) for name in names} for line in lines)
    return file.getvalue()


def csv_safe(text: str) -> str:
    """A CSV cell that no spreadsheet runs: what looks like a formula gets a leading '."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def as_table(
    lines: Sequence[Mapping[str, Any]], by: Sequence[str] = (), *, title: str | None = None
) -> Table:
    """For the terminal, with the share in time. Values are shown as they are, never as markup."""
    table = Table(
        title=None if title is None else Text(title),
        caption="p50, p90, p95: business time until the answer",
    )
    for name in (*by, "clock"):
        table.add_column(name)
    for name in (*FIGURES, "in time", *(f"p{rank}" for rank in PERCENTILES)):
        table.add_column(name, justify="right")
    for line in lines:
        judged = line["met"] + line["breached"]
        share = f"{100 * line['met'] / judged:.0f} %" if judged else "–"
        cells = [_plain(line[name]) for name in (*by, "clock", *FIGURES)]
        times = [duration(line[f"business_p{rank}_ms"]) for rank in PERCENTILES]
        table.add_row(*(Text(text) for text in (*cells, share, *times)))
    return table


def duration(ms: int | None) -> str:
    """`45 s`, `12 min`, `3 h 05 min`; rounded down."""
    if ms is None:
        return "–"
    minutes = ms // 60_000
    if minutes < 1:
        return f"{ms // 1000} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _cell(value: Any) -> Any:
    # Before Python 3.13 csv leaves a lone carriage return unquoted where lines end in a line feed.
    return csv_safe(value).replace("\r", "\n") if isinstance(value, str) else value


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


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    *group, clock = key
    rank = _CLOCKS.index(clock) if clock in _CLOCKS else len(_CLOCKS)
    return (*((value is None, str(value)) for value in group), rank, clock)


def _plain(value: Any) -> str:
    return (
        "–" if value is None else "".join(one if one.isprintable() else "�" for one in str(value))
    )
