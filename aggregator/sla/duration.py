"""Durations as people write them: `90s`, `15m`, `1h30m`, `2d`."""

from __future__ import annotations

import re

SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
LONGEST_DAYS = 366

_FORM = re.compile(r"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,9})s)?")


def parse_duration(text: str, *, day_ms: int = DAY_MS) -> int:
    """Milliseconds, at least one second. A day is `day_ms`. Raises ValueError with the remedy."""
    found = _FORM.fullmatch(text.strip().lower())
    if not text.strip() or found is None:
        unit = "; a number needs a unit" if text.strip().isdigit() else ""
        raise ValueError(f"{text!r} is no duration{unit}; write it like 90s, 15m, 1h30m or 2d")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    ms = days * day_ms + hours * HOUR_MS + minutes * MINUTE_MS + seconds * SECOND_MS
    if ms == 0:
        raise ValueError(f"{text!r} is no time at all; write at least 1s")
    if ms > LONGEST_DAYS * DAY_MS:
        raise ValueError(f"{text!r} is longer than a year; write a shorter one")
    return ms


def in_short(ms: int) -> str:
    """As people write it: `30m`, `1h30m`; what is less than a second is left out."""
    hours, rest = divmod(ms, HOUR_MS)
    minutes, rest = divmod(rest, MINUTE_MS)
    parts = ((hours, "h"), (minutes, "m"), (rest // SECOND_MS, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
