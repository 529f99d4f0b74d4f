"""`inboxd status` says who we are at each account, what is allowed, what is left, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from aggregator.errors import Unauthorized
from aggregator.health import Health
from aggregator.model import Identity, Quota
from aggregator.status import print_status, with_health
from storage import history
from storage.engine import Database
from tests.conftest import NOW
from tests.fakes import FakeConnector, House

TODAY = Quota("user", 37, 100, ends_at=NOW + timedelta(hours=14))
MONEY = Quota("budget", 3.256, 5.0, "USD")
SHARE = Quota("pages", 62, 100, "percent")


class Told(FakeConnector):
    """Says what it is told to say; `left` is what it knows of quotas."""

    identity = Identity(
        "5900000001",
        "露沐官方",
        {
            "mentions": "ok",
            "comments": "denied: 未授权 for this app",
            "webhook": "auth: sign in again",
        },
        token_expires_at=NOW + timedelta(days=9, hours=1),
        note="sandbox",
    )
    left: tuple[Quota, ...] = (TODAY, MONEY, SHARE)
    fails: Exception | None = None

    def check(self) -> Identity:
        if self.fails is not None:
            raise self.fails
        return self.identity

    def quotas(self) -> tuple[Quota, ...]:
        return self.left


@pytest.fixture
def house(db: Database) -> Iterator[House]:
    house = House(db)
    yield house
    house.end()


def looked_after(house: House, connector: Any) -> Health:
    house.poller(connector).tick()
    return Health(
        {"fake_acme": connector},
        db=house.db,
        leases=house.leases,
        ops=house.ops,
        now=house.clock,
        metrics=house.metrics,
    )


def account(house: House, *, staged: bool = False) -> dict[str, Any]:
    with house.db.read() as conn:
        rows = history.status_rows(conn, house.clock())
    state = with_health(
        rows,
        accounts={"fake_acme": ("fake", False)},
        destinations=(),
        now=house.clock(),
        staged=staged,
    )
    [found] = state["accounts"]
    assert isinstance(found, dict)
    return found


def printed(house: House) -> str:
    with house.db.read() as conn:
        rows = history.status_rows(conn, house.clock())
    state = with_health(
        rows, accounts={"fake_acme": ("fake", False)}, destinations=(), now=house.clock()
    )
    out = StringIO()
    with redirect_stdout(out):
        print_status(state, house.clock(), ZoneInfo("Asia/Shanghai"))
    return " ".join(out.getvalue().split())


def test_status_says_who_we_are_what_is_allowed_and_what_is_left(house: House) -> None:
    looked_after(house, Told(mentions=[], comments=[])).tick()
    house.clock.on(minutes=5)
    found = account(house)
    assert found["identity"] == {"native_id": "5900000001", "name": "露沐官方"}
    assert found["token_days_left"] == 9
    assert (found["checked_at"], found["check_error"]) == ("2026-03-04T02:00:00.000Z", None)
    assert {one["name"]: (one["allowed"], one["allowed_reason"]) for one in found["streams"]} == {
        "comments": ("denied", "未授权 for this app"),
        "mentions": ("ok", None),
        "webhook": ("auth", "sign in again"),
    }
    assert found["quotas"][0] == {
        "name": "user",
        "left": 37,
        "limit": 100,
        "unit": "calls",
        "ends_at": "2026-03-04T16:00:00.000Z",
    }
    assert "checkup" not in found


def test_a_person_reads_the_same(house: House) -> None:
    looked_after(house, Told(mentions=[], comments=[])).tick()
    house.clock.on(minutes=5)
    text = printed(house)
    assert "fake_acme: we are 露沐官方 (5900000001), checked 5 min ago; sandbox" in text
    assert "fake_acme: token: 9 days left" in text
    assert "left: user 37 of 100 calls until 2026-03-05 00:00" in text
    assert "budget 3.26 of 5 USD" in text
    assert "pages 62%" in text
    assert "denied: 未授权" in text


def test_a_check_that_is_refused_is_shown_beside_what_the_last_one_said(house: House) -> None:
    connector = Told(mentions=[])
    health = looked_after(house, connector)
    health.tick()
    connector.fails = Unauthorized("令牌已失效", remedy="inboxd auth fake_acme")
    house.clock.on(days=1)
    health.tick()
    found = account(house)
    assert found["check_error"] == "令牌已失效; inboxd auth fake_acme"
    assert found["identity"]["name"] == "露沐官方"
    assert "the last check was not answered: 令牌已失效" in printed(house)
    connector.fails = None
    house.clock.on(hours=1)
    health.tick()
    assert account(house)["check_error"] is None


def test_a_defect_in_one_accounts_check_keeps_no_other_from_being_checked(house: House) -> None:
    odd, well = Told(mentions=[]), Told(mentions=[])
    odd.fails = KeyError("张三")
    health = looked_after(house, odd)
    house.poller(well, account="other").tick()
    health._connectors = {"fake_acme": odd, "other": well}
    health.tick()
    with house.db.read() as conn:
        rows = {row["name"]: row for row in history.status_rows(conn, NOW)["accounts"]}
    assert rows["other"]["checkup"]["name"] == "露沐官方"
    assert rows["fake_acme"]["checkup"]["error"].startswith("a defect of inboxd: KeyError in")


def test_quotas_follow_the_calls_and_one_that_is_full_again_is_not_shown(house: House) -> None:
    connector = Told(mentions=[])
    health = looked_after(house, connector)
    health.tick()
    connector.left = (replace(TODAY, left=12),)
    house.clock.on(minutes=1)
    health.tick()
    [left] = account(house)["quotas"]
    assert left["left"] == 12
    house.clock.on(hours=15)
    assert account(house)["quotas"] == []


def test_quotas_that_do_not_change_are_not_written_again(house: House) -> None:
    health = looked_after(house, Told(mentions=[]))
    health.tick()
    house.clock.on(minutes=30)
    health.tick()
    assert account(house)["quotas_at"] == "2026-03-04T02:00:00.000Z"


def test_an_account_that_was_never_checked_says_so_by_nulls(house: House) -> None:
    house.poller(Told(mentions=[])).tick()
    found = account(house)
    assert (found["identity"], found["quotas"], found["token_days_left"]) == (None, [], None)
    assert [one["allowed"] for one in found["streams"]] == [None]


def test_a_process_that_is_started_again_and_again_does_not_ask_each_time(house: House) -> None:
    connector = FakeConnector(mentions=[])
    asked = []
    connector.check = lambda: asked.append(1) or Identity("me", None, {})  # type: ignore[method-assign,func-returns-value]
    for _ in range(5):
        looked_after(house, connector).tick()
        house.clock.on(minutes=2)
    assert len(asked) == 1
    house.clock.on(minutes=10)
    looked_after(house, connector).tick()
    assert len(asked) == 2
