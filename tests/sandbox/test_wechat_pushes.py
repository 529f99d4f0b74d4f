"""What the stand-in of an Official Account pushes, judged by wechatpy."""

from __future__ import annotations

from datetime import timedelta

import pytest
from wechatpy import parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.replies import TextReply, TransferCustomerServiceReply
from wechatpy.utils import check_signature

from aggregator.sandbox.base import Line
from aggregator.sandbox.caller import HandshakeFailed
from aggregator.sandbox.wechat import WeChatStandin
from aggregator.sandbox.wechat_push import MODES
from tests.sandbox.receiver import LI, NOON
from tests.sandbox.wechat_place import call, clock, door, running, say, wechat

__all__ = ["clock", "door", "wechat"]


@pytest.mark.parametrize("mode", MODES)
def test_a_push_in_every_mode_is_read_by_wechatpy_as_the_truth_says(mode, clock, door):
    for there in running(WeChatStandin(clock, mode=mode, retry_s=0.0)):
        there.attach(door.url)
        truth = there.play(say("a", "我要退款 ]]> <b>&amp; 🧧"), NOON, {})
        assert there.caller.settle()
        (push,) = door.pushes
        query, body = push.query, push.body.decode()
        check_signature(
            there.envelope.token, query["signature"], query["timestamp"], query["nonce"]
        )
        options = there.options()
        if mode == "plain":
            assert "encoding_aes_key" not in options
            assert "encrypt_type" not in query
        else:
            judge = WeChatCrypto(options["token"], options["encoding_aes_key"], options["app_id"])
            assert ("<Content>" in body) == (mode == "compatible")
            opened = judge.decrypt_message(
                body, query["msg_signature"], query["timestamp"], query["nonce"]
            )
            body = opened if mode == "safe" else body
        message = parse_message(body)
        assert (str(message.id), message.source) == (truth.native_id, truth.author["native_id"])
        assert message.content == truth.text == "我要退款 ]]> <b>&amp; 🧧"
        assert message.create_time == truth.sent_at
        assert query["openid"] == message.source
        assert 2**53 < int(truth.native_id) < 2**63
        assert [entry.problem for entry in there.caller.ledger] == [None]


@pytest.mark.parametrize(
    ("medium", "words"),
    [("image", None), ("voice", None), ("video", None), ("location", "静安寺"), ("link", "说明书")],
)
def test_every_medium_is_a_type_that_wechatpy_knows_and_has_no_text(medium, words, wechat, door):
    wechat.attach(door.url)
    truth = wechat.play(say("a", words, attachment=medium), NOON, {})
    wechat.caller.settle()
    sealed = door.pushes[0]
    judge = WeChatCrypto(wechat.envelope.token, wechat.envelope.aes_key, wechat.app_id)
    opened = judge.decrypt_message(
        sealed.body.decode(),
        *(sealed.query[name] for name in ("msg_signature", "timestamp", "nonce")),
    )
    assert parse_message(opened).type == medium
    assert (truth.text, truth.attachments) == (None, (medium,))


def test_an_event_has_no_msgid_and_is_no_message(wechat, door):
    wechat.attach(door.url)
    wechat.event(LI, NOON, "subscribe", EventKey="qrscene_12")
    wechat.caller.settle()
    sealed = door.pushes[0].query
    judge = WeChatCrypto(wechat.envelope.token, wechat.envelope.aes_key, wechat.app_id)
    body = door.pushes[0].body.decode()
    opened = judge.decrypt_message(
        body, sealed["msg_signature"], sealed["timestamp"], sealed["nonce"]
    )
    assert "<Event><![CDATA[subscribe]]></Event>" in opened
    assert "MsgId" not in opened


def test_a_door_that_does_not_echo_is_not_taken(wechat, door):
    door.echo = lambda request: b'"' + request.query["echostr"].encode() + b'"'
    with pytest.raises(HandshakeFailed):
        wechat.attach(door.url)
    with pytest.raises(HandshakeFailed):
        wechat.attach("http://example.com/callbacks/here")
    with pytest.raises(RuntimeError, match="attach"):
        wechat.play(say("a", "你好"), NOON, {})


def test_no_answer_brings_the_same_msgid_three_times_and_then_never_again(wechat, door):
    wechat.attach(door.url)
    door.fault("status", path="/callbacks", times=3, status=503)
    truth = wechat.play(say("a", "有人吗"), NOON, {})
    assert wechat.caller.settle()
    tries = [(entry.label, entry.number, entry.status) for entry in wechat.caller.ledger]
    assert tries == [(truth.native_id, number, 503) for number in (1, 2, 3)]
    assert wechat.caller.lost() == [truth.native_id]


def test_an_answer_after_the_limit_counts_as_none(clock, door):
    for there in running(WeChatStandin(clock, retry_s=0.0, timeout_s=0.05)):
        there.attach(door.url)
        door.fault("slow", path="/callbacks", seconds=0.3)
        there.play(say("a", "在吗"), NOON, {})
        assert there.caller.settle()
        first, second = there.caller.ledger
        assert first.status is None
        assert second.problem is None


@pytest.mark.parametrize("mode", MODES)
def test_a_transfer_puts_the_message_into_the_console_and_its_log(mode, clock, door):
    for there in running(WeChatStandin(clock, mode=mode, retry_s=0.0)):
        there.attach(door.url)
        judge = WeChatCrypto(there.envelope.token, there.envelope.aes_key, there.app_id)

        def transfer(request, there=there, judge=judge):
            reply = TransferCustomerServiceReply(
                source=there.original_id, target=request.query["openid"]
            ).render()
            return (judge.encrypt_message(reply, "1") if mode != "plain" else reply).encode()

        door.reply = transfer
        truth = there.play(say("a", "转人工"), NOON, {})
        there.play(say("b", None, attachment="image"), NOON + timedelta(seconds=1), {})
        assert there.caller.settle()
        assert {entry.problem for entry in there.caller.ledger} == {None}
        assert sorted(row.text for row in there.records) == ["[image]", "转人工"]
        waiting = call(there, "/customservice/kfsession/getwaitcase")
        assert [case["openid"] for case in waiting["waitcaselist"]] == [truth.conversation]


@pytest.mark.parametrize("reply", [b"ok", b"<html>", "成功".encode(), b"\xff", b'""'])
def test_any_other_answer_shows_the_customer_an_error(reply, wechat, door):
    wechat.attach(door.url)
    door.reply = lambda request: reply
    wechat.play(say("a", "你好"), NOON, {})
    wechat.caller.settle()
    assert "out of service" in (wechat.caller.ledger[0].problem or "")
    assert wechat.records == []


def test_an_encrypted_text_reply_is_no_transfer(wechat, door):
    wechat.attach(door.url)
    judge = WeChatCrypto(wechat.envelope.token, wechat.envelope.aes_key, wechat.app_id)
    words = TextReply(source=wechat.original_id, target=wechat.openid(LI), content="你好").render()
    door.reply = lambda request: judge.encrypt_message(words, "1").encode()
    wechat.play(say("a", "你好"), NOON, {})
    wechat.caller.settle()
    assert "transfer_customer_service" in (wechat.caller.ledger[0].problem or "")


def test_two_stand_ins_share_no_openid_and_no_msgid(clock, door):
    seen = set()
    for salt in (1, 2):
        for there in running(WeChatStandin(clock, salt=salt)):
            there.attach(door.url)
            for number in range(3):
                truth = there.play(say(str(number), "同样的话"), NOON, {})
                seen |= {truth.native_id, truth.author["native_id"]}
            there.caller.settle()
    assert len(seen) == 2 * (3 + 1)


@pytest.mark.parametrize(
    "line",
    [
        Line(0, "wechat", "comment", "a", LI, "评论"),
        Line(0, "wechat", "direct_message", "a", LI, "改一下", action="edit", to="b"),
        Line(0, "wechat", "direct_message", "a", LI, "看图", attachment="image"),
        Line(0, "wechat", "direct_message", "a", LI, None, attachment="sticker"),
        Line(0, "wechat", "direct_message", "a", None, "没人问"),
    ],
)
def test_what_the_platform_has_not_cannot_be_played(line, wechat, door):
    wechat.attach(door.url)
    with pytest.raises(ValueError, match="a:"):
        wechat.play(line, NOON, {})
