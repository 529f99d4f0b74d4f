"""How an account is: its token's end, and whether it is silent when it never is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, case, func, select, update

from aggregator.model import Delivery, Direction
from storage.enqueue import enqueue
from storage.leases import Fence, check
from storage.schema import account, message, stream
from storage.sql import from_ms, opt_ms, opt_time, to_ms

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
    reads: bool  # no stream of it is in trouble


def account_health(connection: Connection, name: str) -> AccountHealth | None:
    """None before the account's first poll."""
    row = connection.execute(select(account).where(account.c.name == name)).one_or_none()
    if row is None:
        return None
    failing = select(func.count()).where(stream.c.account == name, stream.c.failures > 0)
    return AccountHealth(
        name=name,
        first_poll_at=from_ms(row.first_poll_at),
        checked_at=opt_time(row.checked_at),
        token_expires_at=opt_time(row.token_expires_at),
        token_warned=row.token_warned,
        silent_since=opt_time(row.silent_since),
        reads=connection.execute(failing).scalar_one() == 0,
    )


def set_token(
    connection: Connection,
    name: str,
    *,
    fence: Fence,
    checked_at: datetime,
    expires_at: datetime | None,
    warned: int | None,
    notice: Delivery | None,
) -> None:
    """What the platform said of the token, and the row that tells of it. Raises LeaseLost."""
    check(connection, fence)
    values: dict[str, Any] = {
        "checked_at": to_ms(checked_at),
        "token_expires_at": opt_ms(expires_at),
        "token_warned": warned,
    }
    connection.execute(update(account).where(account.c.name == name).values(values))
    enqueue(connection, [notice] if notice is not None else [])


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
