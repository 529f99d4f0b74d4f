"""The outbox: what is to be told, row by row, and what became of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    not_,
    select,
    update,
)

from aggregator.model import Delivery, DeliveryState, NoticeKind, Receipt
from storage import conversation_rows
from storage.cards import load_card, load_said
from storage.destinations import DestinationState, destination_state, note, pause
from storage.enqueue import enqueue, supersede
from storage.leases import Fence, check
from storage.rollup import rolled
from storage.schema import DEAD, PENDING, delivery
from storage.sql import among, clean, opt_time, to_ms

__all__ = [
    "DestinationState",
    "backlog",
    "claim",
    "destination_state",
    "enqueue",
    "finish",
    "list_deliveries",
    "load_card",
    "load_said",
    "next_due",
    "pause",
    "receipt",
    "retry",
]

Retry = tuple[int, datetime, str, bool]  # id, when, why, may have arrived all the same

_EARLIER = delivery.alias("earlier")
# Nothing of a conversation goes out before what came earlier, a waiting retry included.
_FIRST = not_(
    exists().where(
        _EARLIER.c.destination == delivery.c.destination,
        _EARLIER.c.conversation_id == delivery.c.conversation_id,
        _EARLIER.c.state == literal_column("'pending'"),
        _EARLIER.c.id < delivery.c.id,
    )
)
# Made once: each turn of a sender asks these.
_TO = delivery.c.destination == bindparam("destination")
_DUE = (
    select(delivery)
    .where(_TO, PENDING, delivery.c.due_at <= bindparam("now"), _FIRST)
    .order_by(delivery.c.priority, delivery.c.id)
    .limit(bindparam("limit"))
)
_NEXT_DUE = select(func.min(delivery.c.due_at)).where(_TO, PENDING, _FIRST)
_RECEIPT = (
    select(delivery.c.external_id, delivery.c.url)
    .where(
        delivery.c.conversation_id == bindparam("conversation_id"),
        _TO,
        delivery.c.kind == NoticeKind.CARD,
        delivery.c.state == DeliveryState.SENT,
        delivery.c.external_id.is_not(None),
    )
    .order_by(delivery.c.id.desc())
    .limit(1)
)


# --- sending ----------------------------------------------------------------------------------------------


def claim(
    connection: Connection,
    *,
    fence: Fence,
    destination: str,
    now: datetime,
    limit: int,
    more: NoticeKind | None = None,
) -> list[Delivery]:
    """Take what is due for `destination`: P1 first, then the oldest; of a conversation only its first row.

    The caller is the one sender of the destination and has nothing else in hands: a row that was claimed and
    not finished comes again with `unsure`, for its sender may have died after sending. `attempts` counts this
    one. `more`: only of that kind, and beside what the caller has in hands already. Empty while the destination
    is paused. Raises LeaseLost.
    """
    check(connection, fence)
    state = destination_state(connection, destination)
    if state is not None and state.paused_until is not None and state.paused_until > now:
        return []
    wanted = _DUE
    if more is not None:
        wanted = _DUE.where(delivery.c.kind == more, delivery.c.in_flight == 0)
    due = {"destination": destination, "now": to_ms(now), "limit": limit}
    rows = connection.execute(wanted, due).all()
    if not rows:
        return []
    _set(
        connection,
        among(delivery.c.id, [row.id for row in rows]),
        attempts=delivery.c.attempts + 1,
        unsure=case((delivery.c.in_flight == 1, 1), else_=delivery.c.unsure),
        in_flight=1,
    )
    return [
        replace(
            conversation_rows.delivery(row),
            attempts=row.attempts + 1,
            unsure=bool(row.unsure or row.in_flight),
        )
        for row in rows
    ]


def finish(
    connection: Connection,
    *,
    fence: Fence,
    now: datetime,
    sent: Sequence[tuple[int, Receipt]] = (),
    retry: Sequence[Retry] = (),
    put_back: Sequence[Retry] = (),
    dead: Sequence[tuple[int, str]] = (),
    skipped: Sequence[tuple[int, str]] = (),
) -> None:
    """Note what became of claimed rows. `put_back`: not tried after all, the attempt is not counted.

    Raises LeaseLost; what was sent is then found by the next holder, who looks before sending again.
    """
    check(connection, fence)
    pending = {"state": DeliveryState.PENDING, "sent_at": None}
    about = select(delivery.c.conversation_id).where(
        among(delivery.c.id, [id for id, _ in sent]),
        delivery.c.kind == NoticeKind.CARD,
        delivery.c.conversation_id.is_not(None),
    )
    with rolled(connection, cards=connection.execute(about).scalars().all() if sent else ()):
        _finish(
            connection,
            [
                {
                    "this": id,
                    "state": DeliveryState.SENT,
                    "sent_at": to_ms(now),
                    "external_id": clean(got.external_id),
                    "url": got.url,
                    "reason": None,
                    "unsure": 0,
                }
                for id, got in sent
            ],
        )
    for rows, counted in ((retry, 0), (put_back, 1)):
        _finish(
            connection,
            [
                {
                    "this": id,
                    **pending,
                    "due_at": to_ms(at),
                    "reason": clean(why),
                    "unsure": int(unsure),
                }
                for id, at, why, unsure in rows
            ],
            uncounted=counted,
        )
    for ended, ending in ((dead, DeliveryState.DEAD), (skipped, DeliveryState.SKIPPED)):
        _finish(
            connection,
            [{"this": id, "state": ending, "reason": clean(why)} for id, why in ended],
        )
    again = [id for id, *_ in (*retry, *put_back)]
    if again:
        about = select(delivery.c.conversation_id).where(
            among(delivery.c.id, again), delivery.c.kind == NoticeKind.CARD
        )
        ids = {id for id in connection.execute(about).scalars() if id is not None}
        supersede(connection, ids)
    if sent:
        note(connection, _to(connection, sent[0][0]), last_success_at=to_ms(now))
    elif retry or dead:
        id, why = (retry[0][0], retry[0][2]) if retry else dead[0]
        note(connection, _to(connection, id), last_error=clean(why))


def next_due(connection: Connection, destination: str) -> datetime | None:
    """When the earliest row that may be claimed is due; None where nothing waits. Pauses are not looked at."""
    return opt_time(connection.execute(_NEXT_DUE, {"destination": destination}).scalar())


def _finish(connection: Connection, rows: Sequence[dict[str, Any]], *, uncounted: int = 0) -> None:
    if not rows:
        return
    connection.execute(
        update(delivery)
        .where(delivery.c.id == bindparam("this"), PENDING)
        .values(in_flight=0, attempts=delivery.c.attempts - uncounted),
        list(rows),
    )


def _to(connection: Connection, delivery_id: int) -> str:
    name: str = connection.execute(
        select(delivery.c.destination).where(delivery.c.id == delivery_id)
    ).scalar_one()
    return name


def _set(connection: Connection, where: ColumnElement[bool], **values: Any) -> int:
    return connection.execute(update(delivery).where(where).values(values)).rowcount


# --- what people and the sender look at --------------------------------------------------------------------


def receipt(connection: Connection, destination: str, conversation_id: int) -> Receipt | None:
    """What `destination` calls the card of this conversation; None before there is one."""
    about = {"destination": destination, "conversation_id": conversation_id}
    row = connection.execute(_RECEIPT, about).one_or_none()
    return None if row is None else Receipt(row.external_id, row.url)


def list_deliveries(
    connection: Connection,
    *,
    state: DeliveryState | None = None,
    destination: str | None = None,
    limit: int | None = None,
) -> list[Delivery]:
    """Rows of the outbox, oldest first; with a limit the newest of them."""
    statement = select(delivery).order_by(delivery.c.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(delivery.c.state == literal_column(f"'{DeliveryState(state)}'"))
    if destination is not None:
        statement = statement.where(delivery.c.destination == destination)
    rows = connection.execute(statement).all()
    return [conversation_rows.delivery(row) for row in reversed(rows)]


def retry(connection: Connection, *, ids: Collection[int] | None = None, now: datetime) -> int:
    """Put dead rows back into the queue, all or those of `ids`. Returns how many. What may have arrived stays so."""
    chosen = [DEAD] if ids is None else [DEAD, among(delivery.c.id, ids)]
    return _set(
        connection,
        and_(*chosen),
        state=DeliveryState.PENDING,
        attempts=0,
        due_at=to_ms(now),
        in_flight=0,
    )


def backlog(connection: Connection) -> dict[str, int]:
    """Destination → how many rows wait for it."""
    statement = (
        select(delivery.c.destination, func.count()).where(PENDING).group_by(delivery.c.destination)
    )
    return {row[0]: row[1] for row in connection.execute(statement)}
