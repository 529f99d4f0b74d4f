"""Reading odd values out of payloads: text, times and ids, whatever the platform sent."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_EPOCH = re.compile(r"-?\d{1,19}(\.\d+)?\Z", re.ASCII)
_RUBY = re.compile(  # Tue May 31 17:46:55 +0800 2011
    r"[A-Za-z]{3} ([A-Za-z]{3}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d) (\d{4})\Z",
    re.ASCII,
)
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_FIRST_MS = 10**11  # epoch seconds reach this in the year 5138; milliseconds did in 1973


def scrub(text: str) -> tuple[str, bool]:
    """The text with NUL and lone surrogates as U+FFFD, and whether there were any: no database takes them."""
    clean = _UNSTORABLE.sub("\ufffd", text)
    return clean, clean != text


def parse_time(value: object) -> datetime | None:
    """An aware UTC time, or None where there is none to be read.

    Reads ISO 8601 (without a zone: UTC), epoch seconds and milliseconds as number or text, and
    `Tue May 31 17:46:55 +0800 2011`. Zero and negative epochs are platforms' way to say "none".
    """
    try:
        if isinstance(value, bool):
            return None
        if isinstance(value, int | float):
            return _epoch(float(value))
        if not isinstance(value, str):
            return None
        text = value.strip()
        if _EPOCH.match(text):
            return _epoch(float(text))
        if ruby := _RUBY.match(text):
            return _from_ruby(ruby)
        then = datetime.fromisoformat(text)
        return (then if then.tzinfo else then.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _epoch(number: float) -> datetime | None:
    if not number > 0:
        return None
    return datetime.fromtimestamp(number / 1000 if number >= _FIRST_MS else number, UTC)


def _from_ruby(match: re.Match[str]) -> datetime:
    month, day, hour, minute, second, sign, off_hours, off_minutes, year = match.groups()
    offset = timedelta(hours=int(off_hours), minutes=int(off_minutes))
    zone = timezone(-offset if sign == "-" else offset)
    number = _MONTHS.index(month.lower()) + 1
    local = datetime(int(year), number, int(day), int(hour), int(minute), int(second), tzinfo=zone)
    return local.astimezone(UTC)


def text_id(value: object) -> str | None:
    """An id as text, from text or a JSON integer of any size; None where there is none to rely on."""
    if isinstance(value, str):
        return scrub(value.strip())[0] or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None  # a float has lost its last digits already


def digest(*parts: object) -> str:
    """A native id for what has none: equal parts give equal digests, on any machine."""
    text = json.dumps(parts, ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def raw_json(value: Any) -> bytes:
    """One item of an answer as bytes, to be stored as it came."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # lone surrogates survive only as escapes
        return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()
