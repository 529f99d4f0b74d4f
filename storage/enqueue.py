"""What is to be told goes into the outbox, and makes older rows of its conversation needless or more urgent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, and_, bindparam, select, update

from aggregator.model import Delivery, DeliveryState, NoticeKind, Priority
from storage import conversation_rows
from storage.schema import PENDING, delivery
from storage.sql import among, bulk_insert


def enqueue(
    connection: Connection,
    deliveries: Iterable[Delivery],
    *,
    new_conversations: Collection[int] = (),
) -> None:
    """Add rows; one whose key is there already is left out. `new_conversations` cannot have earlier rows.

    In a conversation that has rows waiting, a newer card takes the place of an older one, except of the one
    that is to create the card; and what waits becomes as urgent as the newest.
    """
    rows = list(deliveries)
    bulk_insert(
        connection, delivery, [conversation_rows.delivery_row(d) for d in rows], unless="key"
    )
    old: dict[tuple[str, int], Priority] = {}
    for d in rows:
        if d.conversation_id is None or d.conversation_id in new_conversations:
            continue
        if d.state is DeliveryState.PENDING:
            place = (d.destination, d.conversation_id)
            old[place] = min(old.get(place, d.priority), d.priority)
    _raise_priority(connection, old)
    supersede(connection, {conversation_id for _, conversation_id in old})


def _raise_priority(connection: Connection, wanted: dict[tuple[str, int], Priority]) -> None:
    raised = [
        {"to": name, "about": conversation_id, "at": priority}
        for (name, conversation_id), priority in sorted(wanted.items())
        if priority < Priority.P4
    ]
    if raised:
        connection.execute(
            update(delivery)
            .where(
                delivery.c.destination == bindparam("to"),
                delivery.c.conversation_id == bindparam("about"),
                PENDING,
                delivery.c.priority > bindparam("at"),
            )
            .values(priority=bindparam("at")),
            raised,
        )


def supersede(connection: Connection, conversations: Collection[int]) -> None:
    """Skip cards that a newer pending one makes needless. The newer one is due when the first of them was."""
    if not conversations:
        return
    cards = and_(
        among(delivery.c.conversation_id, conversations),
        delivery.c.kind == NoticeKind.CARD,
    )
    waiting: defaultdict[tuple[str, int], list[Any]] = defaultdict(list)
    for row in connection.execute(
        select(
            delivery.c.id,
            delivery.c.destination,
            delivery.c.conversation_id,
            delivery.c.due_at,
            delivery.c.in_flight,
        )
        .where(cards, PENDING)
        .order_by(delivery.c.id)
    ):
        waiting[row.destination, row.conversation_id].append(row)
    if all(len(rows) < 2 for rows in waiting.values()):
        return
    created = {
        (row.destination, row.conversation_id)
        for row in connection.execute(
            select(delivery.c.destination, delivery.c.conversation_id)
            .where(cards, delivery.c.state == DeliveryState.SENT)
            .distinct()
        )
    }
    for place, rows in waiting.items():
        *older, newest = rows if place in created else rows[1:] or rows
        skipped = [row for row in older if not row.in_flight]
        if not skipped:
            continue
        connection.execute(
            update(delivery)
            .where(among(delivery.c.id, [row.id for row in skipped]))
            .values(state=DeliveryState.SKIPPED, reason=f"superseded by {newest.id}")
        )
        due_at = min(row.due_at for row in (*skipped, newest))
        connection.execute(update(delivery).where(delivery.c.id == newest.id).values(due_at=due_at))
