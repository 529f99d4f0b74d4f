"""The WeChat stand-in's moments, comments, refusals and JSON, asked as the documentation says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests
import xmltodict

from aggregator.sandbox.base import Line
from aggregator.sandbox.wechat import WeChatStandin
from tests.sandbox.receiver import LI, MEI, NOON, Clock, Receiver

SEND = "/cgi-bin/message/custom/send"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door() -> Iterator[Receiver]:
    door = Receiver()
    door.start()
    yield door
    door.stop()
    assert door.errors == []


@pytest.fixture
def wechat(clock: Clock, door: Receiver) -> Iterator[WeChatStandin]:
    standin = WeChatStandin(clock, mode="plain", retry_s=0.0)
    standin.start()
    standin.attach(door.url)
    yield standin
    standin.stop()
    assert standin.errors == []


def call(wechat: WeChatStandin, path: str, body: object) -> dict:
    asked = {
        "grant_type": "client_credential",
        "appid": wechat.app_id,
        "secret": wechat.app_secret,
    }
    token = requests.post(f"{wechat.base_url}/cgi-bin/stable_token", json=asked, timeout=5).json()
    words = json.dumps(body, ensure_ascii=False).encode()
    query = {"access_token": token["access_token"]}
    return requests.post(wechat.base_url + path, params=query, data=words, timeout=5).json()


def say(wechat: WeChatStandin, who=LI, text: str = "你好") -> None:
    wechat.play(Line(0, "wechat", "direct_message", "q", who, text), NOON, {})


def send(wechat: WeChatStandin, who=LI, text: str = "您好") -> int:
    body = {"touser": wechat.openid(who), "msgtype": "text", "text": {"content": text}}
    return call(wechat, SEND, body)["errcode"]


@pytest.mark.parametrize("event", ["subscribe", "SCAN", "CLICK"])
def test_a_moment_allows_three_messages_in_one_minute(event, wechat, clock):
    wechat.event(LI, NOON, event)
    assert [send(wechat) for _ in range(4)] == [0, 0, 0, 45047]
    wechat.event(MEI, NOON, event)
    clock.now += timedelta(seconds=61)
    assert send(wechat, MEI) == 45015


def test_a_moment_takes_nothing_from_a_longer_window(wechat, clock):
    say(wechat)
    assert send(wechat) == 0
    wechat.event(LI, NOON, "CLICK")
    assert [send(wechat) for _ in range(5)] == [0, 0, 0, 0, 45047]


def test_whoever_left_refuses_or_may_not_be_written_to_is_told_apart(wechat):
    say(wechat)
    wechat.event(LI, NOON, "unsubscribe")
    assert send(wechat) == 43004
    wechat.event(LI, NOON, "subscribe")
    assert send(wechat) == 0
    wechat.desk.blocked.add(wechat.openid(LI))
    assert send(wechat) == 43101
    wechat.desk.allowed = False
    assert send(wechat, MEI) == 48001


def test_the_length_of_an_answer_is_counted_in_bytes(wechat):
    say(wechat)
    assert send(wechat, text="长" * 682) == 0
    assert send(wechat, text="长" * 683) == 45002


def test_what_the_api_sends_stands_in_the_records_only_where_told(wechat):
    say(wechat)
    send(wechat, text="一")
    assert wechat.records == []
    wechat.sends_recorded = True
    send(wechat, text="二")
    assert [(row.opercode, row.text) for row in wechat.records] == [(2002, "二")]


def test_typing_is_shown_in_a_conversation_only(wechat):
    path = "/cgi-bin/message/custom/typing"
    asked = {"touser": wechat.openid(LI), "command": "Typing"}
    assert call(wechat, path, asked)["errcode"] == 45081
    say(wechat)
    assert call(wechat, path, asked)["errcode"] == 0
    assert call(wechat, path, {**asked, "command": "打字"})["errcode"] == 40035


def comments(wechat: WeChatStandin, number: int, **more: int) -> dict:
    asked = {"msg_data_id": number, "index": 0, "begin": 0, "count": 49, "type": 0, **more}
    return call(wechat, "/cgi-bin/comment/list", asked)


def test_comments_are_paged_newest_first_and_fifty_are_too_many(wechat, clock):
    number = wechat.publish(NOON, told=False)
    for each in range(60):
        wechat.comments.write((number, 0), f"o{each}", NOON, f"第 {each} 条")
    first = comments(wechat, number)
    assert (first["total"], len(first["comment"])) == (60, 49)
    assert first["comment"][0]["content"] == "第 59 条"
    assert len(comments(wechat, number, begin=49)["comment"]) == 11
    assert comments(wechat, number, count=50)["errcode"] == 88010
    assert comments(wechat, number, count=0)["errcode"] == 88010
    assert comments(wechat, number, index=1)["errcode"] == 88001
    wechat.comments.allowed = False
    assert comments(wechat, number)["errcode"] == 88000


def test_a_comment_has_one_answer_and_it_stands_inside(wechat):
    number = wechat.publish(NOON, told=False)
    wechat.comments.write((number, 0), None, NOON, "几号发货？")
    path, asked = (
        "/cgi-bin/comment/reply/add",
        {"msg_data_id": number, "index": 0, "user_comment_id": 0, "content": "明天"},
    )
    assert call(wechat, path, asked)["errcode"] == 0
    assert call(wechat, path, asked)["errcode"] == 88005
    assert call(wechat, path, {**asked, "user_comment_id": 7})["errcode"] == 88008
    (comment,) = comments(wechat, number)["comment"]
    assert (comment["reply"]["content"], "openid" in comment) == ("明天", False)


def test_a_publication_is_told_with_every_article(wechat, door):
    number = wechat.publish(NOON, articles=2)
    wechat.caller.settle()
    told = xmltodict.parse(door.pushes[-1].body)["xml"]["PublishEventInfo"]
    assert told["publish_id"] == str(number)
    assert [one["idx"] for one in told["article_detail"]["item"]] == ["1", "2"]


def test_a_path_refuses_as_told_and_a_quota_can_be_cleared(wechat):
    say(wechat)
    wechat.refuse(SEND, -1, 45011)
    assert [send(wechat) for _ in range(3)] == [-1, 45011, 0]
    wechat.daily_limit = 3
    assert send(wechat) == 45009
    assert call(wechat, "/cgi-bin/clear_quota", {"appid": "wx别人"})["errcode"] == 40013
    assert call(wechat, "/cgi-bin/clear_quota", {"appid": wechat.app_id})["errcode"] == 0
    assert send(wechat) == 0


def test_pushes_are_json_where_that_was_chosen(clock, door):
    standin = WeChatStandin(clock, mode="plain", json=True, retry_s=0.0)
    standin.start()
    standin.attach(door.url)
    say(standin, text="收到 <b>")
    standin.caller.settle()
    told = json.loads(door.pushes[-1].body)
    standin.stop()
    assert (told["MsgType"], told["Content"], type(told["MsgId"])) == ("text", "收到 <b>", int)
    assert standin.errors == []
