"""Looks after accounts: who we are there, how long tokens last, what is left of quotas, who is silent that never is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import structlog

from aggregator.errors import Rejected, Unauthorized, Unavailable
from aggregator.leases import Leases
from aggregator.metrics import Metrics
from aggregator.model import Identity, Quota
from aggregator.ops import Ops, in_words
from connectors.base import Metered
from storage.engine import Database
from storage.health import (
    AccountHealth,
    account_health,
    checked,
    heard,
    not_checked,
    set_quotas,
    set_silence,
)
from storage.leases import Fence, LeaseLost

WARN_DAYS = (14, 7, 3, 1)
CHECK_EVERY = timedelta(days=1)
AGAIN = timedelta(hours=1)  # a check that was not answered
JUST_CHECKED = timedelta(minutes=10)  # a process that is started again and again asks so often
LISTEN_EVERY = timedelta(hours=1)
LOOKS_BACK = timedelta(days=14)
LEARNS_FOR = timedelta(days=7)
LEAST = timedelta(hours=6)
TIMES = 4

log = structlog.get_logger()
Heard = Sequence[tuple[datetime, datetime]]


class Health:
    """`tick` is called by the scheduler, each minute. One process of many looks after an account.

    An account is checked at a start, and then once a day; one that does not answer, each hour. What is left
    of its quotas is noted as it changes, silence is listened for each hour.
    """

    def __init__(
        self,
        connectors: Mapping[str, Any],
        *,
        db: Database,
        leases: Leases,
        ops: Ops,
        now: Callable[[], datetime],
        metrics: Metrics,
    ) -> None:
        self._connectors = connectors
        self._db = db
        self._leases = leases
        self._ops = ops
        self._now = now
        self._metrics = metrics
        self._checks: dict[str, datetime] = {}  # when to check next
        self._listens: dict[str, datetime] = {}
        self._quotas: dict[str, tuple[Quota, ...]] = {}

    def tick(self) -> None:
        """Raises Unavailable for the database's trouble."""
        for name, connector in self._connectors.items():
            fence = self._leases.hold(f"health:{name}")
            if fence is None:
                continue
            try:
                self._look(name, connector, fence)
            except LeaseLost:
                self._leases.lost(fence)

    def _look(self, name: str, connector: Any, fence: Fence) -> None:
        with self._db.read() as conn:
            row = account_health(conn, name)
        if row is None:
            return  # not polled yet: the next tick comes soon
        now = self._now()
        expires_at = row.token_expires_at
        if name not in self._checks:
            # One that was not answered is asked for again: whoever started us may have mended it.
            answered = row.tried_at is not None and row.tried_at == row.checked_at
            soon = answered and row.tried_at is not None and now - row.tried_at < JUST_CHECKED
            self._checks[name] = now + JUST_CHECKED if soon else now
        if now >= self._checks[name]:
            expires_at = self._check(row, connector, fence, now)
        if expires_at is not None:
            self._metrics.token_expiry.labels(name).set(expires_at.timestamp())
        if isinstance(connector, Metered):
            self._measure(name, connector, fence, now)
        if now >= self._listens.get(name, now):
            self._listens[name] = now + LISTEN_EVERY
            self._listen(row, fence, now)

    # -- who we are, and how long ------------------------------------------------------------------

    def _check(
        self, row: AccountHealth, connector: Any, fence: Fence, now: datetime
    ) -> datetime | None:
        """Ask who we are. A refusal is not told here: the streams tell theirs, and it is asked again.

        The boundary of a call: a defect of ours in one account's check is not the others' trouble.
        """
        try:
            identity: Identity = connector.check()
        except Exception as error:
            self._checks[row.name] = now + AGAIN
            reason = in_words(error)
            log.info("health.not_checked", account=row.name, reason=reason)
            if not isinstance(error, (Unavailable, Unauthorized, Rejected)):
                log.error("health.check_failed", account=row.name, exc_info=error)
            self._db.write(partial(not_checked, name=row.name, error=reason, fence=fence, now=now))
            return row.token_expires_at
        self._checks[row.name] = now + CHECK_EVERY
        ends = identity.token_expires_at
        warned, text = warning(row.name, ends, row.token_warned, now)
        notice = self._ops.notice(f"token:{row.name}:{warned}", text) if text else None
        self._db.write(
            partial(
                checked,
                name=row.name,
                identity=identity,
                fence=fence,
                now=now,
                warned=warned,
                notice=notice,
            )
        )
        return ends

    # -- what is left ------------------------------------------------------------------------------

    def _measure(self, name: str, connector: Metered, fence: Fence, now: datetime) -> None:
        quotas = connector.quotas()
        if self._quotas.get(name) == quotas:
            return
        self._db.write(partial(set_quotas, name=name, quotas=quotas, fence=fence, now=now))
        self._quotas[name] = quotas

    # -- silence ---------------------------------------------------------------------------------

    def _listen(self, row: AccountHealth, fence: Fence, now: datetime) -> None:
        if not row.reads:
            return  # told already, with the reason
        with self._db.read() as conn:
            times = heard(conn, row.name, now - LOOKS_BACK)
        last = times[-1][1] if times else None
        silence = partial(set_silence, name=row.name, fence=fence)
        if row.silent_since is not None:
            if last is not None and last > row.silent_since:
                text = f"{row.name}: messages come in again"
                notice = self._ops.notice(f"silence:{row.name}:over", text)
                self._db.write(partial(silence, since=None, notice=notice))
            return
        longest = allowed(times, row.first_poll_at, now)
        if last is None or longest is None or now - last <= longest:
            return
        text = (
            f"{row.name}: no message for {_hours(now - last)}, where {_hours(longest)} is the most to expect "
            "at this time of day; look whether the platform still tells of everything"
        )
        notice = self._ops.notice(f"silence:{row.name}", text)
        self._db.write(partial(silence, since=last, notice=notice))


def warning(
    name: str, expires_at: datetime | None, warned: int | None, now: datetime
) -> tuple[int | None, str | None]:
    """What to have warned of now, and the words if that is new: once each at 14, 7, 3 and 1 days left."""
    if expires_at is None:
        return None, None
    left = expires_at - now
    reached = [days for days in WARN_DAYS if left <= timedelta(days=days)]
    if not reached:
        return None, None
    if warned is not None and warned <= min(reached):
        return warned, None
    when = f"{expires_at:%Y-%m-%d %H:%M} UTC"
    ends = f"ends in {left.days} days, at {when}" if left.days > 0 else f"ends at {when}"
    return min(
        reached
    ), f"{name}: its token {ends}; renew it before, inboxd auth {name} where it can"


def allowed(times: Heard, first_poll_at: datetime, now: datetime) -> timedelta | None:
    """How long the account may be silent just now; None until a week of it is known.

    Four times the longest gap of the last 14 days that reached into this hour of the day, and six hours at
    least: a shop that sleeps every night is not silent then.
    """
    if not times or now - max(first_poll_at, times[0][0]) < LEARNS_FOR:
        return None
    gaps = [(before[1], after[0]) for before, after in pairwise(times)]
    here = [end - begin for begin, end in gaps if _reaches(begin, end, now.hour)]
    return max([LEAST, *(TIMES * gap for gap in here)])


def _reaches(begin: datetime, end: datetime, hour: int) -> bool:
    """Whether the hour of the day lies, in part, between these times."""
    whole = begin.replace(minute=0, second=0, microsecond=0)
    return ((hour - whole.hour) % 24) * timedelta(hours=1) <= end - whole


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:.0f} h"
