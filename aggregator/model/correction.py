"""What people say a verdict should have been."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from aggregator.model.verdict import Priority


@dataclass(frozen=True, slots=True)
class Correction:
    """One person's word on one message. None, or empty: nothing is said of that."""

    id: int
    message_id: int
    at: datetime
    by: str
    why: str | None = None
    priority: Priority | None = None
    sentiment: str | None = None
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Corrected:
    """A verdict as people left it: of several words on one thing the last one counts."""

    priority: Priority
    sentiment: str
    tags: tuple[str, ...]


def corrected(
    priority: Priority, sentiment: str, tags: Collection[str], said: Iterable[Correction]
) -> Corrected:
    """What was judged, with all corrections on it in their order."""
    labels = set(tags)
    for one in said:
        priority = one.priority or priority
        sentiment = one.sentiment or sentiment
        labels = (labels | set(one.added)) - set(one.removed)
    return Corrected(priority, sentiment, tuple(sorted(labels)))
