"""WeCom's callback: it brings no words, only the hint that there are new ones."""

from __future__ import annotations

import pytest

from aggregator.errors import Rejected
from aggregator.model import Accepted, Push
from connectors.base import Receives
from tests.connectors.loopback import Clock, MemoryKeep
from tests.connectors.wecom_place import (
    EVENT,
    HINT,
    KFID,
    NONCE,
    STAMP,
    SYNC,
    TOKEN,
    VECTOR,
    callback,
    corp,
    message,
    page,
    place,
    sign,
    wecom,
)


def test_it_receives() -> None:
    assert isinstance(wecom(), Receives)
    assert wecom().pushed == ("callback",)


@pytest.mark.parametrize("spoilt", [False, True])
def test_the_vector_made_by_another_program_opens_the_handshake(spoilt: bool) -> None:
    told = VECTOR["wecom"]
    echo = told["echostr"].replace("+", " ") if spoilt else told["echostr"]
    query = {"msg_signature": told["msg_signature"], "timestamp": STAMP, "nonce": NONCE}
    request = Push("GET", {**query, "echostr": echo}, {}, b"", Clock()())
    assert wecom().verify(request) == Accepted(told["plain"].encode())
    with pytest.raises(Rejected):
        wecom().verify(Push("GET", {**query, "nonce": "1", "echostr": echo}, {}, b"", Clock()()))


def test_a_callback_wakes_the_queue_and_its_token_goes_with_the_next_poll() -> None:
    with corp() as (_, server, account, clock):
        accepted = account.verify(callback(EVENT))
        assert (accepted.answer, accepted.stream) == (b"success", "callback")
        assert accepted.store == (EVENT.encode(),)
        woken = account.read(accepted.store)
        assert (woken.messages, woken.wake, woken.cursor) == ((), ("messages",), None)
        account.poll("messages", None)
        assert server.asked(SYNC)[-1].json()["token"] == HINT
        clock.on(minutes=10)
        account.poll("messages", None)
        assert "token" not in server.asked(SYNC)[-1].json()


def test_a_token_that_is_refused_is_dropped_and_the_cursor_kept() -> None:
    keep = MemoryKeep()
    with corp(keep) as (told, server, account, _):
        account.read([EVENT.encode()])
        told.pages["c"] = page(message("a"), next_cursor="d")
        told.refused = {("c", HINT): 40058}
        assert place(account.poll("messages", "c").cursor) == "d"
        assert [sorted(one.json()) for one in server.asked(SYNC)] == [
            ["cursor", "limit", "open_kfid", "token", "voice_format"],
            ["cursor", "limit", "open_kfid", "voice_format"],
        ]
    assert "sync_token" not in keep.rows


def test_a_token_that_comes_late_is_old_already() -> None:
    with corp() as (_, server, account, clock):
        clock.on(minutes=30)
        account.read([EVENT.encode()])
        account.poll("messages", None)
        assert "token" not in server.asked(SYNC)[-1].json()


@pytest.mark.parametrize(
    "words",
    [
        EVENT.replace("kf_msg_or_event", "kf_account_auth_change"),
        EVENT.replace(KFID, "wkOther"),
        EVENT.replace("[event]", "[text]"),
    ],
)
def test_what_says_nothing_of_our_messages_is_answered_and_not_stored(words: str) -> None:
    assert wecom().verify(callback(words)) == Accepted(b"success")


@pytest.mark.parametrize(
    "words",
    ["", "<xml/>", "<xml><Event>kf_msg_or_event</Event></xml>", "<!DOCTYPE a><xml/>", "订单"],
)
def test_sealed_nonsense_is_refused(words: str) -> None:
    with pytest.raises(Rejected):
        wecom().verify(callback(words))


def test_another_corps_callback_is_refused() -> None:
    with pytest.raises(Rejected):
        wecom().verify(callback(EVENT, receiver="ww0000000000000000"))


def test_a_plain_callback_is_refused() -> None:
    query = {"timestamp": STAMP, "nonce": NONCE, "signature": sign(TOKEN, STAMP, NONCE)}
    with pytest.raises(Rejected):
        wecom().verify(Push("POST", query, {}, EVENT.encode(), Clock()()))


def test_stored_nonsense_wakes_the_queue_all_the_same() -> None:
    assert wecom().read([b"\xff\x00", b"<xml>"]) == wecom().read([b"<xml/>"])
    assert wecom().read([b"<xml/>"]).wake == ("messages",)
