"""Pictures of reports: both formats, both languages, and labels that are text whatever they say."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from aggregator.charts import chart, picture
from aggregator.reports import ClockRow, response_times

MINUTE = 60_000
LABELS = ("退款", "物流 $x^2$", "<b>投诉</b>", "praise")
ROWS = [
    ClockRow(
        "first_response",
        ("met", "breached", "not_needed")[n % 3],
        n * MINUTE,
        2 * n * MINUTE,
        labels=(LABELS[n % 4],),
        day=f"2026-03-0{1 + n % 7}",
    )
    for n in range(1, 60)
]


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("form", ["svg", "png"])
def test_a_report_is_drawn_with_whatever_its_groups_are_called(form: str, language: str) -> None:
    drawn = chart(response_times(ROWS, ["label"]), ["label"], form, language)
    if form == "png":
        assert drawn.startswith(b"\x89PNG")
    else:
        assert ElementTree.fromstring(drawn).tag.endswith("svg")
        assert drawn == chart(response_times(ROWS, ["label"]), ["label"], form, language)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_nothing_and_a_volume_are_drawn_too(language: str) -> None:
    assert chart([], ["platform"], "svg", language).startswith(b"<?xml")
    lines = [{"platform": "weibo", "count": 9}, {"platform": None, "count": 1}]
    assert chart(lines, ["platform"], "png", language).startswith(b"\x89PNG")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_week_is_one_picture_of_its_days(language: str) -> None:
    drawn = picture(response_times(ROWS, ["day"]), language)
    assert drawn.startswith(b"\x89PNG")
    assert len(drawn) < 200_000
    assert picture([], language).startswith(b"\x89PNG")
