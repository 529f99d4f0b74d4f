"""Official accounts that push JSON; and the records' ids where two equal ones stand on either side of a page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aggregator.errors import Rejected
from aggregator.model import Attachment, Message
from aggregator.sandbox.wechat import WeChatStandin
from connectors.registry import connector_class
from tests.connectors.loopback import MemoryKeep
from tests.connectors.test_wechat_api import NOW, desk, record, walk
from tests.connectors.test_wechat_sandbox import play, script, world
from tests.connectors.wechat_place import (
    NONCE,
    STAMP,
    TOKEN,
    only,
    push,
    refused,
    seal,
    sealed_wechat,
    sign,
    unseal,
    wechat,
)

TEXT: dict[str, Any] = {
    "ToUserName": "gh_5f1c0b7a93e2",
    "FromUserName": "oLumo-4tQ9_customer7",
    "CreateTime": 1795230000,
    "MsgType": "text",
    "Content": " 灯泡坏了 &amp; <3 ",
    "MsgId": 22876340532172986,
    "BusinessId": 1,
}


def written(fields: dict[str, Any], bom: str = "") -> str:
    return bom + json.dumps(fields, ensure_ascii=False)


def read(fields: dict[str, Any], bom: str = "") -> Message:
    account = wechat()
    return only(account, account.verify(push(written(fields, bom))))


@pytest.mark.parametrize("bom", ["", "\ufeff", "\n "])
def test_a_text_in_json_is_read_as_it_was_written_with_its_id_exact(bom: str) -> None:
    message = read(TEXT, bom)
    assert (message.native_id, message.text) == ("22876340532172986", " 灯泡坏了 &amp; <3 ")
    assert (message.person, message.marks) == ("oLumo-4tQ9_customer7", ())
    assert message.sent_at is not None
    assert message.sent_at.timestamp() == 1795230000


def test_an_image_in_json_has_its_attachment() -> None:
    image = {**TEXT, "MsgType": "image", "PicUrl": "http://p.example/1", "MediaId": "m1"}
    assert read(image).attachments == (
        Attachment("image", url="http://p.example/1", media_id="m1"),
    )


@pytest.mark.parametrize("event", ["user_enter_tempsession", "user_authorization_revoke"])
def test_an_event_in_json_is_no_message(event: str) -> None:
    told = {**TEXT, "MsgType": "event", "Event": event, "SessionFrom": "menu"}
    accepted = wechat().verify(push(written(told)))
    assert (accepted.answer, accepted.store) == (b"success", ())


@pytest.mark.parametrize(
    "body",
    ["{", '{"MsgType": 5}', '{"MsgType": null}', "{}", "{" * 3000, '{"a":' * 3000, '{"MsgType"}'],
)
def test_what_is_no_json_of_the_platforms_is_refused(body: str) -> None:
    assert refused(wechat(), push(body)).status == 400


def test_json_in_an_envelope_is_opened_and_handed_on_in_json() -> None:
    account = sealed_wechat(passive_reply="transfer_customer_service")
    sealed = seal(written(TEXT))
    query = {"encrypt_type": "aes", "msg_signature": sign(TOKEN, STAMP, NONCE, sealed)}
    body = json.dumps({"ToUserName": "gh_5f1c0b7a93e2", "Encrypt": sealed})
    accepted = account.verify(push(body, query))
    assert only(account, accepted).text == " 灯泡坏了 &amp; <3 "
    assert accepted.content_type == "application/json"
    told = json.loads(accepted.answer)
    assert told["MsgSignature"] == sign(TOKEN, told["TimeStamp"], told["Nonce"], told["Encrypt"])
    inner = json.loads(unseal(told["Encrypt"])[0])
    assert (inner["MsgType"], inner["ToUserName"]) == (
        "transfer_customer_service",
        TEXT["FromUserName"],
    )


def test_an_envelope_of_an_odd_kind_is_refused() -> None:
    for odd in ({"Encrypt": 5}, {"Encrypt": ["x"]}, {}):
        with pytest.raises(Rejected):
            sealed_wechat().verify(push(json.dumps(odd)))


@pytest.mark.parametrize("mode", ["plain", "compatible", "safe"])
@pytest.mark.parametrize("reply", ["success", "transfer_customer_service"])
def test_json_accounts_are_read_in_every_mode_with_either_reply(mode: str, reply: str) -> None:
    made = lambda now: WeChatStandin(now, salt=9, mode=mode, json=True, retry_s=0.05)  # noqa: E731
    with world("wechat", made) as (there, daemon, now):
        kind = connector_class("wechat")
        options = kind.options(**there.options(), passive_reply=reply)
        daemon.account = kind(options, keep=MemoryKeep(), now=now)
        told = play(there, daemon, now, script("wechat"), every=3)
        assert {attempt.problem for attempt in there.caller.ledger} == {None}
    assert {one.native_id for one in daemon.found.values()} == {one.native_id for one in told}


# --- records: equal rows --------------------------------------------------------------------------


@pytest.mark.parametrize("before", [997, 998, 999, 1000])
def test_equal_records_on_both_sides_of_a_page_have_ids_of_their_own_and_keep_them(
    before: int,
) -> None:
    with desk() as (told, _, account, clock):
        fill = [record(NOW - 500 + n % 400, f"第 {n} 条") for n in range(before)]
        fill.sort(key=lambda one: one["time"])
        told.records = [*fill, *[record(NOW - 60, "好的")] * 4, record(NOW - 59, "好的")]
        first, cursor, pages = walk(account)
        assert pages >= 2
        assert len({one.key for one in first}) == before + 5
        again, _, _ = walk(account, cursor)
        assert {one.key for one in again} == {one.key for one in first}
        # Seen from another place, with other page boundaries, they are still the same.
        clock.on(minutes=1)
        later = json.dumps({"seen": NOW + 500, "walk": None})
        near, _, _ = walk(account, later)
        assert {one.key for one in near} <= {one.key for one in first}


def test_the_stand_in_and_the_connector_agree_on_equal_records_over_short_pages() -> None:
    with world("wechat") as (there, daemon, now):
        told = [there.record("oLumo7", 2002, now(), "收到") for _ in range(2500)]
        daemon.walk("records")
    assert {one.native_id for one in daemon.found.values()} == set(told)
