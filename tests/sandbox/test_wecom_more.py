"""The WeCom stand-in's session events, failed sends, and what a person must mend."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from wechatpy.enterprise.crypto import WeChatCrypto

from aggregator.sandbox.base import Line
from aggregator.sandbox.wecom import WeComStandin
from aggregator.sandbox.wecom_desk import ENDED, HUMAN
from tests.sandbox.receiver import LI, NOON, Clock
from tests.sandbox.test_wecom import call, door, sync, walk

__all__ = ["door"]


@pytest.fixture
def wecom() -> Iterator[WeComStandin]:
    standin = WeComStandin(Clock(), retry_s=0.0)
    standin.empty_every = 0
    standin.start()
    yield standin
    standin.stop()
    assert standin.errors == []


def asked(wecom: WeComStandin, told: dict) -> dict:
    told["q"] = wecom.play(Line(0, "wecom", "direct_message", "q", LI, "在吗"), NOON, {})
    return {
        "touser": told["q"].conversation,
        "open_kfid": wecom.open_kfid,
        "msgtype": "text",
        "text": {"content": "您好"},
    }


def events(wecom: WeComStandin, kind: str) -> list[dict]:
    found = [item["event"] for item in walk(wecom)[0] if item["msgtype"] == "event"]
    return [one for one in found if one["event_type"] == kind]


def test_a_send_that_fails_is_told_in_the_stream_with_our_own_id(wecom):
    body = asked(wecom, {})
    wecom.desk.fail_next.append(10)
    assert call(wecom, "send_msg", {**body, "msgid": "our_own-1"})["errcode"] == 0
    (failed,) = events(wecom, "msg_send_fail")
    assert (failed["fail_msgid"], failed["fail_type"]) == ("our_own-1", 10)
    assert failed["external_userid"] == body["touser"]


def test_a_session_that_is_taken_and_ended_is_told(wecom):
    told: dict = {}
    body = asked(wecom, told)
    for label in ("a", "b"):
        line = Line(1, "wecom", "direct_message", label, None, "我来", to="q")
        wecom.play(line, NOON, told)
    who = {"open_kfid": wecom.open_kfid, "external_userid": body["touser"]}
    assert call(wecom, "service_state/get", who)["service_state"] == HUMAN
    ended = call(wecom, "service_state/trans", {**who, "service_state": ENDED})
    changes = events(wecom, "session_status_change")
    assert [one["change_type"] for one in changes] == [1, 3]
    assert changes[-1]["msg_code"] == ended["msg_code"]
    last = {"code": ended["msg_code"], "msgtype": "text", "text": {"content": "再见"}}
    assert [call(wecom, "send_msg_on_event", last)["errcode"] for _ in range(2)] == [0, 95007]


def test_an_address_a_privilege_and_a_switch_can_be_missing(wecom):
    wecom.manage_privilege = False
    assert call(wecom, "account/list", {})["account_list"][0]["manage_privilege"] is False
    wecom.ip_refused = "203.0.113.7"
    refused = sync(wecom)
    assert (refused["errcode"], "203.0.113.7" in refused["errmsg"]) == (60020, True)
    wecom.ip_refused, wecom.enabled = None, False
    assert sync(wecom)["errcode"] == 95017


def test_cursors_can_be_forgotten_and_paths_refused(wecom):
    asked(wecom, {})
    _, _, cursor = walk(wecom)
    wecom.forget_cursors()
    assert sync(wecom, cursor=cursor)["errcode"] == 40058
    assert len(walk(wecom)[0]) == 2
    wecom.refuse("/cgi-bin/kf/sync_msg", -1)
    assert [sync(wecom)["errcode"] for _ in range(2)] == [-1, 0]


def test_news_of_another_account_of_the_app_come_to_the_same_door(wecom, door):
    wecom.attach(door.url)
    wecom.elsewhere(NOON)
    assert wecom.settle()
    judge = WeChatCrypto(wecom.envelope.token, wecom.envelope.aes_key, wecom.corp_id)
    (push,) = door.pushes
    signed = (push.query[name] for name in ("msg_signature", "timestamp", "nonce"))
    told = judge.decrypt_message(push.body.decode(), *signed)
    assert wecom.other_kfid in told
    assert sync(wecom)["msg_list"] == []


def test_a_callback_may_be_lost_or_answered_too_late_and_comes_again(wecom, door):
    wecom.caller.spoil = lambda label, number: {1: "lost", 2: "late"}.get(number)
    wecom.attach(door.url)
    wecom.elsewhere(NOON)
    assert wecom.settle()
    assert [one.problem for one in wecom.caller.ledger] == [
        "lost on the way",
        "the answer came too late",
        None,
    ]
    assert len(door.pushes) == 2


def test_the_systems_own_words_have_an_origin_of_their_own_and_refusals_are_counted(wecom):
    wecom.system(NOON, "wm1", "会话超时，已结束")
    assert [one["origin"] for one in sync(wecom)["msg_list"]] == [4]
    wecom.refuse("/cgi-bin/kf/sync_msg", -1, 45009)
    sync(wecom), sync(wecom)
    assert wecom.refused == {-1: 1, 45009: 1}
