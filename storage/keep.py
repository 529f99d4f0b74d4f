"""Small values of one account that outlive a poll and are shared by replicas."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, update

from storage.engine import Database
from storage.schema import keep
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
    """The `Keep` of one account (connectors/base.py). Raises Unavailable where the database does not answer."""

    def __init__(self, db: Database, account: str) -> None:
        self._db = db
        self._account = account

    def get(self, key: str) -> str | None:
        with self._db.read() as connection:
            return get(connection, self._account, key)

    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        return self._db.write(lambda connection: swap(connection, self._account, key, old, new))
