"""What was withdrawn may come back; a reply window is the one that the latest message brings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from aggregator.model import Direction, Message, Page, ReplyWindow
from storage import history
from storage.engine import Database
from tests.conftest import NOW
from tests.fakes import FakeConnector, House, said

SENT = said(1, "退款还没到", sent_at=NOW + timedelta(seconds=1))
GONE = replace(SENT, text=None, deleted_at=NOW + timedelta(seconds=2), marks=("hidden",))
BACK = replace(SENT, restored_at=NOW + timedelta(seconds=3), marks=("hidden",))


@pytest.fixture
def house(db: Database) -> Iterator[House]:
    house = House(db)
    yield house
    house.end()


def read(house: House, *given: Message) -> None:
    pages = [Page((), "0"), *(Page((one,), str(n)) for n, one in enumerate(given, 1))]
    poller = house.poller(FakeConnector(messages=pages))
    poller.wake("messages")
    poller.tick()
    house.clock.on(seconds=10)
    for _ in given:
        poller.wake("messages")
        poller.tick()


def conversation(house: House) -> dict[str, object]:
    [row] = house.rows(history.conversations)
    return row


def test_a_restored_message_is_shown_again_and_its_clock_runs_again(house: House) -> None:
    read(house, SENT, GONE)
    [row] = house.rows(history.messages)
    assert row["deleted_at"] is not None
    assert [one["outcome"] for one in house.rows(history.clocks)] == ["withdrawn"]
    read(house, BACK)
    [row] = house.rows(history.messages)
    assert (row["deleted_at"], row["text"]) == (None, "退款还没到")
    assert [one["outcome"] for one in house.rows(history.clocks)] == [None]


def test_an_old_deletion_that_comes_again_after_the_restoration_changes_nothing(
    house: House,
) -> None:
    read(house, SENT, GONE, BACK, GONE)
    [row] = house.rows(history.messages)
    assert row["deleted_at"] is None


def test_a_restoration_without_words_keeps_the_words(house: House) -> None:
    read(house, SENT, GONE, replace(BACK, text=None))
    [row] = house.rows(history.messages)
    assert (row["deleted_at"], row["text"]) == (None, "退款还没到")


def test_the_latest_message_that_brings_a_window_sets_it(house: House) -> None:
    closes = NOW + timedelta(hours=48)
    first = replace(SENT, reply_window=ReplyWindow(closes, 5))
    later = said(2, "在吗", person="c1", sent_at=NOW + timedelta(seconds=5))
    read(house, first, later)
    assert conversation(house)["reply_window_closes_at"] == "2026-03-06T02:00:00.000Z"
    assert conversation(house)["reply_window_left"] == 5
    ours = replace(
        later,
        native_id="a1",
        direction=Direction.OUTBOUND,
        author=None,
        sent_at=NOW + timedelta(seconds=6),
        reply_window=ReplyWindow(closes, 4),
    )
    read(house, ours)
    assert conversation(house)["reply_window_left"] == 4


def test_a_window_that_comes_late_does_not_replace_a_newer_one(house: House) -> None:
    newer = replace(SENT, sent_at=NOW + timedelta(seconds=9), reply_window=ReplyWindow(None, 3))
    newest = replace(newer, reply_window=ReplyWindow(NOW + timedelta(hours=48), 3))
    older = said(
        2, "你好", person="c1", sent_at=NOW + timedelta(seconds=2), reply_window=ReplyWindow(NOW, 1)
    )
    read(house, newest, older)
    assert conversation(house)["reply_window_left"] == 3


def test_an_edited_post_is_shown_with_the_address_of_its_last_version(house: House) -> None:
    """On X each edit is a post of its own; found by the soak of X."""
    first = replace(SENT, url="https://x.com/ann/status/1")
    edited = replace(
        first,
        text="退款到了",
        edited_at=NOW + timedelta(seconds=5),
        url="https://x.com/ann/status/2",
    )
    read(house, first, edited)
    [row] = house.rows(history.messages)
    assert row["url"] == "https://x.com/ann/status/2"
    read(house, replace(edited, edited_at=NOW + timedelta(seconds=9), url=None))
    [row] = house.rows(history.messages)
    assert row["url"] == "https://x.com/ann/status/2"  # what is not told again stays
