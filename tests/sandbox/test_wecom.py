"""The stand-in of WeCom customer service, asked as its documentation says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests
import xmltodict
from wechatpy.enterprise.crypto import WeChatCrypto

from aggregator.sandbox.base import Line
from aggregator.sandbox.caller import HandshakeFailed
from aggregator.sandbox.wecom import WeComStandin
from aggregator.sandbox.wecom_desk import BOT, ENDED, HUMAN, NEW
from tests.sandbox.receiver import LI, MEI, NOON, Clock, Receiver


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def wecom(clock: Clock) -> Iterator[WeComStandin]:
    standin = WeComStandin(clock, retry_s=0.0)
    standin.start()
    yield standin
    standin.stop()
    assert standin.errors == []


@pytest.fixture
def door(wecom: WeComStandin) -> Iterator[Receiver]:
    door = Receiver()
    door.start()
    judge = WeChatCrypto(wecom.envelope.token, wecom.envelope.aes_key, wecom.corp_id)
    door.echo = lambda request: judge.check_signature(
        *(request.query[name] for name in ("msg_signature", "timestamp", "nonce", "echostr"))
    ).encode()
    yield door
    door.stop()
    assert door.errors == []


def token(wecom: WeComStandin, **more: str) -> dict:
    query = {"corpid": wecom.corp_id, "corpsecret": wecom.secret, **more}
    return requests.get(f"{wecom.base_url}/cgi-bin/gettoken", params=query, timeout=5).json()


def call(wecom: WeComStandin, path: str, body: object, access: str | None = None) -> dict:
    query = {"access_token": access or token(wecom)["access_token"]}
    url = f"{wecom.base_url}/cgi-bin/kf/{path}"
    return requests.post(url, params=query, json=body, timeout=5).json()


def sync(wecom: WeComStandin, **more: object) -> dict:
    return call(wecom, "sync_msg", {"open_kfid": wecom.open_kfid, **more})


def walk(wecom: WeComStandin, cursor: str = "") -> tuple[list[dict], list[int], str]:
    found, sizes, more = [], [], 1
    while more:
        page = sync(wecom, cursor=cursor)
        assert page["errcode"] == 0
        found += page["msg_list"]
        sizes.append(len(page["msg_list"]))
        cursor, more = page["next_cursor"], page["has_more"]
        assert 0 < len(cursor) <= 64
    return found, sizes, cursor


def say(label: str, text: str | None, who=LI, **more) -> Line:
    return Line(0, "wecom", "direct_message", label, who, text, **more)


def test_the_stream_tells_customers_and_colleagues_as_the_truth_says(wecom):
    told = {}
    lines = [
        say("a", "空调不制冷"),
        say("b", "师傅今天能来吗？", who=MEI),
        say("c", "马上安排", who=None, to="a"),
        say("d", None, attachment="image"),
    ]
    for number, line in enumerate(lines):
        told[line.label] = wecom.play(line, NOON + timedelta(seconds=number), told)
    found, _, _ = walk(wecom)
    messages = [item for item in found if item["msgtype"] != "event"]
    assert [item["msgid"] for item in messages] == [truth.native_id for truth in told.values()]
    for item, truth in zip(messages, told.values(), strict=True):
        assert item["external_userid"] == truth.conversation
        assert item["send_time"] == truth.sent_at.timestamp()
        assert item.get("text", {}).get("content") == truth.text
        assert item["origin"] == (5 if truth.direction == "outbound" else 3)
        assert item.get("servicer_userid", item["external_userid"]) == truth.author["native_id"]
    assert told["b"].author["name"] == "韩梅梅"
    assert told["d"].attachments == ("image",)


def test_events_have_account_and_customer_inside_only(wecom):
    truth = wecom.play(say("a", "你好"), NOON, {})
    events = [item for item in walk(wecom)[0] if item["msgtype"] == "event"]
    assert [item["event"]["event_type"] for item in events] == ["enter_session"]
    assert events[0]["event"]["external_userid"] == truth.conversation
    assert events[0]["origin"] == 4
    assert not {"open_kfid", "external_userid"} & events[0].keys()


def test_a_recall_is_an_event_that_names_the_message(wecom):
    told = {"a": wecom.play(say("a", "我的电话是138"), NOON, {})}
    gone = wecom.play(say("b", None, action="delete", to="a"), NOON, told)
    assert (gone.native_id, gone.deleted) == (told["a"].native_id, True)
    event = walk(wecom)[0][-1]["event"]
    assert (event["event_type"], event["recall_msgid"]) == ("user_recall_msg", gone.native_id)


def test_pages_are_short_and_sometimes_empty_though_there_is_more(wecom):
    wecom.page_most, wecom.empty_every = 2, 3
    for number in range(7):
        wecom.play(say(str(number), f"第{number}条"), NOON, {})
    found, sizes, cursor = walk(wecom)
    assert [item["text"]["content"] for item in found[1:]] == [f"第{n}条" for n in range(7)]
    assert sizes == [2, 2, 0, 2, 2]
    wecom.play(say("8", "还有"), NOON, {})
    again, _, last = walk(wecom, cursor)
    assert [item["text"]["content"] for item in again] == ["还有"]
    assert walk(wecom, last) == ([], [0], last)


def test_a_cursor_of_another_instance_is_refused(wecom, clock):
    other = WeComStandin(clock)
    other.start()
    other.play(say("a", "别家的客户"), NOON, {})
    foreign = sync(other)["next_cursor"]
    other.stop()
    assert sync(wecom, cursor=foreign)["errcode"] == 40058


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"open_kfid": ""}, 40058),
        ({"open_kfid": "wk别的"}, 95000),
        ({"limit": 1001}, 40058),
        ({"limit": "20"}, 40058),
        ({"cursor": ["x"]}, 40058),
    ],
)
def test_bad_parameters_are_refused(body, code, wecom):
    assert sync(wecom, **body)["errcode"] == code


def test_only_three_days_are_kept(wecom, clock):
    wecom.play(say("a", "太早了"), NOON - timedelta(days=3, seconds=1), {})
    wecom.play(say("b", "还在"), NOON - timedelta(days=3) + timedelta(seconds=5), {})
    assert [item["text"]["content"] for item in walk(wecom)[0]] == ["还在"]


def test_a_callback_wakes_with_a_token_that_is_not_counted_for_ten_minutes(wecom, door, clock):
    wecom.tokenless_per_minute = 1
    wecom.attach(door.url)
    wecom.play(say("a", "你好"), NOON, {})
    assert wecom.caller.settle()
    assert {entry.problem for entry in wecom.caller.ledger} == {None}
    judge = WeChatCrypto(wecom.envelope.token, wecom.envelope.aes_key, wecom.corp_id)
    push = door.pushes[-1]
    signed = (push.query[name] for name in ("msg_signature", "timestamp", "nonce"))
    event = xmltodict.parse(judge.decrypt_message(push.body.decode(), *signed))["xml"]
    assert (event["Event"], event["OpenKfId"]) == ("kf_msg_or_event", wecom.open_kfid)
    assert "你好" not in str(event)
    for _ in range(3):
        assert sync(wecom, token=event["Token"])["errcode"] == 0
    assert sync(wecom)["errcode"] == 0
    assert sync(wecom)["errcode"] == 45009
    clock.now += timedelta(minutes=10)
    assert sync(wecom, token=event["Token"])["errcode"] == 0  # counted now
    assert sync(wecom, token=event["Token"])["errcode"] == 45009


def test_a_door_that_does_not_decrypt_the_echo_is_not_taken(wecom, door):
    door.echo = lambda request: request.query["echostr"].encode()
    with pytest.raises(HandshakeFailed):
        wecom.attach(door.url)
    wecom.play(say("a", "没有回调也能拉到"), NOON, {})
    assert len(walk(wecom)[0]) == 2


def test_tokens_are_checked_on_every_call(wecom, clock):
    assert token(wecom, corpid="ww0")["errcode"] == 40013
    assert token(wecom, corpsecret="错")["errcode"] == 40001
    good = token(wecom)["access_token"]
    assert token(wecom)["access_token"] == good
    assert call(wecom, "account/list", {}, access="别人的")["errcode"] == 40014
    url = f"{wecom.base_url}/cgi-bin/kf/sync_msg"
    assert requests.post(url, json={}, timeout=5).json()["errcode"] == 41001
    clock.now += timedelta(hours=2)
    assert call(wecom, "account/list", {}, access=good)["errcode"] == 42001
    assert token(wecom)["access_token"] != good
    wecom.revoke()
    assert call(wecom, "account/list", {}, access=good)["errcode"] == 40014


def test_profiles_are_told_for_those_who_wrote_and_at_most_a_hundred(wecom):
    wecom.play(say("a", "你好", who=MEI), NOON, {})
    known = wecom.external_userid(MEI)
    told = call(wecom, "customer/batchget", {"external_userid_list": [known, "wm谁"]})
    assert [one["nickname"] for one in told["customer_list"]] == ["韩梅梅"]
    assert told["invalid_external_userid"] == ["wm谁"]
    many = {"external_userid_list": [known] * 101}
    assert call(wecom, "customer/batchget", many)["errcode"] == 40058
    accounts = call(wecom, "account/list", {})["account_list"]
    assert [one["open_kfid"] for one in accounts] == [wecom.other_kfid, wecom.open_kfid]


def test_five_messages_may_follow_a_customers_unless_a_colleague_holds_the_session(wecom, clock):
    told = {"a": wecom.play(say("a", "你好"), NOON, {})}
    customer = told["a"].conversation
    body = {"touser": customer, "open_kfid": wecom.open_kfid, "msgtype": "text"}
    body["text"] = {"content": "稍等"}
    once = {**body, "msgid": "our_own-1"}
    assert [call(wecom, "send_msg", once)["msgid"] for _ in range(2)] == ["our_own-1"] * 2
    assert [call(wecom, "send_msg", body)["errcode"] for _ in range(5)] == [0] * 4 + [95001]
    assert len(walk(wecom)[0]) == 2  # what the API sent is not in the stream
    wecom.play(say("b", "我来", who=None, to="a"), NOON, told)
    assert call(wecom, "send_msg", body)["errcode"] == 95018
    who = {"open_kfid": wecom.open_kfid, "external_userid": customer}
    state = call(wecom, "service_state/get", who)
    assert (state["service_state"], state["servicer_userid"]) == (HUMAN, wecom.servicer)
    call(wecom, "service_state/trans", {**who, "service_state": ENDED})
    assert call(wecom, "service_state/trans", {**who, "service_state": BOT})["errcode"] == 95016
    wecom.play(say("c", "又坏了"), NOON, told)
    assert call(wecom, "service_state/get", who)["service_state"] == NEW
    clock.now += timedelta(hours=49)
    assert call(wecom, "send_msg", body)["errcode"] == 95002
    assert call(wecom, "send_msg", {**body, "msgid": "有空格 "})["errcode"] == 40058


@pytest.mark.parametrize(
    "line",
    [
        Line(0, "wecom", "mention", "a", LI, "@我们"),
        Line(0, "wecom", "direct_message", "a", LI, "改", action="edit", to="b"),
        Line(0, "wecom", "direct_message", "a", LI, "看图", attachment="image"),
        Line(0, "wecom", "direct_message", "a", None, "没人问"),
        Line(0, "wecom", "direct_message", "a", LI, None, action="delete"),
    ],
)
def test_what_the_platform_has_not_cannot_be_played(line, wecom):
    with pytest.raises(ValueError, match="a:"):
        wecom.play(line, NOON, {})
    assert [item for item in wecom.items if item["msgtype"] != "event"] == []
