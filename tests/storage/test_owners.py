"""A process that was killed leaves its leases to the next one at once, on one machine."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from storage.engine import Database
from storage.leases import acquire
from storage.owners import Owner

HOLD = """
import sys
from datetime import UTC, datetime
from storage.engine import Database
from storage.leases import acquire
from storage.owners import Owner
db = Database.open(sys.argv[1], now=lambda: datetime.now(UTC))
owner = Owner(db, "killed")
db.write(lambda conn: acquire(conn, "account:x", "killed", 3600))
print("held", flush=True)
sys.stdin.read()
"""


def now() -> datetime:
    return datetime(2026, 3, 4, tzinfo=UTC)


def test_the_leases_of_a_killed_process_are_free_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'inboxd.db'}"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        db = Database.open(url, now=now)
        early = Owner(db, "early")
        assert db.write(lambda conn: acquire(conn, "account:x", "early", 30)) is None
        holder.kill()
        holder.wait()
        late = Owner(db, "late")
        assert db.write(lambda conn: acquire(conn, "account:x", "late", 30)) is not None
        early.leave()
        late.leave()
        db.close()


def test_an_owner_that_left_leaves_no_file(tmp_path: Path) -> None:
    db = Database.open(f"sqlite:///{tmp_path / 'inboxd.db'}", now=now)
    Owner(db, "one").leave()
    assert list((tmp_path / "inboxd.db.owners").iterdir()) == []
    db.close()
