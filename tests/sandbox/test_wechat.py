"""The stand-in of an Official Account, asked as its documentation says and judged by wechatpy."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
import requests

from aggregator.sandbox.wechat import WeChatStandin
from tests.sandbox.receiver import LI, MEI, NOON, Receiver
from tests.sandbox.wechat_place import call, classic, clock, door, say, stable, wechat

__all__ = ["clock", "door", "wechat"]


# --- tokens -----------------------------------------------------------------------------------------


def test_the_stable_token_stays_the_same_and_overlaps_with_the_next(wechat, clock):
    first = stable(wechat)
    assert first["expires_in"] == 7200
    clock.now += timedelta(minutes=114)
    assert stable(wechat) == {"access_token": first["access_token"], "expires_in": 360}
    clock.now += timedelta(minutes=2)
    second = stable(wechat)
    assert second["access_token"] != first["access_token"]
    for token in (first, second):
        assert "ip_list" in call(wechat, "/cgi-bin/getcallbackip", token=token["access_token"])
    clock.now += timedelta(minutes=5)
    old = call(wechat, "/cgi-bin/getcallbackip", token=first["access_token"])
    assert old["errcode"] == 42001


def test_a_classic_token_kills_the_classic_one_before_and_no_stable_one(wechat):
    kept = stable(wechat)["access_token"]
    dead = classic(wechat)["access_token"]
    assert classic(wechat)["access_token"] != dead
    assert call(wechat, "/cgi-bin/getcallbackip", token=dead)["errcode"] == 40001
    assert "ip_list" in call(wechat, "/cgi-bin/getcallbackip", token=kept)


def test_a_forced_token_kills_the_one_before_and_is_not_forced_twice_in_30_seconds(wechat, clock):
    first = stable(wechat)["access_token"]
    second = stable(wechat, force_refresh=True)["access_token"]
    assert second != first
    assert call(wechat, "/cgi-bin/getcallbackip", token=first)["errcode"] == 40001
    assert stable(wechat, force_refresh=True)["errcode"] == 45011
    clock.now += timedelta(seconds=30)
    assert stable(wechat, force_refresh=True)["access_token"] != second


def test_wrong_credentials_are_told_apart(wechat):
    assert stable(wechat, secret="错")["errcode"] == 40125
    assert stable(wechat, appid="wx0")["errcode"] == 40013
    assert classic(wechat, secret="x")["errcode"] == 40125
    wechat.tokens.ip_refused = "203.0.113.7"
    refused = stable(wechat)
    assert refused["errcode"] == 40164
    assert "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist" in str(
        refused["errmsg"]
    )


def test_missing_unknown_and_revoked_tokens_have_their_own_codes(wechat):
    url = f"{wechat.base_url}/cgi-bin/getcallbackip"
    assert requests.get(url, timeout=5).json()["errcode"] == 41001
    assert call(wechat, "/cgi-bin/getcallbackip", token="别人的")["errcode"] == 40001
    token = stable(wechat)["access_token"]
    wechat.tokens.revoke()
    assert call(wechat, "/cgi-bin/getcallbackip", token=token)["errcode"] == 40001


def test_the_days_quota_is_counted_by_path(wechat, clock):
    wechat.daily_limit = 2
    for _ in range(2):
        assert "ip_list" in call(wechat, "/cgi-bin/getcallbackip")
    assert call(wechat, "/cgi-bin/getcallbackip")["errcode"] == 45009
    asked = {"cgi_path": "/cgi-bin/getcallbackip"}
    told = call(wechat, "/cgi-bin/openapi/quota/get", asked)
    assert told["quota"] == {"daily_limit": 2, "used": 2, "remain": 0}
    clock.now += timedelta(days=1)
    assert "ip_list" in call(wechat, "/cgi-bin/getcallbackip")


# --- records, and what the API may say ------------------------------------------------------------


def records(wechat: WeChatStandin, **more: int) -> dict:
    noon = int(NOON.timestamp())
    asked = {"starttime": noon - 600, "endtime": noon + 600, "msgid": 1, "number": 2, **more}
    return call(wechat, "/customservice/msgrecord/getmsglist", asked)


def answered(wechat: WeChatStandin, door: Receiver, *texts: str) -> list:
    wechat.attach(door.url)
    told = {"q": wechat.play(say("q", "什么时候到货？", who=MEI), NOON, {})}
    return [
        wechat.play(say(f"a{number}", text, who=None, to="q"), NOON + timedelta(seconds=9), told)
        for number, text in enumerate(texts)
    ]


def test_answers_of_the_team_are_paged_and_have_the_agreed_digest(wechat, door):
    truths = answered(wechat, door, "明天", "明天", "后天")
    found, msgid = [], 1
    while True:
        page = records(wechat, msgid=msgid)
        found += page["recordlist"]
        msgid = page["msgid"]
        if page["number"] < 2:
            break
    assert [row["text"] for row in found] == ["明天", "明天", "后天"]
    assert {row["opercode"] for row in found} == {2002}
    for row, ordinal, truth in zip(found, (0, 1, 0), truths, strict=True):
        words = f"{row['openid']}|{row['opercode']}|{row['time']}|{row['text']}|{ordinal}"
        assert truth.native_id == hashlib.sha256(words.encode()).hexdigest()[:32]
        assert truth.author["native_id"] == row["worker"]
        assert (truth.direction, truth.sent_at.timestamp()) == ("outbound", row["time"])
        assert truth.conversation == row["openid"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"starttime": 1772553600 - 3600, "endtime": 1772553600 + 3600}, 65417),  # over midnight
        ({"starttime": 1772553600, "endtime": 1772553600 + 86401}, 65417),
        ({"starttime": 1772600000, "endtime": 1772590000}, 65417),
        ({"number": 10001}, 65416),
        ({"msgid": 0}, 65416),
        ({"starttime": "1772553600"}, 65416),
    ],
)
def test_a_range_over_midnight_or_a_bad_parameter_is_refused(more, code, wechat):
    assert records(wechat, **more)["errcode"] == code


def test_a_whole_beijing_day_is_one_range(wechat, door):
    answered(wechat, door, "明天")
    page = records(wechat, starttime=1772553600, endtime=1772553600 + 86400)
    assert page["number"] == 1


def test_records_can_be_switched_off(wechat):
    wechat.records_enabled = False
    assert records(wechat)["errcode"] == 65400


def test_five_messages_may_follow_a_customers_and_none_after_48_hours(wechat, door, clock):
    wechat.attach(door.url)
    wechat.play(say("q", "你好", who=LI), NOON, {})
    body = {"touser": wechat.openid(LI), "msgtype": "text", "text": {"content": "您好，稍等"}}
    path = "/cgi-bin/message/custom/send"
    assert [call(wechat, path, body)["errcode"] for _ in range(6)] == [0] * 5 + [45047]
    wechat.play(say("r", "还在吗", who=LI), NOON, {})
    assert call(wechat, path, body)["errcode"] == 0
    clock.now += timedelta(hours=48, seconds=1)
    assert call(wechat, path, body)["errcode"] == 45015
    assert call(wechat, path, {**body, "touser": wechat.openid(MEI)})["errcode"] == 45015
    assert len(wechat.sent) == 6


def test_escaped_letters_are_refused(wechat, door):
    body = {"touser": wechat.openid(LI), "msgtype": "text", "text": {"content": "您好"}}
    query = {"access_token": stable(wechat)["access_token"]}
    url = f"{wechat.base_url}/cgi-bin/message/custom/send"
    assert requests.post(url, params=query, json=body, timeout=5).json()["errcode"] == 40033


def test_a_users_info_has_no_nickname(wechat, door):
    wechat.attach(door.url)
    wechat.play(say("q", "你好", who=LI), NOON, {})
    token = str(stable(wechat)["access_token"])
    url = f"{wechat.base_url}/cgi-bin/user/info"
    query = {"access_token": token, "openid": wechat.openid(LI)}
    assert requests.get(url, params=query, timeout=5).json()["nickname"] == ""
    query["openid"] = "无"
    assert requests.get(url, params=query, timeout=5).json()["errcode"] == 40003
