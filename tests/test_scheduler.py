"""The ticker: nothing asked for is lost, nothing runs twice at a time, nobody waits for who hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from aggregator.errors import Unavailable
from aggregator.now import utc_now
from aggregator.scheduler import Ticker


@pytest.fixture
def ticker() -> Iterator[Ticker]:
    made = Ticker(jobs=3, now=utc_now)
    yield made
    made.stop()


def test_what_is_asked_for_while_it_runs_is_run_once_more(ticker: Ticker) -> None:
    began, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def tick() -> None:
        began.release()
        assert go_on.acquire(timeout=20)

    ticker.every(3600, "账号", tick)
    ticker.hurry("账号")
    assert began.acquire(timeout=20)
    for _ in range(50):
        ticker.hurry("账号")
    go_on.release()
    assert began.acquire(timeout=20)
    go_on.release(2)
    assert not began.acquire(timeout=0.05)


def test_no_wish_is_lost_however_it_falls(ticker: Ticker) -> None:
    wanted, seen, arrived = [0], [0], threading.Event()

    def tick() -> None:
        seen[0] = wanted[0]
        if seen[0] == 2000:
            arrived.set()

    ticker.every(3600, "x", tick)
    for number in range(1, 2001):
        wanted[0] = number
        ticker.hurry("x")
    assert arrived.wait(20)


def test_an_idle_job_is_called_within_milliseconds(ticker: Ticker) -> None:
    ran = threading.Event()
    ticker.every(3600, "x", ran.set)
    waits = []
    for _ in range(50):
        ran.clear()
        asked = time.monotonic()
        ticker.hurry("x")
        assert ran.wait(20)
        waits.append(time.monotonic() - asked)
    assert sorted(waits)[25] < 0.005


def test_one_that_hangs_keeps_no_other_waiting(ticker: Ticker) -> None:
    go_on, ran = threading.Event(), threading.Event()
    ticker.every(3600, "hangs", lambda: assert_(go_on.wait(20)))
    ticker.every(3600, "other", ran.set)
    ticker.start()
    ticker.hurry("hangs")
    ticker.hurry("other")
    assert ran.wait(20)
    go_on.set()


def assert_(true: bool) -> None:
    assert true


def test_a_job_that_fails_is_called_again_and_a_database_away_is_said_once(
    ticker: Ticker, capsys: pytest.CaptureFixture[str]
) -> None:
    errors = [Unavailable("full"), Unavailable("full"), ValueError("odd"), None]
    done = threading.Semaphore(0)

    def tick() -> None:
        error = errors.pop(0)
        done.release()
        if error is not None:
            raise error

    ticker.every(3600, "x", tick)
    for _ in range(4):
        ticker.hurry("x")
        assert done.acquire(timeout=20)
    ticker.stop()
    ticker._pool.shutdown(wait=True)
    told = capsys.readouterr().out
    assert told.count("] job.unavailable") == 1
    assert told.count("] job.failed") == 1


def test_after_a_stop_and_for_an_unknown_name_nothing_happens(ticker: Ticker) -> None:
    ran = threading.Event()
    ticker.every(3600, "x", ran.set)
    ticker.stop()
    ticker.hurry("x")
    ticker.hurry("nobody")
    assert not ran.is_set()
