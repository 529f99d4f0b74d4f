"""The stand-in of Weibo's fan service: pushes that are signed, repeated, and want nothing for an answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest
from wechatpy.exceptions import InvalidSignatureException
from wechatpy.utils import check_signature

from aggregator.sandbox.base import Line
from aggregator.sandbox.caller import HandshakeFailed
from aggregator.sandbox.weibo import WeiboStandin
from tests.sandbox.receiver import LI, MEI, NOON, Clock, Receiver


@pytest.fixture
def door() -> Iterator[Receiver]:
    door = Receiver()
    door.start()
    yield door
    door.stop()
    assert door.errors == []


@pytest.fixture
def weibo() -> Iterator[WeiboStandin]:
    standin = WeiboStandin(Clock(), retry_s=0.0)
    standin.start()
    yield standin
    standin.stop()
    assert standin.errors == []


def say(label, text, who=LI, **more) -> Line:
    return Line(0, "weibo", "direct_message", label, who, text, **more)


@pytest.mark.parametrize(
    ("medium", "kind", "text"),
    [
        (None, "text", "订单没收到😡"),
        ("image", "image", None),
        ("voice", "voice", None),
        ("location", "position", None),
    ],
)
def test_a_push_is_signed_with_the_app_secret_and_has_the_agreed_digest(
    medium, kind, text, weibo, door
):
    weibo.attach(door.url)
    truth = weibo.play(say("a", text, attachment=medium), NOON, {})
    assert weibo.caller.settle()
    (push,) = door.pushes
    query = push.query
    check_signature(weibo.app_secret, query["signature"], query["timestamp"], query["nonce"])
    with pytest.raises(InvalidSignatureException):
        check_signature("别的", query["signature"], query["timestamp"], query["nonce"])
    body = push.json()
    assert (body["type"], body["receiver_id"]) == (kind, weibo.uid)
    assert str(body["sender_id"]) == truth.author["native_id"]
    assert parsedate_to_datetime(body["created_at"]) == truth.sent_at
    assert (body["text"] or None) == truth.text == text
    data = json.dumps(body["data"], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    words = f"{body['sender_id']}|{body['created_at']}|{kind}|{body['text']}|{data}"
    assert truth.native_id == hashlib.sha256(words.encode()).hexdigest()[:32]
    assert truth.attachments == ((medium,) if medium else ())


def test_a_date_may_be_a_number_and_a_push_may_come_twice(weibo, door):
    weibo.attach(door.url)
    weibo.fans.dates, weibo.fans.doubles = "number", 1
    truth = weibo.play(say("a", "在吗"), NOON, {})
    other = weibo.play(say("b", "在吗"), NOON + timedelta(seconds=1), {})
    assert weibo.settle()
    bodies = sorted((push.json() for push in door.pushes), key=lambda one: one["created_at"])
    assert [body["created_at"] - int(NOON.timestamp()) for body in bodies] == [0, 0, 1]
    words = f"{bodies[0]['sender_id']}|{bodies[0]['created_at']}|text|在吗|{{}}"
    assert truth.native_id == hashlib.sha256(words.encode()).hexdigest()[:32] != other.native_id


def test_two_texts_in_one_second_are_two_messages_of_one_conversation(weibo, door):
    weibo.attach(door.url)
    first = weibo.play(say("a", "在吗"), NOON, {})
    second = weibo.play(say("b", "在不在"), NOON, {})
    other = weibo.play(say("c", "在吗", who=MEI), NOON, {})
    assert weibo.caller.settle()
    assert len({first.native_id, second.native_id, other.native_id}) == 3
    assert first.conversation == second.conversation != other.conversation


def test_anything_but_an_empty_answer_brings_it_again(weibo, door):
    weibo.attach(door.url)
    door.reply = lambda request: b"success"
    weibo.play(say("a", "在吗"), NOON, {})
    assert weibo.caller.settle()
    assert [entry.problem for entry in weibo.caller.ledger] == ["the answer is not empty"] * 3
    assert len({push.body for push in door.pushes}) == 1
    assert weibo.caller.lost() == ["a"]


def test_a_cut_connection_is_tried_again(weibo, door):
    weibo.attach(door.url)
    door.fault("cut", path="/callbacks")
    door.fault("cut_after", path="/callbacks")
    weibo.play(say("a", "在吗"), NOON, {})
    assert weibo.caller.settle()
    statuses = [entry.status for entry in weibo.caller.ledger]
    assert statuses == [None, None, 200]
    assert len(door.pushes) == 2
    assert weibo.caller.lost() == []


def test_a_door_that_does_not_echo_is_not_taken(weibo, door):
    door.echo = lambda request: b"hello"
    with pytest.raises(HandshakeFailed):
        weibo.attach(door.url)
    door.stop()
    with pytest.raises(HandshakeFailed):
        weibo.attach("http://127.0.0.1:9/callbacks/here")
    door.start()


def test_stopping_ends_the_wait_for_the_next_attempt(door):
    weibo = WeiboStandin(Clock(), retry_s=600.0)
    weibo.start()
    weibo.attach(door.url)
    door.fault("status", path="/callbacks", status=503)
    weibo.play(say("a", "在吗"), NOON + timedelta(minutes=1), {})
    assert not weibo.caller.settle(0.2)
    weibo.stop()
    assert weibo.caller.settle(5.0)
