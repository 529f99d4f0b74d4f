"""The streams of an account, and the one transaction that stores what a poll found and what was decided on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from aggregator.model import (
    UNDELIVERED,
    Clock,
    Conversation,
    Decision,
    Delivery,
    Fill,
    Gap,
    Version,
)
from storage import conversation_rows, message_rows
from storage.acts import add_acts
from storage.gaps import close_gaps, note_gaps
from storage.known import known
from storage.leases import Fence, check
from storage.outbox import enqueue
from storage.replies import never_arrived
from storage.rollup import rolled_up
from storage.schema import (
    BACKFILL,
    account,
    clock,
    clock_event,
    contact,
    conversation,
    dedup,
    message,
    message_raw,
    message_version,
    push,
    stream,
)
from storage.sql import among, bulk_insert, bulk_update, clean, from_ms, opt_ms, opt_time, to_ms

__all__ = [
    "Conflict",
    "Reach",
    "Stream",
    "begin_account",
    "commit_decision",
    "commit_poll",
    "known",
    "poll_failed",
    "streams",
    "update_conversations",
]


class Conflict(Exception):
    """What was decided on has changed meanwhile: nothing is stored; read and decide again."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a lane of history has come: messages so far, the oldest time seen, whether that was all."""

    found: int
    oldest_at: datetime | None
    done: bool


@dataclass(frozen=True, slots=True)
class Stream:
    account: str
    name: str
    cursor: str | None
    next_poll_at: datetime | None
    paused_until: datetime | None
    failures: int
    last_error: str | None
    last_success_at: datetime | None
    last_poll_at: datetime | None
    state: str | None = None
    found: int = 0
    oldest_at: datetime | None = None
    done_at: datetime | None = None


def streams(connection: Connection, account_name: str) -> dict[str, Stream]:
    """The streams of an account that were ever polled, by name."""
    rows = connection.execute(select(stream).where(stream.c.account == account_name))
    return {
        row.name: Stream(
            account=row.account,
            name=row.name,
            cursor=row.cursor,
            next_poll_at=opt_time(row.next_poll_at),
            paused_until=opt_time(row.paused_until),
            failures=row.failures,
            last_error=row.last_error,
            last_success_at=opt_time(row.last_success_at),
            last_poll_at=opt_time(row.last_poll_at),
            state=row.state,
            found=row.found,
            oldest_at=opt_time(row.oldest_at),
            done_at=opt_time(row.done_at),
        )
        for row in rows
    }


def begin_account(
    connection: Connection, account_name: str, platform: str, now: datetime
) -> datetime:
    """Note the first poll of an account, once, and its platform as it is now. Returns when that was."""
    fresh = (account_name, platform, to_ms(now), None, None, None, None)
    if not bulk_insert(connection, account, [fresh], unless="name"):
        other = (account.c.name == account_name) & (account.c.platform != platform)
        connection.execute(update(account).where(other).values(platform=platform))
    first = select(account.c.first_poll_at).where(account.c.name == account_name)
    return from_ms(connection.execute(first).scalar_one())


def commit_poll(
    connection: Connection,
    *,
    fence: Fence,
    account: str,
    stream: str,
    page_cursor: str | None,
    decision: Decision,
    now: datetime,
    drained: Sequence[int] = (),
    next_poll_at: datetime | None,
    gaps: Sequence[Gap] = (),
    new_id: Callable[[], int] | None = None,
    gap_notice: Callable[[Gap], Delivery | None] | None = None,
    read: Reach | None = None,
    covers: tuple[datetime | None, datetime] | None = None,
    closed_notice: Callable[[Gap], Delivery | None] | None = None,
) -> tuple[Gap, ...]:
    """Store a page: everything in `decision`, the cursor, and that the stream is well. `drained`: pushes read.

    `gaps` are noted with `new_id`, each once, and told by the row that `gap_notice` makes; returns those not
    known before. `covers`: the recoverable gaps between these times are closed, each told by the row that
    `closed_notice` makes. `read`: how far a lane of history has come with this page. Raises LeaseLost where the account has another owner, Conflict where the decision was made on what is no
    longer so; a unit of work that raises changes nothing.
    """
    commit_decision(connection, fence=fence, decision=decision, now=now)
    if drained:
        connection.execute(delete(push).where(among(push.c.id, drained)))
    noted: tuple[Gap, ...] = ()
    if gaps and new_id is not None:
        noted = note_gaps(connection, account, stream, gaps, now=now, new_id=new_id)
        notices = [gap_notice(one) for one in noted] if gap_notice is not None else []
        enqueue(connection, [one for one in notices if one is not None])
    if covers is not None:
        closed = close_gaps(connection, account, stream.removesuffix(BACKFILL), *covers, now=now)
        ends = [closed_notice(one) for one in closed] if closed_notice is not None else []
        enqueue(connection, [one for one in ends if one is not None])
    progress: dict[str, Any] = {}
    if read is not None:
        progress = {
            "found": read.found,
            "oldest_at": opt_ms(read.oldest_at),
            "done_at": to_ms(now) if read.done else None,
        }
    _set_stream(
        connection,
        account,
        stream,
        {
            **progress,
            "state": "ok",
            "cursor": None if page_cursor is None else clean(page_cursor),
            "next_poll_at": opt_ms(next_poll_at),
            "paused_until": None,
            "failures": 0,
            "last_error": None,
            "last_success_at": to_ms(now),
            "last_poll_at": to_ms(now),
        },
    )
    return noted


def commit_decision(
    connection: Connection, *, fence: Fence | None, decision: Decision, now: datetime
) -> None:
    """Store what was decided, wherever it came from. Raises as `commit_poll` does.

    Without a fence only versions are compared: for a person's act, which touches one conversation.
    """
    if fence is not None:
        check(connection, fence)
    try:
        with rolled_up(connection, decision):
            _store(connection, decision, now)
    except IntegrityError as error:
        # A message, a contact or an open conversation of that key came in by another way.
        raise Conflict(str(error.orig)) from error


def poll_failed(
    connection: Connection,
    *,
    fence: Fence,
    account: str,
    stream: str,
    error: str,
    retry_at: datetime,
    pause_until: datetime | None,
    now: datetime | None = None,
    state: str = "unavailable",
) -> None:
    """Note that a poll failed, and when to try again. The cursor stays. Raises LeaseLost."""
    check(connection, fence)
    values: dict[str, Any] = {
        "next_poll_at": to_ms(retry_at),
        "paused_until": opt_ms(pause_until),
        "last_error": clean(error),
        "state": state,
    }
    if now is not None:
        values["last_poll_at"] = to_ms(now)
    _set_stream(connection, account, stream, values, failed=True)


def _set_stream(
    connection: Connection,
    account_name: str,
    name: str,
    values: Mapping[str, Any],
    *,
    failed: bool = False,
) -> None:
    """`values` are written as they are; a failure is counted on top of those before."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(stream)
    changed: dict[str, Any] = {name: statement.excluded[name] for name in values}
    if failed:
        changed["failures"] = stream.c.failures + 1
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[stream.c.account, stream.c.name], set_=changed
        ),
        {"account": account_name, "name": name, **({"failures": 1} if failed else {}), **values},
    )


def _store(connection: Connection, decision: Decision, now: datetime) -> None:
    """Closed conversations first, so that a new one may take their key."""
    messages = decision.messages
    bulk_insert(connection, dedup, [(m.account, clean(m.message.key), m.id) for m in messages])
    bulk_insert(
        connection,
        contact,
        list({c.id: message_rows.contact_row(c) for c in decision.contacts}.values()),
        replace="id",
    )
    fresh = [c for c in decision.conversations if c.version == 0]
    update_conversations(connection, [c for c in decision.conversations if c.version > 0])
    bulk_insert(connection, conversation, [conversation_rows.conversation_row(c, 1) for c in fresh])
    bulk_insert(connection, message, [message_rows.message_row(m) for m in messages])
    bulk_insert(
        connection,
        message_raw,
        [message_rows.raw_row(m.id, m.message.raw, now) for m in messages if m.message.raw],
    )
    for failed in (one for one in messages if UNDELIVERED in one.message.marks):
        never_arrived(connection, failed.id, ", ".join(failed.message.marks))
    for version in decision.versions:
        _new_version(connection, version, now)
    for fill in decision.fills:
        _fill(connection, fill)
    _adopt(connection, decision.adopted)
    new = {c.id for c in fresh}
    _replace_clocks(connection, decision.clocks, new)
    add_acts(connection, decision.acts)
    enqueue(connection, decision.deliveries, new_conversations=new)


def update_conversations(connection: Connection, changed: Sequence[Conversation]) -> None:
    """Write what has still the version that it was decided on. Raises Conflict."""
    # In the order of ids, so that two transactions cannot wait for each other.
    rows = [
        (*conversation_rows.conversation_row(c, c.version + 1), c.id, c.version)
        for c in sorted(changed, key=lambda one: one.id)
    ]
    if bulk_update(connection, conversation, rows, where=("id", "version")) != len(rows):
        raise Conflict("a conversation of this page has changed since it was read")


def _new_version(connection: Connection, version: Version, now: datetime) -> None:
    """Keep what the message said, then write what it says now. A deletion alone keeps the words."""
    this = message.c.id == version.message_id
    earlier = (
        select(func.coalesce(func.max(message_version.c.version), 0) + 1)
        .where(message_version.c.message_id == version.message_id)
        .scalar_subquery()
    )
    kept = select(
        message.c.id,
        earlier,
        literal(to_ms(now), message.c.id.type),
        message.c.text,
        message.c.quoted,
        message.c.attachments,
        message.c.edited_at,
        message.c.deleted_at,
    ).where(this)
    connection.execute(insert(message_version).from_select(message_version.c.keys(), kept))
    m = version.message
    values: dict[str, Any] = {"marks": message_rows.words(m.marks)}
    if m.deleted_at is not None:
        values["deleted_at"] = to_ms(m.deleted_at)
    elif m.restored_at is not None:
        values |= {"deleted_at": None, "restored_at": to_ms(m.restored_at)}
    bare = m.text is None and not m.attachments  # tells of the message without what it says
    if m.text is not None or (m.deleted_at is None and not (m.restored_at and bare)):
        if m.url is not None:
            values["url"] = m.url  # an edit on X has an address of its own
        values |= {
            "text": None if m.text is None else clean(m.text),
            "quoted": None if m.quoted is None else clean(m.quoted),
        }
        if m.attachments or "time.edit" not in m.marks:  # a callback tells the new words alone
            values["attachments"] = message_rows.attachments_text(m.attachments)
        if m.edited_at is not None:  # what is shown again was edited all the same
            values["edited_at"] = to_ms(m.edited_at)
    if version.verdict is not None:
        verdict = message_rows.verdict_values(version.verdict)
        values |= dict(zip(message_rows.VERDICT_COLUMNS, verdict, strict=True))
        values["rules_version"] = version.rules_version
    if connection.execute(update(message).where(this).values(values)).rowcount != 1:
        raise Conflict(f"message {version.message_id} is gone")
    if UNDELIVERED in m.marks:
        never_arrived(connection, version.message_id, ", ".join(m.marks))
    if m.raw:
        raw = message_rows.raw_row(version.message_id, m.raw, now)
        bulk_insert(connection, message_raw, [raw], replace="message_id")


def _fill(connection: Connection, fill: Fill) -> None:
    """Write what was not known of a message; what was known stays."""
    m = fill.message
    values: dict[str, Any] = {}
    if "name" in fill.told and m.author is not None and m.author.name is not None:
        values["author_name"] = func.coalesce(message.c.author_name, clean(m.author.name))
        for name in ("handle", "followers", "verified"):
            if (told := getattr(m.author, name)) is not None:
                column = message.c[f"author_{name}"]
                known = clean(told) if isinstance(told, str) else int(told)
                values[column.name] = func.coalesce(column, known)
    if "url" in fill.told and m.url is not None:
        values["url"] = clean(m.url)
    if "attachments" in fill.told:
        values["attachments"] = message_rows.attachments_text(m.attachments)
    if "time" in fill.told:
        values["sent_at"] = opt_ms(m.sent_at)
        values["marks"] = message_rows.words(m.marks)
        if m.reply_to is not None:
            values["reply_to"] = func.coalesce(message.c.reply_to, clean(m.reply_to))
    connection.execute(update(message).where(message.c.id == fill.message_id).values(values))


def _adopt(connection: Connection, adopted: Mapping[int, int]) -> None:
    for message_id, conversation_id in sorted(adopted.items()):
        result = connection.execute(
            update(message)
            .where(message.c.id == message_id, message.c.conversation_id.is_(None))
            .values(conversation_id=conversation_id)
        )
        if result.rowcount != 1:
            raise Conflict(f"message {message_id} has found its conversation already")


def _replace_clocks(
    connection: Connection, clocks: Mapping[int, Sequence[Clock]], new: set[int]
) -> None:
    if stored := [id for id in clocks if id not in new]:
        for table in (clock_event, clock):
            connection.execute(delete(table).where(among(table.c.conversation_id, stored)))
    given = [(id, one) for id, several in clocks.items() for one in several]
    bulk_insert(connection, clock, [conversation_rows.clock_row(id, one) for id, one in given])
    bulk_insert(
        connection,
        clock_event,
        [row for id, one in given for row in conversation_rows.event_rows(id, one)],
    )
