"""What a poll that failed or left something out means: what to do next, and in which words to tell it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Gap

BACKOFF = (timedelta(seconds=5), timedelta(minutes=15))
DENIED = timedelta(hours=6)  # a stream that the platform does not allow is asked for again so often
REAUTHORISE = timedelta(minutes=15)
LONGEST_WAIT_S = 86400.0
PACE_S = 0.6  # a wait up to this is a pace of calls a second, kept on the spot
PACES = 8  # in one page
LONG_WAIT_S = 3600.0  # a bill or a used-up quota, not a busy minute

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trouble:
    """`outcome` is for the metric, `state` for `status`; only a `pause_until` outlives a restart."""

    outcome: str
    state: str
    retry_at: datetime
    pause_until: datetime | None = None
    long: bool = False

    @property
    def told(self) -> bool:
        """Whether a person has to know: only they can mend it, or it will last."""
        return self.long or self.outcome in ("unauthorized", "rejected", "bug")


def trouble(error: Exception, *, now: datetime, failures: int, pushed: bool) -> Trouble:
    """What `error` means for its stream. A refusal to read what was pushed is a defect of ours: nobody was asked."""
    if isinstance(error, RateLimited):
        wait_s = min(max(1.0, error.retry_after_s), LONGEST_WAIT_S)
        until = now + timedelta(seconds=wait_s)
        return Trouble("rate_limited", "quota", until, until, long=wait_s >= LONG_WAIT_S)
    if isinstance(error, Unauthorized) and not pushed:
        return Trouble("unauthorized", "auth", now + REAUTHORISE)
    if isinstance(error, Rejected) and not pushed:
        return Trouble("rejected", "denied", now + DENIED)
    outcome = "unavailable" if isinstance(error, Unavailable) else "bug"
    return Trouble(outcome, "unavailable", now + _backoff(failures))


def at_pace(ask: Callable[[], T], stopping: threading.Event) -> T:
    """Ask, for a page or anything else; where the platform allows so many calls a second, wait for the next one, a few times.

    Raises as `ask` does, RateLimited too where the wait is longer than a pace.
    """
    for _ in range(PACES):
        try:
            return ask()
        except RateLimited as error:
            if not 0 < error.retry_after_s <= PACE_S or stopping.wait(error.retry_after_s):
                raise
    return ask()


def gap_words(account: str, stream: str, gap: Gap, *, closed: bool = False) -> str:
    since, until = _shown(gap.since, "its beginning"), _shown(gap.until, "now")
    if closed:
        return f"{account}/{stream}: what was missing from {since} to {until} is read now"
    remedy = "may still come" if gap.recoverable else "cannot be had"
    return f"{account}/{stream}: not read from {since} to {until}: {gap.reason}; {remedy}"


def _shown(at: datetime | None, other: str) -> str:
    return other if at is None else at.strftime("%Y-%m-%d %H:%M UTC")


def _backoff(failures: int) -> timedelta:
    first, last = BACKOFF
    wait: timedelta = min(first * (1 << min(failures, 10)), last)
    return wait * random.uniform(0.75, 1.25)
