"""Response clocks: each sentence of the semantics, and that the order of arrival does not matter."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.model import Act, Aim, Clock, ClockKind, Direction, Entry, Outcome, Priority
from aggregator.sla.clock import breach, clocks, paused
from aggregator.sla.policy import ResponseTarget, Targets, parse_targets
from aggregator.yamltext import parse

FIRST, NEXT, RESOLUTION = ClockKind.FIRST_RESPONSE, ClockKind.NEXT_RESPONSE, ClockKind.RESOLUTION
P1, P3 = Priority.P1, Priority.P3
MINUTE = 60_000
T0 = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)  # 上海 10:00，星期三

RULES = """
schema: 1
calendars:
  office: {timezone: Asia/Shanghai, hours: {mon-fri: 09:00-18:00}, holidays: CN}
targets:
  urgent: {calendar: 24x7, first_response: {P1: 10m, P3: 20m}, next_response: {P1: 10m, P3: 20m}}
  standard:
    calendar: office
    first_response: {P1: 15m, P3: 30m}
    next_response: {P1: 15m, P3: 30m}
  whole: {calendar: office, resolution: {P3: 2h}}
  first-only: {calendar: 24x7, first_response: {P3: 30m}}
"""


def targets(text: str = RULES) -> Targets:
    return parse_targets(parse(text.encode(), name="targets.yaml"))


TARGETS = targets()


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def asked(id: int, minutes: float, **more: object) -> Entry:
    return entry(id, minutes, Direction.INBOUND, **more)


def answered(id: int, minutes: float, **more: object) -> Entry:
    return entry(id, minutes, Direction.OUTBOUND, **more)


def entry(id: int, minutes: float, direction: Direction, **more: object) -> Entry:
    received = more.pop("received", minutes + 0.05)
    assert isinstance(received, (int, float))
    one = Entry(id, direction, at(minutes), at(received))
    return replace(one, **more)  # type: ignore[arg-type]


def judged(
    *entries: Entry,
    now: float = 600,
    aims: Sequence[Aim] = (Aim(T0, "standard", P3),),
    rules: Targets = TARGETS,
    version: str = "v1",
    stored: Sequence[Clock] = (),
    resolved: float | None = None,
    closed: float | None = None,
) -> tuple[Clock, ...]:
    return clocks(
        entries,
        aims,
        rules,
        version=version,
        now=at(now),
        stored=stored,
        resolved_at=None if resolved is None else at(resolved),
        closed_at=None if closed is None else at(closed),
    )


def told(clock: Clock) -> list[tuple[str, float, int | None, str | None]]:
    return [
        (one.event, (one.at - T0) / timedelta(minutes=1), one.cause, one.reason)
        for one in clock.events
    ]


def test_the_first_message_starts_the_clock_and_our_answer_meets_it() -> None:
    (clock,) = judged(asked(1, 0), answered(2, 12))
    assert (clock.kind, clock.cycle, clock.outcome) == (FIRST, 1, Outcome.MET)
    assert (clock.started_at, clock.due_at, clock.stopped_at) == (at(0), at(30), at(12))
    assert (clock.started_by, clock.stopped_by) == (1, 2)
    assert (clock.business_ms, clock.wall_ms) == (12 * MINUTE, 12 * MINUTE)
    assert clock.policy == "standard@v1"
    assert told(clock) == [("activate", 0, 1, None), ("fulfil", 12, 2, None)]
    assert not clock.late_ingest
    assert not clock.clamped


def test_an_answer_at_the_very_deadline_meets_it_and_a_millisecond_later_does_not() -> None:
    (on_time,) = judged(asked(1, 0), answered(2, 30))
    (late,) = judged(asked(1, 0), answered(2, 30 + 1 / MINUTE))
    assert on_time.outcome is Outcome.MET
    assert late.outcome is Outcome.BREACHED
    assert late.breached_at == at(30)
    assert late.wall_ms == 30 * MINUTE + 1


def test_breached_stays_breached_when_it_is_answered_late() -> None:
    (clock,) = judged(asked(1, 0), answered(2, 45))
    assert clock.outcome is Outcome.BREACHED
    assert (clock.breached_at, clock.stopped_at, clock.stopped_by) == (at(30), at(45), 2)
    assert clock.business_ms == 45 * MINUTE
    assert [one[0] for one in told(clock)] == ["activate", "breach", "fulfil"]


def test_a_clock_runs_in_time_until_its_deadline_has_passed() -> None:
    (running,) = judged(asked(1, 0), now=30)
    (overdue,) = judged(asked(1, 0), now=31)
    assert (running.outcome, running.breached_at) == (None, None)
    assert (overdue.outcome, overdue.breached_at) == (Outcome.BREACHED, at(30))
    assert overdue.business_ms is None


def test_further_questions_do_not_push_the_deadline() -> None:
    (clock,) = judged(asked(1, 0), asked(2, 10), asked(3, 20), now=25)
    assert clock.due_at == at(30)


def test_after_the_first_answer_each_wait_is_a_cycle_of_the_next_response() -> None:
    found = judged(
        asked(1, 0),
        answered(2, 5),
        asked(3, 10),
        asked(4, 12),
        answered(5, 45),
        asked(6, 50),
        now=55,
    )
    assert [(one.kind, one.cycle, one.outcome) for one in found] == [
        (FIRST, 1, Outcome.MET),
        (NEXT, 1, Outcome.BREACHED),
        (NEXT, 2, None),
    ]
    assert (found[1].started_by, found[1].due_at) == (3, at(40))


def test_a_message_dated_before_an_answer_already_seen_is_answered_by_it() -> None:
    before = judged(asked(1, 0), answered(2, 20), now=25)
    after = judged(asked(1, 0), answered(2, 20), asked(3, 15, received=26), now=27, stored=before)
    assert after == before


def test_an_earlier_message_that_arrives_late_moves_the_start() -> None:
    before = judged(asked(1, 0), answered(2, 20), now=25)
    (clock,) = judged(
        asked(1, 0), answered(2, 20), asked(3, -20, received=26), now=27, stored=before
    )
    assert (clock.started_by, clock.due_at, clock.outcome) == (3, at(10), Outcome.BREACHED)


def test_our_own_post_before_the_first_question_answers_nothing() -> None:
    (clock,) = judged(answered(1, -10), asked(2, 0), now=5)
    assert (clock.kind, clock.outcome, clock.started_by) == (FIRST, None, 2)


def test_what_a_backfill_brought_starts_no_clock() -> None:
    assert judged(asked(1, -300, history=True), now=5) == ()
    (clock,) = judged(asked(1, -300, history=True), asked(2, 0), now=5)
    assert (clock.kind, clock.started_by) == (FIRST, 2)


def test_a_conversation_answered_in_its_history_goes_on_with_the_next_response() -> None:
    found = judged(
        asked(1, -300, history=True), answered(2, -290, history=True), asked(3, 0), now=5
    )
    assert [(one.kind, one.started_by) for one in found] == [(NEXT, 3)]


def test_an_answer_out_of_hours_takes_no_business_time() -> None:
    evening = 9 * 60  # 19:00
    (clock,) = judged(asked(1, evening), answered(2, evening + 90), now=2_000)
    assert clock.outcome is Outcome.MET
    assert (clock.business_ms, clock.wall_ms) == (0, 90 * MINUTE)


def test_withdrawn_before_an_answer_is_an_outcome_of_its_own() -> None:
    (clock,) = judged(asked(1, 0, withdrawn_at=at(8)), now=100)
    assert (clock.outcome, clock.stopped_at, clock.stopped_by) == (Outcome.WITHDRAWN, at(8), None)
    assert (clock.business_ms, clock.wall_ms) == (None, None)
    assert told(clock)[-1] == ("cancel", 8, 1, "withdrawn")


def test_withdrawn_after_the_answer_changes_nothing() -> None:
    (clock,) = judged(asked(1, 0, withdrawn_at=at(20)), answered(2, 12))
    assert clock.outcome is Outcome.MET


def test_who_deletes_and_writes_again_waits_from_the_message_that_is_left() -> None:
    found = judged(asked(1, 0, withdrawn_at=at(8)), asked(2, 7), now=20)
    assert [(one.kind, one.cycle, one.outcome) for one in found] == [
        (FIRST, 1, Outcome.WITHDRAWN),
        (FIRST, 2, None),
    ]
    assert (found[1].started_at, found[1].due_at) == (at(7), at(37))


def test_closing_without_an_answer_cancels() -> None:
    (clock,) = judged(asked(1, 0), closed=10)
    assert (clock.outcome, clock.stopped_at) == (Outcome.UNANSWERED_CLOSED, at(10))
    assert clock.wall_ms is None
    assert told(clock)[-1] == ("cancel", 10, None, "closed")


def test_closing_an_overdue_conversation_is_unanswered_and_remembers_the_breach() -> None:
    (clock,) = judged(asked(1, 0), closed=300)
    assert (clock.outcome, clock.breached_at) == (Outcome.UNANSWERED_CLOSED, at(30))


def test_closing_after_the_answer_changes_nothing() -> None:
    (clock,) = judged(asked(1, 0), answered(2, 5), closed=10)
    assert clock.outcome is Outcome.MET


def test_a_customer_who_writes_after_it_was_resolved_unanswered_gets_a_clock_again() -> None:
    stored = judged(asked(1, 0), resolved=10, now=11)
    found = judged(asked(1, 0), asked(2, 60), now=70, stored=stored)  # 重新打开：resolved_at 已清空
    assert [(one.kind, one.cycle, one.outcome) for one in found] == [
        (FIRST, 1, Outcome.UNANSWERED_CLOSED),
        (FIRST, 2, None),
    ]
    assert found[0] == stored[0]


def test_no_answer_needed_said_by_a_person_is_kept() -> None:
    (running,) = judged(asked(1, 0), now=5)
    said = replace(running, stopped_at=at(6), outcome=Outcome.NOT_NEEDED)
    found = judged(asked(1, 0), asked(2, 50), answered(3, 60), now=70, stored=(said,))
    assert found[0] == said
    assert (found[1].started_by, found[1].outcome) == (2, Outcome.MET)


def test_an_answer_dated_before_no_answer_needed_wins_over_it() -> None:
    (running,) = judged(asked(1, 0), now=5)
    said = replace(running, stopped_at=at(6), outcome=Outcome.NOT_NEEDED)
    (clock,) = judged(asked(1, 0), answered(2, 4, received=20), now=21, stored=(said,))
    assert (clock.outcome, clock.stopped_by) == (Outcome.MET, 2)


def test_a_higher_priority_shortens_the_deadline_from_the_start() -> None:
    aims = (Aim(T0, "standard", P3), Aim(at(5), "standard", P1))
    (clock,) = judged(asked(1, 0), aims=aims, now=6)
    assert (clock.due_at, clock.priority, clock.outcome) == (at(15), P1, None)
    assert told(clock)[-1] == ("retarget", 5, None, "standard P3 -> standard P1")


def test_a_new_deadline_that_is_past_breaches_at_the_moment_of_the_change() -> None:
    aims = (Aim(T0, "standard", P3), Aim(at(20), "standard", P1))
    (clock,) = judged(asked(1, 0), answered(2, 25), aims=aims)
    assert (clock.due_at, clock.breached_at, clock.outcome) == (at(20), at(20), Outcome.BREACHED)
    assert ("breach", 20, None, "retarget") in told(clock)


def test_a_change_after_the_answer_or_after_the_breach_changes_nothing() -> None:
    met = (Aim(T0, "standard", P3), Aim(at(20), "urgent", P1))
    (clock,) = judged(asked(1, 0), answered(2, 12), aims=met)
    assert (clock.outcome, clock.due_at, clock.priority) == (Outcome.MET, at(30), P3)
    breached = (Aim(T0, "standard", P1), Aim(at(20), "standard", P3))
    (clock,) = judged(asked(1, 0), aims=breached, now=21)
    assert (clock.outcome, clock.due_at, clock.priority) == (Outcome.BREACHED, at(15), P1)


def test_a_longer_target_before_the_deadline_gives_more_time() -> None:
    aims = (Aim(T0, "standard", P1), Aim(at(10), "standard", P3))
    (clock,) = judged(asked(1, 0), answered(2, 25), aims=aims)
    assert (clock.outcome, clock.due_at) == (Outcome.MET, at(30))


def test_a_target_without_this_metric_has_no_clock() -> None:
    aims = (Aim(T0, "first-only", P3),)
    found = judged(asked(1, 0), answered(2, 5), asked(3, 10), aims=aims)
    assert [one.kind for one in found] == [FIRST]
    assert judged(asked(1, 0), aims=(Aim(T0, "first-only", P1),)) == ()
    assert judged(asked(1, 0), aims=(Aim(T0, None, P3),)) == ()
    assert judged(asked(1, 0), aims=()) == ()


def test_a_target_that_comes_later_counts_from_the_start_and_is_never_back_dated() -> None:
    soon = (Aim(T0, None, P3), Aim(at(10), "standard", P3))
    (clock,) = judged(asked(1, 0), aims=soon, now=12)
    assert (clock.due_at, clock.outcome) == (at(30), None)
    late = (Aim(T0, None, P3), Aim(at(50), "standard", P3))
    (clock,) = judged(asked(1, 0), aims=late, now=51)
    assert (clock.due_at, clock.breached_at) == (at(50), at(50))


def test_a_conversation_that_is_owed_nothing_any_more_has_its_clock_called_off() -> None:
    aims = (Aim(T0, "standard", P3), Aim(at(5), None, P3))
    (clock,) = judged(asked(1, 0), aims=aims, now=6)
    assert (clock.outcome, clock.stopped_at) == (Outcome.NOT_NEEDED, at(5))
    assert judged(asked(1, 0), aims=aims, now=90, stored=(clock,)) == (clock,)
    assert judged(asked(1, 0), aims=aims, now=90, stored=(clock,), version="v2") == (clock,)


def test_a_message_seen_long_after_it_was_sent_and_after_its_deadline_is_flagged() -> None:
    aims = (Aim(at(90), "standard", P3),)  # 收到时才判断
    (clock,) = judged(asked(1, 0, received=90), aims=aims, now=91)
    assert (clock.started_at, clock.due_at, clock.outcome) == (at(0), at(30), Outcome.BREACHED)
    assert clock.late_ingest
    (soon,) = judged(asked(1, 0, received=25), now=31)
    assert not soon.late_ingest


def test_a_time_from_the_future_is_clamped_and_flagged() -> None:
    (clock,) = judged(asked(1, 40, received=10), now=12)
    assert (clock.started_at, clock.clamped) == (at(10), True)


def test_a_finished_clock_is_not_rewritten_under_other_rules() -> None:
    stored = judged(asked(1, 0), answered(2, 12))
    stricter = targets(RULES.replace("{P1: 15m, P3: 30m}", "{P1: 1m, P3: 5m}"))
    assert (
        judged(asked(1, 0), answered(2, 12), rules=stricter, version="v2", stored=stored) == stored
    )


def test_rules_that_say_the_same_leave_a_running_clock_as_it_is() -> None:
    stored = judged(asked(1, 0), now=5)
    assert judged(asked(1, 0), now=6, version="v2", stored=stored) == stored


def test_stricter_rules_apply_from_now_on() -> None:
    stored = judged(asked(1, 0), now=5)
    stricter = targets(RULES.replace("{P1: 15m, P3: 30m}", "{P1: 1m, P3: 8m}"))
    soon = judged(asked(1, 0), now=6, rules=stricter, version="v2", stored=stored)
    assert (soon[0].due_at, soon[0].policy) == (at(8), "standard@v2")
    assert told(soon[0])[-1] == ("retarget", 6, None, "rules changed")
    past = judged(asked(1, 0), now=20, rules=stricter, version="v2", stored=stored)
    assert (past[0].due_at, past[0].breached_at) == (at(20), at(20))
    again = judged(asked(1, 0), asked(2, 24), now=25, rules=stricter, version="v2", stored=past)
    assert again == past


def test_a_target_that_the_rules_no_longer_have_leaves_its_clock_running() -> None:
    stored = judged(asked(1, 0), now=5)
    (clock,) = judged(asked(1, 0), now=40, rules=Targets(), version="v2", stored=stored)
    assert (clock.due_at, clock.breached_at) == (at(30), at(30))


def test_an_answer_in_time_that_is_seen_late_takes_the_breach_back_under_any_rules() -> None:
    stored = judged(asked(1, 0), now=40)
    assert stored[0].outcome is Outcome.BREACHED
    for version in ("v1", "v2"):
        (clock,) = judged(
            asked(1, 0), answered(2, 29, received=41), now=41, version=version, stored=stored
        )
        assert (clock.outcome, clock.breached_at) == (Outcome.MET, None)


def test_breach_marks_only_a_running_clock_whose_deadline_has_passed() -> None:
    (clock,) = judged(asked(1, 0), now=5)
    assert breach(clock, at(30)) is None
    late = breach(clock, at(31))
    assert late is not None
    assert late == judged(asked(1, 0), now=31)[0]
    assert breach(late, at(32)) is None
    (done,) = judged(asked(1, 0), answered(2, 5))
    assert breach(done, at(99)) is None


WHOLE = (Aim(T0, "whole", P3),)


def test_a_resolution_pauses_while_we_wait_for_the_customer() -> None:
    messages = (asked(1, 0), answered(2, 60), asked(3, 120))
    (waiting,) = judged(*messages[:2], aims=WHOLE, now=110)
    assert paused(waiting)
    assert breach(waiting, at(400)) is None
    (running,) = judged(*messages, aims=WHOLE, now=130)
    assert (running.kind, running.due_at, running.outcome) == (RESOLUTION, at(180), None)
    (done,) = judged(*messages, aims=WHOLE, resolved=150)
    assert (done.outcome, done.business_ms, done.wall_ms) == (
        Outcome.MET,
        90 * MINUTE,
        150 * MINUTE,
    )
    assert [one[0] for one in told(done)] == ["activate", "pause", "resume", "fulfil"]


def test_a_pause_out_of_hours_gives_no_time_back() -> None:
    # 17:30 提问，18:30 回复，第二天 9:00 再问：停表期间没有营业时间
    messages = (asked(1, 450), answered(2, 510), asked(3, 450 + 930))
    (clock,) = judged(*messages, aims=WHOLE, now=450 + 930)
    assert clock.due_at == at(450 + 930 + 90)


def test_a_resolution_is_met_while_paused_and_begins_anew_after_reopening() -> None:
    stored = judged(asked(1, 0), answered(2, 60), aims=WHOLE, resolved=400, now=401)
    assert (stored[0].outcome, stored[0].business_ms) == (Outcome.MET, 60 * MINUTE)
    assert stored[0].stopped_at is not None
    assert stored[0].stopped_at <= stored[0].due_at
    found = judged(asked(1, 0), answered(2, 60), asked(3, 420), aims=WHOLE, now=430, stored=stored)
    assert [(one.cycle, one.outcome) for one in found] == [(1, Outcome.MET), (2, None)]
    assert found[0] == stored[0]


def test_a_matter_closed_without_an_answer_is_not_resolved() -> None:
    (clock,) = judged(asked(1, 0), aims=WHOLE, closed=30)
    assert clock.outcome is Outcome.UNANSWERED_CLOSED


# --- the order of arrival ----------------------------------------------------------------------

MINUTES = st.integers(0, 3_000)


@st.composite
def conversations(draw: st.DrawFn) -> list[Entry]:
    rows = draw(
        st.lists(st.tuples(MINUTES, st.booleans(), st.integers(0, 60), st.booleans()), max_size=9)
    )
    found = []
    for id, (minute, ours, lag, gone) in enumerate(rows):
        one = answered(id, minute, received=minute + 1 + lag)
        if not ours:
            withdrawn = at(minute + 1 + lag * 3) if gone else None
            one = asked(id, minute, received=minute + 1 + lag, withdrawn_at=withdrawn)
        found.append(one)
    return found


@settings(max_examples=200, deadline=None)
@given(
    conversations(),
    st.randoms(use_true_random=False),
    st.sampled_from(["standard", "urgent", "whole"]),
)
def test_the_order_of_arrival_does_not_matter(
    entries: list[Entry], shuffle: random.Random, target: str
) -> None:
    aims = (Aim(T0, target, P3), Aim(at(1_000), target, P1), Aim(at(2_000), "standard", P3))
    whole = judged(*entries, now=4_000, aims=aims)
    arriving = list(entries)
    shuffle.shuffle(arriving)
    stored: tuple[Clock, ...] = ()
    for count in range(len(arriving) + 1):
        stored = judged(*arriving[:count], now=4_000, aims=aims, stored=stored)
    assert stored == whole
    assert judged(*entries, now=4_000, aims=aims, stored=stored, version="v2") == whole


@settings(max_examples=200, deadline=None)
@given(conversations(), st.integers(0, 4_000))
def test_every_clock_keeps_the_promises_of_its_outcome(entries: list[Entry], now: int) -> None:
    seen = [one for one in entries if one.received_at <= at(now)]
    calendar = TARGETS.calendars["office"]
    cycles: dict[ClockKind, list[int]] = {}
    for clock in judged(*seen, now=now):
        cycles.setdefault(clock.kind, []).append(clock.cycle)
        if clock.outcome is Outcome.MET:
            assert clock.stopped_at is not None
            assert clock.stopped_at <= clock.due_at
            assert clock.breached_at is None
        if clock.outcome is Outcome.BREACHED:
            assert clock.breached_at == clock.due_at
            assert clock.due_at < (clock.stopped_at or at(now))
        if clock.stopped_by is not None:
            assert clock.stopped_at is not None
            assert clock.business_ms == calendar.elapsed(clock.started_at, clock.stopped_at)
        if clock.outcome is None:
            assert clock.due_at >= at(now)
        assert [one.at for one in clock.events] == sorted(one.at for one in clock.events)
    assert cycles.get(FIRST, []) == list(range(1, len(cycles.get(FIRST, [])) + 1))
    assert cycles.get(NEXT, []) == list(range(1, len(cycles.get(NEXT, [])) + 1))


def test_a_target_is_a_plain_value() -> None:
    assert isinstance(TARGETS.targets["standard"], ResponseTarget)
    assert targets() == TARGETS


@pytest.mark.parametrize("odd", [1, 999, 1_500])
def test_clocks_are_the_same_before_and_after_the_store_rounded_their_times(odd: int) -> None:
    fine = timedelta(microseconds=odd)
    exact = replace(asked(1, 0), at=T0 + fine, received_at=at(1) + fine)
    kept = replace(asked(1, 0), at=T0 + timedelta(milliseconds=odd // 1000))
    kept = replace(kept, received_at=at(1) + timedelta(milliseconds=odd // 1000))
    assert judged(exact, now=5) == judged(kept, now=5)


def test_a_clock_across_a_change_of_calendar_sums_over_the_pieces() -> None:
    start = 7 * 60 + 50  # 上海 17:50：下班前十分钟
    aims = (Aim(T0, "standard", P3), Aim(at(start + 130), "urgent", P3))  # 20:00 起全天计
    (clock,) = judged(asked(1, start), answered(2, start + 190), aims=aims, now=start + 5 * 60)
    assert clock.wall_ms == 190 * MINUTE
    assert clock.business_ms == (10 + 60) * MINUTE  # 17:50–18:00，20:00–21:00


def test_a_clock_knows_whose_word_ended_it_whatever_order_the_words_came_in() -> None:
    acts = [
        Act(1, 7, at(5), "resolved", "李娜", "command"),
        Act(2, 7, at(8), "reopened", "王磊", "slack"),
        Act(3, 7, at(12), "not_needed", "王磊", "slack"),
    ]
    for order in (acts, acts[::-1]):
        (clock,) = clocks(
            [asked(1, 0)], [Aim(T0, "standard", P3)], TARGETS, version="v1", now=at(600), acts=order
        )
        assert clock.outcome is Outcome.NOT_NEEDED
        assert (clock.stopped_at, clock.events[-1].by, clock.events[-1].way) == (
            at(12),
            "王磊",
            "slack",
        )
