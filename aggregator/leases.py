"""Which exclusive work this process owns: one poller per account, one sender per destination."""

from __future__ import annotations

import threading
import time

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

    def __init__(self, db: Database, owner: str) -> None:
        self._db = db
        self._owner = owner
        self._alive = Owner(db, owner)
        self._lock = threading.Lock()
        self._held: dict[str, tuple[Fence, float]] = {}
        self.renewed_at = time.monotonic()

    def hold(self, name: str) -> Fence | None:
        """Our fence for `name`, taken now if it is free; None while another process owns it."""
        with self._lock:
            held = self._held.get(name)
        if held is not None and time.monotonic() - held[1] < TTL_S / 2:
            return held[0]
        asked = time.monotonic()
        fence = self._db.write(lambda conn: acquire(conn, name, self._owner, TTL_S))
        with self._lock:
            if fence is None:
                self._held.pop(name, None)
            else:
                self._held[name] = (fence, asked)
        return fence

    def lost(self, fence: Fence) -> None:
        """Forget a lease that a write was refused for."""
        with self._lock:
            self._held.pop(fence.name, None)

    def renew(self) -> None:
        """Renew all in one transaction. What another process took meanwhile is forgotten."""
        with self._lock:
            fences = [fence for fence, _ in self._held.values()]
        asked = time.monotonic()
        kept = self._db.write(lambda conn: [one for one in fences if _renewed(conn, one)])
        with self._lock:
            for fence in fences:
                if fence in kept:
                    self._held[fence.name] = (fence, asked)
                elif self._held.get(fence.name, (None,))[0] == fence:
                    del self._held[fence.name]
        self.renewed_at = asked

    def release_all(self) -> None:
        """Give everything back, so that a replacement starts at once."""
        with self._lock:
            fences = [fence for fence, _ in self._held.values()]
            self._held.clear()

        def unit(conn: Connection) -> None:
            for fence in fences:
                release(conn, fence)

        self._db.write(unit)
        self._alive.leave()


def _renewed(conn: Connection, fence: Fence) -> bool:
    try:
        renew(conn, fence, TTL_S)
    except LeaseLost:
        return False
    return True
