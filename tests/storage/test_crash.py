"""Killed at any moment, the store has what it acknowledged, and pages whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sqlalchemy import func, select

import storage
from storage.backup import check
from storage.engine import Database
from storage.outbox import claim
from storage.polls import streams
from storage.schema import clock, conversation, delivery, message
from tests.conftest import NOW
from tests.storage.make import ACCOUNT, fence

ROOT = Path(storage.__file__).parent.parent


def killed_after(url: str, start: int, lines: int) -> int:
    """The last number that a process acknowledged before it was killed."""
    command = [sys.executable, "-m", "tests.storage.writes", url, str(start)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        last = [int(process.stdout.readline()) for _ in range(lines)][-1]
        process.kill()
        rest = process.stdout.read().splitlines(keepends=True)  # said before it died
    return max([last, *(int(line) for line in rest if line.endswith("\n"))])


def test_a_killed_process_loses_nothing_that_it_acknowledged(db_url: str) -> None:
    start = 0
    for lines in (1, 7, 30):
        acknowledged = killed_after(db_url, start, lines)
        db = Database.open(db_url, now=lambda: NOW)
        with db.read() as conn:
            cursor = int(streams(conn, ACCOUNT)["comments"].cursor or -1)
            stored = [
                conn.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (message, conversation, clock, delivery)
            ]
        assert cursor >= acknowledged
        assert stored == [cursor + 1] * 4  # whole pages: the cursor never ran ahead of them
        assert check(db) == []
        db.close()
        start = cursor + 1


def test_what_a_killed_sender_had_in_hands_is_not_forgotten(db_url: str) -> None:
    killed_after(db_url, 0, 3)
    db = Database.open(db_url, now=lambda: NOW)
    first = fence(db, "destination:social", "甲")
    taken = db.write(lambda c: claim(c, fence=first, destination="social", now=NOW, limit=2))
    db.close()
    again = Database.open(db_url, now=lambda: NOW)
    held = fence(again, "destination:social", "甲")
    rows = again.write(lambda c: claim(c, fence=held, destination="social", now=NOW, limit=3))
    assert [(row.id, row.unsure) for row in rows[:2]] == [(row.id, True) for row in taken]
    assert not rows[2].unsure
    again.close()
