"""The rollup is what adding everything up anew gives, whatever happened in whatever order."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from aggregator.model import (
    Author,
    ClockEvent,
    ClockKind,
    Decision,
    Direction,
    Fill,
    Outcome,
    Priority,
    Receipt,
    StoredMessage,
    Version,
)
from storage.clocks import breach_due
from storage.engine import Database
from storage.known import known
from storage.outbox import claim, finish
from storage.replies import Reply, ReplyState, add_reply, end_reply
from storage.rollup import differences, refill
from storage.schema import clock as clock_table
from storage.schema import metadata, rollup
from tests.conftest import NOW
from tests.storage.make import ACCOUNT, at, clock, commit, decision, fence, message, verdict

LABELS = st.sampled_from([(), ("退款",), ("refund", "退款"), ("refund", "refund")])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["new", "answer", "judge", "breach", "tell", "reply", "name", "time"]),
        st.integers(0, 3),
        st.integers(0, 3 * 86_400),
        LABELS,
        st.sampled_from(list(Outcome)),
    ),
    min_size=1,
    max_size=12,
)


class History:
    """Random writes through the doors that the daemon uses."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.made: list[StoredMessage] = []
        self.answers: dict[int, StoredMessage] = {}

    def step(self, what: str, which: int, seconds: int, labels: Any, outcome: Outcome) -> None:
        if what == "new" or not self.made:
            self._new(seconds, labels)
            return
        of = self.made[which % len(self.made)]
        getattr(self, f"_{what}")(of, at(seconds), labels, outcome)

    def _new(self, seconds: int, labels: tuple[str, ...]) -> None:
        one = message(len(self.made) + 1, sent_at=at(seconds - 60))
        made = decision(self.db.new_id, one)
        (kept,), (about,) = made.messages, made.conversations
        kept = replace(kept, received_at=at(seconds))
        self._commit(
            replace(
                made,
                messages=(kept,),
                conversations=(replace(about, labels=labels, routes=labels),),
            )
        )
        self.made.append(kept)

    def _answer(self, of: StoredMessage, now: datetime, labels: Any, outcome: Outcome) -> None:
        state = self._state(of)
        mine = self.answers.get(of.id) or StoredMessage(
            id=self.db.new_id(),
            account=ACCOUNT,
            message=replace(
                message(9_000 + len(self.answers)),
                direction=Direction.OUTBOUND,
                author=Author("staff", None if len(labels) == 1 else "小王"),
            ),
            received_at=now,
            conversation_id=of.conversation_id,
            contact_id=None,
            verdict=None,
            rules_version=None,
        )
        wall = len(labels) * 61_003
        stopped = clock(
            of.id,
            stopped_at=now,
            stopped_by=mine.id,
            outcome=outcome,
            business_ms=wall // 2 if outcome in (Outcome.MET, Outcome.BREACHED) else None,
            wall_ms=wall if outcome in (Outcome.MET, Outcome.BREACHED) else None,
            late_ingest=outcome is Outcome.BREACHED,
            events=(ClockEvent("activate", NOW, of.id), ClockEvent("cancel", now, by="小李")),
        )
        running = clock(of.id, kind=ClockKind.RESOLUTION, priority=Priority.P1)
        changed = replace(state.conversation, labels=labels, routes=labels[:1])
        self._commit(
            Decision(
                messages=() if of.id in self.answers else (mine,),
                conversations=(changed,),
                clocks={changed.id: (stopped, running)},
            )
        )
        self.answers[of.id] = mine

    def _judge(self, of: StoredMessage, now: datetime, labels: Any, outcome: Outcome) -> None:
        again = replace(verdict(Priority.P1), tags=labels)
        edited = replace(of.message, text="改了", edited_at=now)
        self._commit(Decision(versions=(Version(of.id, edited, again, "r2"),)))

    def _breach(self, of: StoredMessage, now: datetime, labels: Any, outcome: Outcome) -> None:
        held = fence(self.db, "clocks")
        self.db.write(lambda conn: breach_due(conn, fence=held, now=now))

    def _tell(self, of: StoredMessage, now: datetime, labels: Any, outcome: Outcome) -> None:
        held = fence(self.db, "destination:social")
        given: dict[str, Any] = {"fence": held, "destination": "social", "limit": 2}
        rows = self.db.write(lambda conn: claim(conn, now=at(99_999_999), **given))
        sent = [(row.id, Receipt(f"t{row.id}", None)) for row in rows]
        self.db.write(lambda conn: finish(conn, fence=held, now=now, sent=sent))

    def _reply(self, of: StoredMessage, now: datetime, labels: Any, outcome: Outcome) -> None:
        id = self.db.new_id()
        answer = self.answers.get(of.id)
        native = answer.message.native_id if answer else "别的"
        row = Reply(
            *(
                id,
                of.id,
                of.conversation_id,
                ACCOUNT,
                "好的",
                str(id),
                ReplyState.SENDING,
                "阿梅",
                now,
            )
        )
        self.db.write(lambda conn: add_reply(conn, row))
        self.db.write(lambda conn: end_reply(conn, id, ReplyState.SENT, native_id=native))

    def _name(self, of: StoredMessage, now: datetime, labels: Any, outcome: Outcome) -> None:
        if answer := self.answers.get(of.id):
            named = replace(answer.message, author=Author("staff", "老张"))
            self._commit(Decision(fills=(Fill(answer.id, named, frozenset({"name"})),)))

    def _time(self, of: StoredMessage, now: datetime, labels: Any, outcome: Outcome) -> None:
        timed = replace(of.message, sent_at=at(-500))
        self._commit(Decision(fills=(Fill(of.id, timed, frozenset({"time"})),)))

    def _state(self, of: StoredMessage) -> Any:
        with self.db.read() as conn:
            (state,) = known(conn, ACCOUNT, [of.message]).conversations
        return state

    def _commit(self, made: Decision) -> None:
        commit(self.db, fence(self.db), made)


def empty(db: Database, zone: str) -> None:
    def unit(conn: Any) -> None:
        for table in reversed(metadata.sorted_tables):
            if table.name != "meta":
                conn.execute(delete(table))
        refill(conn, zone)

    db.write(unit)


def differing(db: Database) -> list[str]:
    with db.read() as conn:
        return differences(conn)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS, zone=st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York"]))
def test_whatever_happens_the_rollup_is_the_recompute(
    db: Database, steps: list[Any], zone: str
) -> None:
    empty(db, zone)
    history = History(db)
    for step in steps:
        history.step(*step)
    assert differing(db) == []
    with db.read() as conn:
        kept = conn.execute(select(rollup)).all()
    assert kept
    db.write(lambda conn: refill(conn, zone))
    with db.read() as conn:
        assert sorted(conn.execute(select(rollup)).all()) == sorted(kept)


def test_a_difference_is_named_and_filling_anew_mends_it(db: Database) -> None:
    empty(db, "Asia/Shanghai")
    commit(db, fence(db), decision(db.new_id, message(1)))
    assert differing(db) == []
    # Behind the back of the rollup.
    db.write(lambda conn: conn.execute(update(clock_table).values(outcome="met")))
    found = differing(db)
    assert any(
        one.startswith('rollup label 20260304 ["refund","first_response",0]: [1, 0, 0, 0, 0, 0]')
        and one.endswith("should be [1, 1, 0, 0, 0, 0]")
        for one in found
    )
    db.write(lambda conn: refill(conn, "Asia/Shanghai"))
    assert differing(db) == []


def test_a_day_is_a_local_one(db: Database) -> None:
    late = at(15 * 3600)  # 01:00 on Thursday in Shanghai
    made = decision(db.new_id, message(1))
    (kept,) = made.messages
    commit(db, fence(db), replace(made, messages=(replace(kept, received_at=late),)))

    def days(zone: str) -> set[tuple[int, str]]:
        db.write(lambda conn: refill(conn, zone))
        with db.read() as conn:
            rows = conn.execute(select(rollup).where(rollup.c.facet == "hour")).all()
        return {(row.day, row.dims.split('"')[1]) for row in rows}

    assert days("Asia/Shanghai") == {(20260305, "4 01")}
    assert days("UTC") == {(20260304, "3 17")}
