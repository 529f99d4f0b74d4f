"""What a connector returns: messages, pages, identities, pushes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

UNDELIVERED = "send.failed"  # a mark of ours: the platform took the message, and it never arrived
AS_OF = "as.of"  # a mark of ours: it reads so at `edited_at`, and is shown at `restored_at`; whether it changed, the store knows


class Kind(StrEnum):
    """What the object is on its platform (interface.md, "What the exported words are")."""

    MENTION = "mention"
    COMMENT = "comment"
    DIRECT_MESSAGE = "direct_message"
    REVIEW = "review"


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Backfill(StrEnum):
    """What becomes of messages sent before an account's first poll."""

    SKIP = "skip"
    SILENT = "silent"
    ALERT = "alert"


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
class ReplyWindow:
    """Until when, and how many times, the platform lets us answer through its API. None: no such limit."""

    closes_at: datetime | None
    left: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One mention, comment, direct message or review, inbound or our own, as read from a platform.

    `native_id`: the platform's id, unique with `kind` inside one account. `sent_at`: None where the
    platform gave no readable time. `root`: native id of the post that a public conversation stands
    under (a post that opens one is its own root); None for direct messages. `person`: native id of
    the customer on the other side (the author of an inbound message, the addressee of ours). `quoted`:
    words in the object that are not the author's (a reposted or quoted post). `deleted_at` set makes it
    a tombstone for the message of that id (`marks` has `hidden` where the platform or we hid it), and
    `restored_at` takes that back. `reply_window`: as it is after this message, where one applies. `raw`: the payload as it came. `marks`: what was odd, in
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
    restored_at: datetime | None = None
    reply_window: ReplyWindow | None = None
    attachments: tuple[Attachment, ...] = ()
    quoted: str | None = None
    raw: bytes = b""
    marks: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The dedup key inside an account."""
        return f"{self.kind}:{self.native_id}"


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of a stream that was not read, and why. `recoverable`: asking later may still bring it."""

    since: datetime | None
    until: datetime | None
    reason: str
    recoverable: bool


@dataclass(frozen=True, slots=True)
class Page:
    """What one poll found. `cursor` is stored with the messages; `more`: ask again at once.

    `wake`: streams of this account that should be polled now (a callback that only says "come"). `gaps`:
    what this walk could not read. `covers`: with this page a walk is complete that has read all that the
    platform lists between these times (None: from its beginning); recoverable gaps inside are closed.
    """

    messages: tuple[Message, ...]
    cursor: str | None
    more: bool = False
    wake: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    covers: tuple[datetime | None, datetime] | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of something that a platform counts. `unit`: calls, USD or percent; `ends_at`: when it is full again."""

    name: str
    left: float
    limit: float | None
    unit: str = "calls"
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are there. `streams`: stream name → `ok`, or why not. `note`: anything a person should know.

    `quotas`: what the platform was asked for now; a connector that counts for itself is `Metered`.
    """

    native_id: str
    name: str | None
    streams: Mapping[str, str]
    token_expires_at: datetime | None = None
    note: str | None = None
    quotas: tuple[Quota, ...] = ()


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
    """What to answer a push with, and what to store raw, for which stream, before that."""

    answer: bytes
    content_type: str = "text/plain; charset=utf-8"
    stream: str | None = None
    store: tuple[bytes, ...] = ()
    status: int = 200
