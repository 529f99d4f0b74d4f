"""What a callback does not tell of a message, a list may fill in later: one message, and no new version of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aggregator.model import Attachment, Author, Message, Page
from storage import history
from storage.engine import Database
from tests.conftest import NOW
from tests.fakes import FakeConnector, House, said

LISTED = replace(
    said(1, "被扣了两次款", sent_at=NOW + timedelta(seconds=1)),
    author=Author(native_id="c1", name="陈美玲", handle="meiling", followers=12, verified=True),
    url="https://site.example/inbox/1",
)
PUSHED = replace(LISTED, author=Author(native_id="c1"), url=None)


@pytest.fixture
def house(db: Database) -> Iterator[House]:
    house = House(db)
    yield house
    house.end()


def read(house: House, *given: Message) -> dict[str, Any]:
    pages = [Page((), "0"), *(Page((one,), str(n)) for n, one in enumerate(given, 1))]
    poller = house.poller(FakeConnector(messages=pages))
    for _ in pages:
        poller.wake("messages")
        poller.tick()
        house.clock.on(seconds=10)
    [row] = house.rows(history.messages)
    return row


def test_a_name_and_a_link_that_come_later_are_filled_in(house: House) -> None:
    row = read(house, PUSHED, LISTED)
    assert row["author"] == {"native_id": "c1", "name": "陈美玲", "handle": "meiling"}
    assert row["url"] == LISTED.url
    assert row["edited_at"] is None


def test_what_hangs_on_a_message_and_was_not_told_is_filled_in_unless_an_edit_took_it_away(
    house: House,
) -> None:
    sticker = replace(LISTED, attachments=(Attachment("sticker", "https://site.example/s.png"),))
    row = read(house, PUSHED, sticker)
    assert [one["kind"] for one in row["attachments"]] == ["sticker"]
    edited = replace(LISTED, text="没有了", edited_at=NOW + timedelta(seconds=9))
    row = read(house, edited, sticker)
    assert row["attachments"] == []
    row = read(house, replace(sticker, text="没有了", edited_at=NOW, marks=("as.of",)))
    assert [one["kind"] for one in row["attachments"]] == ["sticker"]


def test_a_callback_that_tells_only_new_words_takes_nothing_away(house: House) -> None:
    picture = replace(LISTED, attachments=(Attachment("image", "https://site.example/1.jpg"),))
    at = NOW + timedelta(seconds=9)
    row = read(house, picture, replace(PUSHED, text="改", edited_at=at, marks=("time.edit",)))
    assert row["text"] == "改"
    assert [one["kind"] for one in row["attachments"]] == ["image"]


def test_what_is_known_is_not_replaced_by_another_reading(house: House) -> None:
    other = replace(
        LISTED, author=Author("c1", "别人"), url="https://site.example/else", text="别的"
    )
    row = read(house, LISTED, other, PUSHED)
    assert row["author"] == {"native_id": "c1", "name": "陈美玲", "handle": "meiling"}
    assert (row["url"], row["text"]) == (LISTED.url, "被扣了两次款")


def test_an_edit_that_came_first_gets_the_time_of_the_message_and_its_clock_too(
    house: House,
) -> None:
    edited_at = NOW + timedelta(seconds=5)
    edit = replace(
        PUSHED, text="被扣了三次款", sent_at=edited_at, edited_at=edited_at, marks=("time.edit",)
    )
    row = read(house, edit, PUSHED)
    assert row["text"] == "被扣了三次款"
    assert row["sent_at"] == "2026-03-04T02:00:01.000Z"
    assert row["edited_at"] == "2026-03-04T02:00:05.000Z"
    started = {one["started_at"] for one in house.rows(history.clocks)}
    assert started == {"2026-03-04T02:00:01.000Z"}


def test_a_list_that_tells_no_edits_changes_what_reads_otherwise_and_nothing_else(
    house: House,
) -> None:
    now = NOW + timedelta(seconds=30)
    listed = replace(LISTED, edited_at=now, restored_at=now, marks=("as.of",))
    row = read(house, listed, listed)
    assert (row["edited_at"], row["text"]) == (None, "被扣了两次款")
    row = read(house, replace(listed, text="被扣了三次款"))
    assert (row["edited_at"], row["text"]) == ("2026-03-04T02:00:30.000Z", "被扣了三次款")
    gone = replace(LISTED, text=None, deleted_at=NOW + timedelta(seconds=2))
    back = replace(listed, text="被扣了三次款")
    assert read(house, gone)["deleted_at"] is not None
    assert read(house, back)["deleted_at"] is None
