"""Small values of one account that outlive a poll and are shared by replicas."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, update

from storage.engine import Database
from storage.schema import keep
from storage.sealed import Seal, secret
from storage.sql import bulk_insert


def get(connection: Connection, account: str, key: str) -> str | None:
    statement = select(keep.c.value).where(keep.c.account == account, keep.c.key == key)
    return connection.execute(statement).scalar()


def swap(connection: Connection, account: str, key: str, old: str | None, new: str | None) -> bool:
    """Compare-and-swap: True if the value was `old` (None: absent) and is now `new` (None: removed)."""
    this = (keep.c.account == account) & (keep.c.key == key)
    if old is not None:
        same = this & (keep.c.value == old)
        change = (
            delete(keep).where(same) if new is None else update(keep).where(same).values(value=new)
        )
        return connection.execute(change).rowcount == 1
    if new is None:
        return get(connection, account, key) is None
    return bulk_insert(connection, keep, [(account, key, new)], unless="account, key") == 1


class AccountKeep:
    """The `Keep` of one account (connectors/base.py). Raises Unavailable where the database does not answer.

    What is kept under `token`, or a key that begins so, is sealed: without a key it is not stored, with
    another one not read; both raise Unauthorized with the remedy.
    """

    def __init__(self, db: Database, account: str, seal: Seal | None = None) -> None:
        self._db = db
        self._account = account
        self._seal = seal or Seal(())

    def get(self, key: str) -> str | None:
        with self._db.read() as connection:
            return self._opened(key, get(connection, self._account, key))

    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        shut = new
        if new is not None and secret(key):
            shut = self._seal.close(new, self._about(key))

        def unit(connection: Connection) -> bool:
            before = old
            if old is not None and secret(key):
                # The same words are sealed differently each time: compare what is in them.
                before = get(connection, self._account, key)
                if before is None or self._opened(key, before) != old:
                    return False
            return swap(connection, self._account, key, before, shut)

        return self._db.write(unit)

    def forget(self, key: str) -> None:
        """Remove a value, readable or not."""
        this = (keep.c.account == self._account) & (keep.c.key == key)
        self._db.write(lambda connection: connection.execute(delete(keep).where(this)))

    def _opened(self, key: str, stored: str | None) -> str | None:
        if stored is None or not secret(key):
            return stored
        return self._seal.open(stored, self._about(key))

    def _about(self, key: str) -> str:
        return f"{self._account}/{key}"
