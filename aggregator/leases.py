"""Which exclusive work this process owns: one poller per account, one sender per destination."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection

from storage.engine import Connection, Database
from storage.leases import Fence, LeaseLost, acquire, release, renew
from storage.owners import Owner

TTL_S = 30.0
RENEW_S = 10.0


class Leases:
    """The leases of one process; `renew` is called every RENEW_S by the scheduler.

    A lease that could not be renewed for half its life counts as lost at once, by the monotonic clock:
    somebody else may own it soon.
    """

    def __init__(
        self, db: Database, owner: str, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._db = db
        self._owner = owner
        self._monotonic = monotonic
        self._alive = Owner(db, owner)
        self._lock = threading.Lock()
        self._held: dict[str, tuple[Fence, float]] = {}
        self._ended = False
        self.renewed_at = monotonic()

    def hold(self, name: str) -> Fence | None:
        """Our fence for `name`, taken now if it is free; None while another process owns it."""
        with self._lock:
            held = self._held.get(name)
            if self._ended:
                return None
        if held is not None and self._is_young(held[1]):
            return held[0]
        asked = self._monotonic()
        fence = self._db.write(lambda conn: acquire(conn, name, self._owner, TTL_S))
        with self._lock:
            if fence is None:
                self._held.pop(name, None)
            else:
                self._held[name] = (fence, asked)
        return fence

    def sure(self, fence: Fence) -> bool:
        """Whether nobody else can own it yet, without asking the database: look before each act."""
        with self._lock:
            held = self._held.get(fence.name)
        return held is not None and held[0] == fence and self._is_young(held[1])

    def lost(self, fence: Fence) -> None:
        """Forget a lease that a write was refused for."""
        with self._lock:
            if self._held.get(fence.name, (None,))[0] == fence:
                del self._held[fence.name]

    def renew(self) -> None:
        """Renew all in one transaction. What another process took meanwhile is forgotten."""
        with self._lock:
            fences = [fence for fence, _ in self._held.values()]
        asked = self._monotonic()
        kept = self._db.write(lambda conn: [one for one in fences if self._renewed(conn, one)])
        with self._lock:
            for fence in fences:
                if self._held.get(fence.name, (None,))[0] != fence:
                    continue
                if fence in kept:
                    self._held[fence.name] = (fence, asked)
                else:
                    del self._held[fence.name]
            self.renewed_at = asked

    def trouble(self) -> str | None:
        """Why this process may no longer own what it owns, or None."""
        late = self._monotonic() - self.renewed_at > TTL_S / 2
        return "leases are not renewing" if late else None

    def release_all(self, *, but: Collection[str] = ()) -> None:
        """Give everything back, so that a replacement starts at once; `but`: names still worked under.

        Nothing is held or renewed by this process afterwards.
        """
        with self._lock:
            self._ended = True
            fences = [fence for fence, _ in self._held.values() if fence.name not in but]
            self._held.clear()

        def unit(conn: Connection) -> None:
            for fence in fences:
                release(conn, fence)

        self._db.write(unit)
        if not but:
            self._alive.leave()

    def _is_young(self, asked_at: float) -> bool:
        return self._monotonic() - asked_at < TTL_S / 2

    def _renewed(self, conn: Connection, fence: Fence) -> bool:
        if self._ended:  # a renewal that comes after the release would take it back
            return False
        try:
            renew(conn, fence, TTL_S)
        except LeaseLost:
            return False
        return True
