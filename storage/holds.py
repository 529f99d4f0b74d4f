"""What a quiet interval or a silence holds back, and what becomes of it when that ends."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, or_, select, update

from aggregator.model import Author, Clock, Conversation, Delivery, DeliveryState, NoticeKind
from storage import conversation_rows, message_rows
from storage.known import clocks_of
from storage.leases import Fence, check
from storage.schema import HELD, PENDING, contact, conversation, delivery
from storage.sql import among, clean, to_ms

SHELVED = (DeliveryState.HELD, DeliveryState.SKIPPED)
ENDED = 5000  # so many conversations come free in one transaction, and stand in one digest

Found = tuple[Conversation, Author | None, list[Clock], bool, bool]
Held = tuple[int, str, str, datetime]  # id, held_by, why, until

_NEXT = select(func.min(delivery.c.due_at)).where(
    delivery.c.destination == bindparam("destination"), HELD
)


def abouts(connection: Connection, destination: str, ids: Collection[int]) -> dict[int, Found]:
    """Conversation id → it, who writes there, its clocks, whether `destination` has its card, or one was held."""
    wanted = sorted(set(ids))
    rows = connection.execute(select(conversation).where(among(conversation.c.id, wanted))).all()
    people = {
        row.id: message_rows.contact(row).author
        for row in connection.execute(
            select(contact).where(
                among(contact.c.id, sorted({one.contact_id for one in rows if one.contact_id}))
            )
        )
    }
    clocks = clocks_of(connection, wanted)
    cards = connection.execute(
        select(delivery.c.conversation_id, delivery.c.state, delivery.c.held_by).where(
            among(delivery.c.conversation_id, wanted),
            delivery.c.destination == destination,
            delivery.c.kind == NoticeKind.CARD,
            or_(
                and_(
                    delivery.c.state == DeliveryState.SENT,
                    delivery.c.external_id.is_not(None),
                ),
                and_(delivery.c.state.in_(SHELVED), delivery.c.held_by.is_not(None)),
            ),
        )
    ).all()
    carded = {row.conversation_id for row in cards if row.state == DeliveryState.SENT}
    shelved = {row.conversation_id for row in cards if row.state in SHELVED}
    return {
        row.id: (
            conversation_rows.conversation(row),
            people.get(row.contact_id),
            clocks[row.id],
            row.id in carded,
            row.id in shelved,
        )
        for row in rows
    }


def hold(connection: Connection, rows: Sequence[Held], *, fence: Fence) -> None:
    """Put claimed or held rows aside until then; a claimed one's attempt is not counted. Raises LeaseLost."""
    check(connection, fence)
    given = [
        {"this": id, "by": by, "why": clean(why), "until": to_ms(until)}
        for id, by, why, until in rows
    ]
    if not given:
        return
    set_: dict[str, Any] = {
        "held_by": bindparam("by"),
        "reason": bindparam("why"),
        "due_at": bindparam("until"),
    }
    again = update(delivery).where(delivery.c.id == bindparam("this"))
    connection.execute(again.where(HELD).values(set_), given)
    connection.execute(
        again.where(PENDING).values(
            {
                **set_,
                "state": DeliveryState.HELD,
                "in_flight": 0,
                "attempts": delivery.c.attempts - 1,
            }
        ),
        given,
    )


def next_end(connection: Connection, destination: str) -> int | None:
    """When (ms) the earliest hold of `destination` ends; None where nothing is held."""
    found: int | None = connection.execute(_NEXT, {"destination": destination}).scalar()
    return found


def held_back(connection: Connection) -> dict[str, int]:
    """Destination → how many rows are held for it."""
    statement = (
        select(delivery.c.destination, func.count()).where(HELD).group_by(delivery.c.destination)
    )
    return {row[0]: row[1] for row in connection.execute(statement)}


def look_again(connection: Connection, destination: str, now: datetime) -> None:
    """Judge everything that is held for `destination` anew, as when the rules have changed."""
    connection.execute(
        update(delivery)
        .where(delivery.c.destination == destination, HELD, delivery.c.due_at > to_ms(now))
        .values(due_at=to_ms(now))
    )


def ended(connection: Connection, destination: str, now: datetime) -> dict[int, list[Delivery]]:
    """Conversation id → everything held for `destination`, where the hold of any of it has ended."""
    mine = (delivery.c.destination == destination, HELD, delivery.c.conversation_id.is_not(None))
    about = (
        select(delivery.c.conversation_id)
        .where(*mine, delivery.c.due_at <= to_ms(now))
        .distinct()
        .order_by(delivery.c.conversation_id)
        .limit(ENDED)
    )
    ids = list(connection.execute(about).scalars())
    found: dict[int, list[Delivery]] = {id: [] for id in ids}
    if ids:
        statement = select(delivery).where(*mine, among(delivery.c.conversation_id, ids))
        for row in connection.execute(statement.order_by(delivery.c.id)):
            found[row.conversation_id].append(conversation_rows.delivery(row))
    return found


def let_go(connection: Connection, rows: Sequence[tuple[int, str]]) -> None:
    """These held rows are not told by themselves any more, and why. What held them stays written."""
    if rows:
        connection.execute(
            update(delivery)
            .where(delivery.c.id == bindparam("this"), HELD)
            .values(state=DeliveryState.SKIPPED, reason=bindparam("why")),
            [{"this": id, "why": clean(why)} for id, why in rows],
        )


def told_meanwhile(
    connection: Connection, destination: str, conversations: Collection[int], by: int
) -> None:
    """What was held of these conversations is needless: delivery `by` told of them."""
    if conversations:
        connection.execute(
            update(delivery)
            .where(
                among(delivery.c.conversation_id, sorted(conversations)),
                delivery.c.destination == destination,
                HELD,
            )
            .values(state=DeliveryState.SKIPPED, reason=f"told meanwhile by {by}")
        )


def card_first(connection: Connection, row: Delivery, now: datetime) -> bool:
    """Queue the card that was held when its conversation began, before `row`. False where there is none."""
    mine = (
        delivery.c.conversation_id == row.conversation_id,
        delivery.c.destination == row.destination,
        delivery.c.kind == NoticeKind.CARD,
        delivery.c.held_by.is_not(None),
        delivery.c.state.in_(SHELVED),
        delivery.c.id < row.id,
    )
    first = connection.execute(select(func.min(delivery.c.id)).where(*mine)).scalar()
    if first is None:
        return False
    connection.execute(
        update(delivery)
        .where(delivery.c.id == first)
        .values(
            state=DeliveryState.PENDING,
            due_at=to_ms(now),
            priority=row.priority,
            held_by=None,
            reason=None,
        )
    )
    return True
