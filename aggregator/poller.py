"""Read one account: each stream that is due, page by page, one transaction a page."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.intake import AccountFacts, decide
from aggregator.leases import Leases
from aggregator.metrics import Metrics
from aggregator.model import Backfill, Decision, DeliveryState, Page
from aggregator.ops import Ops
from aggregator.triage.ruleset import Ruleset
from connectors.base import Receives
from storage.engine import Database
from storage.leases import Fence, LeaseLost
from storage.polls import Conflict, begin_account, commit_poll, known, poll_failed, streams
from storage.pushes import pushes

MAX_PAGES = 50  # a stream in one tick; the rest waits for the next, so that others get their turn
MAX_PUSHES = 200
MAX_DECISIONS = 5  # a page that others keep changing under us is put off, not fought over
BACKOFF = (timedelta(seconds=5), timedelta(minutes=15))
DENIED = timedelta(hours=6)  # a stream that the platform does not allow is asked for again so often
REAUTHORISE = timedelta(minutes=15)

log = structlog.get_logger()


class Poller:
    """The reader of one account. `tick` is called by the scheduler, never twice at a time."""

    def __init__(
        self,
        *,
        account: str,
        connector: Any,
        platform: str,
        every_s: float,
        backfill: Backfill,
        db: Database,
        leases: Leases,
        rules: Callable[[], Ruleset],
        now: Callable[[], datetime],
        told: Callable[[Collection[str]], None],
        ops: Ops,
        metrics: Metrics,
    ) -> None:
        self.account = account
        self.connector = connector
        self._platform = platform
        self._every = timedelta(seconds=every_s)
        self._facts = AccountFacts(account, backfill)
        self._db = db
        self._leases = leases
        self._rules = rules
        self._now = now
        self._told = told
        self._ops = ops
        self._metrics = metrics
        self._begun = False
        self._awake: set[str] = set()
        self.stopping = threading.Event()
        self._busy = threading.Lock()
        self._found: Callable[[str, Decision | None], None] | None = None

    def idle(self, within_s: float) -> bool:
        """Wait until no tick runs; False when one still does after `within_s`."""
        if not self._busy.acquire(timeout=max(within_s, 0.0)):
            return False
        self._busy.release()
        return True

    def wake(self, stream: str) -> None:
        """Poll `stream` at the next tick, whatever its schedule says."""
        self._awake.add(stream)

    def tick(self) -> None:
        """Poll what is due, if this process owns the account."""
        with self._busy:
            self._tick()

    def poll_now(self, found: Callable[[str, Decision | None], None]) -> bool:
        """Poll every stream whatever its schedule; `found` is told each page's decision, None if it failed."""
        self._found = found
        self._awake.update(self.connector.streams)
        self.tick()
        return not self._awake

    def _tick(self) -> None:
        fence = self._leases.hold(f"account:{self.account}")
        if fence is None or self.stopping.is_set():
            return
        try:
            if not self._begun:
                now = self._now()
                self._db.write(lambda conn: begin_account(conn, self.account, self._platform, now))
                self._begun = True
            pushed = self.connector.pushed if isinstance(self.connector, Receives) else ()
            for stream in pushed:
                self._drain(fence, stream)
            with self._db.read() as conn:
                state = streams(conn, self.account)
            for stream in self.connector.streams:
                if stream not in pushed and self._due(state.get(stream), stream):
                    self._awake.discard(stream)
                    self._walk(fence, stream)
        except LeaseLost:
            self._leases.lost(fence)
            log.warning("poll.lease_lost", account=self.account)

    def _due(self, row: Any, stream: str) -> bool:
        now = self._now()
        if row is None:
            return True
        if row.paused_until is not None and row.paused_until > now:
            return False
        return stream in self._awake or row.next_poll_at is None or row.next_poll_at <= now

    def _walk(self, fence: Fence, stream: str) -> None:
        for _ in range(MAX_PAGES):
            if self.stopping.is_set():
                return
            with self._db.read() as conn:
                row = streams(conn, self.account).get(stream)
            cursor = row.cursor if row else None
            with self._metrics.poll_seconds.labels(self.account, stream).time():
                page = self._ask(fence, stream, partial(self.connector.poll, stream, cursor))
                if page is None or not self._commit(fence, stream, page, ()):
                    return
            if not page.more:
                return

    def _drain(self, fence: Fence, stream: str) -> None:
        """What callbacks stored raw, through the connector's `read`."""
        for _ in range(MAX_PAGES):
            with self._db.read() as conn:
                rows = pushes(conn, self.account, stream, MAX_PUSHES)
            if not rows or self.stopping.is_set():
                return
            bodies = [row.body for row in rows]
            page = self._ask(fence, stream, partial(self.connector.read, bodies))
            if page is None or not self._commit(fence, stream, page, [r.id for r in rows]):
                return
            self._awake.update(page.wake)

    def _ask(self, fence: Fence, stream: str, ask: Callable[[], Page]) -> Page | None:
        try:
            page = ask()
        except Exception as error:  # noqa: BLE001  a poll is a boundary: one stream's trouble stays its own
            self._failed(fence, stream, error)
            return None
        self._ops.mended(f"poll:{self.account}:{stream}", f"{self.account}/{stream} is read again")
        return page

    def _commit(self, fence: Fence, stream: str, page: Page, drained: Collection[int]) -> bool:
        for _ in range(MAX_DECISIONS):
            now = self._now()
            with self._db.read() as conn:
                before = known(conn, self.account, page.messages)
            decision = decide(
                page,
                before,
                account=self._facts,
                rules=self._rules(),
                now=now,
                new_id=self._db.new_id,
            )
            try:
                self._db.write(
                    partial(
                        commit_poll,
                        fence=fence,
                        account=self.account,
                        stream=stream,
                        page_cursor=page.cursor,
                        decision=decision,
                        now=now,
                        drained=tuple(drained),
                        next_poll_at=now if page.more else now + self._every,
                    )
                )
            except Conflict:
                continue
            except Unavailable as error:  # the writer's queue is full: the page is read again later
                log.warning("poll.not_stored", account=self.account, reason=error.reason)
                return False
            self._stored(stream, page, decision, now)
            return True
        log.warning("poll.put_off", account=self.account, stream=stream, reason="changed under us")
        return False

    def _stored(self, stream: str, page: Page, decision: Decision, now: datetime) -> None:
        self._told(
            {row.destination for row in decision.deliveries if row.state is DeliveryState.PENDING}
        )
        self._metrics.poll_success.labels(self.account, stream).set(now.timestamp())
        if decision.repeated:
            self._metrics.repeated.labels(self.account).inc(decision.repeated)
        for stored in decision.messages:
            message = stored.message
            self._metrics.ingested.labels(
                self.account, message.kind.value, message.direction.value
            ).inc()
        if decision.messages or decision.versions:
            log.info(
                "poll.stored",
                account=self.account,
                stream=stream,
                new=len(decision.messages),
                changed=len(decision.versions),
                repeated=decision.repeated,
                more=page.more,
            )

    def _failed(self, fence: Fence, stream: str, error: Exception) -> None:
        """Put the retry into the stream's row; tell a person what only a person can mend, once."""
        now = self._now()
        with self._db.read() as conn:
            row = streams(conn, self.account).get(stream)
        failures = row.failures if row else 0
        retry_at = now + _backoff(failures)
        pause_until = None
        outcome, reason = "unavailable", str(error)
        if isinstance(error, RateLimited):
            outcome = "rate_limited"
            retry_at = pause_until = now + timedelta(seconds=error.retry_after_s)
        elif isinstance(error, Unauthorized):
            outcome = "unauthorized"
            retry_at = pause_until = now + REAUTHORISE
        elif isinstance(error, Rejected):
            outcome = "rejected"
            retry_at = pause_until = now + DENIED
        elif not isinstance(error, Unavailable):
            outcome = "bug"
            reason = f"{type(error).__name__}: {error}"
            log.error(
                "poll.failed_unexpectedly", account=self.account, stream=stream, exc_info=error
            )
        self._metrics.poll_failures.labels(self.account, stream, outcome).inc()
        if failures == 0:  # the first failure and the recovery, not every repeat
            log.warning(
                "poll.failed", account=self.account, stream=stream, outcome=outcome, reason=reason
            )
        if outcome in ("unauthorized", "rejected", "bug"):
            self._ops.broken(
                f"poll:{self.account}:{stream}", f"{self.account}/{stream} is not read: {reason}"
            )
        self._db.write(
            partial(
                poll_failed,
                fence=fence,
                account=self.account,
                stream=stream,
                error=reason,
                retry_at=retry_at,
                pause_until=pause_until,
            )
        )


def _backoff(failures: int) -> timedelta:
    first, last = BACKOFF
    wait: timedelta = min(first * (1 << min(failures, 10)), last)
    return wait * random.uniform(0.75, 1.25)
