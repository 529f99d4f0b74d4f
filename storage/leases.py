"""Exclusive work: one row names its owner and an epoch, and every write made under it is fenced by that epoch."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from storage.schema import lease
from storage.sql import db_now


class LeaseLost(Exception):
    """Another owner has the lease now; whatever was to be written under it must not be."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the lease {name} has another owner now")
        self.name = name


@dataclass(frozen=True, slots=True)
class Fence:
    """Proof of a lease. `epoch` grows by one each time the lease changes hands."""

    name: str
    owner: str
    epoch: int


def acquire(connection: Connection, name: str, owner: str, ttl_s: float) -> Fence | None:
    """Take the lease, or renew it where `owner` has it; None while another one's has not expired.

    Time is the database's own clock (on SQLite: this machine's), never the daemon's `now`.
    """
    now = db_now(connection)
    insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(lease)
    expires_at = now + literal(int(ttl_s * 1000), lease.c.epoch.type)
    ours = lease.c.owner == insert.excluded.owner
    statement = (
        insert.values(name=name, owner=owner, epoch=1, expires_at=expires_at, acquired_at=now)
        .on_conflict_do_update(
            index_elements=[lease.c.name],
            set_={
                "owner": insert.excluded.owner,
                "epoch": case((ours, lease.c.epoch), else_=lease.c.epoch + 1),
                "acquired_at": case((ours, lease.c.acquired_at), else_=now),
                "expires_at": expires_at,
            },
            where=ours | (lease.c.expires_at <= now),
        )
        .returning(lease.c.epoch)
    )
    epoch = connection.execute(statement).scalar()
    return None if epoch is None else Fence(name, owner, epoch)


def renew(connection: Connection, fence: Fence, ttl_s: float) -> None:
    """Keep the lease for `ttl_s` more. Raises LeaseLost."""
    expires_at = db_now(connection) + literal(int(ttl_s * 1000), lease.c.epoch.type)
    changed = connection.execute(update(lease).where(_held(fence)).values(expires_at=expires_at))
    if changed.rowcount != 1:
        raise LeaseLost(fence.name)


def release(connection: Connection, fence: Fence) -> None:
    """Give the lease back, so that another owner need not wait. The row stays, and so does its epoch."""
    connection.execute(update(lease).where(_held(fence)).values(expires_at=0))


def check(connection: Connection, fence: Fence) -> None:
    """Raise LeaseLost unless the lease is still ours, and keep it so until this transaction ends.

    Ours and expired is still ours: nobody else has written under it.
    """
    # SQLite has one writer at a time; PostgreSQL holds the row against another's `acquire`.
    given = {"name": fence.name, "owner": fence.owner, "epoch": fence.epoch}
    if connection.execute(_CHECK, given).scalar() is None:
        raise LeaseLost(fence.name)


_CHECK = (
    select(lease.c.epoch)
    .where(
        lease.c.name == bindparam("name"),
        lease.c.owner == bindparam("owner"),
        lease.c.epoch == bindparam("epoch"),
    )
    .with_for_update(read=True)
)


def _held(fence: Fence) -> ColumnElement[bool]:
    return and_(
        lease.c.name == fence.name,
        lease.c.owner == fence.owner,
        lease.c.epoch == fence.epoch,
    )
