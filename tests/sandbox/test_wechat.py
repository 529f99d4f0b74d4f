"""The stand-in of an Official Account, asked as its documentation says and judged by wechatpy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests
from wechatpy import parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.replies import TextReply, TransferCustomerServiceReply
from wechatpy.utils import check_signature

from aggregator.sandbox.base import Line
from aggregator.sandbox.caller import HandshakeFailed
from aggregator.sandbox.wechat import WeChatStandin
from aggregator.sandbox.wechat_push import MODES
from tests.sandbox.receiver import LI, MEI, NOON, Clock, Receiver


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
def wechat(clock: Clock) -> Iterator[WeChatStandin]:
    yield from _running(WeChatStandin(clock, retry_s=0.0))


def _running(standin: WeChatStandin) -> Iterator[WeChatStandin]:
    standin.start()
    yield standin
    standin.stop()
    assert standin.errors == []


def stable(wechat: WeChatStandin, **more: object) -> dict[str, object]:
    body = {
        "grant_type": "client_credential",
        "appid": wechat.app_id,
        "secret": wechat.app_secret,
        **more,
    }
    url = f"{wechat.base_url}/cgi-bin/stable_token"
    return requests.post(url, json=body, timeout=5).json()  # type: ignore[no-any-return]


def classic(wechat: WeChatStandin, **more: str) -> dict[str, object]:
    query = {"grant_type": "client_credential", "appid": wechat.app_id, "secret": wechat.app_secret}
    url = f"{wechat.base_url}/cgi-bin/token"
    return requests.get(url, params={**query, **more}, timeout=5).json()  # type: ignore[no-any-return]


def call(wechat: WeChatStandin, path: str, body: object = None, token: object = None) -> dict:
    query = {"access_token": token or stable(wechat)["access_token"]}
    url = wechat.base_url + path
    if body is None:
        return requests.get(url, params=query, timeout=5).json()
    raw = json.dumps(body, ensure_ascii=False).encode()
    return requests.post(url, params=query, data=raw, timeout=5).json()


def say(label: str, text: str | None, who=LI, **more) -> Line:
    return Line(0, "wechat", "direct_message", label, who, text, **more)


# --- pushes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_push_in_every_mode_is_read_by_wechatpy_as_the_truth_says(mode, clock, door):
    for wechat in _running(WeChatStandin(clock, mode=mode, retry_s=0.0)):
        wechat.attach(door.url)
        truth = wechat.play(say("a", "我要退款 ]]> <b>&amp; 🧧"), NOON, {})
        assert wechat.caller.settle()
        (push,) = door.pushes
        query, body = push.query, push.body.decode()
        check_signature(
            wechat.envelope.token, query["signature"], query["timestamp"], query["nonce"]
        )
        options = wechat.options()
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
        assert [entry.problem for entry in wechat.caller.ledger] == [None]


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
    for wechat in _running(WeChatStandin(clock, retry_s=0.0, timeout_s=0.05)):
        wechat.attach(door.url)
        door.fault("slow", path="/callbacks", seconds=0.3)
        wechat.play(say("a", "在吗"), NOON, {})
        assert wechat.caller.settle()
        first, second = wechat.caller.ledger
        assert first.status is None
        assert second.problem is None


@pytest.mark.parametrize("mode", MODES)
def test_a_transfer_puts_the_message_into_the_console_and_its_log(mode, clock, door):
    for wechat in _running(WeChatStandin(clock, mode=mode, retry_s=0.0)):
        wechat.attach(door.url)
        judge = WeChatCrypto(wechat.envelope.token, wechat.envelope.aes_key, wechat.app_id)

        def transfer(request, wechat=wechat, judge=judge):
            reply = TransferCustomerServiceReply(
                source=wechat.original_id, target=request.query["openid"]
            ).render()
            return (judge.encrypt_message(reply, "1") if mode != "plain" else reply).encode()

        door.reply = transfer
        truth = wechat.play(say("a", "转人工"), NOON, {})
        wechat.play(say("b", None, attachment="image"), NOON + timedelta(seconds=1), {})
        assert wechat.caller.settle()
        assert {entry.problem for entry in wechat.caller.ledger} == {None}
        assert sorted(row.text for row in wechat.records) == ["[image]", "转人工"]
        waiting = call(wechat, "/customservice/kfsession/getwaitcase")
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
        for wechat in _running(WeChatStandin(clock, salt=salt)):
            wechat.attach(door.url)
            for number in range(3):
                truth = wechat.play(say(str(number), "同样的话"), NOON, {})
                seen |= {truth.native_id, truth.author["native_id"]}
            wechat.caller.settle()
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
