"""Which processes still use a SQLite file: each holds a lock that the kernel gives up when it dies.

A process that was killed cannot give its leases back. On one machine nobody need wait for them to run out:
whoever starts next sees that the lock is free. On PostgreSQL, where owners may be on other machines, the
leases' time decides.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from sqlalchemy import Connection, update

from storage.engine import Database
from storage.schema import lease


class Owner:
    """This process as an owner of leases, from now until it ends or `leave` is called."""

    def __init__(self, db: Database, name: str) -> None:
        self._file: IO[str] | None = None
        self._path: Path | None = None
        if db.dialect != "sqlite":
            return
        folder = Path(f"{db.url.database}.owners")
        folder.mkdir(exist_ok=True)
        _bury(db, folder)
        self._path = folder / name.replace("/", "_")
        # Locked before it has its name, so that nobody can find it free.
        unnamed = self._path.with_suffix(".new")
        self._file = unnamed.open("w", encoding="utf-8")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._file.write(name)
        self._file.flush()
        unnamed.rename(self._path)

    def leave(self) -> None:
        if self._file is not None and self._path is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()


def _bury(db: Database, folder: Path) -> None:
    """End the leases of owners that are no more."""
    for path in folder.iterdir():
        try:
            with path.open(encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                name = file.read()
                if name:
                    db.write(lambda connection, name=name: _end(connection, name))  # type: ignore[misc]
                path.unlink(missing_ok=True)
        except (BlockingIOError, FileNotFoundError):
            continue  # alive, or buried by another one just now


def _end(connection: Connection, owner: str) -> None:
    connection.execute(update(lease).where(lease.c.owner == owner).values(expires_at=0))
