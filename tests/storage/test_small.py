"""Ids, pushes, the keep of an account, rule versions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from aggregator.model import Author
from connectors.base import Keep
from storage import message_rows
from storage.engine import Database
from storage.ids import ZERO, Ids
from storage.keep import AccountKeep
from storage.pushes import count_pushes, pushes, store_pushes
from storage.rules import (
    Held,
    approve,
    approved,
    held,
    hold,
    in_force,
    last_good,
    release,
    save_version,
    version_sources,
)
from tests.conftest import NOW
from tests.storage.make import at, message


def test_ids_grow_though_the_clock_steps_back() -> None:
    times = iter([NOW, NOW - timedelta(hours=1), NOW, NOW + timedelta(milliseconds=1)])
    ids = Ids(lambda: next(times), replica=7)
    made = [ids() for _ in range(4)]
    assert made == sorted(set(made))
    assert {(id >> 12) & 1023 for id in made} == {7}


def test_more_ids_than_fit_a_millisecond_stay_different() -> None:
    ids = Ids(lambda: NOW)
    made = [ids() for _ in range(10_000)]
    assert made == sorted(set(made))


def test_an_id_fits_63_bits_until_2089() -> None:
    last = ZERO + timedelta(days=69 * 365)
    assert Ids(lambda: last, replica=1023)() < 2**63
    assert Ids(lambda: ZERO - timedelta(days=1))() >= 0


def test_threads_never_get_the_same_id() -> None:
    ids = Ids(lambda: NOW)
    made: list[list[int]] = [[] for _ in range(4)]

    def run(number: int) -> None:
        made[number] = [ids() for _ in range(5000)]

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id for some in made for id in some}) == 20_000


def test_a_push_that_is_repeated_waits_once(db: Database) -> None:
    def store(*bodies: bytes, account: str = "wechat", stream: str = "messages") -> int:
        return db.write(
            lambda conn: store_pushes(conn, account, stream, bodies, NOW, new_id=db.new_id)
        )

    assert store("<xml>你好</xml>".encode(), b"\x00\xff") == 2
    assert store("<xml>你好</xml>".encode(), b"b", b"b") == 1
    assert store("<xml>你好</xml>".encode(), account="other") == 1
    assert store("<xml>你好</xml>".encode(), stream="events") == 1
    with db.read() as conn:
        waiting = pushes(conn, "wechat", "messages", 10)
        assert [one.body for one in waiting] == ["<xml>你好</xml>".encode(), b"\x00\xff", b"b"]
        assert [one.body for one in pushes(conn, "wechat", "messages", 1)] == [waiting[0].body]
        assert waiting[0].received_at == NOW
        assert count_pushes(conn) == {"wechat": 4, "other": 1}


def test_a_keep_swaps_only_what_it_expects(db: Database) -> None:
    keep: Keep = AccountKeep(db, "wechat")
    assert keep.get("令牌") is None
    assert keep.swap("令牌", None, None)
    assert not keep.swap("令牌", "x", "y")
    assert keep.swap("令牌", None, "一")
    assert not keep.swap("令牌", None, "二")
    assert not keep.swap("令牌", None, None)
    assert not keep.swap("令牌", "二", "三")
    assert keep.swap("令牌", "一", "二")
    assert keep.get("令牌") == "二"
    assert AccountKeep(db, "other").get("令牌") is None
    assert not keep.swap("令牌", "一", None)
    assert keep.swap("令牌", "二", None)
    assert keep.get("令牌") is None


def test_of_two_that_swap_the_same_value_one_wins(db_url: str, now: Callable[[], datetime]) -> None:
    databases = [Database.open(db_url, now=now) for _ in range(2)]
    AccountKeep(databases[0], "wechat").swap("sync", None, "old")
    start = threading.Barrier(2)
    won: list[bool] = []

    def run(number: int) -> None:
        start.wait(10)
        won.append(AccountKeep(databases[number], "wechat").swap("sync", "old", f"new{number}"))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(won) == [False, True]
    for db in databases:
        db.close()


def test_the_last_good_rules_are_those_in_force_last(db: Database) -> None:
    with db.read() as conn:
        assert last_good(conn) == {}
    first = {"10-safety.yaml": "rules: [起火]\n", "routes.yaml": "routes: []\n"}
    second = {"routes.yaml": "routes: [a]\n"}
    for seconds, (version, sources) in enumerate([("r1", first), ("r2", second), ("r2", second)]):
        db.write(lambda conn, v=version, s=sources, t=seconds: save_version(conn, v, s, at(t)))
    with db.read() as conn:
        assert last_good(conn) == second
        assert version_sources(conn, "r1") == first
        assert version_sources(conn, "r3") is None


def test_rules_that_wait_are_noted_until_they_are_released(db: Database) -> None:
    with db.read() as conn:
        assert (held(conn), approved(conn), in_force(conn)) == (None, None, None)
    db.write(lambda conn: hold(conn, "r1", "太多消息会变", at(1)))
    db.write(lambda conn: hold(conn, "r2", "12 of 100\x00", at(2)))
    db.write(lambda conn: approve(conn, "r2"))
    with db.read() as conn:
        assert held(conn) == Held("r2", at(2), "12 of 100\ufffd")
        assert approved(conn) == "r2"
    db.write(release)
    for seconds, version in enumerate(("r1", "r2", "r1")):
        db.write(lambda conn, v=version, t=seconds: save_version(conn, v, {}, at(t)))
    with db.read() as conn:
        assert (held(conn), in_force(conn)) == (None, "r1")


@pytest.mark.parametrize("author", [None, Author(), Author(name="无名")])
def test_an_author_of_whom_nothing_is_known_is_none(author: Author | None) -> None:
    from aggregator.model import StoredMessage
    from storage.schema import message as table

    stored = StoredMessage(1, "a", message(1, author=author), NOW, None, None, None, None)
    row = message_rows.message_row(stored)
    assert len(row) == len(table.columns)
