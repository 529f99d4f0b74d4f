"""What X charges, and how much of a day's budget each stream may have."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from aggregator.model import Quota
from connectors import budget
from connectors.base import Keep, Now
from connectors.payload import items, mapping, native

# Micro-dollars a resource, as of 2026-11-21: https://docs.x.com/x-api/fundamentals/pay-per-use. The same
# resource is charged once a UTC day; refused requests are not charged.
PRICES = {
    "owned_post": 1_000,  # our mentions and own posts, where the app is the account's own
    "post": 5_000,
    "user": 10_000,
    "dm_event": 10_000,
    "activity.post": 5_000,
    "activity.dm_event": 10_000,
    "post.create": 15_000,
    "post.create.url": 200_000,
    "post.create.summoned": 10_000,
    "dm.create": 15_000,
}
SHARES = {"mentions": 0.3, "direct_messages": 0.3}  # of a day: nothing else spends these
BACKFILL = "backfill"


class Ledger:
    """Counts what was billed, and says what may still be asked for. Without a cap it only counts."""

    def __init__(
        self, keep: Keep, now: Now, *, per_day: float | None, streams: Iterable[str], owned: bool
    ) -> None:
        self._keep = keep
        self._now = now
        self._cap = None if per_day is None else round(per_day * 1_000_000)
        self._shares = {name: share for name, share in SHARES.items() if name in set(streams)}
        self.owned = "owned_post" if owned else "post"

    def size(self, who: str, wanted: int, *, least: int, kind: str) -> int:
        """How many items of `kind` (each with its author) to ask for, `wanted` at most.

        Raises RateLimited until 00:00 UTC where not even `least` can be paid.
        """
        if self._cap is None:
            return wanted
        each = PRICES[kind] + PRICES["user"]
        free = budget.afford(
            self._keep,
            self._now(),
            who,
            cap=self._cap,
            shares=self._shares,
            least=least * each * (2 if who == BACKFILL else 1),
        )
        if who == BACKFILL:
            free //= 2  # history never takes the last of what is new
        return max(least, min(wanted, free // each))

    def read(self, who: str, kind: str, data: Iterable[Any], includes: dict[str, Any]) -> None:
        """Count an answer: its list, and what came beside it."""
        posts = [*items(includes.get("tweets")), *items(includes.get("posts"))]
        billed = [(kind, native(mapping(one).get("id"))) for one in data]
        billed += [("post", native(mapping(one).get("id"))) for one in posts]
        billed += [("user", native(mapping(one).get("id"))) for one in items(includes.get("users"))]
        budget.spend(self._keep, self._now(), who, billed, PRICES)

    def left(self) -> tuple[Quota, ...]:
        """What is left of the day's money, and when the next day begins; nothing where no cap is set."""
        if self._cap is None:
            return ()
        now = self._now()
        free = max(self._cap - budget.spent(self._keep, now).micros, 0)
        midnight = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
        return (Quota("budget", free / 1e6, self._cap / 1e6, "USD", midnight),)

    def wrote(self, kind: str) -> None:
        """Count what we sent. A person asked for it: no cap holds it back."""
        budget.spend(self._keep, self._now(), "replies", [(kind, None)], PRICES)
