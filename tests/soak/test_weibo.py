"""A day on Weibo with everything that its facts name: it comes back as it was, within a hundred calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from aggregator.sandbox.base import Truth
from tests.soak.stage import Soaked, hold, seeds, soak
from tests.soak.weibo_day import AUTH, BRIEF, LASTING, TILL_MIDNIGHT, WeiboDay

BEIJING = timedelta(hours=8)
BIZ = "/biz.json"
FREE = ("rate_limit_status", "unread_count", "get_token_info")
DEEDS = "expired flood hidden_pages long late nobody answered doubled deleted hidden ghost forged noticed named"


def seen_of(soaked: Soaked, day: WeiboDay) -> Callable[[Truth], Truth]:
    """What a budget leaves open: whether a withdrawal was noticed, a name asked for, a long post had whole."""
    rows = {(row["kind"], row["native_id"]): row for row in soaked.messages}

    def visible(truth: Truth) -> Truth:
        row = rows.get((truth.kind, truth.native_id))
        if row is None:
            return truth
        # What was hidden comes back with the page that shows it, which may be the next day's look back.
        if truth.deleted or truth.native_id in day.blinked:
            day.did["noticed"] += row["deleted_at"] is not None
            truth = replace(truth, deleted=row["deleted_at"] is not None)
        if truth.kind == "direct_message":
            day.did["named"] += row["author"]["name"] is not None
            day.did["direct"] += 1
            if row["author"]["name"] is None:
                truth = replace(truth, author={**truth.author, "name": None, "handle": None})
        text = row["text"] or ""
        if "全文： http" in text and text[:130] == (truth.text or "")[:130]:
            day.did["cut short"] += 1
            truth = replace(truth, text=text)
        return truth

    return visible


@pytest.mark.parametrize("tier", ["open", "commercial"])
@pytest.mark.parametrize("seed", seeds(6))
def test_a_day_on_weibo_comes_back_as_it_was(db_url: str, seed: int, tier: str) -> None:
    day = WeiboDay(seed, tier)
    soaked = soak(
        *(day, db_url),
        connector="weibo",
        seed=seed,
        options={"tier": tier},
        every_s=300.0 if tier == "open" else 600.0,
        evening_h=8.0 if tier == "open" else 3.0,  # a hundred calls bring what is late by and by
    )
    hold(soaked, visible=seen_of(soaked, day), slack=timedelta(minutes=20))
    metered = [at for at, _, path in soaked.calls if not path_is_free(path)]
    users = [at for at, _, path in soaked.calls if not path_is_free(path) and BIZ not in path]
    days = Counter(f"{at + BEIJING:%d}" for at in users)
    assert max(days.values()) <= 80, days  # of 100: a fifth is kept for answers
    assert max(Counter(f"{at:%d %H}" for at in metered).values()) <= 15_000
    happened = {what for what, times in day.did.items() if times}
    codes = {*map(str, (*BRIEF, *LASTING, *AUTH, *(code for _, code in TILL_MIDNIGHT)))}
    assert len(codes & happened) >= (30 if tier == "commercial" else 8)
    assert set(DEEDS.split()) <= happened
    assert day.did["cut short"] <= day.did["long"] / 2
    assert set(soaked.stops) >= {"stop", "kill_before", "kill_after"}


def path_is_free(path: str) -> bool:
    return any(one in path for one in FREE)
