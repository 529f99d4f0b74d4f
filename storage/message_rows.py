"""Messages and contacts as rows: a tuple has the order of its table's columns in schema.py."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Row

from aggregator.model import (
    Attachment,
    Author,
    Contact,
    Direction,
    Kind,
    Match,
    Message,
    Priority,
    Said,
    StoredMessage,
    Verdict,
)
from storage.sql import dumps, from_ms, opt_ms, opt_time, to_ms

Values = tuple[Any, ...]
_NO_AUTHOR = Author()


@lru_cache(maxsize=4096)
def words(values: tuple[str, ...]) -> str:
    """A JSON list of strings. Labels, routes and reasons come again and again."""
    return dumps(values) if values else "[]"


def unwords(text: str) -> tuple[str, ...]:
    return () if text == "[]" else tuple(json.loads(text))


# --- messages ---------------------------------------------------------------------------------------------


def message_row(stored: StoredMessage) -> Values:
    m = stored.message
    author = m.author or _NO_AUTHOR
    return (
        stored.id,
        stored.account,
        m.platform,
        stored.conversation_id,
        stored.contact_id,
        m.kind,
        m.direction,
        m.native_id,
        author.native_id,
        author.name,
        author.handle,
        author.followers,
        None if author.verified is None else int(author.verified),
        m.text,
        m.quoted,
        m.lang,
        m.url,
        opt_ms(m.sent_at),
        to_ms(stored.received_at),
        opt_ms(m.edited_at),
        opt_ms(m.deleted_at),
        m.root,
        m.person,
        m.reply_to,
        attachments_text(m.attachments),
        words(m.marks),
        int(stored.history),
        *verdict_values(stored.verdict),
        stored.rules_version,
        opt_ms(m.restored_at),
    )


def verdict_values(verdict: Verdict | None) -> Values:
    """From `urgency` to `truncated`."""
    if verdict is None:
        return (None, None, None, None, None, "[]", "[]", "[]", 0)
    return (
        verdict.urgency,
        verdict.importance,
        verdict.priority,
        verdict.sentiment,
        verdict.score,
        words(verdict.tags),
        matches_text(verdict.matches),
        words(verdict.reasons),
        int(verdict.truncated),
    )


VERDICT_COLUMNS = (
    "urgency",
    "importance",
    "priority",
    "sentiment",
    "score",
    "tags",
    "matches",
    "reasons",
    "truncated",
)


def raw_row(message_id: int, payload: bytes, at: datetime) -> Values:
    # Level 1: a payload is read back by a person, once in a while, and written for every message.
    return (message_id, zlib.compress(payload, 1), to_ms(at))


def stored_message(row: Row[Any]) -> StoredMessage:
    return StoredMessage(
        id=row.id,
        account=row.account,
        message=Message(
            native_id=row.native_id,
            platform=row.platform,
            kind=Kind(row.kind),
            direction=Direction(row.direction),
            author=author(row),
            text=row.text,
            sent_at=opt_time(row.sent_at),
            root=row.root,
            person=row.person,
            reply_to=row.reply_to,
            lang=row.lang,
            url=row.url,
            edited_at=opt_time(row.edited_at),
            deleted_at=opt_time(row.deleted_at),
            restored_at=opt_time(row.restored_at),
            attachments=attachments(row.attachments),
            quoted=row.quoted,
            marks=unwords(row.marks),
        ),
        received_at=from_ms(row.received_at),
        conversation_id=row.conversation_id,
        contact_id=row.contact_id,
        verdict=verdict(row),
        rules_version=row.rules_version,
        history=bool(row.history),
    )


def author(row: Row[Any]) -> Author | None:
    found = Author(
        native_id=row.author_id,
        name=row.author_name,
        handle=row.author_handle,
        followers=row.author_followers,
        verified=None if row.author_verified is None else bool(row.author_verified),
    )
    return None if found == _NO_AUTHOR else found


def verdict(row: Row[Any]) -> Verdict | None:
    if row.priority is None:
        return None
    return Verdict(
        urgency=row.urgency,
        importance=row.importance,
        priority=Priority(row.priority),
        sentiment=row.sentiment,
        score=row.score,
        tags=unwords(row.tags),
        matches=matches(row.matches),
        reasons=unwords(row.reasons),
        truncated=bool(row.truncated),
    )


def said(row: Row[Any]) -> Said:
    return Said(
        id=row.id,
        direction=Direction(row.direction),
        kind=Kind(row.kind),
        author=author(row),
        text=row.text,
        at=from_ms(clamped(row.sent_at, row.received_at)),
        url=row.url,
        attachments=attachments(row.attachments),
        deleted=row.deleted_at is not None,
    )


def clamped(sent_at: int | None, received_at: int) -> int:
    """The platform's time, or ours where it gave none or one in the future."""
    return received_at if sent_at is None else min(sent_at, received_at)


def attachments_text(values: Sequence[Attachment]) -> str:
    if not values:
        return "[]"
    return dumps([[a.kind, a.url, a.title, a.media_id] for a in values])


def attachments(text: str) -> tuple[Attachment, ...]:
    return () if text == "[]" else tuple(Attachment(*values) for values in json.loads(text))


def matches_text(values: Sequence[Match]) -> str:
    if not values:
        return "[]"
    return dumps([[m.rule, m.term, m.start, m.end, int(m.quoted)] for m in values])


def matches(text: str) -> tuple[Match, ...]:
    if text == "[]":
        return ()
    return tuple(
        Match(rule, term, start, end, bool(quoted))
        for rule, term, start, end, quoted in json.loads(text)
    )


# --- contacts ---------------------------------------------------------------------------


def contact_row(contact: Contact) -> Values:
    a = contact.author
    return (
        contact.id,
        contact.account,
        a.native_id or "",
        a.name,
        a.handle,
        a.followers,
        None if a.verified is None else int(a.verified),
    )


def contact(row: Row[Any]) -> Contact:
    verified = None if row.verified is None else bool(row.verified)
    return Contact(
        row.id,
        row.account,
        Author(row.native_id, row.name, row.handle, row.followers, verified),
    )
