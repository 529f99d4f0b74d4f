"""What is in WeCom's queue: customers and colleagues, media and cards, recalls and failed sends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from aggregator.model import Attachment, Direction, Kind
from tests.connectors.loopback import T0, MemoryKeep
from tests.connectors.wecom_place import (
    PERSON,
    card,
    corp,
    event,
    fixture,
    message,
    page,
    place,
)


def test_customers_and_servicers_are_told_apart_and_events_are_no_messages() -> None:
    with corp() as (_, _, account, _):
        found = account.poll("messages", None)
    by_id = {one.native_id: one for one in found.messages if one.deleted_at is None}
    assert list(by_id) == ["m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9", "m10", "m11"]
    first, answered = by_id["m1"], by_id["m10"]
    assert first.kind is Kind.DIRECT_MESSAGE
    assert first.direction is Direction.INBOUND
    assert first.text == "你好，充电宝充不进电 &amp; 发烫 <b>急</b>"
    assert first.person == PERSON
    assert first.author is not None
    assert (first.author.native_id, first.author.name) == (PERSON, "小满")
    assert first.sent_at == datetime(2026, 11, 21, 2, 50, tzinfo=UTC)
    assert answered.direction is Direction.OUTBOUND
    assert answered.person == PERSON
    assert answered.author is not None
    assert answered.author.native_id == "zhaomin"
    assert by_id["m11"].author is not None
    assert by_id["m11"].author.name is None  # the platform knows no name
    assert all(one.marks == () for one in found.messages)
    assert (place(found.cursor), found.more) == ("4gw7MepFLfgF2VC5npN", False)


def test_each_type_has_its_attachment() -> None:
    with corp() as (_, _, account, _):
        found = account.poll("messages", None).messages
    assert [(one.attachments, one.text) for one in found[1:9]] == [
        ((Attachment("image", media_id="media-1"),), None),
        ((Attachment("voice", media_id="media-2"),), None),
        ((Attachment("file", title="发票.pdf", media_id="media-3"),), None),
        ((Attachment("location", title="人民广场 黄浦区人民大道"),), None),
        ((Attachment("link", "https://news.example/a?b=1", "召回公告？"),), None),
        ((Attachment("card", title="Lumo 商城"),), None),
        ((Attachment("card", title="8812"),), None),
        ((Attachment("unknown", title="hologram"),), None),
    ]


def test_a_recall_is_a_tombstone_for_the_message_that_it_takes_back() -> None:
    with corp() as (_, _, account, _):
        found = account.poll("messages", None).messages
    theirs, ours = [one for one in found if one.deleted_at is not None]
    assert (theirs.key, theirs.direction, theirs.text) == (
        "direct_message:m1",
        Direction.INBOUND,
        None,
    )
    assert theirs.deleted_at == datetime.fromtimestamp(1795229480, UTC)
    assert (ours.native_id, ours.direction) == ("m10", Direction.OUTBOUND)


def test_odd_items_are_kept_and_marked_and_never_stop_a_page() -> None:
    with corp() as (told, _, account, _):
        told.pages[""] = fixture("sync_msg__hostile")
        found = account.poll("messages", None)
        again = account.poll("messages", None)
    assert place(found.cursor) == "n2"
    assert [one.key for one in found.messages] == [one.key for one in again.messages]
    number, words, listed, empty, no_id, big, broken, odd_type, later = found.messages
    for odd in (number, words, listed, empty):
        assert odd.attachments == (Attachment("unknown", title="missing"),)
        assert "author.missing" in odd.marks
    assert len({one.native_id for one in found.messages}) == 9
    assert no_id.text == "没有编号"
    assert big.native_id == "22876340532172986123"
    assert (big.text, big.sent_at, big.marks) == (None, None, ("time.missing",))
    assert (broken.text, broken.marks) == ("坏\ufffd字\ufffd", ("text.scrubbed",))
    assert odd_type.attachments[0].kind == "unknown"
    assert later.marks == ("origin.unknown",)
    assert later.direction is Direction.INBOUND
    json.loads(broken.raw)


def test_a_text_of_a_megabyte_is_read_whole() -> None:
    with corp() as (told, _, account, _):
        told.pages[""] = page(message("m", "长" * 350_000), next_cursor="c")
        (one,) = account.poll("messages", None).messages
    assert one.text == "长" * 350_000


@pytest.mark.parametrize(
    ("fail_type", "word"), [(0, "unknown"), (4, "expired"), (6, "too_many"), (10, "refused")]
)
def test_what_did_not_arrive_is_taken_back_with_the_reason(fail_type: int, word: str) -> None:
    with corp() as (told, _, account, _):
        failed = event("msg_send_fail", fail_msgid="our_own-1", fail_type=fail_type)
        told.pages[""] = page(failed, next_cursor="c")
        (gone,) = account.poll("messages", None).messages
    assert (gone.native_id, gone.direction) == ("our_own-1", Direction.OUTBOUND)
    assert (gone.text, gone.deleted_at, gone.person) == (None, T0, PERSON)
    assert gone.marks == ("send.failed", f"send.failed.{word}")


@pytest.mark.parametrize(
    "item",
    [
        event("enter_session", scene="1", welcome_code="w"),
        event("session_status_change", change_type=1, new_servicer_userid="zhaomin"),
        event("session_status_change", change_type=3, old_servicer_userid="zhaomin", msg_code="x"),
        event("servicer_status_change", status=2, servicer_userid="zhaomin"),
        event("msg_send_fail"),
        event("user_recall_msg"),
        event("something_of_2027"),
        {"msgid": "e", "msgtype": "event", "event": None},
        {"msgtype": "event", "origin": 4},
    ],
)
def test_sessions_and_the_like_are_no_messages(item: dict[str, Any]) -> None:
    with corp() as (told, _, account, _):
        told.pages[""] = page(item, message("m"), next_cursor="c")
        assert [one.native_id for one in account.poll("messages", None).messages] == ["m"]


@pytest.mark.parametrize(
    ("item", "attachment"),
    [
        (card("business_card", userid="zhaomin"), Attachment("card", title="zhaomin")),
        (card("channels", nickname="Lumo", title="新品"), Attachment("card", title="Lumo · 新品")),
        (
            card("channels_shop_product", title="充电宝", sales_price="9900", shop_nickname="Lumo"),
            Attachment("card", title="充电宝 · 9900 · Lumo"),
        ),
        (
            card("channels_shop_order", order_id="8812", product_titles="灯", state="待发货"),
            Attachment("card", title="灯 · 待发货 · 8812"),
        ),
        (card("msgmenu", head_content="满意吗？"), Attachment("card", title="满意吗？")),
        (card("business_card"), Attachment("card", title="business_card")),
        (
            card("location", latitude=31.2, longitude=121.5),
            Attachment("location", title="31.2, 121.5"),
        ),
        (
            card("link", url="https://e.example/1", desc="看看"),
            Attachment("link", url="https://e.example/1", title="看看"),
        ),
        (card("video", media_id="v1"), Attachment("video", media_id="v1")),
    ],
)
def test_a_card_says_what_it_shows(item: dict[str, Any], attachment: Attachment) -> None:
    with corp() as (told, _, account, _):
        told.pages[""] = page(item, next_cursor="c")
        (found,) = account.poll("messages", None).messages
    assert (found.attachments, found.text) == ((attachment,), None)


def test_a_forwarded_conversation_is_quoted_and_not_the_customers_own() -> None:
    with corp() as (told, _, account, _):
        items = [
            {
                "sender_name": "小林",
                "msgtype": "text",
                "msg_content": '{"text": {"content": "已退款"}}',
            },
            {"sender_name": "小满", "msgtype": "image", "msg_content": "{}"},
            {"msgtype": "text", "msg_content": "不是 JSON"},
            {"msgtype": "text", "msg_content": {"text": {"content": 5}}},
            None,
        ]
        told.pages[""] = page(
            card("merged_msg", title="群聊的聊天记录", item=items), next_cursor="c"
        )
        (found,) = account.poll("messages", None).messages
    assert found.quoted == "小林: 已退款\n小满: [image]\n不是 JSON\n[?]"
    assert (found.text, found.attachments) == (None, (Attachment("card", title="群聊的聊天记录"),))


# --- events that nobody has described ---------------------------------------------------------------


def test_an_event_of_an_unknown_kind_breaks_nothing_and_is_told_by_check() -> None:
    rated = event("satisfaction_rate", score=2, comment="等太久了")
    with corp() as (told, _, account, clock):
        told.pages[""] = page(rated, message("m"), event("enter_session"), next_cursor="c")
        assert [one.native_id for one in account.poll("messages", None).messages] == ["m"]
        note = account.check().note
        assert note is not None
        assert "satisfaction_rate (2026-11-21)" in note
        assert "enter_session" not in note
        clock.on(days=2)
        account.poll("messages", None)
        assert "satisfaction_rate (2026-11-23)" in (account.check().note or "")


def test_what_is_known_of_events_makes_no_note() -> None:
    with corp() as (_, _, account, _):
        account.poll("messages", None)
        assert account.check().note is None


@pytest.mark.parametrize("kept", ["", "nonsense", "[]", '{"x": "y"}', '{"x": -1}', "null"])
def test_a_damaged_note_of_events_is_none(kept: str) -> None:
    keep = MemoryKeep()
    keep.rows = {"events": kept}
    with corp(keep) as (told, _, account, _):
        assert account.check().note is None
        told.pages[""] = page(
            *(event(f"新事件{number}" * 40) for number in range(60)),
            {"msgtype": "event"},
            next_cursor="c",
        )
        account.poll("messages", None)
        assert len(account.check().note or "") < 2000


# --- the other pages of the fixtures ----------------------------------------------------------------


def test_every_card_shows_what_it_is_and_a_forwarded_talk_is_quoted() -> None:
    with corp() as (told, _, account, _):
        told.pages[""] = fixture("sync_msg__cards")
        found = {one.native_id: one for one in account.poll("messages", None).messages}
    shown = {id: [(a.kind, a.title) for a in one.attachments] for id, one in found.items()}
    assert shown == {
        "c1": [("video", None)],
        "c2": [("card", "zhaomin")],
        "c3": [("card", "您对本次服务满意吗？")],
        "c4": [],
        "c5": [("card", "Lumo 官方 · 新灯开箱")],
        "c6": [("card", "Lumo 台灯 · 19900 · Lumo 小店")],
        "c7": [("card", "Lumo 台灯 · ¥199.00 · 待发货 · 8812")],
        "c8": [("card", "小满和客服的聊天记录")],
        "c9": [("unknown", "note")],
        "c10": [("unknown", "meeting")],
    }
    assert found["c4"].text == "不满意"  # the answer to the menu is in the customer's words
    assert found["c3"].direction is Direction.OUTBOUND
    assert found["c8"].quoted == "小满: 灯泡冒烟了\n小满: [image]\nSupport: Please unplug it."
    assert all(one.marks == () for one in found.values())


def test_an_english_conversation_is_read_alike() -> None:
    with corp() as (told, _, account, _):
        told.pages[""] = fixture("sync_msg__en")
        found = account.poll("messages", None).messages
    assert [(one.text, [a.kind for a in one.attachments]) for one in found] == [
        ("Hello, my order 8812 never arrived :( Refund please", []),
        (None, ["image"]),
        (None, ["voice"]),
        (None, ["location"]),
        (None, ["link"]),
        (None, ["file"]),
        ("We are looking into it right now.", []),
    ]
    assert found[3].attachments[0].title == "313@Somerset 313 Orchard Road"


def test_of_all_events_only_recalls_and_failed_sends_change_a_message() -> None:
    with corp() as (told, _, account, _):
        told.pages[""] = fixture("sync_msg__events")
        found = account.poll("messages", None).messages
    assert {(one.native_id, one.direction.value, one.marks) for one in found} == {
        ("our_own-8", "outbound", ("send.failed", "send.failed.too_many")),
        ("our_own-9", "outbound", ("send.failed", "send.failed.unknown")),
        ("m77", "inbound", ()),
        ("m78", "outbound", ()),
    }
    assert all(one.deleted_at is not None for one in found)
