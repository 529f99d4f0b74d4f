"""What a Page's posts, comments, reviews and messages become."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aggregator.model import Author, Direction, Kind, Message
from connectors.facebook.shapes import (
    comment_id,
    comment_message,
    direct_message,
    post_message,
    review_id,
    review_message,
)
from connectors.payload import mapping

FIXTURES = Path(__file__).parents[1] / "fixtures" / "facebook"
PAGE = "104000000000777"
POST = f"{PAGE}_9002"


def data(name: str) -> list[dict[str, Any]]:
    told = json.loads((FIXTURES / f"{name}.json").read_text())
    return [raw for raw in map(mapping, told["data"]) if raw]


def posts(name: str) -> list[Message]:
    return [post_message(raw, page_id=PAGE) for raw in data(name)]


def comments() -> list[Message]:
    return [
        comment_message(raw, page_id=PAGE, post_id=POST, post_author=None)
        for raw in data("comments__stream")
    ]


def test_a_visitors_post_is_a_mention_and_its_own_root() -> None:
    album, ours, shared, checkin, tagged = posts("feed__visitors")
    assert album.kind is Kind.MENTION
    assert album.direction is Direction.INBOUND
    assert album.author == Author("7100000000000001", "陈美玲", None, None, None)
    assert album.person == "7100000000000001"
    assert album.root == album.native_id == f"{PAGE}_9001"
    assert album.text == "请问门市还有现货吗？打了三次电话没人接。"
    assert album.sent_at == datetime(2026, 11, 21, 3, 10, tzinfo=UTC)
    assert album.edited_at is None  # updated_time moves for comments too
    assert [(a.kind, a.url, a.media_id) for a in album.attachments] == [
        ("image", "https://scontent.example/a.jpg", "8001"),
        ("image", "https://scontent.example/b.jpg", "8002"),
    ]
    assert album.marks == ()

    assert ours.direction is Direction.OUTBOUND

    assert shared.author is None
    assert shared.marks == ("author.missing",)
    assert shared.text is None
    assert shared.quoted == "Third case this month, says the fire brigade."
    assert [(a.kind, a.url) for a in shared.attachments] == [
        ("link", "https://news.example/kettle")
    ]

    assert checkin.text is None
    assert [(a.kind, a.title) for a in checkin.attachments] == [
        ("card", "Omar Haddad is at Acme 香港.")
    ]
    assert [a.kind for a in tagged.attachments] == ["video"]


def test_no_raw_payload_holds_the_token_that_paging_carries() -> None:
    for message in posts("feed__visitors"):
        assert b"access_token" not in message.raw
        assert b"EAAB" not in message.raw
    assert json.loads(posts("feed__visitors")[2].raw)["comments"] == {"data": []}


def test_comments_answer_their_parent_or_the_post() -> None:
    nested, top, reply, bare, nobody, sticker = comments()

    assert nested.kind is Kind.COMMENT
    assert nested.direction is Direction.OUTBOUND
    assert nested.reply_to == "9002_503"
    assert nested.person == "7100000000000004"
    assert nested.root == POST

    assert top.direction is Direction.OUTBOUND
    assert top.reply_to == POST
    assert top.person is None

    assert reply.direction is Direction.INBOUND
    assert reply.person == "7100000000000001"
    assert reply.reply_to == bare.native_id == "9002_503"

    assert nobody.author is None
    assert nobody.person is None
    assert nobody.marks == ("author.missing",)
    assert [(a.kind, a.url) for a in nobody.attachments] == [
        ("image", "https://scontent.example/c.jpg")
    ]

    assert sticker.text is None
    assert [a.kind for a in sticker.attachments] == ["sticker"]


def test_our_comment_under_a_visitors_post_is_for_the_visitor() -> None:
    raw = {"id": "9001_7", "from": {"id": PAGE, "name": "Acme 香港"}, "message": "有货，欢迎来店"}
    message = comment_message(raw, page_id=PAGE, post_id=f"{PAGE}_9001", post_author="7100")
    assert message.person == "7100"
    assert message.reply_to == f"{PAGE}_9001"


@pytest.mark.parametrize(
    ("given", "kept"),
    [("9002_503", "9002_503"), ("503", "9002_503"), ("other_503", "other_503"), ("x9", "x9")],
)
def test_a_comment_has_one_id_in_both_spellings(given: str, kept: str) -> None:
    assert comment_id(given, POST) == kept


def test_reviews_keep_their_rating_and_a_stable_id() -> None:
    told, stars, nameless = [review_message(raw) for raw in data("ratings__page")]
    assert told.kind is Kind.REVIEW
    assert told.native_id == "904801129604"
    assert told.root == told.native_id
    assert [(a.kind, a.title) for a in told.attachments] == [("rating", "negative")]
    assert told.text == "Lieferung kam nie an. 客服完全不理人。"

    assert stars.text is None
    assert [(a.kind, a.title) for a in stars.attachments] == [("rating", "5")]
    raws = data("ratings__page")
    assert review_id({**raws[1], "review_text": "后来补写的"}) == stars.native_id
    assert nameless.marks == ("author.missing",)
    assert len({told.native_id, stars.native_id, nameless.native_id}) == 3


def test_messenger_messages_belong_to_the_person_of_the_thread() -> None:
    raws = data("conversations__page")[0]["messages"]["data"]
    ours, files, sticker, shared, nobody = [
        direct_message(raw, page_id=PAGE, person="5200000000000001", link="https://f.example/77")
        for raw in raws
    ]
    assert ours.kind is Kind.DIRECT_MESSAGE
    assert ours.direction is Direction.OUTBOUND
    assert ours.native_id == "AAA5"
    assert {m.person for m in (ours, files, sticker, shared, nobody)} == {"5200000000000001"}
    assert ours.root is None
    assert ours.url == "https://f.example/77"

    assert files.text is None
    assert [a.kind for a in files.attachments] == ["image", "voice", "unknown", "card"]
    assert [(a.kind, a.url) for a in sticker.attachments] == [
        ("sticker", "https://scontent.example/sticker.png")
    ]
    assert shared.native_id == "mid.$AAA2"
    assert [(a.kind, a.title) for a in shared.attachments] == [("link", "Order 8")]
    assert nobody.author is None
    assert nobody.text == "谁写的？"
    assert [a.kind for a in nobody.attachments] == ["unknown"]


def test_a_thread_without_participants_still_has_a_person() -> None:
    inbound = {"id": "m_1", "from": {"id": "52"}, "message": "在吗"}
    outbound = {"id": "m_2", "from": {"id": PAGE}, "to": {"data": [{"id": PAGE}, {"id": "52"}]}}
    for raw in (inbound, outbound):
        assert direct_message(raw, page_id=PAGE, person=None, link=None).person == "52"


def test_hostile_posts_are_kept_and_marked() -> None:
    broken, nameless, future = posts("feed__hostile")
    assert broken.native_id == "10400000000077799123"
    assert broken.text == "半个 \ufffd 字\ufffd"
    assert set(broken.marks) == {"text.scrubbed", "time.missing"}
    assert broken.author is not None
    assert broken.author.name == "坏\ufffd"
    assert [a.kind for a in broken.attachments] == ["unknown", "unknown", "unknown"]

    assert nameless.native_id == posts("feed__hostile")[1].native_id
    assert set(nameless.marks) == {"id.missing", "author.missing"}
    assert nameless.sent_at == datetime(2026, 11, 21, 3, 4, 5, tzinfo=UTC)

    assert future.sent_at == datetime(2999, 1, 1, tzinfo=UTC)
    assert future.text is None
    assert future.author == Author(None, "没有号码的人")
    for message in (broken, nameless, future):
        (message.text or "").encode()
        message.raw.decode()


def test_a_megabyte_of_text_is_kept_whole() -> None:
    text = "投诉" * 500_000
    assert post_message({"id": "1", "message": text}, page_id=PAGE).text == text
