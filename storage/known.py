"""What the store knows of the messages on a page: read before deciding, checked again at the commit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, Select, bindparam, case, func, select

from aggregator.model import (
    UNDELIVERED,
    Clock,
    ClockEvent,
    Contact,
    Conversation,
    Direction,
    Entry,
    Kind,
    Known,
    KnownConversation,
    Message,
    Seen,
    StoredMessage,
)
from storage import conversation_rows, message_rows
from storage.acts import acts_of
from storage.schema import (
    NOT_CLOSED,
    account,
    clock,
    clock_event,
    contact,
    conversation,
    dedup,
    message,
)
from storage.sql import among, clean, from_ms, opt_time

# Under one root only whether there is exactly one conversation matters; a hot post has thousands.
UNDER_ONE_ROOT = 3
WAITING = 500  # the newest of our own messages that wait for one of the page's

# Made once: what is decided on is read for every page, and most pages are small.
_OURS: BindParameter[str] = bindparam("account")
_FIRST_POLL = select(account.c.first_poll_at).where(account.c.name == _OURS)
_SEEN = (
    select(
        dedup.c.native_key,
        message.c.id,
        message.c.conversation_id,
        message.c.direction,
        message.c.text,
        message.c.edited_at,
        message.c.deleted_at,
        message.c.restored_at,
        message.c.author_id,
        message.c.author_name,
        message.c.url,
        message.c.marks,
        message.c.attachments,
    )
    .join_from(dedup, message, message.c.id == dedup.c.message_id)
    .where(dedup.c.account == _OURS, among(dedup.c.native_key, "keys"))
)
_WAITING = (
    select(message)
    .where(message.c.account == _OURS, message.c.conversation_id.is_(None))
    .order_by(message.c.id.desc())
    .limit(WAITING)
)
_WAITING_BY_REPLY = _WAITING.where(among(message.c.reply_to, "given"))
_WAITING_BY_PERSON = _WAITING.where(among(message.c.person, "given"))
_CONTACTS = select(contact).where(contact.c.account == _OURS, among(contact.c.native_id, "people"))
_CURRENT = (conversation.c.account == _OURS, NOT_CLOSED)
_BY_KEY = select(conversation).where(*_CURRENT, among(conversation.c.key, "given"))
_BY_ID = select(conversation).where(among(conversation.c.id, "given"))
_RANK = case({"open": 0, "waiting": 1}, value=conversation.c.state, else_=2)
_PLACES = (
    select(
        conversation.c.id,
        func.row_number()
        .over(partition_by=conversation.c.root, order_by=(_RANK, conversation.c.id.desc()))
        .label("place"),
    )
    .where(*_CURRENT, among(conversation.c.root, "given"))
    .subquery("places")
)
_UNDER_ROOT = select(conversation).where(
    conversation.c.id.in_(select(_PLACES.c.id).where(_PLACES.c.place <= UNDER_ONE_ROOT))
)
_ENTRIES = (
    select(
        message.c.id,
        message.c.conversation_id,
        message.c.direction,
        message.c.sent_at,
        message.c.received_at,
        message.c.deleted_at,
        message.c.marks,
        message.c.history,
    )
    .where(among(message.c.conversation_id, "ids"))
    .order_by(message.c.conversation_id, message.c.id)
)
_EVENTS = (
    select(clock_event)
    .where(among(clock_event.c.conversation_id, "ids"))
    .order_by(clock_event.c.conversation_id, clock_event.c.seq)
)
_CLOCKS = (
    select(clock)
    .where(among(clock.c.conversation_id, "ids"))
    .order_by(clock.c.conversation_id, clock.c.kind, clock.c.cycle)
)


def known(connection: Connection, account_name: str, messages: Sequence[Message]) -> Known:
    """model.Known for a page of `account_name`, by a constant number of statements."""
    seen, replied = _seen(connection, account_name, messages)
    waiting = _waiting(connection, account_name, messages)
    found = _conversations(
        connection,
        account_name,
        keys={_key(m) for m in messages if m.person},
        ids={s.conversation_id for s in seen.values() if s.conversation_id} | set(replied.values()),
        roots={m.root for m in messages if m.root and m.direction is Direction.OUTBOUND}
        | {w.message.root for w in waiting if w.message.root},
    )
    first_poll_at = connection.execute(_FIRST_POLL, {"account": account_name}).scalar()
    return Known(
        first_poll_at=opt_time(first_poll_at),
        seen=seen,
        conversations=with_clocks(connection, found),
        replied=replied,
        contacts=_contacts(connection, account_name, messages),
        waiting=waiting,
    )


def with_clocks(
    connection: Connection, conversations: Sequence[Conversation]
) -> tuple[KnownConversation, ...]:
    """The conversations with the times of their messages and their clocks."""
    if not conversations:
        return ()
    ids = [c.id for c in conversations]
    entries = _entries(connection, ids)
    clocks = clocks_of(connection, ids)
    acts = acts_of(connection, ids)
    return tuple(
        KnownConversation(c, tuple(entries[c.id]), tuple(clocks[c.id]), tuple(acts[c.id]))
        for c in conversations
    )


def clocks_of(connection: Connection, ids: Collection[int]) -> defaultdict[int, list[Clock]]:
    """Conversation id → its clocks with their events, in the order of kind and cycle."""
    events: defaultdict[tuple[int, str, int], list[ClockEvent]] = defaultdict(list)
    for row in connection.execute(_EVENTS, {"ids": ids}):
        events[row.conversation_id, row.kind, row.cycle].append(
            ClockEvent(row.event, from_ms(row.at), row.cause, row.reason, row.by, row.way)
        )
    found: defaultdict[int, list[Clock]] = defaultdict(list)
    for row in connection.execute(_CLOCKS, {"ids": ids}):
        found[row.conversation_id].append(
            conversation_rows.clock(row, events[row.conversation_id, row.kind, row.cycle])
        )
    return found


def _key(m: Message) -> str:
    """The key of the conversation of `m` and `m.person` (model.Conversation)."""
    if m.kind is Kind.DIRECT_MESSAGE:
        return clean(f"d:{m.person}")
    return clean(f"p:{m.root or m.native_id}:{m.person}")


def _seen(
    connection: Connection, account_name: str, messages: Sequence[Message]
) -> tuple[dict[str, Seen], dict[str, int]]:
    """The page's messages that we have, and what they answer."""
    keys = {clean(m.key): m.key for m in messages}
    answered = {
        clean(f"{kind}:{m.reply_to}"): m.reply_to for m in messages if m.reply_to for kind in Kind
    }
    asked = {"account": account_name, "keys": [*keys, *answered]}
    rows = connection.execute(_SEEN, asked).all()
    seen: dict[str, Seen] = {}
    replied: dict[str, int] = {}
    for row in rows:
        if row.native_key in keys:
            seen[keys[row.native_key]] = Seen(
                row.id,
                row.conversation_id,
                Direction(row.direction),
                row.text,
                opt_time(row.edited_at),
                opt_time(row.deleted_at),
                opt_time(row.restored_at),
                _lacks(row),
                message_rows.unwords(row.marks),
            )
        if row.native_key in answered and row.conversation_id is not None:
            replied[answered[row.native_key]] = row.conversation_id
    return seen, replied


def _lacks(row: Any) -> frozenset[str]:
    lacks = {
        "name": row.author_id is not None and row.author_name is None,
        "url": row.url is None,
        "time": "time.edit" in message_rows.unwords(row.marks),
        "attachments": row.attachments == "[]",
    }
    return frozenset(what for what, missing in lacks.items() if missing)


def _waiting(
    connection: Connection, account_name: str, messages: Sequence[Message]
) -> tuple[StoredMessage, ...]:
    """Our own messages without a conversation that one of the page's inbound ones may give them."""
    inbound = [m for m in messages if m.direction is Direction.INBOUND]
    if not inbound:
        return ()
    answered = {clean(m.native_id) for m in inbound}
    people = {clean(m.person) for m in inbound if m.person}
    found = {}
    for statement, given in ((_WAITING_BY_REPLY, answered), (_WAITING_BY_PERSON, people)):
        rows = connection.execute(statement, {"account": account_name, "given": given})
        found.update({row.id: message_rows.stored_message(row) for row in rows})
    places = {(m.root, m.person) for m in inbound if m.person}
    return tuple(
        stored
        for _, stored in sorted(found.items())
        if stored.message.direction is Direction.OUTBOUND
        and (
            stored.message.reply_to in answered
            or (stored.message.root, stored.message.person) in places
        )
    )


def _conversations(
    connection: Connection,
    account_name: str,
    *,
    keys: Collection[str],
    ids: Collection[int],
    roots: Iterable[str],
) -> list[Conversation]:
    """Those not closed of these keys, those of these ids, and the first few under these roots."""
    found: dict[int, Conversation] = {}

    def add(statement: Select[Any], given: Collection[Any]) -> None:
        if given:
            asked = {"account": account_name, "given": given}
            for row in connection.execute(statement, asked):
                found[row.id] = conversation_rows.conversation(row)

    add(_BY_KEY, keys)
    add(_BY_ID, set(ids) - set(found))
    add(_UNDER_ROOT, {clean(root) for root in roots})
    return [found[id] for id in sorted(found)]


def _entries(connection: Connection, ids: Collection[int]) -> defaultdict[int, list[Entry]]:
    entries: defaultdict[int, list[Entry]] = defaultdict(list)
    for row in connection.execute(_ENTRIES, {"ids": ids}):
        entries[row.conversation_id].append(
            Entry(
                message_id=row.id,
                direction=Direction(row.direction),
                at=from_ms(message_rows.clamped(row.sent_at, row.received_at)),
                received_at=from_ms(row.received_at),
                withdrawn_at=opt_time(row.deleted_at),
                history=bool(row.history),
                undelivered=UNDELIVERED in message_rows.unwords(row.marks),
            )
        )
    return entries


def _contacts(
    connection: Connection, account_name: str, messages: Sequence[Message]
) -> dict[str, Contact]:
    people = {m.author.native_id for m in messages if m.author and m.author.native_id}
    people |= {m.person for m in messages if m.person}
    if not people:
        return {}
    asked = {"account": account_name, "people": {clean(person) for person in people}}
    rows = connection.execute(_CONTACTS, asked)
    return {row.native_id: message_rows.contact(row) for row in rows}
