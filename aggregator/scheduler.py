"""The ticker: APScheduler calls what is due; the truth about when to poll next is data in a row."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.executors.debug import DebugExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler

from aggregator.errors import Unavailable

log = structlog.get_logger()


class Ticker:
    """One job a name, never twice at a time; one that is asked for while it runs, runs once more.

    The pool has a thread for every job, so that one that hangs keeps none of the others waiting.
    """

    def __init__(self, *, jobs: int, now: Callable[[], datetime]) -> None:
        self._now = now
        self._jobs: dict[str, _Job] = {}
        self._pool = ThreadPoolExecutor(max(jobs, 1), thread_name_prefix="job")
        # APScheduler only says when. It would drop a call that comes while its job still runs.
        self._scheduler = BackgroundScheduler(
            jobstores={"default": MemoryJobStore()},
            executors={"default": DebugExecutor()},  # in its own thread: `hurry` does not wait
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone=UTC,
        )

    def every(self, seconds: float, name: str, tick: Callable[[], None]) -> None:
        """Call `tick` now, and then every `seconds` (spread a little, so that replicas do not march)."""
        self._jobs[name] = _Job(name, tick)
        self._scheduler.add_job(
            self.hurry,
            "interval",
            args=(name,),
            seconds=seconds,
            id=name,
            next_run_time=self._now() + timedelta(seconds=random.uniform(0, min(seconds, 0.2))),
        )

    def hurry(self, name: str) -> None:
        """Call the job of that name as soon as it is free. Harmless from any thread, and after `stop`."""
        job = self._jobs.get(name)
        if job is None or not job.ask():
            return
        try:
            self._pool.submit(job.run)
        except RuntimeError:
            return  # stopped meanwhile

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        """No new calls; those that run are not waited for."""
        for job in self._jobs.values():
            job.stopped.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Job:
    def __init__(self, name: str, tick: Callable[[], None]) -> None:
        self._name = name
        self._tick = tick
        self._lock = threading.Lock()
        self._asked = False
        self._running = False
        self._down = False
        self.stopped = threading.Event()

    def ask(self) -> bool:
        """Note that it is to run from now on. True where nobody else will see to that."""
        with self._lock:
            alone = not (self._asked or self._running)
            self._asked = True
            return alone

    def run(self) -> None:
        """Run as often as it is asked for, until nobody asks."""
        while self._wanted():
            self._once()

    def _wanted(self) -> bool:
        with self._lock:
            self._running = self._asked and not self.stopped.is_set()
            self._asked = False
            return self._running

    def _once(self) -> None:
        """The first failure and the recovery are told where a database is away, not every repeat."""
        try:
            self._tick()
        except Unavailable as error:
            if not self._down:
                log.warning("job.unavailable", job=self._name, reason=error.reason)
            self._down = True
        except Exception as error:
            log.error("job.failed", job=self._name, exc_info=error)
        else:
            if self._down:
                log.info("job.recovered", job=self._name)
            self._down = False
