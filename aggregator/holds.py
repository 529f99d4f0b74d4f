"""What one destination is not to hear just now: put aside before it is sent, told in one digest when that ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from aggregator.filters import RUNGS, About, Filters
from aggregator.metrics import Metrics
from aggregator.model import Delivery, DeliveryState, NoticeKind
from aggregator.sla.waits import whole_ms
from aggregator.triage.ruleset import Ruleset
from storage.engine import Connection, Database
from storage.holds import abouts, card_first, ended, hold, let_go, look_again, next_end
from storage.leases import Fence, check
from storage.outbox import enqueue, finish
from storage.silences import silences
from storage.sql import to_ms

GONE = "there is nothing left to tell"
CARD_FIRST = "the card that was held goes first"
UNDER_A_CARD = (NoticeKind.MESSAGE, *RUNGS)
LOOK_AGAIN = timedelta(days=1)  # at what is held without an end that is known

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Holds:
    """The filters of one destination, asked by its sender, who holds the fence."""

    destination: str
    timezone: str
    db: Database
    rules: Callable[[], Ruleset]
    now: Callable[[], datetime]
    metrics: Metrics
    _version: str | None = field(default=None, init=False)

    def passed(self, fence: Fence, batch: Sequence[Delivery]) -> list[Delivery]:
        """What of a claimed batch may go out now; the rest is put aside with its reason. Raises LeaseLost."""
        ids = {row.conversation_id for row in batch if row.conversation_id is not None}
        if not ids:
            return list(batch)
        now = whole_ms(self.now())
        with self.db.read() as conn:
            filters = self._filters(conn, now)
            found = {id: About(*one) for id, one in abouts(conn, self.destination, ids).items()}
        held, skipped = [], []
        passed: list[Delivery] = []
        under: list[Delivery] = []
        for row in batch:
            about = found.get(row.conversation_id or 0)
            stop = None if about is None else filters.stop(row, about)
            if stop is None:
                bare = about is not None and not about.carded and row.kind in UNDER_A_CARD
                (under if bare else passed).append(row)
            elif stop.held_by is None:
                skipped.append((row.id, stop.reason))
            else:
                until = stop.until or now + LOOK_AGAIN
                held.append((row.id, stop.held_by, stop.reason, until))
        if not (held or skipped or under):
            return passed

        def unit(conn: Connection) -> list[Delivery]:
            hold(conn, held, fence=fence)
            waits = [row for row in under if card_first(conn, row, now)]
            back = [(row.id, now, CARD_FIRST, row.unsure) for row in waits]
            finish(conn, fence=fence, now=now, skipped=skipped, put_back=back)
            return [row for row in under if row not in waits]

        passed += self.db.write(unit)
        self._count("held", len(held))
        self._count("skipped", len(skipped))
        return passed

    def settle(self, fence: Fence) -> None:
        """Tell what a hold that has ended kept back: one digest of what still waits, the most urgent first.

        What is held by something else by now stays held. Rules that changed have everything judged anew.
        """
        now, version = whole_ms(self.now()), self.rules().version
        with self.db.read() as conn:
            end = next_end(conn, self.destination)
        changed, self._version = self._version != version, version
        if end is None or (end > to_ms(now) and not changed):
            return

        def unit(conn: Connection) -> int:
            check(conn, fence)
            if changed:
                look_again(conn, self.destination, now)
            return self._settle(conn, fence, now)

        count = self.db.write(unit)
        if count:
            log.info("holds.ended", destination=self.destination, conversations=count)

    def _settle(self, conn: Connection, fence: Fence, now: datetime) -> int:
        rows = ended(conn, self.destination, now)
        filters = self._filters(conn, now)
        found = {id: About(*one) for id, one in abouts(conn, self.destination, rows).items()}
        held, gone, free = [], [], []
        for id, mine in rows.items():
            about = found.get(id)
            stop = None if about is None else filters.hold(self.destination, about)
            over = GONE if about is None else about.over()
            if over is not None:
                gone += [(row.id, f"held by {row.held_by}; {over}") for row in mine]
            elif stop is not None and stop.held_by is not None:
                until = stop.until or now + LOOK_AGAIN
                held += [(row.id, stop.held_by, stop.reason, until) for row in mine]
            elif about is not None:
                free.append(about)
        free.sort(key=About.rank)
        digests = [self._digest(about, now) for about in free]
        enqueue(conn, digests)
        for about, digest in zip(free, digests, strict=True):
            gone += [
                (row.id, f"held by {row.held_by}; told in the digest {digest.id}")
                for row in rows[about.conversation.id]
            ]
        hold(conn, held, fence=fence)
        let_go(conn, gone)
        return len(free)

    def _digest(self, about: About, now: datetime) -> Delivery:
        """Ids rise in the order of the ranking, and a sender takes them by priority and id."""
        id = self.db.new_id()
        return Delivery(
            id=id,
            destination=self.destination,
            kind=NoticeKind.DIGEST,
            key=f"held:{about.conversation.id}:{self.destination}:{id}",
            state=DeliveryState.PENDING,
            created_at=now,
            conversation_id=about.conversation.id,
            priority=about.conversation.priority,
            due_at=now,
        )

    def _filters(self, conn: Connection, now: datetime) -> Filters:
        rules = self.rules()
        return Filters(rules.routes, rules.targets, silences(conn, now), self.timezone, now)

    def _count(self, result: str, count: int) -> None:
        if count:
            self.metrics.deliveries.labels(self.destination, result).inc(count)
