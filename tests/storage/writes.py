"""Stores pages as fast as it can, and prints a number after the commit that holds it. Killed by test_crash.py."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from storage.engine import Database
from tests.storage.make import commit, decision, fence, message


def main(url: str, start: int) -> None:
    db = Database.open(url, now=lambda: datetime.now(UTC))
    held = fence(db)
    for number in range(start, start + 1_000_000, 2):
        page = decision(db.new_id, message(number), message(number + 1))
        commit(db, held, page, page_cursor=str(number + 1))
        sys.stdout.write(f"{number + 1}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
