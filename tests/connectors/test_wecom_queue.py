"""WeCom's queue where it is hard: three days, the unknown frequency limit, failed sends, cards, its check."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aggregator.errors import RateLimited, Unauthorized
from aggregator.model import Attachment, Direction
from tests.connectors.loopback import T0, MemoryKeep
from tests.connectors.test_wecom import (
    EVENT,
    HINT,
    KFID,
    PERSON,
    SYNC,
    corp,
    message,
    page,
    place,
)

NOW = int(T0.timestamp())


# --- three days ---------------------------------------------------------------------------------


def test_the_first_reading_has_no_gap_and_a_late_one_says_what_is_lost() -> None:
    with corp() as (told, _, account, clock):
        told.pages = {"": page(message("a"), next_cursor="c1"), "c1": page(next_cursor="c1")}
        first = account.poll("messages", None)
        assert first.gaps == ()
        clock.on(days=2, hours=23, minutes=50)
        assert account.poll("messages", first.cursor).gaps == ()
        clock.on(minutes=11)
        late = account.poll("messages", first.cursor)
        (gap,) = late.gaps
        assert (gap.since, gap.until) == (T0, clock() - timedelta(days=3))
        assert not gap.recoverable
        assert "three days" in gap.reason
        assert account.poll("messages", late.cursor).gaps == ()  # told once


def test_a_refused_cursor_loses_nothing_while_the_three_days_reach_back_far_enough() -> None:
    with corp() as (told, _, account, clock):
        first = account.poll("messages", None)
        told.refused = {(place(first.cursor), None): 40058}
        clock.on(days=1)
        found = account.poll("messages", first.cursor)
        assert (found.gaps, len(found.messages)) == ((), 13)
        clock.on(days=4)
        told.refused = {(place(found.cursor), None): 95007}
        (gap,) = account.poll("messages", found.cursor).gaps
        assert gap.until == clock() - timedelta(days=3)


def test_a_refused_cursor_of_an_unknown_time_is_a_gap_of_unknown_length() -> None:
    with corp() as (told, _, account, _):
        told.refused = {("old", None): 40058}
        (gap,) = account.poll("messages", "old").gaps
    assert (gap.since, gap.until) == (None, T0 - timedelta(days=3))


def test_a_walk_broken_off_for_days_tells_the_part_that_has_ended_meanwhile() -> None:
    with corp() as (told, _, account, clock):
        old = {**message("a"), "send_time": NOW - 2 * 86400}
        told.pages = {
            "": page(old, next_cursor="c1", has_more=1),
            "c1": page(next_cursor="c2", has_more=1),
            "c2": page(message("b"), next_cursor="c3"),
        }
        first = account.poll("messages", None)
        clock.on(days=2)
        second = account.poll("messages", first.cursor)
        (gap,) = second.gaps
        assert (gap.since, gap.until) == (T0 - timedelta(days=2), T0 - timedelta(days=1))
        assert account.poll("messages", second.cursor).gaps == ()


def test_an_idle_accounts_cursor_is_not_written_anew_with_every_poll() -> None:
    with corp() as (told, _, account, clock):
        told.pages = {"": page(message("a"), next_cursor="c1"), "c1": page(next_cursor="c1")}
        first = account.poll("messages", None).cursor
        clock.on(minutes=9)
        assert account.poll("messages", first).cursor == first
        clock.on(minutes=2)
        assert account.poll("messages", first).cursor != first


@pytest.mark.parametrize("stored", ["{", "{}", '{"cursor": 7}', '{"cursor": ""}', ""])
def test_a_cursor_that_cannot_be_read_begins_anew_or_is_taken_as_it_is(stored: str) -> None:
    with corp() as (told, _, account, _):
        told.pages["{"] = page(message("a"), next_cursor="c")
        assert account.poll("messages", stored).messages


# --- how often ----------------------------------------------------------------------------------


def test_without_a_callback_each_refusal_doubles_the_wait_and_a_callback_cuts_it_short() -> None:
    with corp() as (told, server, account, clock):
        told.codes = [45009]
        with pytest.raises(RateLimited):
            account.poll("messages", None)
        asked = len(server.asked(SYNC))
        clock.on(seconds=59)
        page_ = account.poll("messages", None)
        assert (page_.messages, page_.cursor, page_.more) == ((), None, False)
        assert len(server.asked(SYNC)) == asked
        account.read([EVENT.encode()])
        assert account.poll("messages", None).messages
        assert server.asked(SYNC)[-1].json()["token"] == HINT


def test_the_pace_is_learnt_and_forgotten_after_a_day() -> None:
    keep = MemoryKeep()
    with corp(keep) as (told, server, account, clock):
        for wait in (60, 120, 240, 480, 600, 600):
            told.codes = [45009]
            with pytest.raises(RateLimited):
                account.poll("messages", None)
            clock.on(seconds=wait - 1)
            asked = len(server.asked(SYNC))
            account.poll("messages", None)
            assert len(server.asked(SYNC)) == asked
            clock.on(seconds=1)
        assert account.poll("messages", None).messages
        assert account.poll("messages", None).messages == ()  # what was learnt still holds
        clock.on(days=2)
        assert account.poll("messages", None).messages
        assert account.poll("messages", None).messages
    assert "sync_pace" not in keep.rows


# --- what is no message, and what a card shows ----------------------------------------------------


def event(kind: str, **more: Any) -> dict[str, Any]:
    inner = {"event_type": kind, "open_kfid": KFID, "external_userid": PERSON, **more}
    return {
        "msgid": f"e-{kind}",
        "send_time": NOW,
        "origin": 4,
        "msgtype": "event",
        "event": inner,
    }


@pytest.mark.parametrize(
    ("fail_type", "word"), [(0, "unknown"), (4, "expired"), (6, "too_many"), (10, "refused")]
)
def test_what_did_not_arrive_is_taken_back_with_the_reason(fail_type: int, word: str) -> None:
    with corp() as (told, _, account, _):
        failed = event("msg_send_fail", fail_msgid="our_own-1", fail_type=fail_type)
        told.pages[""] = page(failed, next_cursor="c")
        (gone,) = account.poll("messages", None).messages
    assert (gone.native_id, gone.direction) == ("our_own-1", Direction.OUTBOUND)
    assert (gone.text, gone.deleted_at, gone.person) == (None, T0, PERSON)
    assert gone.marks == ("send.failed", f"send.failed.{word}")


@pytest.mark.parametrize(
    "item",
    [
        event("enter_session", scene="1", welcome_code="w"),
        event("session_status_change", change_type=1, new_servicer_userid="zhaomin"),
        event("session_status_change", change_type=3, old_servicer_userid="zhaomin", msg_code="x"),
        event("servicer_status_change", status=2, servicer_userid="zhaomin"),
        event("msg_send_fail"),
        event("user_recall_msg"),
        event("something_of_2027"),
        {"msgid": "e", "msgtype": "event", "event": None},
        {"msgtype": "event", "origin": 4},
    ],
)
def test_sessions_and_the_like_are_no_messages(item: dict[str, Any]) -> None:
    with corp() as (told, _, account, _):
        told.pages[""] = page(item, message("m"), next_cursor="c")
        assert [one.native_id for one in account.poll("messages", None).messages] == ["m"]


def card(kind: str, **body: Any) -> dict[str, Any]:
    return {**message(f"m-{kind}"), "msgtype": kind, kind: body}


@pytest.mark.parametrize(
    ("item", "attachment"),
    [
        (card("business_card", userid="zhaomin"), Attachment("card", title="zhaomin")),
        (card("channels", nickname="Lumo", title="新品"), Attachment("card", title="Lumo · 新品")),
        (
            card("channels_shop_product", title="充电宝", sales_price="9900", shop_nickname="Lumo"),
            Attachment("card", title="充电宝 · 9900 · Lumo"),
        ),
        (
            card("channels_shop_order", order_id="8812", product_titles="灯", state="待发货"),
            Attachment("card", title="灯 · 待发货 · 8812"),
        ),
        (card("msgmenu", head_content="满意吗？"), Attachment("card", title="满意吗？")),
        (card("business_card"), Attachment("card", title="business_card")),
        (
            card("location", latitude=31.2, longitude=121.5),
            Attachment("location", title="31.2, 121.5"),
        ),
        (
            card("link", url="https://e.example/1", desc="看看"),
            Attachment("link", url="https://e.example/1", title="看看"),
        ),
        (card("video", media_id="v1"), Attachment("video", media_id="v1")),
    ],
)
def test_a_card_says_what_it_shows(item: dict[str, Any], attachment: Attachment) -> None:
    with corp() as (told, _, account, _):
        told.pages[""] = page(item, next_cursor="c")
        (found,) = account.poll("messages", None).messages
    assert (found.attachments, found.text) == ((attachment,), None)


def test_a_forwarded_conversation_is_quoted_and_not_the_customers_own() -> None:
    with corp() as (told, _, account, _):
        items = [
            {
                "sender_name": "小林",
                "msgtype": "text",
                "msg_content": '{"text": {"content": "已退款"}}',
            },
            {"sender_name": "小满", "msgtype": "image", "msg_content": "{}"},
            {"msgtype": "text", "msg_content": "不是 JSON"},
            {"msgtype": "text", "msg_content": {"text": {"content": 5}}},
            None,
        ]
        told.pages[""] = page(
            card("merged_msg", title="群聊的聊天记录", item=items), next_cursor="c"
        )
        (found,) = account.poll("messages", None).messages
    assert found.quoted == "小林: 已退款\n小满: [image]\n不是 JSON\n[?]"
    assert (found.text, found.attachments) == (None, (Attachment("card", title="群聊的聊天记录"),))


# --- windows and check ----------------------------------------------------------------------------


def test_a_customers_message_opens_five_answers_in_48_hours_and_ours_opens_none() -> None:
    with corp() as (_, _, account, _):
        found = account.poll("messages", None).messages
    for one in found:
        if one.direction is Direction.OUTBOUND or one.deleted_at is not None:
            assert one.reply_window is None
        else:
            assert one.sent_at is not None
            assert one.reply_window is not None
            assert one.reply_window.closes_at == one.sent_at + timedelta(hours=48)
            assert one.reply_window.left == 5


def test_check_looks_through_all_accounts_and_at_the_queue() -> None:
    with corp() as (told, server, account, _):
        others = [{"open_kfid": f"wk{number}", "name": "别的"} for number in range(150)]
        told.accounts = [*others, {"open_kfid": KFID, "name": "Lumo", "manage_privilege": True}]
        identity = account.check()
        assert server.asked(SYNC)[0].json()["limit"] == 1
    assert (identity.name, dict(identity.streams)) == ("Lumo", {"messages": "ok"})
    assert identity.token_expires_at is None


def test_check_refuses_an_account_that_the_app_may_only_see() -> None:
    with corp() as (told, _, account, _):
        told.accounts = [{"open_kfid": KFID, "name": "Lumo", "manage_privilege": False}]
        with pytest.raises(Unauthorized, match="可调用接口的应用"):
            account.check()


@pytest.mark.parametrize(
    ("code", "word"), [(45009, "quota: "), (48002, "denied: "), (60011, "denied: ")]
)
def test_check_says_of_the_queue_what_is_the_matter(code: int, word: str) -> None:
    with corp() as (_, server, account, _):
        body = b'{"errcode": %d, "errmsg": "x"}' % code
        server.fault("status", path=SYNC, status=200, body=body)
        identity = account.check()
        assert identity.streams["messages"].startswith(word)
        if code == 45009:
            asked = len(server.asked(SYNC))
            assert "not asked" in account.check().streams["messages"]
            assert len(server.asked(SYNC)) == asked
            assert "asked again at" in (account.check().note or "")


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (60020, "203.0.113.9"),
        (95000, "open_kfid"),
        (95004, "open_kfid"),
        (95011, "by hand"),
        (95017, "turn the API"),
        (40201, "banned"),
    ],
)
def test_what_a_person_must_mend_is_told_with_the_remedy(code: int, remedy: str) -> None:
    with corp() as (_, server, account, _):
        body = b'{"errcode": %d, "errmsg": "not allow to access from your ip 203.0.113.9"}' % code
        server.fault("status", path=SYNC, status=200, body=body, times=2)
        with pytest.raises(Unauthorized) as caught:
            account.poll("messages", None)
        assert remedy in caught.value.remedy
        with pytest.raises(Unauthorized):
            account.check()
