"""History is read in a lane of its own: never before what is new, and never again once it is done."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from aggregator.errors import RateLimited, Rejected, Unavailable
from aggregator.model import Backfill, Page
from storage import history
from storage.engine import Database
from tests.conftest import NOW
from tests.fakes import FakeConnector, House, Step, said


class Remembers(FakeConnector):
    """Has history too; `read` is what it was asked for, in order."""

    def __init__(self, past: dict[str, list[Step]], **steps: Any) -> None:
        super().__init__(**steps)
        self.past = {stream: deque(past.get(stream, [])) for stream in steps}

    def backfill(self, stream: str, cursor: str | None) -> Page:
        self.asked.append((f"{stream}#", cursor))
        step = self.past[stream].popleft()
        if isinstance(step, Exception):
            raise step
        return step() if callable(step) else step


@pytest.fixture
def house(db: Database) -> Iterator[House]:
    house = House(db)
    yield house
    house.end()


def old(number: int, days: float, text: str = "去年买的，很好用") -> Any:
    return said(number, text, sent_at=NOW - timedelta(days=days))


def lanes(house: House) -> list[dict[str, Any]]:
    with house.db.read() as conn:
        [account] = history.status_rows(conn, NOW)["accounts"]
    found: list[dict[str, Any]] = account["backfill"]
    return found


def test_history_is_read_a_page_a_tick_until_it_ends_and_never_again(house: House) -> None:
    past: list[Step] = [Page((old(2, 1),), "p1", more=True), Page((old(3, 9), old(4, 20)), "p2")]
    connector = Remembers({"messages": past}, messages=[Page((said(1),), "1")])
    poller = house.poller(connector)
    for _ in range(5):
        poller.tick()
        house.clock.on(seconds=5)
    assert connector.asked == [("messages", None), ("messages#", None), ("messages#", "p1")]
    assert len(house.texts()) == 4
    [lane] = lanes(house)
    assert (lane["stream"], lane["messages"]) == ("messages", 3)
    assert lane["oldest_at"] == "2026-02-12T02:00:00.000Z"
    assert lane["done_at"] is not None
    again = Remembers({}, messages=[])
    house.poller(again).tick()
    assert [one for one in again.asked if one[0] == "messages#"] == []


def test_nobody_is_told_of_silent_history(house: House) -> None:
    connector = Remembers({"messages": [Page((old(2, 1, "起火了"),), "p")]}, messages=[])
    house.poller(connector).tick()
    assert house.texts() == ["起火了"]
    assert house.deliveries() == []


def test_an_account_that_skips_history_has_none_read(house: House) -> None:
    connector = Remembers({"messages": [Page((old(2, 1),), "p")]}, messages=[])
    house.poller(connector, backfill=Backfill.SKIP).tick()
    assert connector.asked == [("messages", None)]


def test_what_is_new_comes_first_while_a_page_of_it_is_left(house: House) -> None:
    new = [Page((said(n),), str(n), more=True) for n in range(1, 60)]
    connector = Remembers({"messages": [Page((), "p")]}, messages=new)
    poller = house.poller(connector)
    poller.tick()
    assert ("messages#", None) not in connector.asked
    poller.tick()
    assert connector.asked[-1] == ("messages#", None)
    assert connector.asked[-2][0] == "messages"


def test_a_lane_that_has_to_wait_leaves_its_stream_and_the_other_lanes_alone(house: House) -> None:
    past: dict[str, list[Step]] = {
        "messages": [RateLimited("额度已用完", retry_after_s=600), Page((), "p")],
        "comments": [Page((old(2, 1),), "p")],
    }
    connector = Remembers(past, messages=[], comments=[])
    poller = house.poller(connector)
    poller.tick()
    poller.tick()
    house.clock.on(seconds=60)
    poller.tick()
    assert [one for one, _ in connector.asked] == [
        *("messages", "comments", "messages#", "comments#"),
        *("messages", "comments"),
    ]
    house.clock.on(seconds=600)
    poller.tick()
    assert connector.asked[-1][0] == "messages#"


def test_a_lane_waits_while_its_own_stream_is_refused(house: House) -> None:
    connector = Remembers({"messages": [Page((), "p")]}, messages=[Unavailable("502")])
    poller = house.poller(connector)
    poller.tick()
    assert connector.asked == [("messages", None)]


def test_history_that_a_platform_refuses_is_told_once_and_stops_nothing(house: House) -> None:
    past: list[Step] = [Rejected("不允许读取历史")]
    connector = Remembers({"messages": past}, messages=[Page((), "0"), Page((said(1),), "1")])
    poller = house.poller(connector)
    poller.tick()
    house.clock.on(seconds=60)
    poller.tick()
    assert len(house.texts()) == 1
    assert ["不允许读取历史" in one for one in house.ops_said()] == [True]
