"""Answers that a person sends through us: a row before the platform is asked, and what became of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, or_, select, update

from aggregator.model import Conversation, Direction, StoredMessage
from storage import conversation_rows, message_rows
from storage.rollup import rolled
from storage.schema import conversation, message, reply
from storage.sql import bulk_insert, clean, from_ms, opt_ms, opt_time, to_ms


class ReplyState(StrEnum):
    SENDING = "sending"  # asked for; whoever reads this later does not know whether it arrived
    SENT = "sent"
    REFUSED = "refused"  # not sent, and the reason is for a person
    UNKNOWN = "unknown"  # may have arrived


@dataclass(frozen=True, slots=True)
class Reply:
    id: int
    message_id: int
    conversation_id: int | None
    account: str
    text: str
    key: str
    state: ReplyState
    by: str
    created_at: datetime
    sent_at: datetime | None = None
    reason: str | None = None
    native_id: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A message that is to be answered. `latest`: the newest inbound one of its conversation."""

    message: StoredMessage
    latest: StoredMessage
    conversation: Conversation | None


def asked(connection: Connection, message_id: int) -> Asked | None:
    row = connection.execute(select(message).where(message.c.id == message_id)).one_or_none()
    if row is None:
        return None
    this = message_rows.stored_message(row)
    if this.conversation_id is None:
        return Asked(this, this, None)
    about = connection.execute(
        select(conversation).where(conversation.c.id == this.conversation_id)
    ).one()
    inbound = (
        message_rows.stored_message(one)
        for one in connection.execute(
            select(message).where(
                message.c.conversation_id == this.conversation_id,
                message.c.direction == Direction.INBOUND,
            )
        )
    )
    latest = max(inbound, key=_at, default=this)
    return Asked(this, latest, conversation_rows.conversation(about))


def add_reply(connection: Connection, new: Reply) -> None:
    row = (
        new.id,
        new.message_id,
        new.conversation_id,
        new.account,
        new.text,
        new.key,
        new.state,
        new.by,
        to_ms(new.created_at),
        opt_ms(new.sent_at),
        new.reason,
        new.native_id,
    )
    bulk_insert(connection, reply, [row])


def end_reply(
    connection: Connection,
    id: int,
    state: ReplyState,
    *,
    reason: str | None = None,
    native_id: str | None = None,
    sent_at: datetime | None = None,
) -> None:
    """What became of an answer."""
    about = select(reply.c.conversation_id).where(reply.c.id == id)
    ids = [one for one in connection.execute(about).scalars() if one is not None]
    with rolled(connection, clocks=ids):  # whose answer stopped its clocks
        connection.execute(
            update(reply)
            .where(reply.c.id == id)
            .values(
                state=state,
                reason=None if reason is None else clean(reason),
                native_id=None if native_id is None else clean(native_id),
                sent_at=opt_ms(sent_at),
            )
        )


def never_arrived(connection: Connection, message_id: int, reason: str) -> None:
    """The platform says that this message of ours, which it had taken, reached nobody: also where it is all
    that we know of an answer, and the key that we gave it is its id there."""
    told = (
        select(message.c.account, message.c.native_id).where(message.c.id == message_id).subquery()
    )
    connection.execute(
        update(reply)
        .where(
            reply.c.account == told.c.account,
            or_(reply.c.native_id == told.c.native_id, reply.c.key == told.c.native_id),
            reply.c.state != ReplyState.REFUSED,
        )
        .values(state=ReplyState.REFUSED, reason=clean(reason))
    )


def replies_to(
    connection: Connection, message_ids: Collection[int], *, states: Collection[ReplyState]
) -> list[Reply]:
    """The answers to these messages in one of these states, oldest first."""
    rows = connection.execute(
        select(reply)
        .where(reply.c.message_id.in_(message_ids), reply.c.state.in_(states))
        .order_by(reply.c.id)
    )
    return [
        Reply(
            id=row.id,
            message_id=row.message_id,
            conversation_id=row.conversation_id,
            account=row.account,
            text=row.text,
            key=row.key,
            state=ReplyState(row.state),
            by=row.by,
            created_at=from_ms(row.created_at),
            sent_at=opt_time(row.sent_at),
            reason=row.reason,
            native_id=row.native_id,
        )
        for row in rows
    ]


def brought(connection: Connection, row: Reply) -> tuple[str, datetime] | None:
    """Native id and time of a message of ours that a stream brought since this attempt, with its words.

    Some platforms put the customer's name before them. What is another attempt's does not count.
    """
    taken = select(reply.c.native_id).where(
        reply.c.account == row.account, reply.c.native_id.is_not(None)
    )
    found = connection.execute(
        select(message.c.native_id, message.c.text, message.c.sent_at, message.c.received_at)
        .where(
            message.c.account == row.account,
            message.c.conversation_id == row.conversation_id,
            message.c.direction == Direction.OUTBOUND,
            message.c.received_at >= to_ms(row.created_at),
            message.c.native_id.not_in(taken),
        )
        .order_by(message.c.id)
    )
    words = row.text.strip()
    for one in found:
        text = (one.text or "").strip()
        if text == words or text.endswith((f" {words}", f":{words}", f"：{words}")):
            return one.native_id, from_ms(one.received_at if one.sent_at is None else one.sent_at)
    return None


def _at(one: StoredMessage) -> tuple[datetime, int]:
    return (one.message.sent_at or one.received_at, one.id)
