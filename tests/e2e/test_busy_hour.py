"""The scripted hour through the real daemon: nothing missing, nothing extra, every field right."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from aggregator.sandbox.script import MINUTES, busy_hour
from tests.e2e.stage import Played, expected, found, partition, play, settings_for


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def hour(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("hour")
    if request.param == "sqlite":
        database = f"sqlite:///{folder / 'inboxd.db'}"
    else:
        database = request.getfixturevalue("postgres").empty()
    settings = settings_for(folder, database)
    return play(settings, busy_hour(), minutes=MINUTES, seconds=25, seed=7)


def _native(row: dict[str, str]) -> str:
    return f"{row['platform']}/{row['kind']}/{row['native_id']}"


@pytest.mark.parametrize("platform", ["weibo", "x", "facebook", "wechat", "wecom"])
def test_the_export_equals_the_script_for_every_platform(hour: Played, platform: str) -> None:
    told = {
        _native(row): row
        for truth in hour.truth.values()
        if truth.exported and truth.platform == platform
        for row in [expected(truth)]
    }
    stored = {_native(row): row for row in map(found, hour.messages) if row["platform"] == platform}
    assert sorted(stored) == sorted(told)
    for native, row in told.items():
        assert stored[native] == row


def test_no_message_is_stored_twice(hour: Played) -> None:
    counts = Counter(_native(found(row)) for row in hour.messages)
    assert [native for native, count in counts.items() if count > 1] == []


def test_messages_are_threaded_as_the_script_says(hour: Played) -> None:
    told = partition(
        [(_native(expected(t)), t.conversation) for t in hour.truth.values() if t.exported]
    )
    stored = partition([(_native(found(row)), row["conversation_id"]) for row in hour.messages])
    assert stored == told


def test_every_answer_of_ours_stopped_its_clock(hour: Played) -> None:
    answered = {row["conversation_id"] for row in hour.messages if row["direction"] == "outbound"}
    first = {row["conversation_id"]: row for row in hour.clocks if row["kind"] == "first_response"}
    assert answered
    for conversation in answered & set(first):
        assert first[conversation]["stopped_at"] is not None
        assert first[conversation]["outcome"] in ("met", "breached")
    for conversation in set(first) - answered:
        assert first[conversation]["stopped_at"] is None


def test_every_clock_computed_anew_from_what_is_stored_is_the_same(hour: Played) -> None:
    assert hour.differing == []


def test_slack_has_one_card_a_conversation_and_none_twice(hour: Played) -> None:
    keys = [post.metadata["event_payload"]["delivery_id"] for post in hour.posts if post.metadata]
    assert [key for key, count in Counter(keys).items() if count > 1] == []
    sent = {
        row["conversation_id"]
        for row in hour.deliveries
        if row["destination"] == "social" and row["kind"] == "card" and row["state"] == "sent"
    }
    roots = [post for post in hour.posts if post.thread_ts is None and post.channel == "C0SOCIAL"]
    assert len(roots) == len(sent)


def test_each_ticket_was_opened_once(hour: Played) -> None:
    external = [ticket.external_id for ticket in hour.tickets]
    assert external
    assert len(set(external)) == len(external)


def test_nothing_is_left_untold_without_a_reason(hour: Played) -> None:
    for row in hour.deliveries:
        assert row["state"] in ("sent", "skipped")
        assert row["state"] == "sent" or row["reason"]


def test_the_faults_really_happened(hour: Played) -> None:
    assert len(hour.faults) >= 6
    assert sum(hour.faults.values()) > 60


def test_no_customer_can_page_the_room(hour: Played) -> None:
    for post in hour.posts:
        assert not re.search(r"<!(channel|here|everyone)|<@U", str(post.blocks) + post.text)
