"""Instagram's messages on the same calls: another account, other ids, and only twenty messages of a conversation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from aggregator.model import Direction, Gap, Message
from aggregator.sandbox.facebook_objects import Who
from tests.connectors.test_facebook_quota import Stage

YUKI = Who("6100000000000061", "由纪")


@pytest.fixture
def stage() -> Iterator[Stage]:
    one = Stage()
    one.page.start()
    yield one
    one.page.stop()
    assert one.page.errors == []


def go(stage: Stage, cursor: str | None) -> tuple[list[Message], list[Gap], str | None]:
    found: list[Message] = []
    gaps: list[Gap] = []
    for _ in range(30):
        stage.clock.on(seconds=1)
        page = stage.connect(instagram="true").poll("instagram", cursor)
        found += page.messages
        gaps += page.gaps
        cursor = page.cursor
        if not page.more:
            return found, gaps, cursor
    raise AssertionError("no end")


def test_the_stream_is_there_only_if_it_is_asked_for(stage: Stage) -> None:
    assert "instagram" not in stage.connect().streams
    assert "instagram" in stage.connect(instagram="true").streams
    stage.clock.on(seconds=1)
    told = stage.connect(instagram="true").check().streams
    assert told["messages"] == "ok"
    assert told["instagram"].startswith(("ok", "quota"))  # both are conversations


def test_messages_on_instagram_are_told_apart_from_the_pages(stage: Stage) -> None:
    stage.page.letter(YUKI, "有货吗？", stage.clock.at, instagram=True)
    stage.page.letter(YUKI, "有的", stage.clock.at, from_page=True, instagram=True)
    stage.page.letter(Who("52", "Ben"), "hello", stage.clock.at)
    found, gaps, _ = go(stage, None)
    asked, ours = sorted(found, key=lambda m: m.direction)
    assert {m.platform for m in found} == {"instagram"}
    assert (asked.direction, asked.person, asked.text) == (Direction.INBOUND, YUKI.id, "有货吗？")
    assert asked.reply_window is not None
    assert (ours.direction, ours.person) == (Direction.OUTBOUND, YUKI.id)
    assert ours.author is not None
    assert ours.author.native_id == stage.page.instagram.id
    assert gaps == []


def test_what_instagram_does_not_tell_any_more_is_a_gap(stage: Stage) -> None:
    stage.page.letter(YUKI, "在吗", stage.clock.at, instagram=True)
    _, gaps, cursor = go(stage, None)
    assert gaps == []
    stage.clock.on(hours=1)
    began = stage.clock.at
    for n in range(30):
        stage.page.letter(YUKI, f"第 {n} 句", began + timedelta(seconds=n), instagram=True)
    stage.clock.on(minutes=1)
    found, gaps, cursor = go(stage, cursor)
    assert {m.text for m in found} == {f"第 {n} 句" for n in range(10, 30)}
    (gap,) = gaps
    assert not gap.recoverable
    assert gap.until == began + timedelta(seconds=9)
    assert gap.since is not None
    assert gap.since < began
    assert "20 newest" in gap.reason
    assert go(stage, cursor)[1] == []


def test_what_a_webhook_brought_is_no_gap(stage: Stage) -> None:
    stage.page.letter(YUKI, "在吗", stage.clock.at, instagram=True)
    _, _, cursor = go(stage, None)
    stage.clock.on(hours=1)
    began = stage.clock.at
    letters = [
        stage.page.letter(YUKI, f"第 {n} 句", began + timedelta(seconds=n), instagram=True)
        for n in range(60)
    ]
    us = stage.page.instagram.id
    events = [
        {
            "sender": {"id": YUKI.id},
            "recipient": {"id": us},
            "timestamp": int(one.at.timestamp() * 1000),
            "message": {"mid": one.id, "text": one.message},
        }
        for one in letters[:40]
    ]

    def hear(some: list[dict[str, object]]) -> None:
        entry = {"id": us, "time": 1, "messaging": some}
        body = json.dumps({"object": "instagram", "entry": [entry]}).encode()
        stage.connect(instagram="true", verify_token="暗号").read([body])

    hear(events[5:])
    stage.clock.on(minutes=1)
    (gap,) = go(stage, cursor)[1]
    assert gap.until == began + timedelta(seconds=4)
    hear(events[:5])
    assert go(stage, cursor)[1] == []


def test_an_answer_goes_to_the_person_on_instagram_and_is_counted_in_bytes(stage: Stage) -> None:
    stage.page.letter(YUKI, "在吗", stage.clock.at, instagram=True)
    (asked,), _, cursor = go(stage, None)
    connector = stage.connect(instagram="true")
    limit = connector.reply_limit(asked)
    assert (limit.longest, limit.count("好的")) == (1000, 6)
    sent = connector.reply(asked, "在的", "k")
    assert sent.author is not None
    assert sent.author.native_id == stage.page.instagram.id
    found, _, _ = go(stage, cursor)
    ours = next(m for m in found if m.direction is Direction.OUTBOUND)
    assert (ours.native_id, ours.platform) == (sent.native_id, sent.platform)


def test_a_page_without_a_linked_account_says_so(stage: Stage) -> None:
    stage.page.edges.page = type(stage.page.edges.page)(stage.page.page, "lumo")
    stage.clock.on(seconds=1)
    told = stage.connect(instagram="true").check().streams
    assert "no Instagram business account" in told["instagram"]
