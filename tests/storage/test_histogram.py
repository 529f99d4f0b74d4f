"""Durations in log buckets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from storage.histogram import BOUNDS, LONGEST_MS, SPAN, bucket, middle, pack, unpack


def test_what_stands_for_a_bucket_is_nowhere_two_percent_away() -> None:
    every = np.concatenate(
        [np.arange(1, 500_000), np.array([b + d for b in BOUNDS[:-1] for d in (-1, 0, 1)])]
    )
    every = every[every > 0]
    stand = np.array([middle(number) for number in range(len(BOUNDS) + 1)])
    got = stand[np.searchsorted(np.array(BOUNDS), every, side="right")]
    assert (np.abs(got - every) / every).max() <= 0.02


@given(st.integers(-5, LONGEST_MS * 4))
def test_every_time_has_a_bucket_and_nothing_is_rounded_to_another(ms: int) -> None:
    number = bucket(ms)
    assert 0 <= number <= len(BOUNDS) < SPAN
    assert bucket(middle(number)) == number
    assert number == int(np.searchsorted(np.array(BOUNDS), ms, side="right"))


@given(st.dictionaries(st.integers(0, 2 * SPAN - 1), st.integers(1, 2**32 - 1)))
def test_what_is_packed_comes_back(counts: dict[int, int]) -> None:
    packed = pack({**counts, 2000: counts.get(2000, 0)})
    assert unpack(packed) == counts
    assert len(packed) == 8 * len(counts)
