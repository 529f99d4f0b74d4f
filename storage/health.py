"""How an account is: who we are there, its token's end, what is left, and whether it is silent when it never is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, case, func, select, update

from aggregator.model import Delivery, Direction, Identity, Quota
from storage.enqueue import enqueue
from storage.leases import Fence, check
from storage.schema import account, checkup, message, stream
from storage.sql import bulk_insert, clean, dumps, from_ms, opt_ms, opt_time, rfc3339, to_ms

HOUR_MS = 3_600_000

# The platform's time, clamped as message_rows.clamped does it.
_AT = case(
    (message.c.sent_at < message.c.received_at, message.c.sent_at), else_=message.c.received_at
)


@dataclass(frozen=True, slots=True)
class AccountHealth:
    name: str
    first_poll_at: datetime
    checked_at: datetime | None
    token_expires_at: datetime | None
    token_warned: int | None
    silent_since: datetime | None
    tried_at: datetime | None  # when it was last checked, answered or not
    reads: bool  # no stream of it is in trouble


def account_health(connection: Connection, name: str) -> AccountHealth | None:
    """None before the account's first poll."""
    row = connection.execute(select(account).where(account.c.name == name)).one_or_none()
    if row is None:
        return None
    tried = select(checkup.c.tried_at).where(checkup.c.account == name)
    failing = select(func.count()).where(stream.c.account == name, stream.c.failures > 0)
    return AccountHealth(
        name=name,
        first_poll_at=from_ms(row.first_poll_at),
        checked_at=opt_time(row.checked_at),
        token_expires_at=opt_time(row.token_expires_at),
        token_warned=row.token_warned,
        silent_since=opt_time(row.silent_since),
        tried_at=opt_time(connection.execute(tried).scalar()),
        reads=connection.execute(failing).scalar_one() == 0,
    )


def checked(
    connection: Connection,
    name: str,
    identity: Identity,
    *,
    fence: Fence,
    now: datetime,
    warned: int | None,
    notice: Delivery | None,
) -> None:
    """What the platform said of us, and the row that tells of the token's end. Raises LeaseLost."""
    check(connection, fence)
    values: dict[str, Any] = {
        "checked_at": to_ms(now),
        "token_expires_at": opt_ms(identity.token_expires_at),
        "token_warned": warned,
    }
    connection.execute(update(account).where(account.c.name == name).values(values))
    told: dict[str, Any] = {
        "checked_at": to_ms(now),
        "tried_at": to_ms(now),
        "native_id": clean(identity.native_id),
        "name": None if identity.name is None else clean(identity.name),
        "streams": clean(dumps(dict(identity.streams))),
        "note": None if identity.note is None else clean(identity.note),
        "error": None,
    }
    if identity.quotas:
        told |= {"quotas": _quotas(identity.quotas), "quotas_at": to_ms(now)}
    _note(connection, name, told)
    enqueue(connection, [notice] if notice is not None else [])


def not_checked(
    connection: Connection, name: str, error: str, *, fence: Fence, now: datetime
) -> None:
    """That a check was not answered, and why; what the last one said stays. Raises LeaseLost."""
    check(connection, fence)
    _note(connection, name, {"tried_at": to_ms(now), "error": clean(error)})


def set_quotas(
    connection: Connection, name: str, quotas: Sequence[Quota], *, fence: Fence, now: datetime
) -> None:
    """What is left of what the platform counts. Raises LeaseLost."""
    check(connection, fence)
    _note(connection, name, {"quotas": _quotas(quotas), "quotas_at": to_ms(now)})


def _note(connection: Connection, name: str, values: dict[str, Any]) -> None:
    empty = (name, None, None, None, None, "{}", None, None, "[]", None)
    bulk_insert(connection, checkup, [empty], unless="account")
    connection.execute(update(checkup).where(checkup.c.account == name).values(values))


def _quotas(quotas: Sequence[Quota]) -> str:
    return clean(
        dumps(
            [
                {
                    "name": one.name,
                    "left": one.left,
                    "limit": one.limit,
                    "unit": one.unit,
                    "ends_at": None if one.ends_at is None else rfc3339(one.ends_at),
                }
                for one in quotas
            ]
        )
    )


def set_silence(
    connection: Connection,
    name: str,
    *,
    fence: Fence,
    since: datetime | None,
    notice: Delivery | None,
) -> None:
    """That the account is silent since then, or no longer, and the row that tells of it. Raises LeaseLost."""
    check(connection, fence)
    silent = update(account).where(account.c.name == name).values(silent_since=opt_ms(since))
    connection.execute(silent)
    enqueue(connection, [notice] if notice is not None else [])


def heard(
    connection: Connection, name: str, since: datetime
) -> Sequence[tuple[datetime, datetime]]:
    """The first and the last inbound message of each hour since then that had one, in order; no history."""
    hour = _AT // HOUR_MS
    statement: Select[Any] = (
        select(func.min(_AT), func.max(_AT))
        .where(
            message.c.received_at >= to_ms(since),
            message.c.account == name,
            message.c.direction == Direction.INBOUND,
            message.c.history == 0,
        )
        .group_by(hour)
        .order_by(func.min(_AT))
    )
    return [(from_ms(row[0]), from_ms(row[1])) for row in connection.execute(statement)]
