"""A report as a table for the terminal, as CSV that no spreadsheet runs, as JSON. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aggregator.reports import FIGURES, MORE, PERCENTILES, TIMES

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_WIDTH = 150

# What the figures are called, and what they are shares of.
WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        **{name: name for name in ("count", "met", "breached", "unanswered", "withdrawn")},
        "not_needed": "not needed",
        "late_ingest_count": "seen late",
        "in_time": "in time",
        "wall": "wall ",
        "max": "max",
        "nothing": "no clocks yet",
        "said": "count: every clock started by what was received {span}, also those that still run; "
        "in time: met / (met + breached); p50, p90, p95, max: business time until the answer, then wall "
        "time, over the answered{about}; told: from the platform's time to the first card",
        "about": ", within 2 %",
        "said_volume": "count: messages of customers received {span}; history is left out",
    },
    "zh": {
        "count": "总数",
        "met": "达标",
        "breached": "超时",
        "unanswered": "未答复",
        "not_needed": "无需答复",
        "withdrawn": "已撤回",
        "late_ingest_count": "晚收录",
        "in_time": "达标率",
        "wall": "自然 ",
        "max": "最长",
        "nothing": "还没有计时",
        "said": "总数：{span}收到的消息启动的全部计时，含仍在计时的；达标率：达标 /（达标 + 超时）；"
        "p50、p90、p95、最长：已答复者等待的营业时间，其后为自然时间{about}；told：从平台时间到首张卡片",
        "about": "，误差 2 % 以内",
        "said_volume": "总数：{span}收到的客户消息，不含历史消息",
    },
}


def render(
    lines: Sequence[Mapping[str, Any]],
    form: str,
    by: Sequence[str] = (),
    *,
    width: int = _WIDTH,
    language: str = "en",
    caption: str | None = None,
) -> str:
    """The report as text that ends in a line feed; `form` is table, csv or json."""
    if form == "json":
        return as_json(lines) + "\n"
    if form == "csv":
        return as_csv(lines, by)
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        if lines:
            console.print(as_table(lines, by, language=language))
        else:
            console.print(WORDS[language]["nothing"])
        if lines and caption:
            console.print(Text(caption))
    return capture.get()


def as_json(lines: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(list(lines), ensure_ascii=False, indent=2)


def as_csv(lines: Sequence[Mapping[str, Any]], by: Sequence[str] = ()) -> str:
    """With a header, also of nothing. No cell begins a spreadsheet formula."""
    file = io.StringIO()
    names = list(lines[0]) if lines else [*by, "clock", *FIGURES, *TIMES, *MORE]
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(line[name]) for name in names} for line in lines)
    return file.getvalue()


def csv_safe(text: str) -> str:
    """A CSV cell that no spreadsheet runs: what looks like a formula gets a leading '."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def as_table(
    lines: Sequence[Mapping[str, Any]],
    by: Sequence[str] = (),
    *,
    title: str | None = None,
    language: str = "en",
) -> Table:
    """For the terminal, with the share in time. Values are shown as they are, never as markup."""
    words = WORDS[language]
    table = Table(title=None if title is None else Text(title), box=SIMPLE_HEAD, pad_edge=False)
    timed = any("clock" in line for line in lines)
    groups = (*by, "clock") if timed else tuple(by)
    figures = (*FIGURES, "not_needed", "withdrawn", "late_ingest_count") if timed else ("count",)
    ranks = tuple(f"p{rank}" for rank in PERCENTILES)
    for name in groups:
        table.add_column(name, no_wrap=True)
    for name in figures:
        table.add_column(words[name], justify="right")
    if timed:
        table.add_column(words["in_time"], justify="right")
        for rank in (*ranks, words["max"]):
            table.add_column(rank, justify="right")
        for rank in ranks[:2]:
            table.add_column(f"{words['wall']}{rank}", justify="right")
    for line in lines:
        cells = [_plain(line[name]) for name in (*groups, *figures)]
        if timed:
            share = line["in_time"]
            cells.append("–" if share is None else f"{100 * share:.0f} %")
            cells += [duration(line[f"business_{rank}_ms"]) for rank in (*ranks, "max")]
            cells += [duration(line[f"wall_{rank}_ms"]) for rank in ranks[:2]]
        table.add_row(*(Text(text) for text in cells))
    return table


def caption(span: str, *, volume: bool, exact: bool, language: str) -> str:
    """What the figures are shares of; `span` in words."""
    words = WORDS[language]
    said = words["said_volume" if volume else "said"]
    return said.format(span=span, about="" if exact else words["about"])


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


def _plain(value: Any) -> str:
    return (
        "–" if value is None else "".join(one if one.isprintable() else "�" for one in str(value))
    )
