"""Which list to ask, and when: a hundred calls a day have to last, and the free counters say where news is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from connectors.base import Now
from connectors.payload import integer, mapping
from connectors.weibo.api import Api
from connectors.weibo.ledger import Calls, Ledger

# stream → its name in remind/unread_count; our own comments have none
COUNTERS = {"mentions": "mention_status", "comments": "cmt", "comment_mentions": "mention_cmt"}
PROBE_S = 50.0  # the counters are free, and staff reading in the app sets them back
LEARN_S = 600.0  # so is the platform's own account of what is left
FORCED_S = 45 * 60.0  # nobody has to have seen a counter move for this long
ASKING_S = 300.0  # a list that was not asked for since is waited for by nobody
DEAF = 3  # probes without an answer, before the counters count as unknown
_URGENT_S = 3600.0


@dataclass(slots=True)
class _List:
    """What this process knows of a stream: times are Unix seconds, `counter` as before the last fetch."""

    asked_at: float = 0.0
    fetched_at: float | None = None
    counter: int | None = None
    called: bool = True  # nothing is known of a list that this process has not read yet
    going: bool = False  # in a walk: it is known that there is more to read
    before: tuple[float | None, int | None, bool] = (None, None, True)


class Planner:
    """Holds reading to what the open tier allows. Answers come first: a fifth of the calls is theirs.

    One process reads an account at a time; what it has read is forgotten with it, and so each list is
    asked for once after a start. The calls themselves are counted in the Keep.
    """

    def __init__(
        self, api: Api, ledger: Ledger, *, uid: str, now: Now, streams: tuple[str, ...]
    ) -> None:
        self._api = api
        self._uid = uid
        self._ledger = ledger
        self._now = now
        self._lists = {stream: _List() for stream in streams}
        self._counters: Mapping[str, Any] | None = None
        self._probed_at = self._learnt_at = float("-inf")
        self._deaf = 0
        self._lock = threading.Lock()  # callbacks wake lists from another thread

    # --- reading --------------------------------------------------------------------------------

    def turn(self, stream: str, *, going: bool) -> bool:
        """Whether `stream` may be asked now; then the call is counted already. `going`: in a walk.

        Raises Unauthorized where both free calls say that the token is dead.
        """
        now = self._now().timestamp()
        self._lists[stream].asked_at = now
        row = self._learnt(now)
        self._probe(now, row)
        with self._lock:
            one = self._lists[stream]
            one.going = going
            line = self._line(row, now)

            def take(calls: Calls) -> Calls | None:
                if not _affordable(calls):
                    return None
                if going and calls.ahead(now):
                    return calls.spent(saved=False)
                if stream not in line or line.index(stream) + 1 > calls.level:
                    return None
                return calls.spent(saved=True)

            if self._ledger.change(now, take) is None:
                return False
            one.before = (one.fetched_at, one.counter, one.called)
            one.fetched_at = now
            if not going:  # a walk's later pages bring nothing that is newer than its first
                one.counter, one.called = self._counter(stream), False
            return True

    def failed(self, stream: str) -> None:
        """The call that `turn` allowed brought nothing: the list is as unread as before."""
        with self._lock:
            one = self._lists.get(stream)
            if one is None:
                return
            one.fetched_at, one.counter, one.called = one.before
            one.asked_at = 0.0  # whoever waits behind it need not wait for it

    def wake(self, stream: str) -> None:
        """A callback tells of news there."""
        with self._lock:
            if stream in self._lists:
                self._lists[stream].called = True

    def extra(self) -> bool:
        """One call more for what is being read (a long post, say), if the day allows it."""
        return self._spend(_affordable, saved=False)

    def spare(self) -> None:
        """One call for what can wait. Raises RateLimited while anything else may need it."""
        if self.idle():
            return
        now = self._now().timestamp()
        row, wait = self._learnt(now), FORCED_S
        if _affordable(row):
            wait = _missing(row) / max(row.rate(now), 1e-9)
        raise RateLimited(
            "history waits: the calls are kept for what is new",
            retry_after_s=min(max(wait, 1.0), FORCED_S),
        )

    def idle(self) -> bool:
        """One call for what can wait, if more are saved up than what is new may need soon."""
        row = self._learnt(self._now().timestamp())
        return _missing(row) <= 0 and self._spend(
            lambda calls: _affordable(calls) and calls.level >= 1, saved=True
        )

    def pages(self, most: int) -> int:
        """How many pages a look into the past may take, of `most`, by the limit there is."""
        row = self._learnt(self._now().timestamp())
        return min(most, max(2, row.limit // 50))

    # --- answers --------------------------------------------------------------------------------

    def answer(self) -> None:
        """One call for an answer, which may take the last. Raises RateLimited until there are more."""
        now = self._now().timestamp()
        row = self._learnt(now)
        if not self._spend(lambda c: c.used < c.limit and c.hour_used < c.hour_limit, saved=False):
            by_hour = row.hour_used >= row.hour_limit
            wait = 3600 - now % 3600 if by_hour else row.ends - now
            raise RateLimited(
                f"all {row.hour_limit if by_hour else row.limit} calls are used", retry_after_s=wait
            )

    def calls(self) -> Calls:
        """What is left, by the platform's own account where it gives one."""
        return self._learnt(self._now().timestamp())

    # --- what is known --------------------------------------------------------------------------

    def _line(self, row: Calls, now: float) -> list[str]:
        """The lists that want to be asked, the most urgent first: longest unread, and news counts fourfold."""
        rate = row.rate(now)
        forced_s = min(FORCED_S, len(self._lists) / rate) if rate > 0 else FORCED_S
        urgency: dict[str, float] = {}
        for stream, one in self._lists.items():
            if now - one.asked_at > ASKING_S:
                continue
            waited = now - one.fetched_at if one.fetched_at is not None else float("inf")
            if one.called or one.going:
                urgency[stream] = waited * 4 + _URGENT_S
            elif self._moved(stream):
                urgency[stream] = waited * 4
            elif waited >= forced_s:
                urgency[stream] = waited
        return sorted(urgency, key=lambda stream: -urgency[stream])

    def _moved(self, stream: str) -> bool:
        if self._counters is None:
            return True
        return stream in COUNTERS and self._counter(stream) != self._lists[stream].counter

    def _counter(self, stream: str) -> int | None:
        if self._counters is None or stream not in COUNTERS:
            return None
        return integer(self._counters.get(COUNTERS[stream]))

    def _learnt(self, now: float) -> Calls:
        """The row, corrected by rate_limit_status now and then. Trouble with that call is none of ours."""
        row = self._ledger.read(now)
        if now - self._learnt_at < LEARN_S:
            return row
        self._learnt_at = now
        try:
            status = mapping(self._api.rate_limit_status())
        except Unavailable:
            self._learnt_at = now - LEARN_S + PROBE_S
            return row
        except (Rejected, Unauthorized):
            return row
        return self._ledger.change(now, lambda calls: calls.told(status, now)) or row

    def _probe(self, now: float, row: Calls) -> None:
        """Look at the counters, more often where more calls a day may follow them."""
        if not set(COUNTERS) & set(self._lists):
            return
        rate = row.rate(now)
        if now - self._probed_at < (min(PROBE_S, 1 / rate) if rate > 0 else PROBE_S):
            return
        self._probed_at = now
        try:
            found = mapping(self._api.unread_count(self._uid))
        except Unauthorized:
            self._api.rate_limit_status()  # raises it again, or shows that only the counters are closed
            found = {}
        except Rejected:
            found = {}
        except Unavailable:
            self._deaf += 1
            if self._deaf >= DEAF:
                self._counters = None
            return
        self._deaf = 0
        known = all(name in found for name in COUNTERS.values())
        with self._lock:
            if known and self._counters is not None and self._fell(found):
                self._staff_reads()
            self._counters = found if known else None

    def _fell(self, found: Mapping[str, Any]) -> bool:
        old = self._counters or {}
        return any(integer(found[name]) < integer(old.get(name)) for name in COUNTERS.values())

    def _staff_reads(self) -> None:
        """Somebody reads in the app, and may be answering there."""
        if "own_comments" in self._lists:
            self._lists["own_comments"].called = True

    def _spend(self, allowed: Callable[[Calls], bool], *, saved: bool) -> bool:
        now = self._now().timestamp()
        row = self._ledger.change(now, lambda c: c.spent(saved=saved) if allowed(c) else None)
        return row is not None


def _missing(calls: Calls) -> float:
    """Calls to be saved up until one can be spared."""
    return calls.most / 2 + 1 - calls.level


def _affordable(calls: Calls) -> bool:
    return calls.left > 0 and calls.hour_used < calls.hour_limit * 9 // 10
