"""One conversation at a time, for a person who does something with it; and all of them, for who checks."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, select

from aggregator.model import Direction, KnownConversation, StoredMessage
from storage import conversation_rows, message_rows
from storage.known import with_clocks
from storage.schema import conversation, message

CHUNK = 200


def conversation_known(connection: Connection, conversation_id: int) -> KnownConversation | None:
    """The conversation with its times, clocks and acts; None where there is none of that id."""
    row = connection.execute(
        select(conversation).where(conversation.c.id == conversation_id)
    ).one_or_none()
    if row is None:
        return None
    (found,) = with_clocks(connection, [conversation_rows.conversation(row)])
    return found


def latest_inbound(connection: Connection, conversation_id: int) -> StoredMessage | None:
    """What the customer said last, by the platform's time."""
    at = message.c.sent_at
    row = connection.execute(
        select(message)
        .where(
            message.c.conversation_id == conversation_id, message.c.direction == Direction.INBOUND
        )
        .order_by(at.is_(None), at.desc(), message.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else message_rows.stored_message(row)


def every_conversation(connection: Connection) -> Iterator[KnownConversation]:
    """All of them in the order of their ids, some at a time: what is held in memory does not grow."""
    last = 0
    while True:
        rows = connection.execute(
            select(conversation)
            .where(conversation.c.id > last)
            .order_by(conversation.c.id)
            .limit(CHUNK)
        ).all()
        if not rows:
            return
        last = rows[-1].id
        yield from with_clocks(connection, [conversation_rows.conversation(row) for row in rows])
