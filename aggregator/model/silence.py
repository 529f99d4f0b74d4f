"""What somebody does not want to hear of for a while."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Silence:
    """Conversations that every matcher fits (any value of each) are told of only when it is over.

    It holds from `starts_at` to `until` (None: until it is ended), with an `interval` of targets.yaml only
    inside that, again and again. `ended_at`: somebody ended it early.
    """

    id: int
    created_at: datetime
    by: str
    why: str
    matchers: Mapping[str, tuple[str, ...]] = field(hash=False)
    starts_at: datetime
    until: datetime | None = None
    interval: str | None = None
    ended_at: datetime | None = None
    ended_by: str | None = None

    def over(self, now: datetime) -> bool:
        """Whether it never holds again."""
        if self.ended_at is not None and self.ended_at <= now:
            return True
        return self.until is not None and self.until <= now

    def in_words(self) -> str:
        """`platform=weibo label=refund,spam`, as it was asked for."""
        return " ".join(f"{name}={','.join(values)}" for name, values in self.matchers.items())
