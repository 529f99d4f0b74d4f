"""What X says of posts and direct messages, as messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aggregator.model import Author, Direction, Kind, Message
from connectors.payload import mapping
from connectors.x.direct import direct_message
from connectors.x.ids import earlier, number, time_of
from connectors.x.posts import Includes, post_message

FIXTURES = Path(__file__).parents[1] / "fixtures" / "x"
ME = "880000000000000001"


def page(name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text())
    return told


def posts(name: str, *, ours: bool = False) -> list[Message]:
    told = page(name)
    includes = Includes(told["includes"])
    return [
        post_message(raw, includes, me=ME, ours=ours) for raw in map(mapping, told["data"]) if raw
    ]


def directs(name: str) -> list[Message | None]:
    told = page(name)
    return [direct_message(raw, Includes(told["includes"]), me=ME) for raw in told["data"]]


@pytest.mark.parametrize("vocabulary", ["mentions__tweet_words", "mentions__post_words"])
def test_a_mention_is_read_in_both_vocabularies(vocabulary: str) -> None:
    reply, long, hashtag = posts(vocabulary)

    assert reply.kind is Kind.MENTION
    assert reply.direction is Direction.INBOUND
    assert reply.text == "@acme_cn still broken & nobody answers <3 https://t.co/aa1"
    assert reply.author == Author("710002", "Dana Reed", "danareed", 48211, True)
    assert reply.person == "710002"
    assert reply.reply_to == reply.root
    assert reply.sent_at == datetime(2026, 11, 21, 3, 15, tzinfo=UTC)
    assert reply.url == f"https://x.com/danareed/status/{reply.native_id}"
    assert [(a.kind, a.url, a.title) for a in reply.attachments] == [
        ("link", "https://help.acme.example/orders?id=7&lang=zh", "Orders")
    ]
    assert reply.lang == "en"
    assert reply.edited_at is None
    assert reply.marks == ()

    assert long.text is not None
    assert long.text.startswith("@acme_cn 说好三天退款，结果等了两个星期")
    assert "&lt; 这是第三次了" in long.text  # written so: X escaped the ampersand once
    assert long.quoted == "Acme refunds take > 14 days"
    assert long.root == long.native_id
    assert [a.kind for a in long.attachments] == ["image", "link"]
    assert long.attachments[0].title == "退款页面截图"
    assert json.loads(long.raw)["id"] == long.native_id

    assert hashtag.lang is None


def test_an_edit_keeps_the_first_id_and_the_first_time() -> None:
    (edited,) = posts("mentions__edited")
    raw = page("mentions__edited")["data"][0]
    assert edited.native_id == raw["edit_history_tweet_ids"][0]
    assert edited.sent_at == datetime(
        2026, 11, 21, 3, 20, tzinfo=UTC
    )  # as its first version said it
    assert edited.edited_at == datetime(2026, 11, 21, 3, 41, 7, tzinfo=UTC)
    assert edited.root == edited.native_id
    assert edited.text == "@acme_cn 订单 8812 一直没发货（已更正单号）"


def test_a_repost_has_no_words_of_its_author() -> None:
    (repost,) = posts("mentions__repost")
    assert repost.text is None
    assert repost.quoted == "Acme refunds take > 14 days"


def test_our_answers_name_whom_they_answer_and_what() -> None:
    answer, other, announcement = posts("own_posts__answers", ours=True)
    (edited,) = posts("mentions__edited")
    assert answer.direction is Direction.OUTBOUND
    assert answer.person == "710001"
    assert answer.reply_to == edited.native_id  # not the id of the version that was answered
    assert answer.root == edited.root
    assert answer.author is not None
    assert answer.author.handle == "acme_cn"
    assert other.person == "710002"
    assert announcement.person is None
    assert announcement.reply_to is None


def test_a_post_of_our_own_timeline_is_ours_even_where_the_author_is_missing() -> None:
    message = post_message({"id": "5", "text": "在的"}, Includes({}), me=ME, ours=True)
    assert message.direction is Direction.OUTBOUND
    assert message.marks == ("time.missing",)


def test_hostile_posts_are_kept_and_marked() -> None:
    broken, nameless, future, empty = posts("mentions__hostile")

    assert broken.text == "@acme_cn bad \ufffd half\ufffd and NUL 半个字"
    assert set(broken.marks) == {"text.scrubbed", "time.missing"}
    assert broken.native_id.isdigit()
    assert len(broken.native_id) == 19
    assert broken.author == Author("710001", "王\ufffd", None, None, None)
    assert broken.sent_at is None
    assert [(a.kind, a.media_id) for a in broken.attachments] == [("unknown", "9_1")]
    assert broken.url == f"https://x.com/i/web/status/{broken.native_id}"

    assert "id.missing" in nameless.marks
    assert nameless.text == "@acme_cn 没有编号的"
    assert nameless.native_id == posts("mentions__hostile")[1].native_id

    assert future.sent_at == datetime(2999, 1, 1, tzinfo=UTC)

    assert empty.text is None
    assert empty.author is None
    assert set(empty.marks) == {"author.missing", "time.missing"}
    for message in (broken, nameless, future, empty):
        message.raw.decode()
        (message.text or "").encode()


def test_a_megabyte_of_text_is_kept_whole() -> None:
    text = "退款" * 500_000
    message = post_message(
        {"id": "7", "text": "cut…", "note_tweet": {"text": text}}, Includes({}), me=ME, ours=False
    )
    assert message.text == text


def test_direct_messages_are_kept_and_comings_and_goings_are_not() -> None:
    shared, joined, group, video, ours, senderless, unknown = directs("dm_events__page")

    assert shared is not None
    assert shared.kind is Kind.DIRECT_MESSAGE
    assert shared.person == "710001"
    assert shared.root is None
    assert shared.text == "看看这个 https://t.co/dd4"
    assert shared.quoted == "Acme refunds take > 14 days"
    assert [a.kind for a in shared.attachments] == ["link"]
    assert shared.author is not None
    assert shared.author.name == "王小明"

    assert joined is None

    assert group is not None
    assert group.person == "1585800614365339648"
    assert group.author is not None
    assert group.author.native_id == "710002"

    assert video is not None
    assert video.text is None
    assert [a.kind for a in video.attachments] == ["video"]

    assert ours is not None
    assert ours.direction is Direction.OUTBOUND
    assert ours.person == "710001"

    assert senderless is not None
    assert senderless.author is None
    assert senderless.direction is Direction.INBOUND
    assert senderless.person == "910004"
    assert senderless.text == "Where is my order & refund?"
    assert senderless.marks == ("author.missing",)

    assert unknown is not None
    assert unknown.text is None
    assert [(a.kind, a.title) for a in unknown.attachments] == [("unknown", "ChatCreate")]


@pytest.mark.parametrize(
    ("conversation", "person"),
    [
        (f"710001-{ME}", "710001"),
        (f"{ME}-990000000000000009", "990000000000000009"),
        (f"{ME}-{ME}", ME),
        ("1585800614365339648", "1585800614365339648"),
        (None, "710001"),
    ],
)
def test_the_person_is_the_other_half_of_the_conversation(
    conversation: str | None, person: str
) -> None:
    raw = {"id": "9", "event_type": "MessageCreate", "sender_id": "710001", "text": "在吗"}
    if conversation:
        raw["dm_conversation_id"] = conversation
    message = direct_message(raw, Includes({}), me=ME)
    assert message is not None
    assert message.person == person


def test_ids_are_compared_as_numbers_and_hold_their_time() -> None:
    assert time_of(1578516295611748353) == datetime(2022, 10, 7, 22, 43, 6, 945000, tzinfo=UTC)
    one, two = number("999999999999999999"), number("1000000000000000000")
    assert one is not None
    assert two is not None
    assert one < two
    for nothing in (None, "", "abc", "0", "-5", "9" * 30, "１２", "9223372036854775808"):
        assert number(nothing) is None
    assert earlier(77, timedelta(hours=1)) == 77
