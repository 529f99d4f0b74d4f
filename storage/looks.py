"""Which clocks and conversations are to be looked at now, and when they are next."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import BindParameter, Connection, bindparam, select, update

from aggregator.model import Clock, ClockKind, Conversation
from storage import conversation_rows
from storage.known import clocks_of
from storage.schema import LOOKED_AT, WINDOW_LOOKED_AT, clock, conversation
from storage.sql import among, opt_ms, to_ms

LOOKS = 500  # in one transaction; the rest is found by the next look

Looked = tuple[int, ClockKind, int, datetime | None]  # conversation, kind, cycle, when next

_NOW: BindParameter[int] = bindparam("now")
_CLOCKS = (
    select(clock.c.conversation_id)
    .where(LOOKED_AT, clock.c.look_at <= _NOW)
    .order_by(clock.c.look_at)
    .limit(LOOKS)
)
_WINDOWS = (
    select(conversation.c.id)
    .where(WINDOW_LOOKED_AT, conversation.c.window_look_at <= _NOW)
    .order_by(conversation.c.window_look_at)
    .limit(LOOKS)
)


def may_look(connection: Connection, now: datetime) -> bool:
    """Whether anything is to be looked at: cheap, for a look every second."""
    asked = {"now": to_ms(now)}
    return any(
        connection.execute(one.limit(1), asked).first() is not None for one in (_CLOCKS, _WINDOWS)
    )


def to_look_at(connection: Connection, now: datetime) -> list[tuple[Conversation, list[Clock]]]:
    """The conversations of which something is to be looked at, P1 first, with all their clocks."""
    asked = {"now": to_ms(now)}
    ids = {id for one in (_CLOCKS, _WINDOWS) for id in connection.execute(one, asked).scalars()}
    if not ids:
        return []
    clocks = clocks_of(connection, ids)
    rows = connection.execute(
        select(conversation)
        .where(among(conversation.c.id, sorted(ids)))
        .order_by(conversation.c.priority, conversation.c.id)
    )
    return [(conversation_rows.conversation(row), clocks[row.id]) for row in rows]


def note_looks(connection: Connection, looked: Iterable[Looked]) -> None:
    """When each clock is next looked at. It is no fact: what was decided on before stays right."""
    rows = [
        {"this": id, "of": kind, "number": cycle, "then": opt_ms(then)}
        for id, kind, cycle, then in looked
    ]
    if rows:
        connection.execute(
            update(clock)
            .where(
                clock.c.conversation_id == bindparam("this"),
                clock.c.kind == bindparam("of"),
                clock.c.cycle == bindparam("number"),
            )
            .values(look_at=bindparam("then")),
            rows,
        )


def note_window_looks(
    connection: Connection, looked: Iterable[tuple[int, datetime | None]]
) -> None:
    """When the reply window and the claim of each conversation are next looked at."""
    rows = [{"this": id, "then": opt_ms(then)} for id, then in looked]
    if rows:
        connection.execute(
            update(conversation)
            .where(conversation.c.id == bindparam("this"))
            .values(window_look_at=bindparam("then")),
            rows,
        )
