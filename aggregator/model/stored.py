"""What is stored: conversations, response clocks, deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from aggregator.model.message import Author, Direction, Message
from aggregator.model.verdict import Priority, Verdict


class ConversationState(StrEnum):
    OPEN = "open"
    WAITING = "waiting"
    RESOLVED = "resolved"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Aim:
    """From `at` on, this conversation is held to `target` (a name in targets.yaml) at `priority`."""

    at: datetime
    target: str | None
    priority: Priority


@dataclass(frozen=True, slots=True)
class Contact:
    id: int
    account: str
    author: Author  # native_id is set


@dataclass(frozen=True, slots=True)
class Conversation:
    """`key` is `d:{person}` or `p:{root}:{person}`; one per key and account that is not closed."""

    id: int
    account: str
    platform: str
    kind: str  # direct | public
    key: str
    root: str | None
    contact_id: int | None
    state: ConversationState
    priority: Priority
    labels: tuple[str, ...]
    routes: tuple[str, ...]
    destinations: tuple[str, ...]
    mentions: tuple[str, ...]
    aims: tuple[Aim, ...]
    opened_at: datetime
    last_inbound_at: datetime | None
    last_outbound_at: datetime | None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    reply_window_closes_at: datetime | None = None
    reply_window_left: int | None = None
    claimed_by: str | None = None
    claimed_at: datetime | None = None
    window_look_at: datetime | None = None  # when its reply window is next looked at
    version: int = 0  # 0: not stored yet; a write names the version that it was decided on


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as its conversation's clocks see it. `at`: platform time, clamped to `received_at`."""

    message_id: int
    direction: Direction
    at: datetime
    received_at: datetime
    withdrawn_at: datetime | None = None
    history: bool = False  # came with a backfill: starts no clock
    undelivered: bool = False  # ours, and it never reached the customer: it answers nothing


class ClockKind(StrEnum):
    FIRST_RESPONSE = "first_response"
    NEXT_RESPONSE = "next_response"
    RESOLUTION = "resolution"


class Outcome(StrEnum):
    MET = "met"
    BREACHED = "breached"
    UNANSWERED_CLOSED = "unanswered_closed"
    NOT_NEEDED = "not_needed"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class ClockEvent:
    """`event`: activate pause resume fulfil breach cancel retarget. `cause`: a message of ours, if one.

    `by` and `way`: the person, and how (see `Act`), where it was somebody's act.
    """

    event: str
    at: datetime
    cause: int | None = None
    reason: str | None = None
    by: str | None = None
    way: str | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """What a person, or the daemon (`by` is `inboxd`), did with a conversation.

    `what`: claimed released resolved waiting reopened not_needed closed priority acknowledged …; `way`:
    command, slack, ticket, reply, decay; `value`: the priority that was set.
    """

    id: int
    conversation_id: int
    at: datetime
    what: str
    by: str
    way: str
    value: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """One response clock of one conversation; durations in milliseconds; `policy` is `target@version`."""

    kind: ClockKind
    cycle: int
    started_at: datetime
    due_at: datetime
    policy: str
    priority: Priority
    started_by: int | None
    stopped_at: datetime | None = None
    stopped_by: int | None = None
    breached_at: datetime | None = None
    outcome: Outcome | None = None
    business_ms: int | None = None
    wall_ms: int | None = None
    late_ingest: bool = False
    clamped: bool = False
    look_at: datetime | None = None  # when the next rung of its ladder may be due
    events: tuple[ClockEvent, ...] = ()


class DeliveryState(StrEnum):
    PENDING = "pending"
    HELD = "held"
    SENT = "sent"
    SKIPPED = "skipped"
    DEAD = "dead"


class NoticeKind(StrEnum):
    CARD = "card"  # the conversation, as it stands now: created once, then edited in place
    MESSAGE = "message"  # one message, under the card
    DIGEST = "digest"  # several conversations in one
    WARNING = "warning"  # a deadline or a reply window comes near: under the card
    ESCALATION = "escalation"  # a rung of the ladder: the card where there is none, and to the room
    SUMMARY = "summary"  # what waits above a destination's limit: one card, edited as it drains
    INCIDENT = "incident"  # a spike: one card, edited as it grows, and its end
    REPORT = "report"  # the figures of a day or a week
    OPS = "ops"  # the daemon speaks of itself


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row of the outbox: *what* to tell; rendered when it is sent. `key` is unique and constant."""

    id: int
    destination: str
    kind: NoticeKind
    key: str
    state: DeliveryState
    created_at: datetime
    conversation_id: int | None = None
    message_id: int | None = None
    priority: Priority = Priority.P4
    due_at: datetime | None = None
    attempts: int = 0
    sent_at: datetime | None = None
    external_id: str | None = None
    url: str | None = None
    reason: str | None = None
    text: str | None = None  # ops: the words; of the newer kinds: their facts, as JSON
    unsure: bool = False  # an earlier attempt may have arrived: look before sending again
    held_by: str | None = None  # `quiet:night`, `silence:12`, `incident:7`


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message with our ids. `conversation_id` None: our own, kept until what it answers comes."""

    id: int
    account: str
    message: Message
    received_at: datetime
    conversation_id: int | None
    contact_id: int | None
    verdict: Verdict | None
    rules_version: str | None
    history: bool = False
