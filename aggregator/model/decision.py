"""What intake knows of a page, and what it decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from aggregator.model.message import Direction, Message
from aggregator.model.stored import (
    Act,
    Clock,
    Contact,
    Conversation,
    Delivery,
    Entry,
    StoredMessage,
)
from aggregator.model.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store has of a message that came again. `lacks`: what another reading of it may tell yet:
    `name` of its author, `url`, `attachments`, `time` (only that of an edit is known)."""

    message_id: int
    conversation_id: int | None
    direction: Direction
    text: str | None
    edited_at: datetime | None
    deleted_at: datetime | None
    restored_at: datetime | None = None
    lacks: frozenset[str] = frozenset()
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownConversation:
    """A conversation with what its clocks need: every message's times, and the clocks as stored."""

    conversation: Conversation
    entries: tuple[Entry, ...]
    clocks: tuple[Clock, ...]
    acts: tuple[Act, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of the messages on a page; read before deciding, checked at the commit.

    `seen`: dedup key → what is stored. `conversations`: those not closed that a message of the page may
    join (same key, or under the same root) and those of the messages that it answers or repeats.
    `replied`: native id → conversation id, for each `reply_to` on the page that we have. `contacts`: by
    native id. `waiting`: our own messages without a conversation that answer one of the page's (by
    reply_to, or the same root and person, or the same direct person).
    """

    first_poll_at: datetime | None
    seen: Mapping[str, Seen] = field(default_factory=dict)
    conversations: tuple[KnownConversation, ...] = ()
    replied: Mapping[str, int] = field(default_factory=dict)
    contacts: Mapping[str, Contact] = field(default_factory=dict)
    waiting: tuple[StoredMessage, ...] = ()


@dataclass(frozen=True, slots=True)
class Version:
    """A new version of a stored message: an edit, a deletion, or both."""

    message_id: int
    message: Message
    verdict: Verdict | None
    rules_version: str | None


@dataclass(frozen=True, slots=True)
class Fill:
    """What a message was stored without and `message`, the same again, tells: of `told`, in words of Seen.lacks."""

    message_id: int
    message: Message
    told: frozenset[str]


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything one page changes, to be stored in one transaction.

    `conversations` carry the version they were decided on; `clocks` and their events replace what the
    store has for that conversation. `adopted`: message id → conversation id, for waiting messages that
    found theirs.
    """

    messages: tuple[StoredMessage, ...] = ()
    versions: tuple[Version, ...] = ()
    fills: tuple[Fill, ...] = ()
    contacts: tuple[Contact, ...] = ()
    conversations: tuple[Conversation, ...] = ()
    clocks: Mapping[int, tuple[Clock, ...]] = field(default_factory=dict)
    deliveries: tuple[Delivery, ...] = ()
    adopted: Mapping[int, int] = field(default_factory=dict)
    acts: tuple[Act, ...] = ()
    repeated: int = 0
    skipped: int = 0
