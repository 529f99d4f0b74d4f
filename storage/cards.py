"""A conversation as it stands, for a card or a thread."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, func, select

from aggregator.model import UNDELIVERED, Author, Card, Clock, ClockKind, Direction, Match, Said
from storage import conversation_rows, message_rows
from storage.known import clocks_of
from storage.schema import contact, conversation, message

JUDGED = 200  # the newest inbound messages that say why a conversation matters

# The platform's time, clamped as message_rows.clamped does it.
_AT = case(
    (message.c.sent_at < message.c.received_at, message.c.sent_at), else_=message.c.received_at
)


def _said(direction: Direction) -> Select[Any]:
    return select(message).where(
        message.c.conversation_id == bindparam("id"), message.c.direction == direction
    )


# Made once: a card is read for every notice.
_ABOUT = select(conversation).where(conversation.c.id == bindparam("id"))
_CONTACT = select(contact).where(contact.c.id == bindparam("id"))
_MESSAGE = select(message).where(message.c.id == bindparam("id"))
_INBOUND = _said(Direction.INBOUND)
_NEWEST = _INBOUND.order_by(_AT.desc(), message.c.id.desc()).limit(JUDGED)
_FIRST = _INBOUND.order_by(_AT, message.c.id).limit(1)
_COUNT = _INBOUND.with_only_columns(func.count(), maintain_column_froms=True)
_ANSWER = (
    _said(Direction.OUTBOUND)
    .where(message.c.marks.not_like(f'%"{UNDELIVERED}"%'))
    .order_by(_AT.desc(), message.c.id.desc())
    .limit(1)
)


def load_card(
    connection: Connection, conversation_id: int
) -> tuple[Card, tuple[tuple[Match, ...], ...]]:
    """The card with `why` left empty, and the matches of its inbound messages, oldest first.

    Raises LookupError where there is no such conversation or nobody has written in it.
    """
    this = {"id": conversation_id}
    row = connection.execute(_ABOUT, this).one_or_none()
    if row is None:
        raise LookupError(f"no conversation {conversation_id}")
    about = conversation_rows.conversation(row)
    newest = connection.execute(_NEWEST, this).all()
    if not newest:
        raise LookupError(f"no inbound message in conversation {conversation_id}")
    count, first = len(newest), newest[-1]
    if count == JUDGED:
        count = connection.execute(_COUNT, this).scalar_one()
        first = connection.execute(_FIRST, this).one()
    answered = connection.execute(_ANSWER, this).one_or_none()
    verdict = next((v for v in map(message_rows.verdict, newest) if v is not None), None)
    card = Card(
        conversation=about,
        contact=_contact(connection, about.contact_id),
        first=message_rows.said(first),
        latest=message_rows.said(newest[0]),
        count=count,
        sentiment=verdict.sentiment if verdict else "neutral",
        score=verdict.score if verdict else 0.0,
        why=(),
        clock=_clock(clocks_of(connection, [conversation_id])[conversation_id]),
        answered=None if answered is None else message_rows.said(answered),
    )
    return card, tuple(message_rows.matches(one.matches) for one in reversed(newest))


def load_said(connection: Connection, message_id: int) -> Said | None:
    """One message as a thread shows it; None where there is none."""
    row = connection.execute(_MESSAGE, {"id": message_id}).one_or_none()
    return None if row is None else message_rows.said(row)


def _contact(connection: Connection, contact_id: int | None) -> Author | None:
    if contact_id is None:
        return None
    row = connection.execute(_CONTACT, {"id": contact_id}).one_or_none()
    return None if row is None else message_rows.contact(row).author


def _clock(clocks: list[Clock]) -> Clock | None:
    """The response clock that runs, else the last one."""
    responses = [one for one in clocks if one.kind is not ClockKind.RESOLUTION]
    running = [one for one in responses if one.stopped_at is None]
    return max(running or responses, key=lambda one: one.started_at, default=None)
