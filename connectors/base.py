"""The contract of a connector: it reads one account of one platform; it never writes messages, sleeps or retries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from aggregator.model import Accepted, Identity, Message, Page, Push, Quota


class Keep(Protocol):
    """Small values of one account that outlive a poll and are shared by replicas. Never a secret in the clear."""

    def get(self, key: str) -> str | None: ...

    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        """Compare-and-swap: True if the value was `old` (None: absent) and is now `new` (None: removed)."""
        ...


class Options(BaseModel):
    """Options that every account has; a connector adds its own. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    base_url: str | None = None  # scheme and host; stands for all of that platform's hosts


class Connector(Protocol):
    """`poll` raises the outcomes of aggregator/errors.py and nothing else that is expected."""

    options: ClassVar[type[Options]]
    streams: tuple[str, ...]  # each has its own cursor, next poll, pause and last error

    def check(self) -> Identity:
        """Who we are there, what is allowed, days left on the token. Raises as `poll` does."""
        ...

    def poll(self, stream: str, cursor: str | None) -> Page:
        """What is new since `cursor`; None is the first poll ever. May repeat messages, never skips one."""
        ...


@runtime_checkable
class Receives(Protocol):
    """A connector whose platform pushes to `/callbacks/{account}`."""

    pushed: tuple[str, ...]  # its streams that are fed by callbacks; poll() is not called for them

    def verify(self, request: Push) -> Accepted:
        """Check signature and freshness, answer handshakes, decrypt. Raises Rejected for anything else.

        It asks nobody and waits for nothing: it is called where all requests are answered.
        """
        ...

    def read(self, raw: Sequence[bytes]) -> Page:
        """The messages in what `verify` stored, in order. A body that cannot be read is kept as unknown."""
        ...


@dataclass(frozen=True, slots=True)
class ReplyLimit:
    """How long an answer may be there, by the platform's own count of `text`."""

    longest: int
    count: Callable[[str], int]


@runtime_checkable
class Replies(Protocol):
    """A connector that can answer on the platform. It never tries twice: whoever calls looks first."""

    def reply_limit(self, to: Message) -> ReplyLimit:
        """The length rule for an answer to `to`. Raises Rejected where no answer is possible."""
        ...

    def reply(self, to: Message, text: str, key: str) -> Message:
        """Answer `to`; returns what was sent, as outbound. `key` is the platform's idempotency key, if it has one.

        Raises Rejected (closed window, too long, not allowed; the reason is for a person), Unavailable with
        `maybe_done` where it may have been sent all the same.
        """
        ...

    def find_reply(self, to: Message, text: str, key: str, since: datetime) -> Message | None:
        """The answer, if an earlier attempt at or after `since` did arrive."""
        ...


@runtime_checkable
class Backfills(Protocol):
    """A connector that reads history apart from what is new, so that neither starves the other."""

    def backfill(self, stream: str, cursor: str | None) -> Page:
        """The next page of what lay before the first poll, newest first; `more` False: that was all."""
        ...


@runtime_checkable
class Metered(Protocol):
    """A connector that knows what is left of what its platform counts or bills."""

    def quotas(self) -> tuple[Quota, ...]:
        """As far as it is known from what was asked before; asks nobody. Raises nothing but Unavailable."""
        ...


@runtime_checkable
class Listens(Protocol):
    """A connector whose platform can tell, over a connection that stays open, which stream has something new.

    It only wakes: what there is comes by `poll`, which goes on by itself.
    """

    listens: bool  # whether this account is to

    def listen(self) -> Iterator[str | None]:
        """Connect; then each stream that has something new, None where nothing has for some seconds.

        Ends where the platform ends it. Raises as `poll` does.
        """
        ...


class Authorizes(Protocol):
    """The walk to a token at a terminal: an operator opens a page, agrees, and brings back where it led.

    A connector whose platform has such a walk offers it before there is a token to construct it with:
    `Class.authorization(options, keep=keep, now=now) -> Authorizes`, a static method.
    """

    def begin(self) -> tuple[str, str]:
        """The page to open in a browser, and the `state` that comes back with the answer.

        What `finish` needs is kept in the Keep for an hour, so that another process can call it.
        """
        ...

    def finish(self, answer: str) -> None:
        """`answer`: the address that the browser was led to, or the code in it. The token is in the Keep then.

        Raises Rejected where the answer is none, or not to this beginning; else as `poll` does.
        """
        ...


Now = Callable[[], datetime]
