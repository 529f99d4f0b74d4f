"""The vocabulary: what the daemon passes around. Times are aware UTC; ids of ours are 63-bit ints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What the object is on its platform (interface.md, "What the exported words are")."""

    MENTION = "mention"
    COMMENT = "comment"
    DIRECT_MESSAGE = "direct_message"
    REVIEW = "review"


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Priority(StrEnum):
    """P1 is the highest; comparing the strings sorts the most urgent first."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"


class Backfill(StrEnum):
    """What becomes of messages sent before an account's first poll."""

    SKIP = "skip"
    SILENT = "silent"
    ALERT = "alert"


# --- what a connector returns -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote, as the platform told it. Every field may be missing."""

    native_id: str | None = None
    name: str | None = None
    handle: str | None = None
    followers: int | None = None
    verified: bool | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """Metadata only; never fetched by us. `kind`: image video voice file location link sticker card rating unknown."""

    kind: str
    url: str | None = None
    title: str | None = None
    media_id: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One mention, comment, direct message or review, inbound or our own, as read from a platform.

    `native_id`: the platform's id, unique with `kind` inside one account. `sent_at`: None where the
    platform gave no readable time. `root`: native id of the post that a public conversation stands
    under (a post that opens one is its own root); None for direct messages. `person`: native id of
    the customer on the other side (the author of an inbound message, the addressee of ours). `quoted`:
    words in the object that are not the author's (a reposted or quoted post). `deleted_at` set makes it
    a tombstone for the message of that id. `raw`: the payload as it came. `marks`: what was odd, in
    dotted words (`time.missing`, `author.missing`, `text.scrubbed`).
    """

    native_id: str
    platform: str
    kind: Kind
    direction: Direction
    author: Author | None
    text: str | None
    sent_at: datetime | None
    root: str | None = None
    person: str | None = None
    reply_to: str | None = None
    lang: str | None = None
    url: str | None = None
    edited_at: datetime | None = None
    deleted_at: datetime | None = None
    attachments: tuple[Attachment, ...] = ()
    quoted: str | None = None
    raw: bytes = b""
    marks: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The dedup key inside an account."""
        return f"{self.kind}:{self.native_id}"


@dataclass(frozen=True, slots=True)
class Page:
    """What one poll found. `cursor` is stored with the messages; `more`: ask again at once.

    `wake`: streams of this account that should be polled now (a callback that only says "come").
    """

    messages: tuple[Message, ...]
    cursor: str | None
    more: bool = False
    wake: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are there. `streams`: stream name → `ok`, or why not. `note`: anything a person should know."""

    native_id: str
    name: str | None
    streams: Mapping[str, str]
    token_expires_at: datetime | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Push:
    """One HTTP request to `/callbacks/{account}`. Header names are lower case; `body` is raw."""

    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Accepted:
    """What to answer a push with (status 200), and what to store raw, for which stream, before that."""

    answer: bytes
    content_type: str = "text/plain; charset=utf-8"
    stream: str | None = None
    store: tuple[bytes, ...] = ()


# --- what triage says ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Match:
    """Why a rule fired: the offsets are code points of the original `text`, end exclusive."""

    rule: str
    term: str
    start: int
    end: int
    quoted: bool = False  # the offsets are into `quoted` instead


@dataclass(frozen=True, slots=True)
class Verdict:
    """urgency and importance 0–3, score −1…1, label positive|neutral|negative; `reasons` in words."""

    urgency: int
    importance: int
    priority: Priority
    sentiment: str
    score: float
    tags: tuple[str, ...]
    matches: tuple[Match, ...]
    reasons: tuple[str, ...]
    truncated: bool = False


# --- what is stored -----------------------------------------------------------------------------


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
    """`event`: activate pause resume fulfil breach cancel retarget. `cause`: a message of ours, if one."""

    event: str
    at: datetime
    cause: int | None = None
    reason: str | None = None


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
    text: str | None = None  # ops and digest only
    unsure: bool = False  # an earlier attempt may have arrived: look before sending again


# --- what a destination gets --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the other side calls it (Slack: `channel:ts`; Zendesk: the ticket id), and a link."""

    external_id: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """One message as a card or thread shows it."""

    id: int
    direction: Direction
    kind: Kind
    author: Author | None
    text: str | None
    at: datetime
    url: str | None
    attachments: tuple[Attachment, ...] = ()
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """A conversation as it stands at the moment of sending.

    `why`: one line a matched rule, title and terms. `clock`: the running response clock or, when none
    runs, the last one. `count`: inbound messages so far.
    """

    conversation: Conversation
    contact: Author | None
    first: Said
    latest: Said
    count: int
    sentiment: str
    score: float
    why: tuple[str, ...]
    clock: Clock | None
    answered: Said | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """What one delivery says. `key` is the idempotency key; `earlier`: the card's receipt, if it exists.

    `language` is `zh` or `en`; `timezone` an IANA name for the times shown; `mentions` come from rule
    files only.
    """

    key: str
    kind: NoticeKind
    language: str
    timezone: str
    now: datetime
    earlier: Receipt | None = None
    card: Card | None = None
    message: Said | None = None
    text: str | None = None
    mentions: tuple[str, ...] = ()
    since: datetime | None = None  # when this delivery was queued; where to look from
    digest: tuple[Card, ...] = ()  # a digest's conversations, the first of `count`
    count: int = 0


# --- what intake decides ------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store has of a message that came again."""

    message_id: int
    conversation_id: int | None
    direction: Direction
    text: str | None
    edited_at: datetime | None
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class KnownConversation:
    """A conversation with what its clocks need: every message's times, and the clocks as stored."""

    conversation: Conversation
    entries: tuple[Entry, ...]
    clocks: tuple[Clock, ...]


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
class Decision:
    """Everything one page changes, to be stored in one transaction.

    `conversations` carry the version they were decided on; `clocks` and their events replace what the
    store has for that conversation. `adopted`: message id → conversation id, for waiting messages that
    found theirs.
    """

    messages: tuple[StoredMessage, ...] = ()
    versions: tuple[Version, ...] = ()
    contacts: tuple[Contact, ...] = ()
    conversations: tuple[Conversation, ...] = ()
    clocks: Mapping[int, tuple[Clock, ...]] = field(default_factory=dict)
    deliveries: tuple[Delivery, ...] = ()
    adopted: Mapping[int, int] = field(default_factory=dict)
    repeated: int = 0
    skipped: int = 0
