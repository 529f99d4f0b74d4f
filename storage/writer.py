"""Group commit: one thread runs units of work from many threads, and commits what waits together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from aggregator.errors import Unavailable

T = TypeVar("T")
Unit = Callable[[Connection], T]

MAX_WAITING = 2000
MAX_UNITS = 200
MAX_SECONDS = 0.015
MAX_ATTEMPTS = 5  # of one unit that PostgreSQL gave up for another transaction's sake

_GAVE_WAY = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected


@dataclass(slots=True)
class _Job:
    unit: Unit[Any]
    future: Future[Any]
    result: Any = None
    error: Exception | None = None

    def tell(self) -> None:
        if self.error is not None:
            self.future.set_exception(outcome(self.error))
        else:
            self.future.set_result(self.result)


class Writer:
    """Runs units one after the other, many to a transaction.

    A unit is database work only and may be run again: no network, no waiting. Its future resolves after the
    COMMIT that holds it. A unit that raises takes back its own changes and nobody else's; a COMMIT that fails
    fails every unit in it. Trouble of the database itself comes as Unavailable.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self.trouble: str | None = (
            None  # why the last transaction failed; None after one that did not
        )
        self._thread = threading.Thread(target=self._run, name="storage-writer", daemon=True)
        self._thread.start()

    def submit(self, unit: Unit[T]) -> Future[T]:
        """Queue `unit`. Raises Unavailable when too much waits already, or after `close`."""
        job = _Job(unit, Future())
        with self._wake:
            if self._closing:
                raise Unavailable("the database is closed")
            if len(self._waiting) >= MAX_WAITING:
                raise Unavailable(f"the database is behind: {MAX_WAITING} writes wait")
            self._waiting.append(job)
            self._wake.notify()
        return job.future

    def write(self, unit: Unit[T]) -> T:
        """Submit `unit` and wait for its commit."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("a unit of work may not wait for another one")
        return self.submit(unit).result()

    def close(self, within_s: float) -> bool:
        """Take no more, run what waits, stop. False where the database did not let that happen in time."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(within_s)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        while (first := self._next(wait=True)) is not None:
            self._transaction(first)

    def _next(self, *, wait: bool) -> _Job | None:
        with self._wake:
            while True:
                while wait and not self._waiting and not self._closing:
                    self._wake.wait()
                if not self._waiting:
                    return None
                job = self._waiting.popleft()
                if job.future.set_running_or_notify_cancel():
                    return job

    def _transaction(self, first: _Job) -> None:
        """Run `first` and what came meanwhile, commit once, tell everybody."""
        jobs = [first]
        try:
            with self._engine.connect() as connection, connection.begin():
                # The first needs no savepoint: where it fails there is nothing else to keep.
                first.result = first.unit(connection)
                for job in self._more():
                    jobs.append(job)
                    _under_savepoint(connection, job)
        except Exception as error:  # noqa: BLE001 - a boundary: nobody may wait for an answer for ever
            if _sqlstate(error) in _GAVE_WAY:
                for job in jobs:
                    self._alone(job)
                return
            if len(jobs) > 1 or isinstance(outcome(error), Unavailable):
                self.trouble = reason(error)
            for job in jobs:
                job.error = job.error or error
                job.tell()
            return
        self.trouble = None
        for job in jobs:
            job.tell()

    def _more(self) -> Iterator[_Job]:
        """What else waits, until the transaction is large or old enough."""
        started = time.monotonic()
        for _ in range(MAX_UNITS - 1):
            if time.monotonic() - started >= MAX_SECONDS:
                return
            if (job := self._next(wait=False)) is None:
                return
            yield job

    def _alone(self, job: _Job) -> None:
        """Run a unit in a transaction of its own, again where PostgreSQL asks for it."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            job.result, job.error = None, None
            try:
                with self._engine.connect() as connection, connection.begin():
                    job.result = job.unit(connection)
            except Exception as error:  # noqa: BLE001 - a boundary, as above
                job.error = error
                if _sqlstate(error) in _GAVE_WAY and attempt < MAX_ATTEMPTS:
                    continue
            break
        job.tell()


def _under_savepoint(connection: Connection, job: _Job) -> None:
    """Run a unit so that its failure is its own. Raises where the whole transaction is lost with it."""
    connection.exec_driver_sql("SAVEPOINT unit")
    try:
        job.result = job.unit(connection)
    except Exception as error:  # a boundary: a unit's failure is told to the one who submitted it
        if _sqlstate(error) in _GAVE_WAY:
            raise
        job.error = error
        # A full disk or a lost connection took the transaction with it; then this raises.
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT unit")
    connection.exec_driver_sql("RELEASE SAVEPOINT unit")


def outcome(error: Exception) -> Exception:
    """Trouble of the database itself is Unavailable; what a unit raised on purpose stays."""
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if not (lost or isinstance(error, OperationalError | InterfaceError)):
        return error
    unavailable = Unavailable(f"the database failed: {reason(error)}", maybe_done=True)
    unavailable.__cause__ = error
    return unavailable


def reason(error: Exception) -> str:
    """One line, without the statement and its values."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return " ".join(str(cause or type(error).__name__).split())


def _sqlstate(error: Exception) -> str | None:
    return getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
