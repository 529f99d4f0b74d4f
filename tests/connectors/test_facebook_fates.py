"""Webhooks in no order: what was told of a message before it came, and of two words the later one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from aggregator.model import Message
from connectors.facebook.fates import KEY, MOST, remembered, unsent
from tests.connectors.facebook_fake import PAGE
from tests.connectors.facebook_pushed import POST, account
from tests.connectors.loopback import MemoryKeep

T = 1_795_233_600


def said(
    verb: str, at: int, comment: str = "9002_503", text: str | None = "收到的货是坏的"
) -> bytes:
    value: dict[str, Any] = {
        "item": "comment",
        "verb": verb,
        "comment_id": comment,
        "post_id": POST,
        "parent_id": POST,
        "created_time": at,
        "from": {"id": "71", "name": "陈美玲"},
    }
    if text is not None and verb != "remove":
        value["message"] = text
    change = {"field": "feed", "value": value}
    return json.dumps(
        {"object": "page", "entry": [{"id": PAGE, "time": at, "changes": [change]}]}
    ).encode()


def read(keep: MemoryKeep, *bodies: bytes) -> list[Message]:
    """Each body by itself, as where callbacks come minutes apart."""
    return [one for body in bodies for one in account(keep).read([body]).messages]


def test_a_comment_that_comes_after_its_deletion_is_deleted() -> None:
    _, late = read(MemoryKeep(), said("remove", T + 60), said("add", T))
    assert late.text == "收到的货是坏的"
    assert late.deleted_at == datetime.fromtimestamp(T + 60, UTC)
    assert late.sent_at == datetime.fromtimestamp(T, UTC)


def test_a_hiding_that_comes_after_the_later_unhiding_says_nothing() -> None:
    found = read(MemoryKeep(), said("add", T), said("unhide", T + 90), said("hide", T + 60))
    assert [one.restored_at is not None for one in found] == [False, True]
    keep = MemoryKeep()
    hidden = read(keep, said("hide", T + 60), said("add", T), said("edited", T + 30, text="坏的！"))
    assert all(one.deleted_at is not None and "hidden" in one.marks for one in hidden)
    assert hidden[-1].text == "坏的！"
    shown = read(keep, said("unhide", T + 120), said("edited", T + 180, text="好了"))
    assert [one.deleted_at for one in shown] == [None, None]


def test_an_unhiding_that_comes_after_the_later_hiding_leaves_it_hidden() -> None:
    found = read(MemoryKeep(), said("hide", T + 60), said("unhide", T + 30, text="原话"))
    assert [one.deleted_at is not None for one in found] == [True, True]
    assert found[1].text == "原话"  # its words are good


def test_what_is_remembered_has_a_bound_and_the_newest_stay() -> None:
    keep = MemoryKeep()
    for n in range(MOST + 10):
        read(keep, said("remove", T + n, comment=f"9002_{n}"))
    kept = json.loads(keep.rows[KEY])
    assert len(kept) == MOST
    assert "comment:9002_0" not in kept
    assert f"comment:9002_{MOST + 9}" in kept


def test_a_row_that_nobody_understands_is_no_obstacle() -> None:
    for raw in ("[]", "{", '{"a": 1}', '{"comment:9002_503": ["x", 3]}', "7"):
        keep = MemoryKeep()
        keep.rows[KEY] = raw
        gone, late = read(keep, said("remove", T + 60), said("add", T))
        assert gone.deleted_at == late.deleted_at


def test_a_message_that_was_taken_back_while_a_list_was_read_is_gone_in_it_too() -> None:
    keep = MemoryKeep()
    event = {
        "sender": {"id": "52"},
        "recipient": {"id": PAGE},
        "timestamp": (T + 60) * 1000,
        "message": {"mid": "m_AA", "is_deleted": True},
    }
    body = {"object": "page", "entry": [{"id": PAGE, "time": T * 1000, "messaging": [event]}]}
    (gone,) = read(keep, json.dumps(body).encode())
    listed = Message(
        **{name: getattr(gone, name) for name in ("native_id", "platform", "kind", "direction")},
        author=gone.author,
        text="发错了",
        sent_at=datetime.fromtimestamp(T, UTC),
    )
    (there,) = unsent(keep, [listed])
    assert (there.text, there.deleted_at) == ("发错了", gone.deleted_at)
    assert unsent(MemoryKeep(), [listed]) == (listed,)
    assert remembered(MemoryKeep(), [listed]) == (listed,)
