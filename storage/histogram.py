"""Durations counted in log buckets: mergeable, a few bytes a bucket, percentiles within 2 %. Pure."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Mapping

STEP_PERCENT = 3  # half of it, and what whole milliseconds add below 0.2 s, stays under 2 %
LONGEST_MS = 320 * 10**9  # ten years; what took longer counts as that


def _bounds() -> tuple[int, ...]:
    found = [1]
    while found[-1] < LONGEST_MS:
        found.append(found[-1] + max(1, found[-1] * STEP_PERCENT // 100))
    return tuple(found)


# Bucket 0 is less than 1 ms; bucket i holds BOUNDS[i - 1] ≤ ms < BOUNDS[i].
BOUNDS = _bounds()
SPAN = 1024  # of one histogram in `times`: business time has the buckets from 0 on, wall time from SPAN on
_SHIFT = 32


def bucket(ms: int) -> int:
    return bisect_right(BOUNDS, ms)


def middle(number: int) -> int:
    """The milliseconds that stand for a bucket: no value in it is 2 % away."""
    if number == 0:
        return 0
    low = BOUNDS[number - 1]
    high = BOUNDS[number] - 1 if number < len(BOUNDS) else low
    return round(2 * low * high / (low + high))


def pack(counts: Mapping[int, int]) -> bytes:
    """Buckets and how many, without the empty ones, as little-endian 64-bit words: bucket << 32 | count."""
    words = array("Q", [number << _SHIFT | n for number, n in sorted(counts.items()) if n])
    return _little(words).tobytes()


def unpack(packed: bytes) -> dict[int, int]:
    words = array("Q")
    words.frombytes(packed)
    return {word >> _SHIFT: word & 0xFFFFFFFF for word in _little(words)}


def _little(words: array[int]) -> array[int]:
    if sys.byteorder == "big":
        words.byteswap()
    return words
