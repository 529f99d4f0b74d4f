"""Each kind of thing that may be said on a Page, in Messenger or on Instagram, in Chinese and in English."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aggregator.model import Direction, Message
from connectors.facebook.shapes import (
    comment_message,
    direct_message,
    post_message,
    remark_message,
)
from connectors.payload import items, mapping
from tests.connectors.facebook_fake import PAGE
from tests.connectors.facebook_pushed import POST, account, body
from tests.connectors.loopback import MemoryKeep

FIXTURES = Path(__file__).parents[1] / "fixtures" / "facebook"
IG = "17841400000000099"


def data(name: str) -> list[dict[str, Any]]:
    return [mapping(raw) for raw in json.loads((FIXTURES / f"{name}.json").read_text())["data"]]


def letters(name: str, us: str, platform: str) -> list[Message]:
    return [
        direct_message(mapping(raw), page_id=us, person=None, link=None, platform=platform)
        for thread in data(name)
        for raw in items(thread["messages"]["data"])
    ]


def pushed(name: str) -> list[Message]:
    keep = MemoryKeep()
    keep.rows["instagram"] = IG
    return list(account(keep, instagram="true").read([body(name)]).messages)


def kinds(messages: list[Message]) -> list[list[str]]:
    return [[one.kind for one in message.attachments] for message in messages]


def test_messages_of_a_list_in_each_kind() -> None:
    found = letters("conversations__kinds", PAGE, "facebook")
    assert kinds(found) == [
        [],
        ["file"],
        ["voice"],
        ["video"],
        ["image", "image"],
        ["sticker"],
        ["link"],
        [],
        ["video"],
        ["link"],
        [],
    ]
    assert [one.direction for one in found].count(Direction.OUTBOUND) == 1
    assert found[1].attachments[0].title == "发票.pdf"
    assert found[7].text == "水壶漏水，要求退款"
    assert found[-1].text == "Is anyone there?"


def test_a_story_that_is_answered_or_names_us_hangs_on_the_message() -> None:
    found = letters("conversations__instagram", IG, "instagram")
    assert kinds(found) == [["card"], ["card"], ["link"], []]
    assert found[0].attachments[0].url == "https://scontent.example/story/1"
    assert found[1].text == "还有货吗？"
    assert found[0].author is not None
    assert found[0].author.handle == "yuki"


def test_posts_of_a_list_in_each_kind() -> None:
    found = [post_message(raw, page_id=PAGE) for raw in data("feed__kinds")]
    assert kinds(found) == [
        [],
        ["image"],
        ["video"],
        ["link"],
        ["card"],
        ["location"],
        ["image", "image"],
        ["card"],
        ["unknown"],
    ]
    assert found[3].quoted == "Click to claim yours today"
    assert found[4].attachments[0].title == "新品试用会"
    assert found[7].attachments[0].title == "Omar Haddad shared a memory."


def test_comments_of_a_list_in_each_kind() -> None:
    found = [
        comment_message(raw, page_id=PAGE, post_id=POST, post_author=None)
        for raw in data("comments__kinds")
    ]
    assert kinds(found) == [[], ["image"], ["sticker"], ["image"], ["video"], ["link"]]


def test_pushed_messages_in_each_kind() -> None:
    found = pushed("messaging_kinds")
    assert kinds(found) == [
        *([], []),
        ["image"],
        ["video"],
        ["voice"],
        ["file"],
        ["location"],
        ["link"],
        ["sticker"],
        ["sticker"],
        ["link"],
        ["video"],
        [],
        ["unknown"],
    ]
    assert found[0].text == "水壶漏水，要求退款"
    assert found[1].text == "My kettle leaks, I want a refund"
    assert found[6].attachments[0].title == "22.28,114.18"
    assert found[12].reply_to == "W2"


def test_pushed_messages_of_instagram_in_each_kind() -> None:
    found = pushed("instagram_kinds")
    assert kinds(found) == [
        *([], []),
        ["card"],
        ["card"],
        ["link"],
        ["video"],
        ["sticker"],
        ["unknown"],
        [],
    ]
    assert {one.platform for one in found} == {"instagram"}
    assert found[-1].direction is Direction.OUTBOUND


def test_pushed_posts_in_each_kind() -> None:
    found = pushed("feed_kinds")
    assert kinds(found) == [
        [],
        ["image"],
        ["video"],
        ["link"],
        ["image", "image"],
        ["card"],
        ["card"],
    ]  # the last one does not say whose it is: the list does
    assert found[5].attachments[0].media_id == "8306"
    assert found[6].attachments[0].title == "Omar is at Acme 香港."


def test_comments_on_instagram_with_and_without_who_wrote_them() -> None:
    rows = [
        (raw, over)
        for top in data("instagram__comments")
        for raw, over in [
            (top, None),
            *((mapping(one), top) for one in items(mapping(top.get("replies")).get("data"))),
        ]
    ]
    asked, ours, other, great, bare = (
        remark_message(raw, us=IG, media_id="17900", url="https://ig.example/p/1", over=over)
        for raw, over in rows
    )
    assert (asked.text, asked.reply_to, asked.person) == ("多少钱？", "17900", "61")
    assert (ours.direction, ours.reply_to, ours.person) == (Direction.OUTBOUND, "18100", "61")
    assert (other.reply_to, other.marks) == ("18100", ("author.missing",))
    assert other.author is not None
    assert (other.author.native_id, other.author.handle) == (None, "omar")
    assert great.author is not None
    assert great.author.native_id == "62"
    assert (bare.native_id, bare.text, bare.author) == ("18089", None, None)
    assert b"replies" not in asked.raw
