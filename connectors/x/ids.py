"""X's ids: 64-bit numbers written as text, which hold the millisecond they were made in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS = 1288834974657  # 2010-11-04: ids before it count up and hold no time
_SHIFT = 22
_MAX = 2**63


def number(native_id: str | None) -> int | None:
    """The id to compare by (as text, "9" is above "10"); None for what cannot be a watermark."""
    if native_id is None or not native_id.isascii() or not native_id.isdigit():
        return None
    value = int(native_id) if len(native_id) < 20 else _MAX
    return value if 0 < value < _MAX else None


def time_of(value: int) -> datetime | None:
    """When the id was made; None for those from before the ids had a time in them."""
    ms = value >> _SHIFT
    return _EPOCH + timedelta(milliseconds=ms + _FIRST_MS) if ms > 0 else None


def earlier(value: int, by: timedelta) -> int:
    """An id that was made so much earlier; the same id where it holds no time."""
    moved = value - (int(by.total_seconds() * 1000) << _SHIFT)
    return moved if moved >> _SHIFT > 0 else value


def later(value: int, by: timedelta) -> int:
    return value + (int(by.total_seconds() * 1000) << _SHIFT)


def id_at(at: datetime) -> int:
    """The lowest id of a moment."""
    ms = int((at - _EPOCH).total_seconds() * 1000) - _FIRST_MS
    return max(ms, 0) << _SHIFT
