"""Official-account callbacks: what is let in, what is stored, what is answered."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from aggregator.model import Accepted, Push
from connectors.base import Receives
from connectors.wechat import WeChatOptions
from tests.connectors.wechat_place import (
    APP,
    KEY,
    NONCE,
    RECEIVED,
    STAMP,
    TOKEN,
    VECTOR,
    envelope,
    only,
    push,
    read,
    refused,
    seal,
    sealed_push,
    sealed_wechat,
    sign,
    unseal,
    wechat,
    xml,
)

# --- the handshake ----------------------------------------------------------------------------


def test_it_receives() -> None:
    account = wechat()
    assert isinstance(account, Receives)
    assert account.pushed == ("messages",)


def test_a_signed_echo_is_given_back_as_it_came() -> None:
    given = wechat().verify(push(query={"echostr": "6012870421133571911"}, method="GET"))
    assert given == Accepted(b"6012870421133571911")


@pytest.mark.parametrize("echo", [None, "", "x" * 5000, "a\x00b", "\ud800"])
def test_a_handshake_without_a_usable_echo_is_refused(echo: str | None) -> None:
    query = {} if echo is None else {"echostr": echo}
    assert refused(wechat(), push(query=query, method="GET")).status == 400


def test_an_unsigned_echo_is_refused() -> None:
    query = {"echostr": "1", "signature": sign("another-token", STAMP, NONCE)}
    assert refused(wechat(), push(query=query, method="GET")).status == 401


@pytest.mark.parametrize(
    "hostile",
    [
        {"signature": ""},
        {"signature": "你好"},
        {"signature": "é" * 40},
        {"signature": "\ud800" * 40},
        {"signature": "a" * 1_000_000},
        {"signature": sign(TOKEN, STAMP, NONCE).upper()},
        {"signature": sign(TOKEN, STAMP, NONCE) + "\n"},
        {"timestamp": ""},
        {"timestamp": "NaN"},
        {"timestamp": "-1"},
        {"timestamp": "1e9"},
        {"timestamp": "٣" * 10},
        {"timestamp": "9" * 5000},
        {"timestamp": STAMP + "\x00"},
        {"nonce": ""},
        {"nonce": "\ud800"},
        {"nonce": "随机"},
        {"nonce": "n" * 100_000},
    ],
)
def test_a_hostile_query_is_refused_and_never_an_error(hostile: dict[str, str]) -> None:
    assert refused(wechat(), push(xml("message__text"), hostile)).status in (400, 401)
    hostile_sealed = {**hostile, "msg_signature": hostile.get("signature", "0" * 40)}
    sealed = envelope(seal(xml("message__text")))
    assert refused(sealed_wechat(), push(sealed, hostile_sealed)).status in (400, 401)


@pytest.mark.parametrize("missing", ["timestamp", "nonce", "signature"])
def test_a_query_that_lacks_a_word_is_refused(missing: str) -> None:
    whole = push(xml("message__text"))
    query = {key: value for key, value in whole.query.items() if key != missing}
    assert refused(wechat(), Push("POST", query, {}, whole.body, RECEIVED)).status == 400


@pytest.mark.parametrize("late_s", [-301, 301, 86400])
def test_a_signature_is_good_for_five_minutes_either_way(late_s: int) -> None:
    at = datetime.fromtimestamp(int(STAMP) + late_s, UTC)
    assert refused(wechat(), push(xml("message__text"), received_at=at)).status == 401
    within = datetime.fromtimestamp(int(STAMP) + (300 if late_s > 0 else -300), UTC)
    assert wechat().verify(push(xml("message__text"), received_at=within)).store


# --- plain, compatible, encrypted ---------------------------------------------------------------


def test_the_vector_made_by_another_program_is_opened() -> None:
    account, told = sealed_wechat(), VECTOR["wechat"]
    query = {"encrypt_type": "aes", "msg_signature": told["msg_signature"]}
    accepted = account.verify(push(envelope(told["encrypt"]), query))
    assert accepted.store == (told["xml"].encode(),)
    assert accepted.answer == b"success"
    message = only(account, accepted)
    assert message.text == "充电宝充不进电，能换货吗？😡"
    assert message.native_id == "24517001988230431"


def test_plain_and_encrypted_callbacks_give_the_same_message() -> None:
    account = sealed_wechat()
    hidden = only(account, account.verify(sealed_push(seal(xml("message__text")))))
    assert hidden == read("message__text")


def test_in_the_compatible_mode_only_the_sealed_words_count() -> None:
    account, sealed = sealed_wechat(), seal(xml("message__text"))
    beside = "<MsgType>text</MsgType><Content>假的</Content><MsgId>1</MsgId>"
    query = {"encrypt_type": "aes", "msg_signature": sign(TOKEN, STAMP, NONCE, sealed)}
    message = only(account, account.verify(push(envelope(sealed, beside), query)))
    assert message.native_id == "22876340532172986"


def test_without_a_key_the_compatible_mode_is_read_from_the_plain_fields() -> None:
    account = wechat()
    both = xml("message__text").replace("</xml>", "<Encrypt>AAAA</Encrypt></xml>")
    assert only(account, account.verify(push(both))).native_id == "22876340532172986"


def test_a_plain_body_is_refused_where_encryption_is_configured() -> None:
    error = refused(sealed_wechat(), push(xml("message__text")))
    assert "encoding_aes_key" in error.reason


def test_a_signature_over_other_words_is_refused() -> None:
    sealed = seal(xml("message__text"))
    other = seal(xml("message__image"))
    query = {"msg_signature": sign(TOKEN, STAMP, NONCE, other)}
    assert refused(sealed_wechat(), push(envelope(sealed), query)).status == 401


def test_words_for_another_app_are_refused() -> None:
    refused(sealed_wechat(), sealed_push(seal(xml("message__text"), receiver="wx0000000000000000")))


def test_words_under_another_key_are_refused() -> None:
    refused(sealed_wechat(), sealed_push(seal(xml("message__text"), key="A" * 43)))


@pytest.mark.parametrize("cut", [0, 1, 4, 16, 24, 43, 44, 63, 64, 100])
def test_a_truncated_ciphertext_is_refused(cut: int) -> None:
    refused(sealed_wechat(), sealed_push(seal(xml("message__text"))[:cut]))


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_no_signed_garbage_gets_past_the_cipher(garbage: bytes) -> None:
    refused(SEALED, sealed_push(base64.b64encode(garbage).decode()))
    refused(SEALED, sealed_push(garbage.decode("latin-1").translate(_NO_MARKUP)))


SEALED = sealed_wechat()
_NO_MARKUP = dict.fromkeys([*range(32), ord("<"), ord("&"), ord(">"), ord("]")], "x")


def test_a_replay_gives_the_same_message_again() -> None:
    account = sealed_wechat()
    request = sealed_push(seal(xml("message__no_id")))
    keys = {only(account, account.verify(request)).key for _ in range(3)}
    assert len(keys) == 1


# --- bodies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"{}",
        b"<xml/>",
        b"<xml></xml>",
        b"<a><MsgType>text</MsgType></a>",
        b"<xml><MsgType>text</MsgType>",
        b"<xml><Content>no type</Content></xml>",
        b"<xml><MsgType><a>1</a></MsgType></xml>",
        b"<xml><MsgType>text</MsgType><MsgType>image</MsgType></xml>",
        b"<xml><MsgType>text</MsgType><Content>\x08</Content></xml>",
        "<xml><MsgType>text</MsgType><Content>订单</Content></xml>".encode("gbk"),
        "<xml><MsgType>text</MsgType></xml>".encode("utf-16"),
        b"<!DOCTYPE xml><xml><MsgType>text</MsgType></xml>",
        b'<!doctype x [<!entity a "b">]><xml><MsgType>text</MsgType></xml>',
        b"<xml>" + b"<a>" * 7000 + b"</a>" * 7000 + b"</xml>",
        b"<a>" * 15000,
        b"<xml>" + b"x" * 70_000 + b"</xml>",
    ],
)
def test_a_malformed_body_is_refused_and_nothing_is_stored(body: bytes) -> None:
    refused(wechat(), push(body))
    refused(sealed_wechat(), push(body))
    words = body.decode("utf-8", "replace")
    if len(words.encode()) == len(
        body
    ):  # the same bytes, sealed: the inner body is not trusted more
        refused(sealed_wechat(), sealed_push(seal(words)))


def test_a_byte_order_mark_is_no_obstacle() -> None:
    account = wechat()
    body = b"\xef\xbb\xbf" + xml("message__text").encode()
    assert only(account, account.verify(push(body))).native_id == "22876340532172986"


def test_deep_nesting_beside_a_readable_message_does_not_break_it() -> None:
    account = wechat()
    deep = "<Deep>" * 4000 + "</Deep>" * 4000
    body = xml("message__text").replace("</xml>", f"{deep}</xml>")
    assert only(account, account.verify(push(body))).text is not None


# --- passive replies ----------------------------------------------------------------------------


def test_a_transfer_is_addressed_back_to_the_customer() -> None:
    account = wechat(passive_reply="transfer_customer_service")
    accepted = account.verify(push(xml("message__text")))
    answer = accepted.answer.decode()
    assert accepted.content_type == "application/xml"
    assert accepted.store
    assert "<MsgType><![CDATA[transfer_customer_service]]></MsgType>" in answer
    assert "<ToUserName><![CDATA[oLumo-4tQ9_customer7]]></ToUserName>" in answer
    assert "<FromUserName><![CDATA[gh_5f1c0b7a93e2]]></FromUserName>" in answer
    assert f"<CreateTime>{int(RECEIVED.timestamp())}</CreateTime>" in answer


def test_an_encrypted_callback_gets_an_encrypted_transfer() -> None:
    account = sealed_wechat(passive_reply="transfer_customer_service")
    answer = account.verify(sealed_push(seal(xml("message__text")))).answer.decode()
    assert "transfer_customer_service" not in answer
    parts = dict(re.findall(r"<(\w+)>(?:<!\[CDATA\[)?([^<\]]+)", answer))
    inner, receiver = unseal(parts["Encrypt"])
    assert receiver == APP
    assert "<MsgType><![CDATA[transfer_customer_service]]></MsgType>" in inner
    right = sign(TOKEN, parts["TimeStamp"], parts["Nonce"], parts["Encrypt"])
    assert parts["MsgSignature"] == right


def test_a_sender_that_would_break_the_reply_gets_none() -> None:
    hostile = xml("message__text").replace("oLumo-4tQ9_customer7", "a]]&gt;<b/>")
    account = wechat(passive_reply="transfer_customer_service")
    assert account.verify(push(hostile)).answer == b"success"


# --- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "short", "A" * 42, "A" * 44, "!" * 43, "密" * 43])
def test_an_encoding_key_that_is_none_is_refused_without_being_told(key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        wechat(encoding_aes_key=key)
    assert not key or key not in str(caught.value)


def test_secrets_are_in_no_repr() -> None:
    options = WeChatOptions(app_id=APP, app_secret="lumo-secret", token=TOKEN, encoding_aes_key=KEY)
    told = repr(options) + str(options)
    assert not any(secret in told for secret in ("lumo-secret", TOKEN, KEY))
