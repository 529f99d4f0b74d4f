"""The ladder of a clock: each sentence of it, and that closed hours hear nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.model import (
    Aim,
    Clock,
    ClockKind,
    Conversation,
    ConversationState,
    Direction,
    Entry,
    Priority,
)
from aggregator.sla.clock import clocks
from aggregator.sla.ladder import look, planned, steps, watched, window_steps
from aggregator.sla.policy import Targets, parse_targets
from aggregator.yamltext import parse

T0 = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)  # 上海 10:00，星期三
TARGETS = parse_targets(
    parse(
        b"""
schema: 1
calendars:
  office: {timezone: Asia/Shanghai, hours: {mon-fri: ["09:00-12:00", "13:30-18:00"]}}
targets:
  standard:
    calendar: office
    first_response: {P3: 4h}
    resolution: {P3: 8h}
    warn_at: [50%, 80%]
    escalate: [{at: 50%, to: [leads]}, {at: due, to: [leads]}, {at: due+30m, to: [boss]}]
""",
        name="targets.yaml",
    )
)
STANDARD = TARGETS.targets["standard"]
OFFICE = STANDARD.calendar


def minutes(count: float) -> datetime:
    return T0 + timedelta(minutes=count)


def running(*written: tuple[int, Direction], now: float = 0) -> tuple[Clock, ...]:
    entries = [
        Entry(number, way, minutes(at), minutes(at)) for number, (at, way) in enumerate(written, 1)
    ]
    return clocks(
        entries, [Aim(T0, "standard", Priority.P3)], TARGETS, version="v", now=minutes(now)
    )


def first(*written: tuple[int, Direction], now: float = 0) -> Clock:
    return running(*(written or ((0, Direction.INBOUND),)), now=now)[0]


def test_levels_stand_where_that_part_of_the_time_has_passed_lunch_left_out() -> None:
    told = [(one.level, (one.at - T0).total_seconds() / 60) for one in steps(first(), STANDARD)]
    assert [level for level, _ in told] == ["50%", "80%", "due", "due+30m"]
    # 10:00 + 2 h：正好午休，等到 13:30；80%：14:42；15:30；16:00
    assert [round(at) for _, at in told] == [210, 282, 330, 360]
    assert steps(first(), STANDARD)[0].warns
    assert steps(first(), STANDARD)[0].to == ("leads",)


def test_of_several_that_are_past_only_the_most_severe_is_told_and_marked_late() -> None:
    ladder = steps(first(), STANDARD)
    found = look(ladder, minutes(350), OFFICE)
    assert found.step is not None
    assert (found.step.level, found.late, found.then) == ("due", True, ladder[-1].at)
    assert look(ladder, ladder[1].at, OFFICE).late is False


def test_what_is_looked_at_in_closed_hours_waits_for_the_opening() -> None:
    found = look(steps(first(), STANDARD), minutes(10 * 60), OFFICE)  # 20:00
    assert (found.step, found.then) == (None, minutes(23 * 60))  # 次日 09:00


def test_a_stopped_clock_and_a_paused_one_have_no_ladder() -> None:
    answered = ((0, Direction.INBOUND), (5, Direction.OUTBOUND))
    response, resolution = running(*answered, now=6)
    assert steps(response, STANDARD) == steps(resolution, STANDARD) == ()
    again = running(*answered, (35, Direction.INBOUND), now=36)
    (matter,) = (one for one in again if one.kind is ClockKind.RESOLUTION)
    plain = (one for one in running((0, Direction.INBOUND)) if one.kind is ClockKind.RESOLUTION)
    before, later = (steps(one, STANDARD)[1].at for one in (next(plain), matter))
    assert OFFICE.elapsed(before, later) == 30 * 60_000  # so long we waited for the customer


def test_a_look_that_is_owed_is_not_lost_when_a_page_comes_first() -> None:
    (clock, matter) = planned(running((0, Direction.INBOUND)), (), TARGETS, T0)
    assert clock.look_at == steps(clock, STANDARD)[0].at
    page = running((0, Direction.INBOUND), (290, Direction.INBOUND), now=290)
    again, _ = planned(page, (clock, matter), TARGETS, minutes(290))
    assert again.look_at == clock.look_at
    seen = replace(clock, look_at=steps(clock, STANDARD)[2].at)
    again, _ = planned(page, (seen, matter), TARGETS, minutes(290))
    assert again.look_at == seen.look_at


def test_what_a_backfill_found_alarms_nobody_for_what_was_due_before() -> None:
    page = running((0, Direction.INBOUND), now=290)
    loud, _ = planned(page, (), TARGETS, minutes(290))
    silent, _ = planned(page, (), TARGETS, minutes(290), silent={1})
    assert loud.look_at == minutes(290)
    assert silent.look_at == steps(silent, STANDARD)[2].at


def about(**more: object) -> Conversation:
    one = Conversation(
        id=1,
        account="a",
        platform="wechat",
        kind="direct",
        key="d:c1",
        root=None,
        contact_id=None,
        state=ConversationState.OPEN,
        priority=Priority.P3,
        labels=(),
        routes=(),
        destinations=("social",),
        mentions=(),
        aims=(Aim(T0, "standard", Priority.P3),),
        opened_at=T0,
        last_inbound_at=T0,
        last_outbound_at=None,
        version=1,
    )
    return replace(one, **more)  # type: ignore[arg-type]


def test_a_window_warns_when_a_quarter_two_hours_and_one_message_are_left() -> None:
    closes = T0 + timedelta(hours=48)
    told = window_steps(about(reply_window_closes_at=closes, reply_window_left=1))
    assert [(one.level, one.at) for one in told] == [
        ("last", T0),
        ("25%", T0 + timedelta(hours=36)),
        ("2h", T0 + timedelta(hours=46)),
    ]
    assert window_steps(about(reply_window_closes_at=closes, reply_window_left=0)) == ()
    waiting = about(reply_window_closes_at=closes, state=ConversationState.WAITING)
    assert window_steps(waiting) == ()


def test_a_claim_is_looked_at_in_the_time_of_the_calendar() -> None:
    noon = minutes(110)  # 11:50
    claimed = about(claimed_by="李娜", claimed_at=noon)
    found = watched(claimed, about(), running((0, Direction.INBOUND)), TARGETS, noon)
    assert found.window_look_at == minutes(230)  # 午休不算：13:50
    answered = replace(claimed, last_outbound_at=minutes(115))
    assert watched(answered, None, (), TARGETS, noon).window_look_at is None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 14 * 24 * 60), st.lists(st.integers(1, 700), min_size=1, max_size=40))
def test_a_watcher_that_sleeps_as_it_likes_tells_each_level_at_most_once_in_open_hours(
    start: int, sleeps: list[int]
) -> None:
    clock = first((start, Direction.INBOUND), now=start)
    now, told = minutes(start), []
    look_at: datetime | None = now
    ladder = steps(clock, STANDARD)
    for sleep in (*sleeps, 14 * 24 * 60, 10):
        now += timedelta(minutes=sleep)
        while look_at is not None and look_at <= now:
            found = look(ladder, now, OFFICE)
            if found.step is not None:
                assert OFFICE.open_at(now)
                assert now >= found.step.at
                told.append(found.step.level)
            look_at = found.then
    assert len(told) == len(set(told))
    order = [one.level for one in ladder]
    assert told == sorted(told, key=order.index)
    if OFFICE.open_at(now):
        assert told[-1] == "due+30m"


def test_targets_without_levels_have_no_ladder() -> None:
    assert steps(first(), None) == ()
    assert planned((first(),), (), Targets(), T0)[0].look_at is None
