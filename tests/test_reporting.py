"""A report from the rollup says what reading every clock says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregator.reporting import Asked, report, whole_days
from aggregator.reports import GROUPS, TIMES
from storage.engine import Database
from tests.conftest import NOW
from tests.storage.make import at
from tests.storage.test_rollup import STEPS, History, empty

ZONE = "Asia/Shanghai"
TIMED = {*TIMES, "business_max_ms", "wall_max_ms"}


def asked(db: Database, **changes: Any) -> Any:
    given: dict[str, Any] = {"since": NOW - timedelta(days=9), "until": None, "by": ()}
    with db.read() as conn:
        return report(conn, Asked(**{**given, **changes}))


def same(told: Any, true: Any) -> None:
    assert (told.exact, true.exact) == (False, True)
    assert len(told.lines) == len(true.lines)
    for line, exact in zip(told.lines, true.lines, strict=True):
        assert {k: v for k, v in line.items() if k not in TIMED} == {
            k: v for k, v in exact.items() if k not in TIMED
        }
        for name in TIMED & line.keys():
            if exact[name] is None:
                assert line[name] is None
            else:
                assert abs(line[name] - exact[name]) <= 0.02 * exact[name]


BY = st.one_of(
    st.lists(
        st.sampled_from(
            ["platform", "account", "kind", "priority", "target", "day", "late_ingest"]
        ),
        unique=True,
    ),
    st.tuples(st.sampled_from(["label", "route", "person", "hour"])),
    st.tuples(st.sampled_from(["label", "person"]), st.sampled_from(["day", "late_ingest"])),
)
HOUR = 3600


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=STEPS,
    questions=st.lists(
        st.tuples(BY, st.integers(-2 * HOUR, 60 * HOUR), st.none() | st.integers(0, 80 * HOUR)),
        min_size=1,
        max_size=4,
    ),
)
def test_counts_are_those_of_every_clock_and_percentiles_within_two_percent(
    db: Database, steps: list[Any], questions: list[Any]
) -> None:
    empty(db, ZONE)
    history = History(db)
    for step in steps:
        history.step(*step)
    for by, since, until in questions:
        span = {"since": at(since), "until": None if until is None else at(since + until)}
        true = asked(db, by=tuple(by), exact=True, **span)
        same(asked(db, by=tuple(by), **span), true)
        if not {*by} & {"route", "person", "target"}:
            volume = {**span, "by": tuple(by), "volume": True}
            same(asked(db, **volume), asked(db, exact=True, **volume))


def test_two_groups_that_are_not_added_up_together_are_read_from_every_clock(db: Database) -> None:
    empty(db, ZONE)
    history = History(db)
    history._new(0, ("退款", "物流"))
    answer = asked(db, by=("label", "priority"))
    assert answer.exact
    assert answer.note == "label with priority is not added up ahead: every clock was read"
    assert [(one["label"], one["priority"], one["count"]) for one in answer.lines] == [
        ("物流", "P2", 1),
        ("退款", "P2", 1),
    ]


@pytest.mark.parametrize("name", GROUPS)
def test_every_group_can_be_asked_for(db: Database, name: str) -> None:
    empty(db, ZONE)
    History(db)._new(0, ("退款",))
    (line,) = asked(db, by=(name,)).lines
    wanted = {"hour": "Wed 10", "day": "2026-03-04", "label": "退款", "late_ingest": False}
    assert line[name] == wanted.get(name, line[name])
    assert line["count"] == 1


def test_a_day_begins_at_the_midnight_of_the_settings_zone() -> None:
    zone = ZoneInfo("America/New_York")
    assert whole_days(NOW, zone).isoformat() == "2026-03-03T00:00:00-05:00"
