"""What is in the store, as people and their scripts read it: the exports of interface.md, one decision, the state."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, case, func, or_, select

from aggregator.model import Correction, Direction, Priority, Rung, corrected
from storage.corrections import corrections_of
from storage.engine import Database
from storage.leases import Fence, check
from storage.message_rows import unwords
from storage.outbox import backlog
from storage.pushes import count_pushes
from storage.retention import prune_raw
from storage.schema import (
    BACKFILL,
    DEAD,
    account,
    checkup,
    clock,
    conversation,
    delivery,
    destination,
    gap,
    message,
    stream,
)
from storage.sql import from_ms, rfc3339, to_ms
from storage.standing import standing

Line = dict[str, Any]

STREAM_ROWS = 500
GAPS_SHOWN = 10
GAPS_FOR = timedelta(days=7)  # one that cannot be had is shown so long
HOPED_FOR = timedelta(days=30)  # and one that may still come


# --- exports: exactly the keys of interface.md ------------------------------------------------------------


def messages(connection: Connection, since: datetime | None = None) -> Iterator[Line]:
    """Every message received since then, oldest first; our own posts only inside a conversation."""
    statement = (
        select(message)
        .where(
            or_(
                message.c.direction == Direction.INBOUND,
                message.c.conversation_id.is_not(None),
            )
        )
        .order_by(message.c.id)
    )
    if since is not None:
        statement = statement.where(message.c.received_at >= to_ms(since))
    said = corrections_of(connection)
    for row in _stream(connection, statement):
        yield {**_message(row), "corrected": _corrected(row, said.get(row.id))}


def conversations(connection: Connection, since: datetime | None = None) -> Iterator[Line]:
    """Every conversation with a message received since then."""
    statement = select(conversation).order_by(conversation.c.id)
    if since is not None:
        statement = statement.where(conversation.c.id.in_(_active(since)))
    for row in _stream(connection, statement):
        yield {
            "id": str(row.id),
            "account": row.account,
            "contact_id": _id(row.contact_id),
            "kind": row.kind,
            "state": row.state,
            "opened_at": _time(row.opened_at),
            "last_inbound_at": _time(row.last_inbound_at),
            "last_outbound_at": _time(row.last_outbound_at),
            "priority": row.priority,
            "reply_window_closes_at": _time(row.reply_window_closes_at),
            "reply_window_left": row.reply_window_left,
        }


def clocks(connection: Connection, since: datetime | None = None) -> Iterator[Line]:
    """Every clock that a message received since then started."""
    statement = select(clock).order_by(clock.c.conversation_id, clock.c.kind, clock.c.cycle)
    if since is not None:
        received = func.coalesce(message.c.received_at, clock.c.started_at)
        statement = statement.outerjoin(message, message.c.id == clock.c.started_by).where(
            received >= to_ms(since)
        )
    for row in _stream(connection, statement):
        yield {
            "conversation_id": str(row.conversation_id),
            "kind": row.kind,
            "cycle": row.cycle,
            "started_at": _time(row.started_at),
            "due_at": _time(row.due_at),
            "stopped_at": _time(row.stopped_at),
            "outcome": row.outcome,
            "business_ms": row.business_ms,
            "wall_ms": row.wall_ms,
            "policy": row.policy,
        }


def deliveries(connection: Connection, since: datetime | None = None) -> Iterator[Line]:
    """Every delivery made since then, sent or not."""
    statement = select(delivery).order_by(delivery.c.id)
    if since is not None:
        statement = statement.where(delivery.c.created_at >= to_ms(since))
    for row in _stream(connection, statement):
        yield _delivery(row)


def gaps(connection: Connection, since: datetime | None = None) -> Iterator[Line]:
    """Every stretch of a stream that was found missing since then."""
    statement = select(gap).order_by(gap.c.id)
    if since is not None:
        statement = statement.where(gap.c.noted_at >= to_ms(since))
    for row in _stream(connection, statement):
        yield _gap(row)


# --- one decision, and the state of things ----------------------------------------------------------------


def message_decision(connection: Connection, message_id: int) -> Line | None:
    """A message with everything that was decided on it, and the deliveries that told of it or its conversation."""
    row = connection.execute(select(message).where(message.c.id == message_id)).one_or_none()
    if row is None:
        return None
    about = None
    if row.conversation_id is not None:
        about = connection.execute(
            select(conversation).where(conversation.c.id == row.conversation_id)
        ).one_or_none()
    told = connection.execute(
        select(delivery)
        .where(
            delivery.c.conversation_id == row.conversation_id,
            delivery.c.conversation_id.is_not(None),  # the daemon's own notices are about none
            or_(delivery.c.message_id.is_(None), delivery.c.message_id == row.id),
        )
        .order_by(delivery.c.id)
    ).all()
    line = _message(row)
    line["matches"] = [
        {"rule": rule, "term": term, "start": start, "end": end, "quoted": bool(quoted)}
        for rule, term, start, end, quoted in json.loads(row.matches)
    ]
    return {
        **line,
        "quoted": row.quoted,
        "reasons": list(unwords(row.reasons)),
        "truncated": bool(row.truncated),
        "marks": list(unwords(row.marks)),
        "history": bool(row.history),
        "conversation_priority": about.priority if about else None,
        "conversation_labels": list(unwords(about.labels)) if about else [],
        "route": list(unwords(about.routes)) if about else [],
        "standing": standing(connection, about) if about else None,
        "deliveries": [_told(one) for one in told],
    }


def status_rows(connection: Connection, now: datetime) -> Line:
    """`accounts` with their streams, and `destinations`, each with what is wrong if anything is.

    `gaps` of an account: the newest GAPS_SHOWN that are open and not too old.
    `backfill`: its streams' lanes of history. `checkup`: what its last check said, None before the first.
    """
    lanes: defaultdict[str, list[Line]] = defaultdict(list)
    streams: defaultdict[str, list[Line]] = defaultdict(list)
    for row in connection.execute(select(stream).order_by(stream.c.account, stream.c.name)):
        lane = row.name.removesuffix(BACKFILL)
        if lane != row.name:
            lanes[row.account].append(
                {
                    "stream": lane,
                    "messages": row.found,
                    "oldest_at": _time(row.oldest_at),
                    "done_at": _time(row.done_at),
                    "paused_until": _time(row.paused_until),
                    "failures": row.failures,
                    "last_error": row.last_error,
                }
            )
            continue
        streams[row.account].append(
            {
                "name": row.name,
                "state": row.state,
                "next_poll_at": _time(row.next_poll_at),
                "paused_until": _time(row.paused_until),
                "failures": row.failures,
                "last_error": row.last_error,
                "last_success_at": _time(row.last_success_at),
                "last_poll_at": _time(row.last_poll_at),
            }
        )
    checkups = {row.account: _checkup(row) for row in connection.execute(select(checkup))}
    pushed = count_pushes(connection)
    waiting = backlog(connection)
    dead = {
        row[0]: row[1]
        for row in connection.execute(
            select(delivery.c.destination, func.count())
            .where(DEAD)
            .group_by(delivery.c.destination)
        )
    }
    states = {row.name: row for row in connection.execute(select(destination))}
    return {
        "accounts": [
            {
                "name": row.name,
                "platform": row.platform,
                "first_poll_at": _time(row.first_poll_at),
                "pushes_waiting": pushed.get(row.name, 0),
                "token_expires_at": _time(row.token_expires_at),
                "silent_since": _time(row.silent_since),
                "checkup": checkups.get(row.name),
                "streams": streams[row.name],
                "backfill": lanes[row.name],
                "gaps": _shown_gaps(connection, row.name, now),
            }
            for row in connection.execute(select(account).order_by(account.c.name))
        ],
        "destinations": [
            {
                "name": name,
                "pending": waiting.get(name, 0),
                "dead": dead.get(name, 0),
                "paused_until": _time(states[name].paused_until) if name in states else None,
                "failures": states[name].failures if name in states else 0,
                "last_error": states[name].last_error if name in states else None,
                "last_success_at": _time(states[name].last_success_at) if name in states else None,
            }
            for name in sorted({*states, *waiting, *dead})
        ],
    }


def prune(db: Database, *, fence: Fence, before: datetime) -> int:
    """Delete raw payloads stored before then, in short transactions. Returns how many. Raises LeaseLost."""

    def some(connection: Connection) -> int:
        check(connection, fence)
        return prune_raw(connection, before)

    gone = 0
    while count := db.write(some):
        gone += count
    return gone


def _stream(connection: Connection, statement: Select[Any]) -> Iterator[Row[Any]]:
    yield from connection.execute(statement.execution_options(yield_per=STREAM_ROWS))


def _active(since: datetime) -> Select[Any]:
    return select(message.c.conversation_id).where(
        message.c.received_at >= to_ms(since), message.c.conversation_id.is_not(None)
    )


def _message(row: Row[Any]) -> Line:
    author = {
        "native_id": row.author_id,
        "name": row.author_name,
        "handle": row.author_handle,
    }
    judged = row.priority is not None
    return {
        "id": str(row.id),
        "account": row.account,
        "platform": row.platform,
        "kind": row.kind,
        "direction": row.direction,
        "native_id": row.native_id,
        "conversation_id": _id(row.conversation_id),
        "author": author if any(author.values()) else None,
        "text": row.text,
        "lang": row.lang,
        "url": row.url,
        "sent_at": _time(row.sent_at),
        "received_at": _time(row.received_at),
        "edited_at": _time(row.edited_at),
        "deleted_at": _time(row.deleted_at),
        "reply_to": row.reply_to,
        "attachments": [
            {"kind": kind, "url": url, "title": title, "media_id": media_id}
            for kind, url, title, media_id in json.loads(row.attachments)
        ],
        "priority": row.priority,
        "urgency": row.urgency,
        "importance": row.importance,
        "sentiment": {"label": row.sentiment, "score": row.score} if judged else None,
        "tags": list(unwords(row.tags)),
        "matches": [
            {"rule": rule, "term": term, "start": start, "end": end}
            for rule, term, start, end, _quoted in json.loads(row.matches)
        ],
        "rules_version": row.rules_version,
    }


def _corrected(row: Row[Any], said: Sequence[Correction] | None) -> Line | None:
    """The verdict as people left it, and who spoke last; None where nobody did."""
    if not said or row.priority is None:
        return None
    left = corrected(Priority(row.priority), row.sentiment, unwords(row.tags), said)
    return {
        "priority": left.priority.value,
        "sentiment": left.sentiment,
        "tags": list(left.tags),
        "by": said[-1].by,
        "at": rfc3339(said[-1].at),
    }


def _delivery(row: Row[Any]) -> Line:
    return {
        "id": str(row.id),
        "destination": row.destination,
        "conversation_id": _id(row.conversation_id),
        "kind": row.kind,
        "state": row.state,
        "attempts": row.attempts,
        "created_at": _time(row.created_at),
        "sent_at": _time(row.sent_at),
        "external_id": row.external_id,
        "reason": row.reason,
    }


def _told(row: Row[Any]) -> Line:
    """With `step`, the step of a ladder that it tells (as `first_response 50%`), and what holds or held it."""
    rung = Rung.of_json(row.text) if row.text and row.key.startswith("rung:") else None
    step = None if rung is None else f"{rung.clock} {rung.level}"
    return {**_delivery(row), "step": step, "held_by": row.held_by}


def _gap(row: Row[Any]) -> Line:
    return {
        "id": str(row.id),
        "account": row.account,
        "stream": row.stream,
        "since": _time(row.since),
        "until": _time(row.until),
        "reason": row.reason,
        "recoverable": bool(row.recoverable),
        "noted_at": _time(row.noted_at),
        "closed_at": _time(row.closed_at),
    }


def _checkup(row: Row[Any]) -> Line:
    return {
        "checked_at": _time(row.checked_at),
        "tried_at": _time(row.tried_at),
        "native_id": row.native_id,
        "name": row.name,
        "streams": json.loads(row.streams),
        "note": row.note,
        "error": row.error,
        "quotas": json.loads(row.quotas),
        "quotas_at": _time(row.quotas_at),
    }


def _shown_gaps(connection: Connection, account_name: str, now: datetime) -> list[Line]:
    """The newest open ones. What cannot be had, or did not come for a month, is in the export alone."""
    rows = connection.execute(
        select(gap)
        .where(
            gap.c.account == account_name,
            gap.c.closed_at.is_(None),
            gap.c.noted_at
            > case((gap.c.recoverable == 1, to_ms(now - HOPED_FOR)), else_=to_ms(now - GAPS_FOR)),
        )
        .order_by(gap.c.id.desc())
        .limit(GAPS_SHOWN)
    )
    return [_gap(row) for row in rows]


def _id(value: int | None) -> str | None:
    return None if value is None else str(value)


def _time(ms: int | None) -> str | None:
    """RFC 3339 UTC with milliseconds."""
    return None if ms is None else rfc3339(from_ms(ms))
