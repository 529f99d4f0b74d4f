"""The contract of a connector: it reads one account of one platform; it never writes messages, sleeps or retries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from aggregator.model import Accepted, Identity, Message, Page, Push


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
        """Check signature and freshness, answer handshakes, decrypt. Raises Rejected for anything else."""
        ...

    def read(self, raw: Sequence[bytes]) -> Page:
        """The messages in what `verify` stored, in order. A body that cannot be read is kept as unknown."""
        ...


@runtime_checkable
class Replies(Protocol):
    """A connector that can answer on the platform."""

    def reply(self, to: Message, text: str, key: str) -> Message: ...


Now = Callable[[], datetime]
