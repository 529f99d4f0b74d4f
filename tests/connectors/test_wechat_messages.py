"""What an official account is pushed: each type of message, odd ones, and events, which are none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aggregator.model import Accepted, Attachment, Direction, Kind
from tests.connectors.wechat_place import (
    FIXTURES,
    only,
    push,
    read,
    wechat,
    xml,
)


def test_a_text_stays_as_it_was_written() -> None:
    message = read("message__text")
    assert message.text == " 订单 8812 还没发货，<b>急</b> & 烦\n第二行 "
    assert message.native_id == "22876340532172986"  # beyond 2**53
    assert message.platform == "wechat"
    assert message.kind is Kind.DIRECT_MESSAGE
    assert message.direction is Direction.INBOUND
    assert message.person == "oLumo-4tQ9_customer7"
    assert message.author is not None
    assert message.author.native_id == "oLumo-4tQ9_customer7"
    assert message.author.name is None
    assert message.sent_at == datetime(2026, 11, 21, 2, 50, tzinfo=UTC)
    assert message.root is None
    assert message.marks == ()
    assert message.raw == xml("message__text").encode()


def test_what_xml_escapes_is_undone_once() -> None:
    assert read("message__text_escaped").text == "1 < 2 &amp; 好"


@pytest.mark.parametrize(
    ("name", "text", "attachment"),
    [
        ("message__text_empty", None, None),
        (
            "message__image",
            None,
            Attachment("image", "http://mmbiz.qpic.cn/lumo/1", None, "media-1"),
        ),
        ("message__voice_recognised", "我要退款", Attachment("voice", media_id="media-2")),
        ("message__video", None, Attachment("video", media_id="media-3")),
        (
            "message__location",
            None,
            Attachment("location", title="上海市黄浦区人民大道 31.230 121.473"),
        ),
        (
            "message__link",
            None,
            Attachment("link", "https://news.example/lumo?a=1&b=2", "Lumo 召回公告？"),
        ),
        ("message__unknown_type", None, Attachment("unknown", title="hologram")),
    ],
)
def test_each_type_is_read(name: str, text: str | None, attachment: Attachment | None) -> None:
    message = read(name)
    assert message.text == text
    assert message.attachments == ((attachment,) if attachment else ())
    assert message.marks == ()


def test_without_a_message_id_the_same_push_has_the_same_id_and_another_text_another() -> None:
    once, again = read("message__no_id"), read("message__no_id")
    account = wechat()
    other = xml("message__no_id").replace("一句话", "两句话")
    assert once.native_id == again.native_id
    assert only(account, account.verify(push(other))).native_id != once.native_id


def test_odd_times_and_missing_senders_are_kept_and_marked() -> None:
    assert read("message__bad_time").marks == ("time.missing",)
    assert read("message__bad_time").sent_at is None
    nobody = read("message__no_sender")
    assert nobody.marks == ("author.missing",)
    assert (nobody.author, nobody.person) == (None, None)


def test_bytes_that_are_no_text_are_replaced_when_stored_words_are_read() -> None:
    raw = xml("message__text").encode().replace("订单".encode(), b"\xed\xa0\x80")
    (message,) = wechat().read([raw]).messages
    assert message.text == " \ufffd\ufffd\ufffd 8812 还没发货，<b>急</b> & 烦\n第二行 "


def test_a_stored_push_that_cannot_be_read_is_kept_as_unknown() -> None:
    page = wechat().read([b"<xml>half", xml("message__image").encode()])
    broken, image = page.messages
    assert broken.attachments == (Attachment("unknown", title="unreadable"),)
    assert broken.text is None
    assert broken.raw == b"<xml>half"
    assert broken.marks == ("author.missing", "time.missing")
    assert image.native_id == "22876340532172989"
    assert page.cursor is None


def test_an_event_that_changes_nothing_is_answered_and_not_stored() -> None:
    for reply in ("success", "transfer_customer_service"):
        accepted = wechat(passive_reply=reply).verify(push(xml("event__unknown")))
        assert accepted == Accepted(b"success")


# --- the rest of what is pushed -----------------------------------------------------------------


def media(kind: str, title: str | None = None, id: str | None = None) -> tuple[Attachment, ...]:
    return (Attachment(kind, title=title, media_id=id),)


@pytest.mark.parametrize(
    ("name", "text", "attachments"),
    [
        ("message__text_en", "It's been 9 days. Where is my refund for order 8812?!", ()),
        ("message__text_emoticon", "/:strong 终于到了[Smile][微笑]/::) 🙏", ()),
        ("message__text_menu", "不满意", ()),
        (
            "message__image_en",
            None,
            (Attachment("image", "http://mmbiz.qpic.cn/lumo/2", media_id="media-4"),),
        ),
        ("message__voice", None, media("voice", id="media-5")),
        ("message__voice_recognised_en", "my lamp is smoking", media("voice", id="media-6")),
        ("message__video_long", None, media("video", id="media-7")),
        (
            "message__location_en",
            None,
            media("location", "313 Orchard Road, Singapore 1.3048 103.8318"),
        ),
        ("message__location_bare", None, media("location", "31.230 121.473")),
        (
            "message__link_en",
            None,
            (Attachment("link", "https://news.example/recall", "Is this recall about mine?"),),
        ),
        ("message__file", None, media("file", "发票 8812.pdf")),
        ("message__miniprogram", None, media("card", "Lumo 商城 - 我的订单", "thumb-8")),
    ],
)
def test_what_else_a_customer_may_send_is_read(
    name: str, text: str | None, attachments: tuple[Attachment, ...]
) -> None:
    message = read(name)
    assert (message.text, message.attachments, message.marks) == (text, attachments, ())
    assert message.native_id.startswith("228763405321730")


@pytest.mark.parametrize("name", ["message__text_json", "message__image_json"])
def test_a_push_in_json_is_read_alike(name: str) -> None:
    account = wechat()
    body = (FIXTURES / f"{name}.json").read_bytes()
    message = only(account, account.verify(push(body)))
    assert message.person == "oLumo-9bY2_customer12"
    assert message.text == ("换一个要多久？" if "text" in name else None)
    assert [one.kind for one in message.attachments] == ([] if "text" in name else ["image"])


def events() -> list[str]:
    return sorted(path.name for path in FIXTURES.glob("event__*"))


@pytest.mark.parametrize("file", events())
def test_no_event_is_a_message_and_each_is_answered(file: str) -> None:
    account = wechat(passive_reply="transfer_customer_service")
    body = (FIXTURES / file).read_bytes()
    accepted = account.verify(push(body))
    assert accepted.answer == b"success"
    assert account.read([body]).messages == ()
    keeps = {"subscribe", "unsubscribe", "scan", "click", "mass_send_finished", "publish_finished"}
    assert bool(accepted.store) == (file.removeprefix("event__").partition(".")[0] in keeps)
