"""Whoever floods us with wrong signatures costs the check, a number in a metric and a line a minute."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from aggregator.errors import Rejected
from aggregator.metrics import Metrics
from aggregator.model import Accepted, Push
from aggregator.web.callbacks import MAX_REASONS, Callbacks
from aggregator.web.receiving import XML_LIMIT, receive_callback
from storage.engine import Database
from tests.conftest import NOW
from tests.fakes import Clock, PushedConnector
from tests.web.site import APP_SECRET, TOKEN, Site, accounts, direct, signed, words

TEXT = "充电宝到手就鼓包了，怎么退？"
WRONG = "别人的密钥"
JSON = {"content-type": "application/json"}


class Guarded:
    """A store that nobody may ask."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a wrong signature asked the store: {name}")


def callbacks(clock: Clock, connectors: Mapping[str, Any] | None = None) -> Callbacks:
    return Callbacks(
        connectors=accounts(clock) if connectors is None else connectors,
        db=Guarded(),  # type: ignore[arg-type]
        now=clock,
        wake=lambda _: None,
        metrics=Metrics("0"),
    )


def refuse(web: Callbacks, account: str, query: Mapping[str, str], body: bytes = b"{}") -> None:
    with suppress(Rejected):
        web.verified(account, "POST", query, JSON, body)
        raise AssertionError("it was let in")


@pytest.mark.parametrize("account", ["wechat_plain", "wechat_sealed", "wecom", "weibo"])
def test_a_wrong_signature_never_asks_the_store(account: str) -> None:
    refuse(callbacks(Clock()), account, signed(WRONG, NOW), words(TEXT, NOW).encode())


def test_a_flood_is_counted_and_leaves_the_store_as_it_was(door: Site) -> None:
    for number in range(50):
        query = signed(WRONG, NOW, f"n{number}")
        assert door.ask("POST", "/callbacks/weibo", query, body=direct(TEXT, NOW)).status == 401
    assert door.stored() == []
    assert door.woken == []
    counted = b'inboxd_callbacks_total{account="weibo",status="401"} 50.0'
    assert counted in door.metrics.text()
    right = door.ask("POST", "/callbacks/weibo", signed(APP_SECRET, NOW), body=direct(TEXT, NOW))
    assert right.status == 200
    assert len(door.stored()) == 1


def test_a_flood_is_one_line_a_minute_and_says_how_many_there_were() -> None:
    clock = Clock()
    web = callbacks(clock)
    with capture_logs() as lines:
        for number in range(500):
            refuse(web, "weibo", signed(WRONG, clock.at, f"n{number}"))
            refuse(web, "wechat_plain", signed(WRONG, clock.at, f"n{number}"))
        clock.on(seconds=61)
        for number in range(500):
            refuse(web, "weibo", signed(WRONG, clock.at, f"m{number}"))
    assert [(one["account"], one["status"], one["more"]) for one in lines] == [
        ("weibo", 401, 0),
        ("wechat_plain", 401, 0),
        ("weibo", 401, 499),
    ]


def test_what_is_remembered_of_a_flood_is_bounded() -> None:
    class Chatty(PushedConnector):
        number = 0

        def verify(self, request: Push) -> Accepted:
            self.number += 1
            raise Rejected(f"第 {self.number} 种理由", status=401)

    web = callbacks(Clock(), {"chatty": Chatty(messages=[])})
    with capture_logs():
        for _ in range(3 * MAX_REASONS):
            refuse(web, "chatty", {})
    assert len(web._refused) <= MAX_REASONS


# --- where it is checked --------------------------------------------------------------------------


class Where(PushedConnector):
    """Remembers in which thread it was asked."""

    def __init__(self) -> None:
        super().__init__(messages=[])
        self.threads: list[int] = []

    def verify(self, request: Push) -> Accepted:
        self.threads.append(threading.get_ident())
        raise Rejected("wrong signature", status=401)


@pytest.mark.parametrize(("size", "beside"), [(2_000, False), (XML_LIMIT + 1, True)])
def test_a_small_body_is_checked_at_once_and_a_large_one_beside_the_others(
    size: int, beside: bool
) -> None:
    where = Where()
    web = callbacks(Clock(), {"shop": where})
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"1" * size, "more_body": False}

    async def send(part: Any) -> None:
        sent.append(part)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/callbacks/shop",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    asyncio.run(receive_callback("shop", web, scope, receive, send))
    assert sent[0]["status"] == 401
    assert (where.threads[0] != threading.get_ident()) is beside


def test_many_names_in_a_query_are_refused_without_a_look_at_them(door: Site) -> None:
    query = "&".join(f"n{number}=1" for number in range(500))
    answer = door.ask("POST", "/callbacks/weibo", query, body=b"{}")
    assert answer.status == 400
    assert answer.text == "too many names in the query\n"


def test_a_commit_that_fails_is_no_answer_and_wakes_nobody(
    sqlite_template: Path, tmp_path: Path
) -> None:
    path = tmp_path / "gone.db"
    path.write_bytes(sqlite_template.read_bytes())
    db = Database.open(f"sqlite:///{path}", now=lambda: NOW)
    woken: list[str] = []
    web = Callbacks(
        connectors=accounts(lambda: NOW),
        db=db,
        now=lambda: NOW,
        wake=woken.append,
        metrics=Metrics("0"),
    )
    try:
        query, body = signed(TOKEN, NOW), words(TEXT, NOW).encode()
        accepted = web.verified("wechat_plain", "POST", query, {}, body)
        with db._writing.begin() as conn:
            conn.exec_driver_sql("DROP TABLE push")
        future = web.stored("wechat_plain", accepted)
        assert future is not None
        with pytest.raises(Exception, match="push"):
            future.result(20)
        assert woken == []
    finally:
        db.close()
