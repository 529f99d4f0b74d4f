"""Read one account: each stream that is due, page by page, and what its callbacks brought."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog

from aggregator.backfilling import History, lane_of
from aggregator.errors import Unavailable
from aggregator.intake import AccountFacts
from aggregator.leases import Leases
from aggregator.metrics import Metrics
from aggregator.model import Backfill, Decision, Delivery, DeliveryState, Gap, Page
from aggregator.ops import OPS, Ops, in_words
from aggregator.storing import Storing, unreadable
from aggregator.triage.ruleset import Ruleset
from aggregator.troubles import at_pace, gap_words, trouble
from connectors.base import Receives
from storage.engine import Database
from storage.leases import Fence, LeaseLost
from storage.polls import Reach, Stream, begin_account, poll_failed, streams
from storage.pushes import StoredPush, pushes
from storage.schema import BACKFILL

MAX_PAGES = 50  # a stream in one tick; the rest comes with the next, so that others get their turn
MAX_PUSHES = 200
EARLY = timedelta(seconds=1)  # a tick that comes this much before its time counts as on time
PATIENCE = 3  # so often a defect of ours is tried again, before what it stumbles over is set aside

log = structlog.get_logger()
Found = Callable[[str, Decision | None], None]


class Poller:
    """The reader of one account: `tick` asks the platform, `drain` reads what callbacks left.

    Both are called by the scheduler, each never twice at a time; a poll that hangs keeps no callback
    waiting. `hurry` asks the scheduler for another tick at once.
    """

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
        hurry: Callable[[], None],
        ops: Ops,
        metrics: Metrics,
    ) -> None:
        self.account = account
        self.connector = connector
        self.pushed: tuple[str, ...] = connector.pushed if isinstance(connector, Receives) else ()
        self.stopping = threading.Event()
        self._platform = platform
        self._every = timedelta(seconds=every_s)
        self._early = min(EARLY, self._every / 4)
        self._db = db
        self._leases = leases
        self._now = now
        self._told = told
        self._hurry = hurry
        self._ops = ops
        self._metrics = metrics
        self._storing = Storing(
            account=AccountFacts(account, backfill),
            db=db,
            rules=rules,
            now=now,
            stored=self._stored,
            gap_notice=self._gap_notice,
        )
        self._begun = False
        self._looked: set[str] = set()  # streams that this process has asked for already
        self._awake: set[str] = set()
        self._behind: set[str] = set()  # streams whose newest is not all read yet
        self._history = History(connector, backfill, pushed=self.pushed)
        self._polling, self._draining = threading.Lock(), threading.Lock()
        # An answer and what it answers may come by both ways at once: decided one after the other, they meet.
        self._deciding = threading.Lock()
        self._found: Found | None = None
        self._failures = 0

    def idle(self, within_s: float) -> bool:
        """Whether nothing is under way, or is over within `within_s`."""
        for lock in (self._polling, self._draining):
            if not lock.acquire(timeout=max(within_s, 0.0)):
                return False
            lock.release()
        return True

    def wake(self, stream: str) -> None:
        """Poll `stream` at the next tick, whatever its schedule says; not before a refusal's wait is over."""
        self._awake.add(stream)

    def tick(self) -> None:
        """Poll what is due, if this process owns the account. Raises Unavailable for the database's trouble."""
        with self._polling:
            self._owned(self._poll_due)

    def drain(self) -> None:
        """Read what callbacks stored, if this process owns the account. Raises as `tick` does."""
        with self._draining:
            self._owned(self._drain_all)

    def poll_now(self, found: Found) -> bool:
        """Read every stream whatever its schedule; `found` is told each page's decision, None if it failed.

        True if all of them could be read.
        """
        self._found, self._failures = found, 0
        self._awake.update(self.connector.streams)
        self.drain()
        self.tick()
        for stream in self._awake.difference(self.pushed):
            found(stream, None)
            self._failures += 1
        return self._failures == 0

    # -- what is due -----------------------------------------------------------------------------

    def _owned(self, read: Callable[[Fence], None]) -> None:
        fence = self._leases.hold(f"account:{self.account}")
        if fence is None or self.stopping.is_set():
            return
        try:
            if not self._begun:
                # Platforms tell whole seconds: what is sent in the second of the first poll is no history.
                now = self._now().replace(microsecond=0)
                self._db.write(lambda conn: begin_account(conn, self.account, self._platform, now))
                self._begun = True
            read(fence)
        except LeaseLost:
            self._leases.lost(fence)
            log.warning("poll.lease_lost", account=self.account)

    def _poll_due(self, fence: Fence) -> None:
        began = self._now()
        self._behind.clear()
        with self._db.read() as conn:
            rows = streams(conn, self.account)
        for stream in self.connector.streams:
            if stream in self.pushed:
                continue
            if self.stopping.is_set() or not self._due(rows.get(stream), stream):
                continue
            self._looked.add(stream)
            self._awake.discard(stream)
            self._within(fence, stream, partial(self._walk, fence, stream, began + self._every))
        if self._found is None and not self.stopping.is_set():
            self._read_history(fence)

    def _read_history(self, fence: Fence) -> None:
        """One page of what lay before the first poll, once nothing new is left to read."""
        if self._behind or not self._history.left:
            return
        with self._db.read() as conn:
            rows = streams(conn, self.account)
        due = any(self._due(rows.get(one), one) for one in self._history.streams)
        stream = None if due else self._history.next(rows, self._now())
        if stream is None or not self._leases.sure(fence):
            return

        lane, row = lane_of(stream), rows.get(lane_of(stream))

        def read() -> None:
            page, reach = self._history.page(stream, row, self.stopping)
            self._store(fence, row, lane, page, None, reach=reach)
            self._well(lane)

        self._within(fence, lane, read)

    def _due(self, row: Stream | None, stream: str) -> bool:
        now = self._now()
        if row is None:
            return True
        if row.paused_until is not None and row.paused_until > now:
            return False
        if row.failures and stream not in self._looked:
            return True  # whoever started us may have mended what was refused
        if stream in self._awake and (not row.failures or self._found is not None):
            return True
        return row.next_poll_at is None or row.next_poll_at <= now + self._early

    def _walk(self, fence: Fence, stream: str, next_poll_at: datetime) -> None:
        for _ in range(MAX_PAGES):
            if self.stopping.is_set():
                return
            if not self._leases.sure(fence):
                raise LeaseLost(fence.name)
            row = self._row(stream)
            cursor = row.cursor if row else None
            with self._metrics.poll_seconds.labels(self.account, stream).time():
                page = at_pace(partial(self.connector.poll, stream, cursor), self.stopping)
                with self._deciding:
                    self._store(fence, row, stream, page, next_poll_at)
            self._well(stream)
            if not page.more:
                return
        self._behind.add(stream)
        self._hurry()

    def _drain_all(self, fence: Fence) -> None:
        for stream in self.pushed:
            self._within(fence, stream, partial(self._drain, fence, stream))

    def _drain(self, fence: Fence, stream: str) -> None:
        while not self.stopping.is_set():
            with self._db.read() as conn:
                rows = pushes(conn, self.account, stream, MAX_PUSHES)
                row = streams(conn, self.account).get(stream)
            if not rows or (row is not None and self._waits(row)):
                return
            if row is not None and row.failures >= PATIENCE:
                page = self._singly(stream, rows)
            else:
                page = self.connector.read([one.body for one in rows])
            with self._deciding:
                self._store(fence, row, stream, page, self._now(), [one.id for one in rows])
            self._well(stream)
            if page.wake:
                self._awake.update(page.wake)
                self._hurry()

    def _waits(self, row: Stream) -> bool:
        """Whether reading what was pushed has failed and is not to be tried again yet."""
        return bool(row.failures and row.next_poll_at and row.next_poll_at > self._now())

    def _row(self, stream: str) -> Stream | None:
        with self._db.read() as conn:
            return streams(conn, self.account).get(stream)

    # -- storing ---------------------------------------------------------------------------------

    def _store(
        self,
        fence: Fence,
        row: Stream | None,
        stream: str,
        page: Page,
        next_poll_at: datetime | None,
        drained: Sequence[int] = (),
        reach: Callable[[Decision], Reach] | None = None,
    ) -> None:
        if page.more:
            next_poll_at = self._now()
        store = partial(
            self._storing.store,
            fence,
            stream,
            page,
            next_poll_at=next_poll_at,
            drained=drained,
            reach=reach,
        )
        if row is None or row.failures < PATIENCE:
            store()
            return
        try:
            store()
        except (LeaseLost, Unavailable):
            raise
        except Exception:  # noqa: BLE001  the same page has failed before: find out which message it is
            aside = self._storing.store_singly(
                fence,
                stream,
                page,
                cursor=row.cursor,
                next_poll_at=next_poll_at,
                drained=drained,
                reach=reach,
            )
            self._set_aside(stream, aside)

    def _singly(self, stream: str, rows: Sequence[StoredPush]) -> Page:
        """Bodies that have failed together, read one by one; what cannot be read is kept as unreadable."""
        messages, wake, aside = [], [], 0
        for row in rows:
            try:
                page = self.connector.read([row.body])
            except Unavailable:
                raise
            except Exception as error:
                log.error("push.set_aside", account=self.account, stream=stream, exc_info=error)
                aside += 1
                messages.append(
                    unreadable(row.body, platform=self._platform, received_at=row.received_at)
                )
            else:
                messages += page.messages
                wake += page.wake
        self._set_aside(stream, aside)
        return Page(tuple(messages), None, wake=tuple(dict.fromkeys(wake)))

    def _set_aside(self, stream: str, count: int) -> None:
        if count:
            self._ops.lost(
                f"aside:{self.account}:{stream}",
                f"{self.account}/{stream}: {count} could not be read; kept raw, as messages without words",
            )

    def _gap_notice(self, stream: str, gap: Gap, *, closed: bool = False) -> Delivery | None:
        about, mark = f"gap:{self.account}:{stream}", "✅" if closed else "⚠️"
        words = gap_words(self.account, stream, gap, closed=closed)
        return self._ops.notice(about, words, mark=mark)

    def _stored(self, stream: str, decision: Decision, gaps: tuple[Gap, ...]) -> None:
        rows = decision.deliveries
        told = {row.destination for row in rows if row.state is DeliveryState.PENDING}
        self._told(told | {OPS} if gaps else told)
        self._metrics.page(self.account, decision, gaps)
        if self._found is not None:
            self._found(stream, decision)
        if stream in self.connector.streams:
            self._metrics.poll_success.labels(self.account, stream).set(self._now().timestamp())
        if decision.messages or decision.versions:
            log.info(
                "poll.stored",
                account=self.account,
                stream=stream,
                new=len(decision.messages),
                changed=len(decision.versions),
                repeated=decision.repeated,
            )

    # -- trouble ---------------------------------------------------------------------------------

    def _within(self, fence: Fence, stream: str, read: Callable[[], None]) -> None:
        """The boundary of a poll: one stream's trouble, a defect of ours included, stays its own."""
        try:
            read()
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001
            self._failed(fence, stream, error)

    def _well(self, stream: str) -> None:
        self._ops.mended(f"poll:{self.account}:{stream}", f"{self.account}/{stream} is read again")

    def _failed(self, fence: Fence, stream: str, error: Exception) -> None:
        """Put the retry into the stream's row; tell a person what only a person can mend, once.

        Only a rate limit outlives a restart: what was refused is asked for again by a new process. A refusal
        to read what was pushed is a defect of ours: nobody was asked.
        """
        now = self._now()
        row = self._row(stream)
        failures = row.failures if row else 0
        found = trouble(error, now=now, failures=failures, pushed=stream in self.pushed)
        reason = in_words(error)
        if found.outcome == "bug":
            log.error(
                "poll.failed_unexpectedly", account=self.account, stream=stream, exc_info=error
            )
        self._db.write(
            partial(
                poll_failed,
                fence=fence,
                account=self.account,
                stream=stream,
                error=reason,
                retry_at=found.retry_at,
                pause_until=found.pause_until,
                now=now,
                state=found.state,
            )
        )
        self._metrics.poll_failures.labels(self.account, stream, found.outcome).inc()
        # History that waits for what is new is as it should be.
        waits = stream.endswith(BACKFILL) and found.outcome == "rate_limited"
        if failures == 0 and not waits:  # the first failure and the recovery, not every repeat
            where = {"account": self.account, "stream": stream}
            log.warning("poll.failed", **where, outcome=found.outcome, reason=reason)
        if found.told and not waits:
            self._ops.broken(
                f"poll:{self.account}:{stream}", f"{self.account}/{stream} is not read: {reason}"
            )
        if self._found is not None:
            self._found(stream, None)
            self._failures += 1
