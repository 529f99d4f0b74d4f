"""The ticker: APScheduler calls what is due; the truth about when to poll next is data in a row."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from apscheduler.events import EVENT_JOB_ERROR
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler

log = structlog.get_logger()


class Ticker:
    """One job a name, never twice at a time, never dropped for being late.

    The pool has a thread for every job, so that one that hangs keeps none of the others waiting.
    """

    def __init__(self, *, jobs: int, now: Callable[[], datetime]) -> None:
        self._now = now
        self._scheduler = BackgroundScheduler(
            jobstores={"default": MemoryJobStore()},
            executors={"default": ThreadPoolExecutor(max(jobs, 1))},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone=UTC,
        )
        self._scheduler.add_listener(_failed, EVENT_JOB_ERROR)

    def every(self, seconds: float, name: str, tick: Callable[[], None]) -> None:
        """Call `tick` now, and then every `seconds` (spread a little, so that replicas do not march)."""
        self._scheduler.add_job(
            tick,
            "interval",
            seconds=seconds,
            id=name,
            next_run_time=self._now() + timedelta(seconds=random.uniform(0, min(seconds, 0.2))),
        )

    def hurry(self, name: str) -> None:
        """Call the job of that name as soon as it is free."""
        self._scheduler.modify_job(name, next_run_time=self._now())

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        """No new calls; those that run are not waited for."""
        self._scheduler.shutdown(wait=False)


def _failed(event: Any) -> None:
    log.error("job.failed", job=event.job_id, exc_info=event.exception)
