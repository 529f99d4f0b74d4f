"""Direct messages in WeChat's XML, and the stand-in's pushes read by the connector in both forms."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from aggregator.errors import Rejected
from aggregator.model import Direction, Kind, Push, ReplyWindow
from aggregator.sandbox.base import Line, Truth
from aggregator.sandbox.weibo import WeiboStandin
from connectors.weibo import Weibo, WeiboOptions
from tests.connectors.loopback import MemoryKeep
from tests.connectors.test_weibo import push, raw, weibo
from tests.sandbox.receiver import LI, NOON, Clock, Receiver


def xml(**more: str) -> bytes:
    head = {
        "ToUserName": "1655548273",
        "FromUserName": "3900112233",
        "CreateTime": "1795200600",
        "MsgType": "text",
        "Content": "订单 8812 &amp; 退款",
        "MsgId": "",
    }
    inside = "".join(f"<{k}><![CDATA[{v}]]></{k}>" for k, v in (head | more).items())
    return f"<xml>{inside}</xml>".encode()


@pytest.fixture
def door() -> Iterator[Receiver]:
    door = Receiver()
    door.start()
    yield door
    door.stop()


@pytest.fixture
def standin() -> Iterator[WeiboStandin]:
    standin = WeiboStandin(Clock(), retry_s=0.0)
    standin.start()
    yield standin
    standin.stop()
    assert standin.errors == []


def received(standin: WeiboStandin, door: Receiver) -> tuple[Weibo, Any]:
    """What the daemon's door and reader make of what was pushed."""
    assert standin.caller.settle()
    account = Weibo(WeiboOptions(**standin.options()), keep=MemoryKeep(), now=lambda: NOON)
    stored: list[bytes] = []
    for one in door.pushes:
        request = Push(one.method, one.query, one.headers, one.body, NOON)
        stored += account.verify(request).store
    return account, account.read(stored)


def say(standin: WeiboStandin, text: str | None, **more: Any) -> Truth:
    return standin.play(Line(0, "weibo", "direct_message", "a", LI, text, **more), NOON, {})


@pytest.mark.parametrize("form", ["json", "xml"])
@pytest.mark.parametrize(
    ("text", "medium"),
    [("订单没收到😡 ]]> <b>", None), (None, "image"), (None, "voice"), (None, "location")],
)
def test_both_forms_of_a_push_say_what_is_true(
    form: str,
    text: str | None,
    medium: str | None,
    standin: WeiboStandin,
    door: Receiver,
) -> None:
    standin.fans.format = form
    standin.attach(door.url)
    truth = say(standin, text, attachment=medium)
    _, page = received(standin, door)
    (message,) = page.messages
    assert (message.kind, message.direction) == (Kind.DIRECT_MESSAGE, Direction.INBOUND)
    assert (message.native_id, message.text) == (truth.native_id, truth.text)
    assert (message.sent_at, message.person) == (truth.sent_at, truth.author["native_id"])
    assert tuple(one.kind for one in message.attachments) == truth.attachments
    assert message.reply_window == ReplyWindow(truth.sent_at + timedelta(hours=48))
    assert message.marks == ()
    for one in message.attachments:
        assert "access_token=" not in (one.url or "")


@pytest.mark.parametrize("subtype", ["status", "comment"])
def test_a_mention_event_wakes_its_list_and_opens_a_window(
    subtype: str, standin: WeiboStandin, door: Receiver
) -> None:
    standin.fans.tells_mentions = True
    standin.attach(door.url)
    kind = "mention" if subtype == "status" else "comment"
    text = f"@{standin.brand} 在吗"
    truth = standin.play(Line(0, "weibo", kind, "a", LI, text), NOON, {})
    account, page = received(standin, door)
    stream = "mentions" if subtype == "status" else "comment_mentions"
    assert (page.messages, page.wake) == ((), (stream,))
    (message,) = account.poll(stream, None).messages
    assert message.native_id == truth.native_id
    assert message.reply_window == ReplyWindow(truth.sent_at + timedelta(hours=48), left=1)


def test_without_the_permission_no_mention_is_told(standin: WeiboStandin, door: Receiver) -> None:
    standin.attach(door.url)
    standin.play(Line(0, "weibo", "mention", "a", LI, f"@{standin.brand}"), NOON, {})
    assert standin.caller.settle()
    assert door.pushes == []


def test_a_text_in_xml_is_read_as_written_and_a_repeat_has_the_same_id() -> None:
    account = weibo()
    body = xml(Content="  两个空格 \n")
    assert account.verify(push(body)).store == (body,)
    first, again, other = account.read([body, body, xml()]).messages
    assert first.text == "  两个空格 \n"
    assert first.native_id == again.native_id != other.native_id
    assert other.text == "订单 8812 & 退款"


def test_events_in_xml_are_no_messages_and_unknown_types_are() -> None:
    account = weibo()
    event = xml(MsgType="event", Event="subscribe", Content="")
    assert account.verify(push(event)).store == ()
    (message,) = account.read([xml(MsgType="hologram", Content="")]).messages
    assert message.attachments[0].kind == "unknown"
    assert message.attachments[0].title == "hologram"


@pytest.mark.parametrize(
    "body",
    [
        b"<xml></xml>",
        b"<xml>",
        b"<x/>",
        b"<xml><MsgType/></xml>",
        b"<xml>words</xml>",
        b"<xml><MsgType>text</MsgType>\x08</xml>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><xml><MsgType>&a;</MsgType></xml>',
        b"<html><body>502</body></html>",
        b"<" * 60_000,
        "<xml><MsgType>文".encode()[:-1],
    ],
)
def test_xml_that_is_none_of_the_platforms_is_refused(body: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        weibo().verify(push(body))
    assert caught.value.status == 400


def test_xml_has_a_limit_of_its_own() -> None:
    with pytest.raises(Rejected) as caught:
        weibo().verify(push(xml(Content="x" * 70_000)))
    assert caught.value.status == 413


def test_times_and_people_that_are_odd_in_xml_are_kept_and_marked() -> None:
    odd = xml(FromUserName="", CreateTime="soon")
    (message,) = weibo().read([odd]).messages
    assert message.marks == ("author.missing", "time.missing")
    assert message.reply_window is None


def test_a_json_push_opens_the_window_too() -> None:
    (message,) = weibo().read([raw("text")]).messages
    assert message.sent_at is not None
    assert message.reply_window == ReplyWindow(message.sent_at + timedelta(hours=48))
