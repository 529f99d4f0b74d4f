"""Plays a script into the stand-ins, faster than life, by a clock that runs as fast."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from aggregator.sandbox.base import Line, Platform, Truth


class PlayClock:
    """Time in the sandbox. Runs at `speed` from an hour ago, so that the hour ends now; then as life does."""

    def __init__(self, real: Callable[[], datetime], *, minutes: float, seconds: float) -> None:
        self._real = real
        self._speed = minutes * 60 / seconds
        self._seconds = seconds
        self._began: float | None = None
        self._start = real() + timedelta(seconds=seconds) - timedelta(minutes=minutes)
        self._anchor = time.monotonic()

    def begin(self) -> datetime:
        """Start to run fast. Returns the time at which the hour begins."""
        self._start = self.now()
        self._began = time.monotonic()
        return self._start

    def now(self) -> datetime:
        if self._began is None:
            return self._start + timedelta(seconds=time.monotonic() - self._anchor)
        passed = time.monotonic() - self._began
        fast = min(passed, self._seconds)
        return self._start + timedelta(seconds=fast * self._speed + (passed - fast))

    def told(self) -> dict[str, float]:
        """What another process needs to tell the same time: all of it on the wall clock."""
        real, now = self._real().timestamp(), self.now().timestamp()
        left = 0.0
        if self._began is not None:
            left = max(self._seconds - (time.monotonic() - self._began), 0.0)
        return {"real": real, "now": now, "speed": self._speed, "fast_for": left}

    @classmethod
    def of(cls, told: Mapping[str, float], real: Callable[[], datetime]) -> PlayClock:
        """The clock that `told` this, by the wall clock of this process."""
        passed = real().timestamp() - told["real"]
        speed, seconds = told["speed"], told["fast_for"]
        clock = cls(real, minutes=speed * seconds / 60 or 1.0, seconds=seconds or 1.0)
        clock._start = datetime.fromtimestamp(told["now"], UTC)
        if seconds:
            clock._began = time.monotonic() - passed
        else:
            clock._anchor = time.monotonic() - passed
        return clock

    def real_seconds_until(self, minute: float) -> float:
        """How long until that minute of the hour, on the wall clock."""
        assert self._began is not None, "not begun"
        return minute * 60 / self._speed - (time.monotonic() - self._began)


class Player(threading.Thread):
    """Lets each line of a script happen at its minute; `told` is what was true, by label."""

    def __init__(
        self, script: Sequence[Line], platforms: Mapping[str, Platform], clock: PlayClock
    ) -> None:
        super().__init__(name="sandbox-player", daemon=True)
        self._script = script
        self._platforms = platforms
        self._clock = clock
        self.told: dict[str, Truth] = {}
        self.stopping = threading.Event()
        self.began = threading.Event()
        self.done = threading.Event()
        self.failed: Exception | None = None

    def run(self) -> None:
        start = self._clock.begin()
        self.began.set()
        try:
            for line in self._script:
                if self.stopping.wait(max(self._clock.real_seconds_until(line.at), 0)):
                    return
                at = min(start + timedelta(minutes=line.at), self._clock.now())
                truth = self._platforms[line.platform].play(line, at, self.told)
                self.told[line.label] = truth
        except Exception as error:  # noqa: BLE001  a thread's end: whoever waits for `done` is told
            self.failed = error
        self.done.set()
