"""Send what the outbox holds for one destination: in order, at its rate, looked for before sent again."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from aggregator.destinations.base import Finds
from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.holds import GONE, Holds
from aggregator.leases import Leases
from aggregator.metrics import Metrics
from aggregator.model import Delivery, Notice, NoticeKind, Receipt
from aggregator.notices import Notices
from aggregator.ops import Ops, in_words
from aggregator.pace import BATCH, Rate, backoff
from aggregator.triage.ruleset import Ruleset
from storage.engine import Connection, Database
from storage.holds import told_meanwhile
from storage.leases import Fence, LeaseLost
from storage.outbox import claim, destination_state, finish, next_due, pause

DIGESTS = 5000  # so many conversations are told of in one digest
HOLD_S = (
    1.0  # what was claimed and has not gone out by then goes back: something more urgent may wait
)
IDLE_S = 5.0
MAX_ATTEMPTS = 12  # over most of an hour; then it is dead, if its destination took others meanwhile
GIVEN_UP = timedelta(days=3)  # dead, even where the destination has taken nothing since
DOWN = 3  # failures in a row after which the destination itself counts as down
LOOK_AGAIN = timedelta(minutes=1)  # at the latest, where a destination is down
REAUTHORISE = timedelta(minutes=5)
LONGEST_WAIT_S = 86400.0

log = structlog.get_logger()


class Sender(threading.Thread):
    """The sender of one destination, a thread of its own. `wake` is called right after a commit."""

    def __init__(
        self,
        *,
        name: str,
        destination: Any,
        language: str,
        timezone: str,
        per_minute: int | None,
        db: Database,
        leases: Leases,
        rules: Callable[[], Ruleset],
        now: Callable[[], datetime],
        ops: Ops,
        metrics: Metrics,
        idle_s: float = IDLE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name=f"sender-{name}", daemon=True)
        self.destination_name = name
        self._destination = destination
        self._rate = Rate(per_minute, monotonic)
        self._db = db
        self._leases = leases
        self._now = now
        self._ops = ops
        self._metrics = metrics
        self._idle_s = idle_s
        self._monotonic = monotonic
        self._notices = Notices(
            destination=name, language=language, timezone=timezone, db=db, rules=rules, now=now
        )
        self._holds = Holds(
            destination=name, timezone=timezone, db=db, rules=rules, now=now, metrics=metrics
        )
        self._wake = threading.Event()
        self.stopping = threading.Event()
        self._failed_in_row = 0
        self._trouble = False

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        """Finish the call under way, put the rest of the batch back, end."""
        self.stopping.set()
        self._wake.set()

    def run(self) -> None:
        while not self.stopping.is_set():
            self._wake.clear()
            wait_s = self._turn()
            if wait_s > 0:
                self._wake.wait(wait_s)

    def _turn(self) -> float:
        """The boundary of a turn: the thread outlives whatever happens in it."""
        try:
            wait_s = self.turn()
        except Unavailable as error:
            if not self._trouble:  # the first failure and the recovery, not every repeat
                log.warning(
                    "sender.unavailable", destination=self.destination_name, reason=error.reason
                )
            self._trouble = True
            return self._idle_s
        except Exception as error:
            log.error("sender.failed", destination=self.destination_name, exc_info=error)
            return self._idle_s
        if self._trouble:
            log.info("sender.recovered", destination=self.destination_name)
        self._trouble = False
        return wait_s

    def turn(self) -> float:
        """Send what is due. Returns the seconds until there may be more; raises Unavailable for our database."""
        name = self.destination_name
        fence = self._leases.hold(f"destination:{name}")
        if fence is None:
            return self._idle_s
        now = self._now()
        try:
            self._holds.settle(fence)
        except LeaseLost:
            self._leases.lost(fence)
            return 0.0
        with self._db.read() as conn:
            state = destination_state(conn, name)
            due_at = next_due(conn, name)
        if due_at is None:
            return self._idle_s
        if state is not None and state.paused_until is not None:
            due_at = max(due_at, state.paused_until)
        if due_at > now:
            return min(max((due_at - now).total_seconds(), 0.01), self._idle_s)
        allowed = self._rate.allowed()
        if allowed <= 0:
            return self._rate.wait_s()
        try:
            batch = self._claim(fence, min(BATCH, allowed))
            if not batch:
                return 1.0
            self._send_all(fence, self._holds.passed(fence, batch))
        except LeaseLost:
            self._leases.lost(fence)
        return 0.0

    def _claim(self, fence: Fence, limit: int) -> list[Delivery]:
        """What is due, P1 first. With one digest come all: they are told in one notice."""
        name, now = self.destination_name, self._now()
        batch = self._db.write(
            lambda conn: claim(conn, fence=fence, destination=name, now=now, limit=limit)
        )
        if any(row.kind is NoticeKind.DIGEST for row in batch):
            batch += self._db.write(
                lambda conn: claim(
                    conn,
                    fence=fence,
                    destination=name,
                    now=now,
                    limit=DIGESTS,
                    more=NoticeKind.DIGEST,
                )
            )
        return batch

    def _send_all(self, fence: Fence, batch: Sequence[Delivery]) -> None:
        queue = deque(batch)
        until = self._monotonic() + HOLD_S
        while queue:
            if self.stopping.is_set():
                return self._put_back(fence, queue, "the daemon stopped before its turn")
            if queue[0] is not batch[0] and self._monotonic() > until:
                return self._put_back(fence, queue, None)
            if not self._leases.sure(fence):
                raise LeaseLost(fence.name)  # whoever owns it now looks before sending these again
            delivery = queue.popleft()
            along: list[Delivery] = []
            if delivery.kind is NoticeKind.DIGEST:
                along = [row for row in queue if row.kind is NoticeKind.DIGEST]
                queue = deque(row for row in queue if row.kind is not NoticeKind.DIGEST)
            pause_until = self._send(fence, delivery, along)
            if pause_until is not None:
                return self._put_back(fence, queue, "the destination is paused", at=pause_until)
        return None

    def _send(self, fence: Fence, delivery: Delivery, along: Sequence[Delivery]) -> datetime | None:
        """Send one. Returns until when the destination is to be left alone, if it is."""
        try:
            notice = self._notices.of(delivery, along)
        except Unavailable:
            raise  # our own database: no fault of the destination
        except LookupError:
            gone = [(row.id, GONE) for row in (delivery, *along)]
            self._db.write(lambda conn: finish(conn, fence=fence, now=self._now(), skipped=gone))
            return None
        except Exception as error:  # noqa: BLE001  a send is a boundary
            return self._failed(fence, delivery, along, error)
        found = None
        try:
            if delivery.unsure:
                found = self._find(notice)
            if found is None:
                self._rate.spend()
            got = found or self._destination.send(notice)
        except Exception as error:  # noqa: BLE001  a send is a boundary
            return self._failed(fence, delivery, along, error)
        if found is not None and along:
            # The notice that arrived may have been one without these: rather twice than never.
            self._put_back(fence, along, None)
            along = ()
        edit = notice.kind is NoticeKind.CARD and notice.earlier is not None
        self._sent(fence, delivery, along, got, found=found is not None, edit=edit)
        return None

    def _find(self, notice: Notice) -> Receipt | None:
        """Look for a notice that may have arrived: after a crash or an ambiguous failure."""
        if not isinstance(self._destination, Finds):
            return None
        self._rate.spend()
        try:
            return self._destination.find(notice)
        except Rejected:
            return None  # the question is refused, not the notice: rather twice than never

    def _sent(
        self,
        fence: Fence,
        delivery: Delivery,
        along: Sequence[Delivery],
        got: Receipt,
        *,
        found: bool,
        edit: bool,
    ) -> None:
        name, now = self.destination_name, self._now()
        told_in = f"told in the digest {delivery.id}"
        self._failed_in_row = 0
        rows = () if edit else (delivery, *along)  # an edit pages nobody
        about = {row.conversation_id for row in rows if row.conversation_id is not None}

        def unit(conn: Connection) -> None:
            skipped = [(other.id, told_in) for other in along]
            finish(conn, fence=fence, now=now, sent=[(delivery.id, got)], skipped=skipped)
            told_meanwhile(conn, name, about, delivery.id)

        self._db.write(unit)
        self._metrics.deliveries.labels(name, "sent").inc()
        delay_s = (now - delivery.created_at).total_seconds()
        self._metrics.delivery_seconds.labels(name).observe(max(delay_s, 0.0))
        log.info(
            "delivery.sent",
            destination=name,
            delivery=delivery.id,
            kind=delivery.kind.value,
            attempt=delivery.attempts,
            found=found,
        )
        self._ops.mended(f"send:{name}", f"{name} takes messages again")

    # -- trouble ---------------------------------------------------------------------------------

    def _failed(
        self, fence: Fence, delivery: Delivery, along: Sequence[Delivery], error: Exception
    ) -> datetime | None:
        """Where the next attempt stands is data in the row; the reason is kept in words."""
        if isinstance(error, RateLimited | Unauthorized):
            return self._refused(fence, [delivery, *along], error)
        name = self.destination_name
        now, reason = self._now(), in_words(error)
        if not isinstance(error, Unavailable | Rejected):
            log.error("delivery.failed_unexpectedly", destination=name, exc_info=error)
        if isinstance(error, Rejected):
            self._dead(fence, [delivery, *along], reason)
            return None
        if self._worn_out(delivery, error, now):
            self._put_back(fence, along, reason)
            self._dead(fence, [delivery], reason)
            return None
        unsure = delivery.unsure or (isinstance(error, Unavailable) and error.maybe_done)
        retry_at, pause_until = now + backoff(delivery.attempts), None
        if isinstance(error, Unavailable):
            self._failed_in_row += 1
            if self._failed_in_row >= DOWN:
                pause_until = now + min(backoff(self._failed_in_row), LOOK_AGAIN)
                retry_at = min(retry_at, pause_until)
        rows = [(delivery.id, retry_at, reason, unsure)]
        rows += [(other.id, retry_at, reason, other.unsure or unsure) for other in along]
        self._db.write(lambda conn: finish(conn, fence=fence, now=now, retry=rows))
        if pause_until is not None:
            self._pause(pause_until, reason)
        self._metrics.deliveries.labels(name, "retry").inc()
        log.warning(
            "delivery.retry",
            destination=name,
            delivery=delivery.id,
            attempt=delivery.attempts,
            reason=reason,
            unsure=unsure,
        )
        return pause_until

    def _refused(
        self, fence: Fence, deliveries: Sequence[Delivery], error: RateLimited | Unauthorized
    ) -> datetime:
        """The destination takes nothing just now: the queue waits, and no attempt is counted."""
        name, reason = self.destination_name, in_words(error)
        wait = REAUTHORISE
        if isinstance(error, RateLimited):
            wait = timedelta(seconds=min(max(1.0, error.retry_after_s), LONGEST_WAIT_S))
        until = self._now() + wait
        self._put_back(fence, deliveries, reason, at=until)
        self._pause(until, reason)
        self._metrics.deliveries.labels(name, "retry").inc()
        if isinstance(error, Unauthorized):
            self._ops.broken(f"send:{name}", f"{name} refuses us: {reason}")
        return until

    def _pause(self, until: datetime, reason: str) -> None:
        name = self.destination_name
        self._db.write(lambda conn: pause(conn, name, until, reason))
        log.warning("destination.paused", destination=name, until=until.isoformat(), reason=reason)

    def _worn_out(self, delivery: Delivery, error: Exception, now: datetime) -> bool:
        """Whether it is the notice that fails: its attempts are used up while others were taken."""
        if delivery.attempts < MAX_ATTEMPTS:
            return False
        if not isinstance(error, Unavailable) or now - delivery.created_at > GIVEN_UP:
            return True
        with self._db.read() as conn:
            state = destination_state(conn, self.destination_name)
        taken_at = None if state is None else state.last_success_at
        return taken_at is not None and taken_at > delivery.created_at

    def _dead(self, fence: Fence, deliveries: Sequence[Delivery], reason: str) -> None:
        name, now = self.destination_name, self._now()
        rows = [(row.id, reason) for row in deliveries]
        self._db.write(lambda conn: finish(conn, fence=fence, now=now, dead=rows))
        self._metrics.deliveries.labels(name, "dead").inc(len(rows))
        log.error("delivery.dead", destination=name, delivery=rows[0][0], reason=reason)
        if any(row.kind is not NoticeKind.OPS for row in deliveries):
            self._ops.lost(
                f"dead:{name}",
                f"a notice to {name} could not be delivered: {reason}; "
                "see `inboxd deliveries list --state dead`",
            )

    def _put_back(
        self,
        fence: Fence,
        deliveries: Sequence[Delivery] | deque[Delivery],
        reason: str | None,
        *,
        at: datetime | None = None,
    ) -> None:
        """Claimed but not tried: due again at `at` (None: now), the attempt not counted."""
        now = self._now()
        rows = [
            (row.id, at or now, reason or row.reason or "waits for its turn", row.unsure)
            for row in deliveries
        ]
        if rows:
            self._db.write(lambda conn: finish(conn, fence=fence, now=now, put_back=rows))
