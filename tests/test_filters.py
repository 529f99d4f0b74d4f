"""Quiet intervals and silences: what they hold back, what passes, and the one digest when they end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from aggregator.acting import Asked, What, act_on
from aggregator.dispatcher import Sender
from aggregator.escalation import Escalation
from aggregator.filters import About, fits
from aggregator.model import Author, Backfill, Direction, Notice, Page, Priority, Silence
from aggregator.sla.interval import Interval
from aggregator.triage.loader import load_texts
from storage.engine import Database
from storage.silences import add_silence, expire_silence
from tests.conftest import NOW
from tests.fakes import RULE_FILES, FakeConnector, FakeDestination, House, bring, said
from tests.storage.make import conversation

NIGHT = load_texts(
    {
        **RULE_FILES,
        "routes.yaml": """
schema: 1
routes:
  - {id: all, to: [social], targets: quick, quiet: night}
""",
        "targets.yaml": RULE_FILES["targets.yaml"]
        + """
    escalate: [{at: 50%, to: [social]}]
intervals:
  night: {days: mon-sun, from: "22:00", to: "08:00", timezone: Asia/Shanghai}
""",
    }
)
EVENING = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)  # 23:00 in Shanghai
MORNING = datetime(2026, 3, 5, 0, 0, tzinfo=UTC)


@pytest.fixture
def house(db: Database) -> Iterator[House]:
    made = House(db, rules=NIGHT)
    made.clock.at = EVENING
    yield made
    made.end()


class Room(FakeDestination):
    """With the sender that goes on sending to it."""

    sender: Sender | None = None


class Line:
    """One customer's further messages, on the account that `bring` made last."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.connector = FakeConnector(messages=[Page((), "0")])
        self.poller = house.poller(self.connector, account="fake_line")
        self.poller.tick()
        self.number = 0

    def says(self, text: str, *, person: str = "c1", **more: Any) -> None:
        self.number += 1
        one = said(1000 + self.number, text, person=person, sent_at=self.house.clock(), **more)
        self.connector.steps["messages"].append(Page((one,), str(self.number)))
        self.poller.wake("messages")
        self.poller.tick()

    def answers(self, text: str, *, person: str = "c1") -> None:
        us = Author("me", "我们")
        self.says(text, person=person, direction=Direction.OUTBOUND, author=us)


def send(house: House, room: Room) -> list[Notice]:
    """What the room gets until nothing more is due."""
    before = len(room.took)
    sender = room.sender = room.sender or house.sender(room)
    while sender.turn() == 0.0:
        pass
    return room.took[before:]


def rows(house: House) -> list[tuple[str, str, str | None]]:
    return [(row["kind"], row["state"], row["reason"]) for row in house.deliveries()]


def silence(house: House, **more: Any) -> int:
    given: dict[str, Any] = {
        "id": house.db.new_id(),
        "created_at": house.clock(),
        "by": "李雷",
        "why": "系统升级",
        "matchers": {"platform": ("fake",)},
        "starts_at": house.clock(),
        "until": house.clock() + timedelta(hours=2),
        **more,
    }
    house.db.write(lambda conn: add_silence(conn, Silence(**given)))
    id: int = given["id"]
    return id


# --- quiet intervals ----------------------------------------------------------------------------


def test_at_night_nobody_is_told_and_the_row_says_why_and_until_when(house: House) -> None:
    bring(house, said(1, "还没发货"))
    room = Room()
    assert send(house, room) == []
    assert rows(house) == [("card", "held", "quiet: night until 2026-03-05 08:00 Asia/Shanghai")]
    assert house.deliveries()[0]["attempts"] == 0


def test_what_is_still_open_in_the_morning_is_one_digest_the_most_urgent_first(
    house: House,
) -> None:
    bring(house, said(1, "先来的"))
    house.clock.on(minutes=5)
    bring(house, said(2, "后来的"), said(3, "再后来的"))
    room = Room()
    assert send(house, room) == []
    house.clock.at = MORNING - timedelta(seconds=1)
    assert send(house, room) == []
    house.clock.at = MORNING
    [digest] = send(house, room)
    assert (digest.kind, digest.count) == ("digest", 3)
    assert digest.digest[0].latest.text == "先来的"
    assert {state for _, state, _ in rows(house)} == {"sent", "skipped"}
    house.clock.on(days=1)
    assert send(house, room) == []


def test_after_the_digest_the_next_word_brings_the_card_and_stands_under_it(house: House) -> None:
    line, room = Line(house), Room()
    line.says("还没发货")
    send(house, room)
    house.clock.at = MORNING
    assert [one.kind for one in send(house, room)] == ["digest"]
    line.says("在吗")
    assert [one.kind for one in send(house, room)][:2] == ["card", "message"]


def test_p1_passes_the_night(house: House) -> None:
    bring(house, said(1, "起火了"))
    room = Room()
    send(house, room)
    assert room.said() == ["起火了"]


def test_what_becomes_p1_in_the_night_is_told_at_once_and_not_again_in_the_morning(
    house: House,
) -> None:
    line, room = Line(house), Room()
    line.says("充电很慢")
    assert send(house, room) == []
    house.clock.on(minutes=3)
    line.says("起火了！")
    house.clock.on(seconds=3)
    told = send(house, room)
    assert [one.kind for one in told][:2] == ["card", "message"]
    assert told[0].card is not None and told[0].card.latest.text == "起火了！"
    house.clock.at = MORNING
    assert [one.kind for one in send(house, room) if one.kind == "digest"] == []
    assert "held" not in {state for _, state, _ in rows(house)}


def test_what_was_answered_in_the_night_is_not_told_in_the_morning(house: House) -> None:
    line, room = Line(house), Room()
    line.says("还没发货")
    send(house, room)
    house.clock.on(minutes=3)
    line.answers("已经发出")
    send(house, room)
    house.clock.at = MORNING
    assert send(house, room) == []
    assert ("card", "skipped", "held by quiet:night; answered meanwhile") in rows(house)
    assert "held" not in {state for _, state, _ in rows(house)}


def test_the_card_that_is_there_is_kept_up_to_date_in_the_night_and_the_thread_waits(
    house: House,
) -> None:
    house.clock.at = EVENING - timedelta(hours=1, minutes=5)
    line, room = Line(house), Room()
    line.says("还没发货")
    assert [one.kind for one in send(house, room)] == ["card"]
    house.clock.at = EVENING
    line.says("在吗")
    house.clock.on(seconds=3)
    [edit] = send(house, room)
    assert (edit.kind, edit.earlier is not None) == ("card", True)
    house.clock.at = MORNING
    assert "digest" in [one.kind for one in send(house, room)]


def test_a_step_of_the_ladder_waits_for_the_morning_too(house: House) -> None:
    line, room = Line(house), Room()
    line.says("还没发货")
    escalation = Escalation(
        db=house.db,
        leases=house.leases,
        now=house.clock,
        told=house._told,
        metrics=house.metrics,
        rules=lambda: house.rules,
        destinations=("social", "ops"),
        ops=house.ops,
    )
    house.clock.on(minutes=6)
    escalation.tick()
    assert send(house, room) == []
    house.clock.at = MORNING
    assert [one.kind for one in send(house, room)] == ["digest"]


def test_rules_without_the_interval_let_everything_go_at_once(house: House) -> None:
    bring(house, said(1, "还没发货"))
    room = Room()
    assert send(house, room) == []
    house.rules = load_texts(RULE_FILES)
    assert [one.kind for one in send(house, room)] == ["digest"]


# --- silences -----------------------------------------------------------------------------------


def test_a_silence_holds_p1_too_and_its_end_is_one_digest(house: House) -> None:
    house.clock.at = NOW
    id = silence(house)
    bring(house, said(1, "起火了"), said(2, "还没发货"))
    room = Room()
    assert send(house, room) == []
    assert rows(house)[0][2] == (
        f"silence {id} by 李雷 until 2026-03-04 12:00 Asia/Shanghai: 系统升级"
    )
    house.clock.on(hours=2)
    [digest] = send(house, room)
    assert [card.latest.text for card in digest.digest] == ["起火了", "还没发货"]


def test_a_silence_that_is_ended_early_tells_at_the_next_turn(house: House) -> None:
    house.clock.at = NOW
    id = silence(house)
    bring(house, said(1))
    room = Room()
    send(house, room)
    house.clock.on(minutes=1)
    ended = [
        house.db.write(lambda conn: expire_silence(conn, id, by="韩梅", now=house.clock()))
        for _ in range(2)
    ]
    assert ended == [True, False]
    assert [one.kind for one in send(house, room)] == ["digest"]


def test_a_silence_at_an_interval_holds_again_and_again(house: House) -> None:
    house.rules = load_texts({**RULE_FILES, "targets.yaml": NIGHT.sources["targets.yaml"]})
    silence(house, interval="night", until=None)
    room = Room()
    for day in range(2):
        house.clock.at = EVENING + timedelta(days=day)
        bring(house, said(10 + day, "夜里"))
        assert send(house, room) == []
        house.clock.at = MORNING + timedelta(days=day)
        assert [one.kind for one in send(house, room)] == ["digest"]
        bring(house, said(20 + day, "白天"))
        assert [one.kind for one in send(house, room)] == ["card"]


def test_a_silence_of_others_holds_nothing(house: House) -> None:
    house.clock.at = NOW
    silence(house, matchers={"platform": ("weibo",)})
    bring(house, said(1))
    assert len(send(house, Room())) == 1


@pytest.mark.parametrize(
    ("matchers", "held"),
    [
        ({}, False),
        ({"platform": ("weibo", "x")}, True),
        ({"platform": ("x",)}, False),
        ({"label": ("退款",), "priority": ("p2",)}, True),
        ({"label": ("退款",), "priority": ("P1",)}, False),
        ({"author": ("张三",)}, True),
        ({"author": ("李四",)}, False),
        ({"kind": ("direct",), "route": ("all",)}, True),
        ({"conversation": ("7",)}, True),
        ({"account": ("another",)}, False),
    ],
)
def test_every_matcher_must_fit_and_of_its_values_any(
    matchers: Mapping[str, tuple[str, ...]], held: bool
) -> None:
    one = conversation(
        7, said(1), platform="weibo", labels=("退款", "spam"), priority=Priority.P2, routes=("all",)
    )
    assert fits(matchers, About(one, Author("u1", "张三"))) is held


# --- already told -------------------------------------------------------------------------------


def test_a_step_that_was_answered_while_the_room_was_away_is_not_told(house: House) -> None:
    house.clock.at = NOW
    line = Line(house)
    line.says("还没发货")
    room = Room()
    send(house, room)
    escalation = Escalation(
        db=house.db,
        leases=house.leases,
        now=house.clock,
        told=house._told,
        metrics=house.metrics,
        rules=lambda: house.rules,
        destinations=("social", "ops"),
        ops=house.ops,
    )
    house.clock.on(minutes=6)
    escalation.tick()
    line.answers("已经发出")
    house.clock.on(seconds=3)
    assert "escalation" not in [one.kind for one in send(house, room)]
    assert ("escalation", "skipped", "answered meanwhile") in rows(house)


# --- the end of an interval ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "at", "end"),
    [
        ("Asia/Shanghai", "2026-03-04T23:30", "2026-03-05T02:30"),
        ("Asia/Shanghai", "2026-03-05T00:00", "2026-03-05T02:30"),
        # 02:30 does not exist: it ends when the clock jumps from 02:00 to 03:00.
        ("Europe/Berlin", "2026-03-28T23:00", "2026-03-29T03:00"),
        ("Europe/Berlin", "2026-10-24T23:00", "2026-10-25T02:30"),
    ],
)
def test_the_end_of_a_night_is_known_also_when_the_clocks_change(
    zone: str, at: str, end: str
) -> None:
    place = ZoneInfo(zone)
    night = Interval("night", place, frozenset(range(7)), 22 * 60, 2 * 60 + 30)
    begin = datetime.fromisoformat(at).replace(tzinfo=place).astimezone(UTC)
    until = night.until(begin)
    assert until is not None
    assert until.astimezone(place).strftime("%Y-%m-%dT%H:%M") == end


def test_an_interval_that_covers_the_week_has_no_end() -> None:
    always = Interval("always", ZoneInfo("UTC"), frozenset(range(7)), 0, 0)
    assert always.until(NOW) is None


def test_a_person_who_closes_a_conversation_in_the_night_leaves_nothing_for_the_morning(
    house: House,
) -> None:
    bring(house, said(1, "还没发货"))
    room = Room()
    send(house, room)
    about = int(house.deliveries()[0]["conversation_id"])
    act_on(
        about,
        Asked(What.CLOSE, "李雷", "command"),
        db=house.db,
        rules=lambda: house.rules,
        backfill=lambda _: Backfill.SILENT,
        now=house.clock,
        told=house._told,
    )
    house.clock.at = MORNING
    assert send(house, room) == []
    assert "held by quiet:night; closed meanwhile" in {why for *_, why in rows(house)}
