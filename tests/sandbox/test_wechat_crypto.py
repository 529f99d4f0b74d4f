"""Our envelope against known answers, and against wechatpy as an independent judge."""

import base64

import pytest
from wechatpy.crypto import WeChatCrypto
from wechatpy.enterprise.crypto import WeChatCrypto as WeComCrypto
from wechatpy.exceptions import InvalidSignatureException

from aggregator.sandbox.wechat_crypto import (
    BadEnvelope,
    Envelope,
    field,
    new_aes_key,
    signature,
    xml,
)

KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
ENVELOPE = Envelope("青山token", KEY, "wx0000000000001234")


def test_a_signature_is_the_sha1_over_the_sorted_parts():
    # printf 'b\na\nc' sorted and joined is "abc", and this is sha1("abc") in every table.
    assert signature("b", "a", "c") == "a9993e364706816aba3e25717850c26c9cd0d89d"


def test_the_ciphertext_of_known_parts_is_known():
    sealed = ENVELOPE.encrypt("退款", salt=b"0123456789abcdef")
    # made with: openssl enc -aes-256-cbc -nopad -K <key> -iv <first half of the key>
    assert (
        sealed
        == "Q3stYC6hdFzMh9T8HCvyDPM5BN9g8tD/fQhMypwwy5wVV3VyTD69hs05gx5zSmyDTu2RsuDqZzQJpUdDxSmOkA=="
    )
    assert ENVELOPE.decrypt(sealed) == "退款"


@pytest.mark.parametrize("text", ["", "退款！", "🧧" * 40, "<xml>]]></xml>", "x" * 5000])
def test_wechatpy_opens_what_we_seal(text):
    judge = WeChatCrypto("t0ken", KEY, "wx0000000000001234")
    envelope = Envelope("t0ken", KEY, "wx0000000000001234")
    sealed = envelope.encrypt(text)
    body = xml({"ToUserName": "gh_1", "Encrypt": sealed})
    assert judge.decrypt_message(body, envelope.sign("170", "9", sealed), "170", "9") == text


@pytest.mark.parametrize("text", ["你好", "短", "好" * 333])
def test_we_open_what_wechatpy_seals(text):
    judge = WeChatCrypto("t0ken", KEY, "wx0000000000001234")
    reply = judge.encrypt_message(text, "77", "1700000000")
    assert Envelope("t0ken", KEY, "wx0000000000001234").open_reply(reply) == text


def test_the_judge_refuses_a_signature_of_another_nonce():
    judge = WeChatCrypto("t0ken", KEY, "wx0000000000001234")
    envelope = Envelope("t0ken", KEY, "wx0000000000001234")
    sealed = envelope.encrypt("你好")
    with pytest.raises(InvalidSignatureException):
        judge.decrypt_message(xml({"Encrypt": sealed}), envelope.sign("1", "8", sealed), "1", "9")


def test_the_echo_of_wecom_opens_for_the_judge_with_the_corpid():
    envelope = Envelope("t0ken", KEY, "ww0000000000005678")
    sealed = envelope.encrypt("4217")
    judge = WeComCrypto("t0ken", KEY, "ww0000000000005678")
    assert judge.check_signature(envelope.sign("1", "2", sealed), "1", "2", sealed) == "4217"


@pytest.mark.parametrize(
    ("sealed", "why"),
    [
        ("没有", "base64"),
        ("", "blocks"),
        (base64.b64encode(b"x" * 31).decode(), "blocks"),
        (base64.b64encode(b"x" * 64).decode(), "padding|receiver"),
        (Envelope("t", KEY, "wx-other").encrypt("你好"), "receiver"),
        (Envelope("t", new_aes_key(), "wx0000000000001234").encrypt("你好"), "padding|receiver"),
    ],
    # Ciphertexts differ in every process, and workers must agree on the names of tests.
    ids=["no base64", "empty", "half a block", "no padding", "another receiver", "another key"],
)
def test_what_is_not_ours_does_not_open(sealed, why):
    with pytest.raises(BadEnvelope, match=why):
        ENVELOPE.decrypt(sealed)


def test_a_new_aes_key_has_43_letters_and_digits_and_stands_for_32_bytes():
    key = new_aes_key()
    assert len(key) == 43
    assert key.isalnum()
    assert len(base64.b64decode(key + "=")) == 32


def test_words_that_close_a_cdata_survive_the_xml():
    assert field(xml({"Content": "a ]]> b <c> & 你"}), "Content") == "a ]]> b <c> & 你"
    with pytest.raises(BadEnvelope):
        field("<xml></xml>", "Content")
