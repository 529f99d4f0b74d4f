"""A day on a Facebook Page, by polling and by webhooks that come late, twice, in no order or not at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from aggregator.sandbox.base import Truth
from connectors.facebook.watch import LAG
from tests.soak.facebook_day import QUOTA, FacebookDay
from tests.soak.stage import Limit, busiest, hold, seeds, soak

OPTIONS = {"instagram": "true"}
LATE = timedelta(hours=8)  # a list shows an edit that a webhook lost when its post is visited again


@pytest.mark.parametrize("seed", seeds(11))
def test_a_day_on_facebook_comes_back_as_it_was(db_url: str, seed: int) -> None:
    day = FacebookDay(seed)
    soaked = soak(day, db_url, connector="facebook", seed=seed, options=OPTIONS, every_s=900.0)
    rows = [{**row, "account": f"{row['platform']}_demo"} for row in soaked.messages]
    told = {(row["kind"], row["native_id"]): row for row in rows}
    hold(
        replace(soaked, messages=rows),
        visible=lambda truth: _as_told(truth, told, day.deeds.before.get(truth.label, ())),
    )
    _hold_limits(day)
    for what in ("token", "muted", "block", "flood", "instagram flood", "headers", "quota"):
        assert day.did[what], f"no {what} on this day"
    for what in (
        "lost",
        "late",
        "fault",
        "edit",
        "hide",
        "deletion",
        "ancient",
        "unsent",
        "hidden on Instagram",
    ):
        assert day.did[what], f"no {what} on this day"


def _as_told(
    truth: Truth, rows: Mapping[tuple[str, str], Mapping[str, Any]], before: Collection[str | None]
) -> Truth:
    """What Facebook ever tells: of an edit in a list not when it was; then it is when we noticed, or nothing.

    And of what is gone again before a list was read, names, links and what hung on it are told by nobody, nor
    the words of an edit whose webhook got lost.
    """
    row = rows.get((truth.kind, truth.native_id))
    if row is None:
        return truth
    edited_at = datetime.fromisoformat(row["edited_at"]) if row["edited_at"] else None
    if truth.edited_at is not None and (
        edited_at is None or truth.edited_at - LAG <= edited_at <= truth.edited_at + LATE
    ):
        truth = replace(truth, edited_at=edited_at)
    if not truth.deleted:
        return truth
    if not row["url"]:
        truth = replace(truth, url=None, author={**truth.author, "name": None})
    if not row["attachments"]:
        truth = replace(truth, attachments=())
    return replace(truth, text=row["text"]) if row["text"] in before else truth


def _hold_limits(day: FacebookDay) -> None:
    """Counted at the stand-in, each call when it came."""
    calls = day.standin.ledger
    twice_a_second = Limit(r".*/(conversations|messages)", 2, 1.0, rolling=True)
    most, at = busiest(calls, twice_a_second)
    assert most <= 2, f"{most} calls to conversations within a second at {at}"
    most, at = busiest(calls, Limit(r".*", QUOTA, 3600.0))
    assert most <= QUOTA, f"{most} calls in the hour of {at}"
    # One call finds out about a block; another may be on its way for the other platform.
    assert day.standin.unwelcome <= 3 * day.did["block"] + 4
