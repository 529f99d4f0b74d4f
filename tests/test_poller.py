"""Reading an account: each stream's trouble is its own, nothing is lost, nobody is asked too often."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Direction, Page
from aggregator.poller import MAX_PAGES, PATIENCE
from aggregator.triage.ruleset import Ruleset
from aggregator.troubles import DENIED
from storage import history
from storage.engine import Database
from storage.leases import acquire
from storage.polls import Stream, streams
from storage.pushes import pushes, store_pushes
from tests.conftest import NOW
from tests.fakes import FakeConnector, House, PushedConnector, said


@pytest.fixture
def house(db: Database) -> Iterator[House]:
    made = House(db)
    yield made
    made.end()


def row(house: House, stream: str, account: str = "fake_acme") -> Stream:
    with house.db.read() as conn:
        return streams(conn, account)[stream]


def push(house: House, *bodies: bytes) -> None:
    house.db.write(
        lambda conn: store_pushes(
            conn, "fake_acme", "callback", bodies, house.clock(), new_id=house.db.new_id
        )
    )


def waiting(house: House) -> int:
    with house.db.read() as conn:
        return len(pushes(conn, "fake_acme", "callback", 100))


def test_pages_are_walked_until_there_are_no_more_each_from_the_cursor_before(house: House) -> None:
    pages = [Page((said(1),), "c1", more=True), Page((said(2),), "c2", more=True), Page((), "c3")]
    connector = FakeConnector(mentions=pages)
    house.poller(connector).tick()
    assert connector.asked == [("mentions", None), ("mentions", "c1"), ("mentions", "c2")]
    assert house.texts() == ["你好，还没发货"] * 2
    assert row(house, "mentions").cursor == "c3"


def test_a_defect_in_one_stream_does_not_stop_the_others(house: House) -> None:
    connector = FakeConnector(
        mentions=[ValueError("张三 says 起火")], comments=[Page((said(1),), "c1")]
    )
    house.poller(connector).tick()
    assert house.texts() == ["你好，还没发货"]
    error = row(house, "mentions").last_error or ""
    assert error.startswith("a defect of inboxd: ValueError in fakes.py:")
    assert "张三" not in error + "".join(house.ops_said())
    assert len(house.ops_said()) == 1


def test_a_refusal_pauses_only_its_stream_and_says_why(house: House) -> None:
    connector = FakeConnector(mentions=[Rejected("该接口未开放")], comments=[])
    poller = house.poller(connector)
    poller.tick()
    refused = row(house, "mentions")
    assert refused.last_error == "该接口未开放"
    assert refused.next_poll_at == NOW + DENIED
    house.clock.on(minutes=5)
    poller.tick()
    assert [stream for stream, _ in connector.asked] == ["mentions", "comments", "comments"]


def test_a_rate_limit_is_obeyed_by_this_process_and_by_the_next(house: House) -> None:
    connector = FakeConnector(mentions=[RateLimited("429", retry_after_s=900)])
    poller = house.poller(connector)
    poller.tick()
    poller.wake("mentions")
    house.clock.on(seconds=899)
    poller.tick()
    house.poller(connector).tick()
    assert len(connector.asked) == 1
    house.clock.on(seconds=1)
    poller.tick()
    assert len(connector.asked) == 2


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -5.0, 0.0, 1e300])
def test_a_rate_limit_of_any_length_is_neither_a_hot_loop_nor_for_ever(
    house: House, seconds: float
) -> None:
    poller = house.poller(FakeConnector(mentions=[RateLimited("429", retry_after_s=seconds)]))
    poller.tick()
    until = row(house, "mentions").paused_until
    assert until is not None
    assert timedelta(seconds=1) <= until - NOW <= timedelta(days=1)


def test_a_dead_token_is_told_once_and_once_more_when_it_is_over(house: House) -> None:
    dead = [Unauthorized("21332 invalid token", remedy="renew it") for _ in range(3)]
    poller = house.poller(FakeConnector(mentions=dead))
    for _ in range(6):
        poller.tick()
        house.clock.on(minutes=16)
    assert house.ops_said() == [
        "⚠️ fake_acme/mentions is not read: 21332 invalid token; renew it",
        "✅ fake_acme/mentions is read again",
    ]


def test_what_was_refused_is_asked_for_again_by_a_new_process(house: House) -> None:
    connector = FakeConnector(mentions=[Unauthorized("revoked", remedy="renew it")])
    house.poller(connector).tick()
    house.poller(connector).tick()  # the operator has put in a new token and started again
    assert len(connector.asked) == 2
    assert row(house, "mentions").failures == 0


def test_failures_are_tried_again_ever_later_and_a_wake_up_does_not_hurry_them(
    house: House,
) -> None:
    connector = FakeConnector(mentions=[Unavailable("502") for _ in range(100)])
    poller = house.poller(connector, every_s=1.0)
    for _ in range(600):
        poller.wake("mentions")
        poller.tick()
        house.clock.on(seconds=6)
    assert 5 <= len(connector.asked) <= 14


def test_a_stream_is_polled_every_so_often_and_not_every_second_time(house: House) -> None:
    connector = FakeConnector(mentions=[])
    poller = house.poller(connector, every_s=60.0)
    for _ in range(100):
        house.clock.on(milliseconds=3)  # a tick is never quite on time
        poller.tick()
        house.clock.on(seconds=5)
    assert len(connector.asked) == 9


def test_a_long_backlog_gives_the_others_their_turn_and_goes_on_at_once(house: House) -> None:
    endless = [Page((), f"c{number}", more=True) for number in range(MAX_PAGES + 5)]
    connector = FakeConnector(mentions=endless, comments=[Page((said(1),), None)])
    poller = house.poller(connector)
    poller.tick()
    assert house.texts() == ["你好，还没发货"]
    assert house.hurried == 1
    poller.tick()
    assert row(house, "mentions").cursor == f"c{MAX_PAGES + 4}"


def test_a_lost_lease_stops_writes_and_the_page_is_read_by_whoever_has_it(house: House) -> None:
    def while_another_takes_over() -> Page:
        house.clock.on(seconds=31)
        name = "account:fake_acme"
        house.db.write(lambda conn: _steal(conn, name))
        return Page((said(1),), "c1")

    connector = FakeConnector(
        mentions=[while_another_takes_over], comments=[Page((said(2),), None)]
    )
    poller = house.poller(connector)
    poller.tick()
    assert house.texts() == []
    poller.tick()
    assert [stream for stream, _ in connector.asked] == ["mentions"]


def _steal(conn: object, name: str) -> None:
    from sqlalchemy import text

    conn.execute(text("UPDATE lease SET expires_at = 0"))  # type: ignore[attr-defined]
    assert acquire(conn, name, "another", 30) is not None  # type: ignore[arg-type]


def test_a_failure_that_is_noted_after_the_lease_was_lost_changes_nothing(house: House) -> None:
    def fails_meanwhile() -> Page:
        house.db.write(lambda conn: _steal(conn, "account:fake_acme"))
        raise Rejected("never")

    poller = house.poller(FakeConnector(mentions=[fails_meanwhile]))
    poller.tick()
    with house.db.read() as conn:
        assert streams(conn, "fake_acme") == {}
    assert house.ops_said() == []


def test_callbacks_are_read_while_a_poll_hangs(house: House) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hangs() -> Page:
        asked.set()
        assert go_on.wait(20)
        return Page((said(2, "慢"),), "c1")

    poller = house.poller(PushedConnector(messages=[hangs]))
    slow = threading.Thread(target=poller.tick)
    slow.start()
    assert asked.wait(20)
    push(house, "快".encode())
    poller.drain()
    assert house.texts() == ["快"]
    go_on.set()
    slow.join(20)
    assert sorted(map(str, house.texts())) == ["快", "慢"]


def test_a_callback_that_only_says_come_has_its_stream_polled(house: House) -> None:
    connector = PushedConnector(messages=[Page((), "c0"), Page((said(1),), "c1")])
    poller = house.poller(connector)
    poller.tick()
    push(house, b"come")
    poller.drain()
    assert house.hurried == 1
    poller.tick()
    assert house.texts() == ["你好，还没发货"]


def test_a_body_that_a_defect_stumbles_over_is_set_aside_and_the_others_go_through(
    house: House,
) -> None:
    connector = PushedConnector()
    poller = house.poller(connector)
    push(house, "一".encode(), PushedConnector.poison, "二".encode())
    for _ in range(60):
        poller.drain()
        house.clock.on(seconds=1)
    assert sorted(map(str, house.texts())) == ["None", "一", "二"]
    assert waiting(house) == 0
    assert connector.reads <= PATIENCE + 4
    [unread] = [one for one in house.rows(history.messages) if one["text"] is None]
    assert unread["attachments"][0]["kind"] == "unknown"
    assert any("could not be read" in one for one in house.ops_said())
    assert "张三" not in "".join(house.ops_said())


def test_a_message_that_cannot_be_stored_is_kept_bare_and_the_page_goes_on(house: House) -> None:
    odd = replace(said(2, "怪"), sent_at=NOW.replace(tzinfo=None))
    page = Page((said(1, "前"), odd, said(3, "后")), "c9")
    connector = FakeConnector(mentions=[page] * 10, comments=[])
    poller = house.poller(connector, every_s=1.0)
    for _ in range(70):
        poller.tick()
        house.clock.on(seconds=1)
    assert sorted(map(str, house.texts())) == ["None", "前", "后"]
    assert row(house, "mentions").cursor == "c9"
    assert row(house, "mentions").failures == 0


def test_a_database_that_goes_away_loses_nothing_and_is_named_as_such(house: House) -> None:
    connector = FakeConnector(mentions=[Page((said(1),), "c1")])
    poller = house.poller(connector)
    house.leases.hold("account:fake_acme")
    house.db.close()
    with pytest.raises(Unavailable):
        poller.tick()
    assert connector.asked == []


def test_poll_now_tells_each_page_and_whether_all_could_be_read(house: House) -> None:
    connector = FakeConnector(mentions=[Page((said(1),), "c1")], comments=[Rejected("未开放")])
    found: list[tuple[str, int | None]] = []
    fine = house.poller(connector).poll_now(
        lambda stream, decision: found.append(
            (stream, len(decision.messages) if decision else None)
        )
    )
    assert not fine
    assert found == [("mentions", 1), ("comments", None)]


def test_after_a_stop_no_further_page_is_asked_for(house: House) -> None:
    connector = FakeConnector(mentions=[])
    poller = house.poller(connector)

    def stopped_meanwhile() -> Page:
        poller.stopping.set()
        return Page((said(1),), "c1", more=True)

    connector.steps["mentions"].append(stopped_meanwhile)
    poller.tick()
    assert len(connector.asked) == 1
    assert row(house, "mentions").cursor == "c1"
    assert poller.idle(0)


def test_an_answer_and_its_question_that_come_by_both_ways_at_once_find_each_other(
    house: House,
) -> None:
    answer = said(
        9, "抱歉", direction=Direction.OUTBOUND, author=None, person="在吗", native_id="a1"
    )
    poller = house.poller(PushedConnector(records=[Page((), "c0"), Page((answer,), "c1")]))
    poller.tick()
    draining: list[threading.Thread] = []

    def meanwhile() -> Ruleset:
        if not draining:  # the answer is being decided on: the question is not known yet
            push(house, "在吗".encode())
            draining.append(threading.Thread(target=poller.drain))
            draining[0].start()
            draining[0].join(0.3)
        return house.rules

    poller._storing = replace(poller._storing, rules=meanwhile)
    poller.wake("records")
    poller.tick()
    draining[0].join(20)
    assert sorted(map(str, house.texts())) == ["在吗", "抱歉"]


def test_a_pace_of_calls_a_second_is_kept_on_the_spot(house: House) -> None:
    pace = RateLimited("2 calls a second", retry_after_s=0.001)
    connector = FakeConnector(mentions=[pace, pace, Page((said(1),), "c1")])
    house.poller(connector).tick()
    assert house.texts() == ["你好，还没发货"]
    assert row(house, "mentions").failures == 0


def test_a_pace_that_never_comes_is_waited_for_a_few_times_and_then_put_off(house: House) -> None:
    connector = FakeConnector(
        mentions=[RateLimited("2 calls a second", retry_after_s=0.001) for _ in range(99)]
    )
    house.poller(connector).tick()
    assert 1 < len(connector.asked) < 20
    assert row(house, "mentions").failures == 1
