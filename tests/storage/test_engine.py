"""Opening a database, group commit, and what readers may do."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from aggregator.errors import SettingsError, Unavailable
from storage import connect
from storage.engine import Database
from storage.schema import keep
from storage.writer import MAX_WAITING

Now = Callable[[], datetime]


def put(key: str, value: str = "值") -> Callable[[Connection], str]:
    def unit(conn: Connection) -> str:
        conn.execute(insert(keep).values(account="weibo", key=key, value=value))
        return key

    return unit


def kept(db: Database) -> set[str]:
    with db.read() as conn:
        return set(conn.execute(select(keep.c.key)).scalars())


def fail(conn: Connection) -> None:
    put("half")(conn)
    raise ValueError("写坏了")


def hold(db: Database) -> tuple[threading.Event, threading.Event]:
    """Keep the writer busy until the second event is set; the first says that it is."""
    entered, go = threading.Event(), threading.Event()

    def unit(conn: Connection) -> None:
        entered.set()
        assert go.wait(10)

    db.submit(unit)
    assert entered.wait(10)
    return entered, go


def test_what_a_unit_returns_comes_back_after_its_commit(db: Database) -> None:
    assert db.write(put("键")) == "键"
    assert kept(db) == {"键"}


def test_a_bad_unit_takes_back_its_own_changes_and_nobody_elses(db: Database) -> None:
    _, go = hold(db)
    before, bad, after = db.submit(put("a")), db.submit(fail), db.submit(put("b"))
    go.set()
    assert (before.result(10), after.result(10)) == ("a", "b")
    with pytest.raises(ValueError, match="写坏了"):
        bad.result(10)
    assert kept(db) == {"a", "b"}


def test_a_bad_unit_that_comes_first_takes_back_its_changes(db: Database) -> None:
    with pytest.raises(ValueError, match="写坏了"):
        db.write(fail)
    assert kept(db) == set()
    assert db.healthy() is None


def test_a_constraint_that_fails_is_the_units_own(db: Database) -> None:
    _, go = hold(db)
    first, again, other = db.submit(put("a")), db.submit(put("a")), db.submit(put("b"))
    go.set()
    first.result(10)
    other.result(10)
    with pytest.raises(DBAPIError):
        again.result(10)
    assert kept(db) == {"a", "b"}


def test_units_that_wait_together_share_a_transaction(db: Database) -> None:
    _, go = hold(db)
    if db.dialect == "sqlite":
        ask = text("SELECT total_changes()")
    else:
        ask = text("SELECT pg_current_xact_id()::text")
    units = [db.submit(lambda conn: conn.execute(ask).scalar_one()) for _ in range(20)]
    go.set()
    assert len({unit.result(10) for unit in units}) < 5


def test_nobody_sees_a_unit_before_its_future_resolves(db: Database) -> None:
    inside, go = threading.Event(), threading.Event()

    def slow(conn: Connection) -> None:
        put("慢")(conn)
        inside.set()
        assert go.wait(10)

    future = db.submit(slow)
    assert inside.wait(10)
    assert not future.done()
    assert kept(db) == set()
    go.set()
    future.result(10)
    assert kept(db) == {"慢"}


def test_a_commit_that_fails_fails_all_its_units(db: Database) -> None:
    _, go = hold(db)

    def lose(conn: Connection) -> None:
        put("b")(conn)
        conn.connection.dbapi_connection.close()  # type: ignore[union-attr]

    first, lost = db.submit(put("a")), db.submit(lose)
    go.set()
    for future in (first, lost):
        with pytest.raises((Unavailable, DBAPIError)):
            future.result(10)
    assert db.healthy() is not None
    assert db.write(put("c")) == "c"  # a new connection is made
    assert db.healthy() is None
    assert kept(db) == {"c"}


def test_too_many_waiting_writes_are_refused(db: Database) -> None:
    _, go = hold(db)
    for _ in range(MAX_WAITING):
        db.submit(lambda conn: None)
    with pytest.raises(Unavailable, match="behind"):
        db.submit(lambda conn: None)
    go.set()


def test_closing_commits_what_waits(db_url: str, now: Now) -> None:
    db = Database.open(db_url, now=now)
    futures = [db.submit(put(str(number))) for number in range(50)]
    db.close()
    assert all(future.done() for future in futures)
    with pytest.raises(Unavailable, match="closed"):
        db.submit(put("late"))
    again = Database.open(db_url, now=now)
    assert len(kept(again)) == 50
    again.close()


def test_a_unit_may_not_wait_for_another(db: Database) -> None:
    with pytest.raises(RuntimeError, match="may not wait"):
        db.write(lambda conn: db.write(put("a")))


def test_a_reader_cannot_write(db: Database) -> None:
    with pytest.raises((DBAPIError, Unavailable)), db.read() as conn:
        put("a")(conn)


def test_what_a_reader_sees_belongs_together(db: Database) -> None:
    with db.read() as conn:
        count = select(func.count()).select_from(keep)
        before = conn.execute(count).scalar()
        db.write(put("later"))
        assert conn.execute(count).scalar() == before


def test_a_cancelled_unit_is_not_run(db: Database) -> None:
    _, go = hold(db)
    future = db.submit(put("a"))
    assert future.cancel()
    go.set()
    db.write(put("b"))
    assert kept(db) == {"b"}


def test_a_live_database_is_refused_to_the_sandbox_and_the_other_way_round(
    empty_url: str, now: Now
) -> None:
    Database.open(empty_url, now=now, owner_mark="sandbox").close()
    with pytest.raises(SettingsError, match="holds sandbox data"):
        Database.open(empty_url, now=now)


def test_a_live_database_survives_a_sandbox_that_would_empty_it(db_url: str, now: Now) -> None:
    db = Database.open(db_url, now=now)
    db.write(put("真的"))
    with pytest.raises(SettingsError, match="holds live data"):
        Database.open(db_url, now=now, owner_mark="sandbox", fresh=True)
    assert kept(db) == {"真的"}
    db.close()


def test_a_sandbox_is_emptied_when_it_starts_afresh(empty_url: str, now: Now) -> None:
    first = Database.open(empty_url, now=now, owner_mark="sandbox", fresh=True)
    first.write(put("旧"))
    first.close()
    second = Database.open(empty_url, now=now, owner_mark="sandbox")
    assert kept(second) == {"旧"}
    second.close()
    third = Database.open(empty_url, now=now, owner_mark="sandbox", fresh=True)
    assert kept(third) == set()
    third.close()


def test_a_live_database_cannot_be_asked_to_be_emptied(db_url: str, now: Now) -> None:
    with pytest.raises(ValueError, match="sandbox"):
        Database.open(db_url, now=now, fresh=True)


def test_sqlite_keeps_what_it_acknowledged(tmp_path: Path, now: Now) -> None:
    db = Database.open(f"sqlite:///{tmp_path}/深/inboxd.db", now=now)

    def pragmas(conn: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "auto_vacuum", "busy_timeout")
        return [conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert db.write(pragmas) == ["wal", 2, 1, 2, 5000]
    db.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "not a database URL"),
        ("mysql://root@localhost/x", "mysql is not supported"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("postgresql://inboxd:geheim@127.0.0.1:1/x?connect_timeout=2", "cannot be opened"),
        ("postgresql:///x?host=/nowhere&user=u&password=geheim", "cannot be opened"),
    ],
)
def test_a_database_that_cannot_be_used_is_told_without_its_password(
    url: str, says: str, now: Now
) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        Database.open(url, now=now)
    assert "geheim" not in str(caught.value)


def test_a_folder_is_no_database(tmp_path: Path, now: Now) -> None:
    with pytest.raises(SettingsError, match="is a folder"):
        Database.open(f"sqlite:///{tmp_path}", now=now)


def test_a_file_of_another_kind_is_no_database(tmp_path: Path, now: Now) -> None:
    path = tmp_path / "信.db"
    path.write_text("亲爱的" * 1000)
    with pytest.raises(SettingsError, match="cannot be opened"):
        Database.open(f"sqlite:///{path}", now=now)


def test_a_parent_that_is_a_file_is_told(tmp_path: Path, now: Now) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(SettingsError, match="cannot be opened"):
        Database.open(f"sqlite:///{tmp_path}/data/inboxd.db", now=now)


def test_a_network_file_system_is_refused(
    tmp_path: Path, now: Now, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = connect.file_system(tmp_path)
    monkeypatch.setattr(connect, "NETWORK_FILE_SYSTEMS", {here: "NFS"})
    with pytest.raises(SettingsError, match="network file system"):
        Database.open(f"sqlite:///{tmp_path}/inboxd.db", now=now)


@pytest.mark.parametrize(
    ("version", "warned"),
    [
        ((3, 6, 23), False),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 0), False),
    ],
)
def test_a_library_with_the_wal_reset_bug_is_warned_of(
    version: tuple[int, int, int], warned: bool
) -> None:
    assert bool(connect.sqlite_warnings(version)) is warned


def test_the_warnings_come_with_the_database(db: Database) -> None:
    expected = connect.sqlite_warnings(sqlite3.sqlite_version_info[:3])
    assert list(db.warnings) == (expected if db.dialect == "sqlite" else [])


def test_closing_does_not_wait_for_ever(db_url: str, now: Now) -> None:
    db = Database.open(db_url, now=now)
    _, go = hold(db)
    waits = db.submit(put("a"))
    db.close(within_s=0.05)
    assert not waits.done()
    go.set()
    assert waits.result(10) == "a"
    db.close()


def test_a_second_process_on_the_same_file_waits_its_turn(tmp_path: Path, now: Now) -> None:
    url = f"sqlite:///{tmp_path}/inboxd.db"
    first, second = Database.open(url, now=now), Database.open(url, now=now)
    _, go = hold(first)
    waits = second.submit(put("二"))
    assert not waits.done()
    go.set()
    assert waits.result(10) == "二"
    assert kept(first) == {"二"}
    first.close()
    second.close()
