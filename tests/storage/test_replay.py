"""Stored messages read back page by page, on both databases, without a write."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from aggregator.errors import SettingsError
from aggregator.model import Correction, Direction, Priority, StoredMessage
from storage import replay
from storage.corrections import correct
from storage.engine import Database
from storage.message_rows import message_row
from storage.migrate import HEAD
from storage.replay import looking
from storage.rules import save_version
from storage.schema import message as message_table
from storage.sql import bulk_insert
from tests.conftest import NOW
from tests.storage.make import ACCOUNT, message, verdict

LONG_AGO = NOW - timedelta(days=400)


def stored(id: int, **more: object) -> StoredMessage:
    given = StoredMessage(id, ACCOUNT, message(id), NOW, None, None, verdict(), "r1")
    return replace(given, **more)  # type: ignore[arg-type]


def fill(db: Database, *rows: StoredMessage) -> None:
    db.write(lambda conn: bulk_insert(conn, message_table, [message_row(one) for one in rows]))


def ids(db: Database, since: object = LONG_AGO) -> list[list[int]]:
    with looking(db.url.render_as_string(hide_password=False)) as store:
        pages = [[one.id for one in page] for page in store.judged(since)]  # type: ignore[arg-type]
        assert store.count(since) == sum(map(len, pages))  # type: ignore[arg-type]
    return pages


def test_pages_hold_every_judged_message_once_oldest_first(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "PAGE", 3)
    fill(db, *(stored(at) for at in range(1, 8)))
    assert ids(db) == [[1, 2, 3], [4, 5, 6], [7]]
    assert ids(db, NOW + timedelta(seconds=1)) == []


def test_ours_unjudged_withdrawn_and_older_ones_are_left_out(db: Database) -> None:
    fill(
        db,
        stored(1, received_at=NOW - timedelta(days=8)),
        stored(2, message=message(2, direction=Direction.OUTBOUND)),
        stored(3, verdict=None),
        stored(4, message=message(4, deleted_at=NOW)),
        stored(5),
    )
    assert ids(db, NOW - timedelta(days=7)) == [[5]]


def test_what_was_judged_and_said_comes_back_as_it_was(db: Database) -> None:
    fill(db, stored(1), stored(2, message=message(2, author=None, text=None, quoted=None)))
    given = Correction(9, 1, NOW, "小王", priority=Priority.P1)
    db.write(lambda conn: correct(conn, given))
    db.write(lambda conn: save_version(conn, "r1", {"a.yaml": "schema: 1\n"}, NOW))
    with looking(db.url.render_as_string(hide_password=False)) as store:
        ((first, second),) = store.judged(LONG_AGO)
        assert [one.id for one in store.latest(1)] == [2]
        assert [one.id for one in store.named([1, 77])] == [1]
        assert store.corrections() == {1: [given]}
        assert store.in_force() == ("r1", {"a.yaml": "schema: 1\n"})
    whole = message(1)
    assert (first.text, first.quoted, first.author, first.kind, first.lang) == (
        whole.text,
        whole.quoted,
        whole.author,
        whole.kind,
        whole.lang,
    )
    assert (first.sent_at, first.received_at, first.rules_version) == (whole.sent_at, NOW, "r1")
    said = verdict()
    assert (first.said.priority, first.said.tags, first.said.reasons, first.said.sentiment) == (
        said.priority,
        said.tags,
        said.reasons,
        said.sentiment,
    )
    assert (second.author, second.text) == (None, None)


def test_a_store_of_another_schema_is_refused(db: Database) -> None:
    db.write(lambda conn: conn.execute(text("UPDATE alembic_version SET version_num = '0001'")))
    url = db.url.render_as_string(hide_password=False)
    with pytest.raises(SettingsError, match="its schema is 0001"), looking(url):
        pass
    db.write(lambda conn: conn.execute(text(f"UPDATE alembic_version SET version_num = '{HEAD}'")))
