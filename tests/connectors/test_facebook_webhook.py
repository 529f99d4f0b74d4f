"""Facebook's webhooks: who may knock, and that no body stops the others."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from aggregator.errors import Rejected
from aggregator.model import Accepted, Message, Push
from aggregator.sandbox.facebook import FacebookStandin
from connectors.base import Receives
from connectors.facebook import FacebookOptions
from tests.connectors.facebook_fake import PAGE, SECRET, TOKEN
from tests.connectors.facebook_pushed import (
    ANNIE,
    AT,
    VERIFY,
    Door,
    account,
    body,
    facts,
    read,
)
from tests.connectors.loopback import Clock


def knock(method: str = "POST", raw: bytes = b"", **more: Any) -> Push:
    headers = more.pop("headers", {"x-hub-signature-256": "sha256=" + signed(raw)})
    return Push(method, more, headers, raw, AT)


def signed(raw: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def shake(**query: str) -> Accepted:
    given = {"hub.mode": "subscribe", "hub.verify_token": VERIFY, "hub.challenge": "1158201444"}
    return account().verify(Push("GET", {**given, **query}, {}, b"", AT))


# --- the door -------------------------------------------------------------------------------------


def test_the_handshake_echoes_the_challenge_to_whoever_knows_the_word() -> None:
    assert shake().answer == b"1158201444"
    assert shake().store == ()
    for wrong in ("", "给Meta看的口", VERIFY + "!", "\udc80"):
        with pytest.raises(Rejected) as caught:
            shake(**{"hub.verify_token": wrong})
        assert caught.value.status == 403
        assert VERIFY not in caught.value.reason
    for query in ({"hub.mode": "unsubscribe"}, {"hub.challenge": "<b>"}, {"hub.challenge": ""}):
        with pytest.raises(Rejected):
            shake(**query)


def test_a_body_is_stored_as_it_came_if_its_signature_is_right() -> None:
    raw = body("feed_comments")
    taken = account().verify(knock(raw=raw))
    assert (taken.stream, taken.store) == ("webhook", (raw,))
    upper = {"x-hub-signature-256": "sha256=" + signed(raw).upper()}
    assert account().verify(knock(raw=raw, headers=upper)).store == (raw,)


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "sha256=",
        "sha256=" + "0" * 64,
        "sha256=" + signed(b"{} "),
        "sha256=" + signed(b"{}", "another secret"),
        "sha1=" + hmac.new(SECRET.encode(), b"{}", hashlib.sha1).hexdigest(),
        signed(b"{}"),
        "sha256=" + "０" * 64,
        "sha256=" + signed(b"{}") + "\x00",
    ],
)
def test_nothing_is_stored_for_a_wrong_signature(given: str | None) -> None:
    headers = {} if given is None else {"x-hub-signature-256": given}
    with pytest.raises(Rejected) as caught:
        account().verify(knock(raw=b"{}", headers=headers))
    assert caught.value.status == 401
    assert SECRET not in caught.value.reason


def test_without_a_word_and_a_secret_no_webhook_is_taken() -> None:
    for missing in ("verify_token", "app_secret"):
        plain = account(**{missing: None})
        assert plain.pushed == ()
        assert "webhook" not in plain.streams
        with pytest.raises(Rejected) as caught:
            plain.verify(knock(raw=b"{}"))
        assert caught.value.status == 404
    assert isinstance(account(), Receives)
    assert account().pushed == ("webhook",)
    assert account().streams[-1] == "webhook"
    assert VERIFY not in repr(
        FacebookOptions.model_validate(
            {"page_id": PAGE, "access_token": TOKEN, "verify_token": VERIFY}
        )
    )


def test_an_oversize_body_is_refused_before_it_is_hashed() -> None:
    with pytest.raises(Rejected) as caught:
        account().verify(knock(raw=b"x" * (1024 * 1024 + 1)))
    assert caught.value.status == 413


def test_nothing_that_a_body_holds_stops_the_others() -> None:
    broken, comment, number, empty = read("hostile").messages[-1:] + read("hostile").messages[:3]
    page = account().read([b"{", b"\xff\xfe", b"[" * 9999, b"7", b"", body("hostile")])
    unreadable = [m for m in page.messages if "unreadable" in m.marks]
    assert len({m.native_id for m in unreadable}) == 4
    assert all(m.raw == b"{" or m.raw for m in unreadable[:3])
    assert broken == read("hostile").messages[-1]
    assert comment.native_id == "9002_900"
    assert set(comment.marks) >= {"author.missing", "text.scrubbed"}
    assert number.native_id == "9007199254740993"
    assert [a.kind for a in empty.attachments] == ["unknown"]


def test_the_raw_of_a_message_is_its_own_event() -> None:
    top, *_ = read("feed_comments").messages
    told = json.loads(top.raw)
    assert told["value"]["comment_id"] == "9002_601"
    assert "602" not in top.raw.decode()


# --- through a door, from a Page that is played -----------------------------------------------------


def knobs() -> list[dict[str, Any]]:
    return [
        {},
        {"batch": 5, "twice": True, "backwards": True},
        {"standby": True, "numeric_ids": True},
        {"old_authors": True},
    ]


@pytest.mark.parametrize("turned", knobs())
def test_what_is_pushed_equals_what_is_polled(turned: dict[str, Any]) -> None:
    clock = Clock()
    page = FacebookStandin(clock, conversations_per_second=1e6)
    door = Door(page, clock)
    page.start()
    door.start()
    try:
        page.attach(door.base_url + "/callbacks/f")
        for knob, value in turned.items():
            setattr(page.hooks, knob, value)
        ann, mail = page.person(ANNIE), page.correspondent(ANNIE)
        clock.on(seconds=1)
        own = page.post(page.page, "新品上市", clock.at)
        page.bare_comment_ids = True
        asked = page.comment(ann, "会发热吗？", clock.at, post=own)
        page.bare_comment_ids = False
        page.comment(page.page, "请停用", clock.at, post=own, parent=asked)
        page.comment(ann, None, clock.at, post=own, attachment="image")
        page.post(ann, "没有人接电话", clock.at)
        page.post(ann, "@Lumo 差评", clock.at, tags_page=True)
        review = page.review(ann, "客服太差", clock.at)
        page.comment(page.page, "抱歉", clock.at, post=review.story)
        page.letter(mail, "扣了两次", clock.at)
        page.letter(mail, "已退", clock.at, from_page=True)
        assert page.settle()
        pushed = {m.key: m for m in door.account.read(door.taken).messages}
        polled: dict[str, Message] = {}
        for stream in ("posts", "comments", "reviews", "messages"):
            cursor = None
            for _ in range(30):
                clock.on(seconds=1)
                told = door.account.poll(stream, cursor)
                polled |= {m.key: m for m in told.messages}
                cursor = told.cursor
                if not told.more:
                    break
        tagged = [key for key in polled if key not in pushed]
        assert len(tagged) == 1  # its author came only with the list
        assert set(pushed) <= set(polled)
        for key, message in pushed.items():
            assert facts(message) == facts(polled[key])
    finally:
        page.stop()
        door.stop()
    assert page.errors == door.errors == []
