"""Send what the outbox holds for one destination: in order, at its rate, looked for before sent again."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from aggregator.destinations.base import Finds
from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.leases import Leases
from aggregator.metrics import Metrics
from aggregator.model import Delivery, Notice, NoticeKind, Receipt
from aggregator.ops import Ops
from aggregator.triage.ruleset import Ruleset
from storage.engine import Database
from storage.leases import Fence, LeaseLost
from storage.outbox import (
    claim,
    destination_state,
    finish,
    load_card,
    load_said,
    next_due,
    pause,
    receipt,
)

BATCH = 10
IDLE_S = 5.0
MAX_ATTEMPTS = 12  # over about two hours; then the delivery is dead and listed
BACKOFF = (timedelta(seconds=2), timedelta(minutes=15))
REAUTHORISE = timedelta(minutes=5)
DIGEST_LINES = 20

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
    ) -> None:
        super().__init__(name=f"sender-{name}", daemon=True)
        self.destination_name = name
        self._destination = destination
        self._language = language
        self._timezone = timezone
        self._rate = _Rate(per_minute)
        self._db = db
        self._leases = leases
        self._rules = rules
        self._now = now
        self._ops = ops
        self._metrics = metrics
        self._wake = threading.Event()
        self.stopping = threading.Event()

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        self.stopping.set()
        self._wake.set()

    def run(self) -> None:
        while not self.stopping.is_set():
            self._wake.clear()
            try:
                wait_s = self.turn()
            except Exception as error:
                log.error("sender.failed", destination=self.destination_name, exc_info=error)
                wait_s = IDLE_S
            if wait_s > 0:
                self._wake.wait(wait_s)

    def turn(self) -> float:
        """Send what is due. Returns the seconds until there may be more."""
        name = self.destination_name
        fence = self._leases.hold(f"destination:{name}")
        if fence is None:
            return IDLE_S
        now = self._now()
        with self._db.read() as conn:
            state = destination_state(conn, name)
            due_at = next_due(conn, name)
        if state is not None and state.paused_until is not None and state.paused_until > now:
            return self._until(state.paused_until, now)
        if due_at is None or due_at > now:
            return IDLE_S if due_at is None else self._until(due_at, now)
        try:
            batch = self._db.write(
                lambda conn: claim(conn, fence=fence, destination=name, now=now, limit=BATCH)
            )
            if not batch:
                return 1.0
            self._send_all(fence, batch)
        except LeaseLost:
            self._leases.lost(fence)
        return 0.0

    def _until(self, then: datetime, now: datetime) -> float:
        return min(max((then - now).total_seconds(), 0.01), IDLE_S)

    def _send_all(self, fence: Fence, batch: Sequence[Delivery]) -> None:
        queue = deque(batch)
        while queue:
            if self.stopping.is_set():
                self._put_back(fence, queue, self._now(), "the daemon stopped before its turn")
                return
            delivery = queue.popleft()
            if delivery.kind is NoticeKind.DIGEST:
                gathered = [delivery, *(d for d in queue if d.kind is NoticeKind.DIGEST)]
                queue = deque(d for d in queue if d.kind is not NoticeKind.DIGEST)
            else:
                gathered = [delivery]
            pause_until = self._send(fence, delivery, gathered[1:])
            if pause_until is not None:
                self._put_back(fence, queue, pause_until, "the destination is paused")
                return

    def _send(self, fence: Fence, delivery: Delivery, along: Sequence[Delivery]) -> datetime | None:
        """Send one. Returns until when the destination is to be left alone, if it is."""
        name = self.destination_name
        try:
            self._rate.wait(self.stopping)
            notice = self._notice(delivery, along)
            found = self._find(notice) if delivery.unsure else None
            got = found or self._destination.send(notice)
        except Exception as error:  # noqa: BLE001  a send is a boundary
            return self._failed(fence, delivery, along, error)
        told_in = f"told in the digest {delivery.id}"
        self._db.write(
            lambda conn: finish(
                conn,
                fence=fence,
                now=self._now(),
                sent=[(delivery.id, got)],
                skipped=[(other.id, told_in) for other in along],
            )
        )
        self._metrics.deliveries.labels(name, "sent").inc()
        delay_s = (self._now() - delivery.created_at).total_seconds()
        self._metrics.delivery_seconds.labels(name).observe(max(delay_s, 0.0))
        log.info(
            "delivery.sent",
            destination=name,
            delivery=delivery.id,
            kind=delivery.kind.value,
            attempt=delivery.attempts,
            found=found is not None,
        )
        self._ops.mended(f"send:{name}", f"{name} takes messages again")
        return None

    def _find(self, notice: Notice) -> Receipt | None:
        """Look for a notice that may have arrived: after a crash or an ambiguous failure."""
        if not isinstance(self._destination, Finds):
            return None
        return self._destination.find(notice)

    def _failed(
        self, fence: Fence, delivery: Delivery, along: Sequence[Delivery], error: Exception
    ) -> datetime | None:
        """Where the next attempt stands is data in the row; the reason is kept in words."""
        name = self.destination_name
        now = self._now()
        reason = str(error)
        unsure = delivery.unsure or (isinstance(error, Unavailable) and error.maybe_done)
        if isinstance(error, RateLimited | Unauthorized):
            wait = REAUTHORISE
            if isinstance(error, RateLimited):
                wait = timedelta(seconds=error.retry_after_s)
            until = now + wait
            self._put_back(fence, [delivery, *along], until, reason, unsure=delivery.unsure)
            self._db.write(lambda conn: pause(conn, name, until, reason))
            self._metrics.deliveries.labels(name, "retry").inc()
            log.warning(
                "destination.paused", destination=name, until=until.isoformat(), reason=reason
            )
            if isinstance(error, Unauthorized):
                self._ops.broken(f"send:{name}", f"{name} refuses us: {reason}")
            return until
        dead = isinstance(error, Rejected) or delivery.attempts >= MAX_ATTEMPTS
        if not isinstance(error, Unavailable | Rejected):
            reason = f"{type(error).__name__}: {error}"
            log.error("delivery.failed_unexpectedly", destination=name, exc_info=error)
        if dead:
            self._db.write(
                lambda conn: finish(
                    conn, fence=fence, now=now, dead=[(d.id, reason) for d in (delivery, *along)]
                )
            )
            self._metrics.deliveries.labels(name, "dead").inc()
            log.error("delivery.dead", destination=name, delivery=delivery.id, reason=reason)
            if delivery.kind is not NoticeKind.OPS:
                self._ops.broken(
                    f"dead:{name}", f"a notice to {name} could not be delivered: {reason}"
                )
            return None
        retry_at = now + _backoff(delivery.attempts)
        self._db.write(
            lambda conn: finish(
                conn,
                fence=fence,
                now=now,
                retry=[(delivery.id, retry_at, reason, unsure)]
                + [(other.id, retry_at, reason, other.unsure) for other in along],
            )
        )
        self._metrics.deliveries.labels(name, "retry").inc()
        log.warning(
            "delivery.retry",
            destination=name,
            delivery=delivery.id,
            attempt=delivery.attempts,
            reason=reason,
            unsure=unsure,
        )
        return None

    def _put_back(
        self,
        fence: Fence,
        deliveries: Sequence[Delivery],
        at: datetime,
        reason: str,
        *,
        unsure: bool | None = None,
    ) -> None:
        """Claimed but not tried: due again at `at`, the attempt not counted."""
        rows = [(d.id, at, reason, d.unsure if unsure is None else unsure) for d in deliveries]
        if rows:
            self._db.write(lambda conn: finish(conn, fence=fence, now=self._now(), put_back=rows))

    # -- what a notice says, at this moment ------------------------------------------------------

    def _notice(self, delivery: Delivery, along: Sequence[Delivery]) -> Notice:
        notice = Notice(
            key=delivery.key,
            kind=delivery.kind,
            language=self._language,
            timezone=self._timezone,
            now=self._now(),
            text=delivery.text,
            since=delivery.created_at,
        )
        if delivery.conversation_id is None:
            return notice
        rules = self._rules()
        with self._db.read() as conn:
            card, evidence = load_card(conn, delivery.conversation_id)
            earlier = receipt(conn, self.destination_name, delivery.conversation_id)
            said = load_said(conn, delivery.message_id) if delivery.message_id else None
            if delivery.kind is NoticeKind.DIGEST:
                ids = [delivery.conversation_id, *(d.conversation_id or 0 for d in along)]
                told = [load_card(conn, id)[0] for id in ids[:DIGEST_LINES]]
                return replace(notice, digest=tuple(told), count=len(ids))
        matches = [match for found in evidence for match in found]
        card = replace(card, why=rules.why(matches, language=self._language))
        return replace(
            notice,
            card=card,
            message=said,
            earlier=earlier,
            mentions=card.conversation.mentions if earlier is None else (),
        )


class _Rate:
    """At most `per_minute` calls in any minute, by the monotonic clock; exact, since one sender sends."""

    def __init__(self, per_minute: int | None) -> None:
        self._limit = per_minute
        self._calls: deque[float] = deque()

    def wait(self, stopping: threading.Event) -> None:
        if self._limit is None:
            return
        while len(self._calls) >= self._limit:
            left = self._calls[0] + 60 - time.monotonic()
            if left <= 0:
                self._calls.popleft()
            elif stopping.wait(min(left, 1.0)):
                return
        self._calls.append(time.monotonic())


def _backoff(attempts: int) -> timedelta:
    first, last = BACKOFF
    wait: timedelta = min(first * (1 << min(attempts - 1, 12)), last)
    return wait * random.uniform(0.75, 1.25)
