"""A deadline that has passed is noted once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from aggregator.model import (
    Clock,
    ClockEvent,
    ClockKind,
    Conversation,
    Decision,
    Outcome,
)
from storage.clocks import breach_due
from storage.engine import Database
from storage.known import known
from storage.leases import Fence, LeaseLost
from storage.polls import Conflict
from tests.conftest import NOW
from tests.storage.make import ACCOUNT, at, clock, commit, decision, fence, message

DUE = at(25 * 60)


def watch(db: Database, now: datetime) -> list[Conversation]:
    held = fence(db, "clocks")
    return db.write(lambda conn: breach_due(conn, fence=held, now=now, new_id=db.new_id))


def stored(db: Database, number: int = 1) -> tuple[Clock, ...]:
    with db.read() as conn:
        (kept,) = known(conn, ACCOUNT, [message(number)]).conversations
    return kept.clocks


def test_a_deadline_is_missed_only_after_it(db: Database) -> None:
    commit(db, fence(db), decision(db.new_id, message(1)))
    assert watch(db, DUE) == []
    (late,) = watch(db, at(25 * 60 + 0.001))
    (now_late,) = stored(db)
    assert (now_late.outcome, now_late.breached_at, now_late.stopped_at) == (
        Outcome.BREACHED,
        DUE,
        None,
    )
    assert now_late.events[-1] == ClockEvent("breach", DUE)
    assert len(now_late.events) == 2
    assert (late.key, late.destinations, late.version) == ("p:post1:u1", ("social",), 2)


def test_a_breach_is_noted_once(db: Database) -> None:
    commit(db, fence(db), decision(db.new_id, message(1), message(2)))
    assert len(watch(db, at(9999))) == 2
    assert watch(db, at(99999)) == []


def test_a_clock_that_stopped_is_not_breached(db: Database) -> None:
    held = fence(db)
    decided = decision(db.new_id, message(1))
    about = decided.conversations[0].id
    met = clock(1, stopped_at=at(60), outcome=Outcome.MET)
    commit(db, held, replace(decided, clocks={about: (met,)}))
    assert watch(db, at(9999)) == []


def test_a_paused_clock_has_no_deadline_until_it_resumes(db: Database) -> None:
    held = fence(db)
    decided = decision(db.new_id, message(1))
    about = decided.conversations[0].id
    start = ClockEvent("activate", NOW)
    pause, resume = ClockEvent("pause", at(10)), ClockEvent("resume", at(20))
    paused = clock(1, kind=ClockKind.RESOLUTION, events=(start, pause, resume, pause))
    commit(db, held, replace(decided, clocks={about: (paused,)}))
    assert watch(db, at(9999)) == []
    resumed = replace(paused, events=(*paused.events, resume))
    commit(db, held, Decision(clocks={about: (resumed,)}))
    assert [one.id for one in watch(db, at(9999))] == [about]


def test_a_page_that_was_decided_on_before_the_breach_is_decided_again(db: Database) -> None:
    held = fence(db)
    commit(db, held, decision(db.new_id, message(1)))
    with db.read() as conn:
        (before,) = known(conn, ACCOUNT, [message(1)]).conversations
    watch(db, at(9999))
    stale = Decision(
        conversations=(before.conversation,), clocks={before.conversation.id: before.clocks}
    )
    with pytest.raises(Conflict):
        commit(db, held, stale)
    assert stored(db)[0].outcome is Outcome.BREACHED


def test_a_stale_watcher_notes_nothing(db: Database) -> None:
    commit(db, fence(db), decision(db.new_id, message(1)))
    held = fence(db, "clocks")
    stale = Fence(held.name, "somebody", held.epoch)
    with pytest.raises(LeaseLost):
        db.write(lambda conn: breach_due(conn, fence=stale, now=at(9999)))
    assert stored(db)[0].outcome is None
