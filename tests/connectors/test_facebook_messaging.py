"""Messenger's and Instagram's messages as webhooks tell them."""

from __future__ import annotations

import json
from datetime import timedelta

from aggregator.model import Direction, Kind
from tests.connectors.facebook_fake import PAGE
from tests.connectors.facebook_pushed import (
    AT,
    CUSTOMER,
    account,
    read,
)

# --- messages -------------------------------------------------------------------------------------


def test_messages_are_named_as_lists_name_them_and_timed_in_milliseconds() -> None:
    first, echo, full, pressed, standby, unsupported = read("messaging").messages
    assert first.kind is Kind.DIRECT_MESSAGE
    assert (first.native_id, first.person, first.direction) == ("AAA1", CUSTOMER, Direction.INBOUND)
    assert first.sent_at == AT - timedelta(milliseconds=900)
    assert first.reply_window is not None
    assert first.reply_window.closes_at == AT - timedelta(milliseconds=900) + timedelta(hours=24)

    assert (echo.direction, echo.person) == (Direction.OUTBOUND, CUSTOMER)
    assert echo.author is not None
    assert echo.author.native_id == PAGE
    assert echo.reply_window is None  # what we send opens nothing

    assert full.reply_to == "AAA2"
    assert [a.kind for a in full.attachments] == [
        *("image", "sticker", "voice", "video", "file", "location", "link", "card"),
        *("unknown", "card"),
    ]
    assert full.attachments[5].title == "22.3,114.2"
    assert full.attachments[8].title == "hologram"
    assert pressed.text == "退款 Refund"
    assert (standby.native_id, standby.text) == ("AAA5", "还在吗")
    assert [a.kind for a in unsupported.attachments] == ["unknown"]
    assert read("messaging").wake == ("messages",)  # one had no id


def test_an_edit_before_its_message_and_an_unsend_are_versions_of_one_message() -> None:
    first, edited, gone = read("messaging_course").messages
    assert {m.key for m in (first, edited, gone)} == {"direct_message:AAA9"}
    assert (first.text, first.edited_at) == ("退款退到哪", None)
    assert edited.text == "退款退到哪里了？"
    assert edited.sent_at == AT
    assert edited.edited_at == AT + timedelta(milliseconds=700)
    assert (gone.text, gone.deleted_at) == (None, AT + timedelta(seconds=5))


def test_an_echo_of_a_page_whose_ids_are_swapped_is_still_ours() -> None:
    told = {
        "object": "page",
        "entry": [
            {
                "id": int(PAGE),
                "time": 1795233600000,
                "messaging": [
                    {
                        "sender": {"id": 61},
                        "recipient": {"id": int(PAGE)},
                        "timestamp": 1795233600000,
                        "message": {"mid": "mid.$x", "text": "hello", "is_echo": True},
                    }
                ],
            }
        ],
    }
    (echo,) = account().read([json.dumps(told).encode()]).messages
    assert (echo.direction, echo.person) == (Direction.OUTBOUND, "61")


def test_instagram_rides_along_if_it_is_asked_for() -> None:
    assert read("instagram").messages == ()
    page = read("instagram", instagram=True)
    comment, ours, asked, unsent, echo, story = page.messages
    assert {m.platform for m in page.messages} == {"instagram"}
    assert (comment.kind, comment.root, comment.reply_to) == (Kind.COMMENT, "17900", "17900")
    assert comment.author is not None
    assert (comment.person, comment.author.handle) == ("61", "yuki")
    assert comment.sent_at == AT
    assert (ours.direction, ours.reply_to) == (Direction.OUTBOUND, "18001")
    assert (asked.text, unsent.native_id, unsent.text) == ("在吗", asked.native_id, None)
    assert (echo.direction, echo.person) == (Direction.OUTBOUND, "61")
    assert [a.kind for a in story.attachments] == ["card"]
