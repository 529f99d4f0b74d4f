"""Response-time reports: what is counted, what the percentiles are, and that no cell is a formula."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from aggregator.report_table import as_csv, as_json, as_table, csv_safe, duration, render
from aggregator.reports import ClockRow, parse_by, percentile, response_times

MINUTE = 60_000


def row(outcome: str | None, minutes: float | None = None, **more: Any) -> ClockRow:
    ms = None if minutes is None else int(minutes * MINUTE)
    wall = None if ms is None else ms * 2
    return ClockRow(more.pop("clock", "first_response"), outcome, ms, wall, **more)


ROWS = [
    row("met", 5, platform="weibo", account="微博_官方", clock_priority="P1"),
    row("met", 10, platform="weibo", account="微博_官方", clock_priority="P3"),
    row("breached", 45, platform="weibo", account="微博_官方", clock_priority="P3"),
    row("breached", platform="x", account="x_acme", clock_priority="P1"),
    row("unanswered_closed", platform="x", account="x_acme", clock_priority="P4"),
    row("not_needed", platform="x", account="x_acme", clock_priority="P4"),
    row("withdrawn", platform="x", account="x_acme", clock_priority="P4"),
    row(None, platform="x", account="x_acme", clock_priority="P4"),
    row("met", 2, platform="x", account="x_acme", clock_priority="P4", clock="next_response"),
]


def test_a_row_has_exactly_the_keys_that_people_script_against() -> None:
    line = response_times(ROWS, ["platform", "priority"])[0]
    assert list(line) == [
        "platform",
        "priority",
        "clock",
        "count",
        "met",
        "breached",
        "unanswered",
        "business_p50_ms",
        "business_p90_ms",
        "business_p95_ms",
        "wall_p50_ms",
        "wall_p90_ms",
        "wall_p95_ms",
        "not_needed",
        "withdrawn",
        "late_ingest_count",
        "late_ingest_breached",
        "judged",
        "in_time",
        "answered",
        "business_max_ms",
        "wall_max_ms",
    ]


def test_what_runs_in_time_is_counted_and_neither_met_nor_breached() -> None:
    first, following = response_times(ROWS)
    assert (
        first["clock"],
        first["count"],
        first["met"],
        first["breached"],
        first["unanswered"],
    ) == (
        "first_response",
        8,
        2,
        2,
        1,
    )
    assert (following["clock"], following["count"], following["met"]) == ("next_response", 1, 1)


def test_percentiles_are_over_what_was_answered_early_or_late() -> None:
    first = response_times(ROWS)[0]
    assert first["business_p50_ms"] == 10 * MINUTE
    assert first["business_p90_ms"] == first["business_p95_ms"] == 45 * MINUTE
    assert first["wall_p50_ms"] == 20 * MINUTE


def test_a_group_without_an_answer_has_no_percentiles() -> None:
    (line,) = response_times([row("unanswered_closed"), row(None)])
    assert [line[name] for name in line if name.endswith("_ms")] == [None] * 8


def test_groups_come_in_the_order_of_their_values_and_clocks_in_theirs() -> None:
    found = [(line["platform"], line["clock"]) for line in response_times(ROWS, ["platform"])]
    assert found == [
        ("weibo", "first_response"),
        ("x", "first_response"),
        ("x", "next_response"),
    ]


def test_a_conversation_counts_under_each_of_its_labels_and_under_none_without() -> None:
    rows = [
        row("met", 1, labels=("退款", "safety")),
        row("met", 1, labels=("退款", "退款")),
        row("met", 1),
    ]
    found = {line["label"]: line["count"] for line in response_times(rows, ["label"])}
    assert found == {"safety": 1, "退款": 2, None: 1}


def test_no_clocks_are_no_rows() -> None:
    assert response_times([], ["platform"]) == []
    assert as_json([]) == "[]"
    assert as_csv([], ["platform"]).startswith(
        "platform,clock,count,met,breached,unanswered,business_p50"
    )


@given(st.lists(st.integers(0, 10**9), min_size=1), st.sampled_from([50, 90, 95]))
def test_a_percentile_is_a_time_within_which_so_many_were_answered(
    times: list[int], rank: int
) -> None:
    times.sort()
    found = percentile(times, rank)
    assert found in times
    assert sum(one <= found for one in times) * 100 >= rank * len(times)
    assert sum(one < found for one in times) * 100 < rank * len(times)


def test_a_row_is_made_from_a_mapping() -> None:
    made = ClockRow.of(
        {
            "clock": "first_response",
            "outcome": "met",
            "business_ms": 1,
            "wall_ms": 2,
            "labels": ["退款"],
            "cycle": 1,
        }
    )
    assert made == ClockRow("first_response", "met", 1, 2, labels=("退款",))


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_every_form_says_something_of_nothing_too(form: str) -> None:
    assert render([], form, ["platform"]).endswith("\n")
    assert "微博_官方" in render(response_times(ROWS, ["account"]), form, ["account"])


@pytest.mark.parametrize(
    "text", ["=1+1", "+86", "-1", "@SUM(A1)", "\tx", "\rx", "＝HYPERLINK(1)", "\n=1"]
)
def test_no_cell_is_a_formula(text: str) -> None:
    assert csv_safe(text) == f"'{text}"
    lines = response_times([row("met", 1, account=text)], ["account"])
    (read,) = csv.DictReader(io.StringIO(as_csv(lines, ["account"]), newline=""))
    assert read["account"] == "'" + text.replace("\r", "\n")


def test_plain_cells_stay_as_they_are_and_nothing_is_empty() -> None:
    assert [csv_safe(one) for one in ("客服", "a=b", "")] == ["客服", "a=b", ""]
    lines = response_times([row(None)], ["label"])
    assert (
        as_csv(lines, ["label"]).splitlines()[1] == ",first_response,1,0,0,0,,,,,,,0,0,0,0,0,,0,,"
    )


def test_json_keeps_chinese_readable_and_nothing_is_null() -> None:
    text = as_json(response_times(ROWS[:1], ["account"]))
    assert "微博_官方" in text
    assert json.loads(text)[0]["wall_p50_ms"] == 10 * MINUTE


def test_the_table_shows_values_as_they_are() -> None:
    lines = response_times([row("met", 65, account="[red]x_acme[/red]\x1b[2J")], ["account"])
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    console.print(as_table(lines, ["account"], title="回复时间"))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[red]x_acme[/red]�[2J" in text
    assert "100 %" in text
    assert "1 h 05 min" in text


@pytest.mark.parametrize(
    ("ms", "text"),
    [(None, "–"), (0, "0 s"), (59_999, "59 s"), (720_000, "12 min"), (3_900_000, "1 h 05 min")],
)
def test_durations_are_read_at_a_glance(ms: int | None, text: str) -> None:
    assert duration(ms) == text


def test_what_to_group_by_is_checked() -> None:
    assert parse_by(" platform, priority,platform") == ("platform", "priority")
    assert parse_by(None) == ()
    with pytest.raises(ValueError, match="did you mean 'priority'"):
        parse_by("prioritty")
