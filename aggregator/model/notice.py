"""What a destination gets: one notice, rendered there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from aggregator.model.message import Attachment, Author, Direction, Kind
from aggregator.model.stored import Clock, Conversation, NoticeKind


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
class Rung:
    """A point of a clock at which somebody is told; the facts of a WARNING or an ESCALATION.

    `clock`: a ClockKind, or `window` for the platform's own deadline. `level`: `50%`, `due`, `due+30m`,
    `claim` (a claim without an answer). `at`: when it was due. `late`: told well after that, for example
    because the daemon was down. `mentions` come from rule files only.
    """

    clock: str
    level: str
    at: datetime
    late: bool = False
    mentions: tuple[str, ...] = ()

    def to_json(self) -> str:
        facts = {"clock": self.clock, "level": self.level, "at": self.at.isoformat()}
        more = {"late": self.late, "mentions": list(self.mentions)}
        return json.dumps(facts | more, ensure_ascii=False)

    @classmethod
    def of_json(cls, text: str) -> Self:
        """Raises ValueError or KeyError for a text that `to_json` did not make."""
        found = json.loads(text)
        return cls(
            clock=found["clock"],
            level=found["level"],
            at=datetime.fromisoformat(found["at"]),
            late=found["late"],
            mentions=tuple(found["mentions"]),
        )


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
    rung: Rung | None = None  # of a WARNING or an ESCALATION
