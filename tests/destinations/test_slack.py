"""Slack over the wire: post, edit, thread, find again, and what every refusal means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from aggregator.destinations.base import Finds
from aggregator.destinations.example import NOW
from aggregator.destinations.slack import Slack, SlackOptions
from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import NoticeKind, Receipt
from tests.destinations.rooms import ROOM, TOKEN, Room, card, message, ops, running, with_text


@pytest.fixture
def room() -> Iterator[Room]:
    server = Room()
    with running(server):
        yield server


def slack(room: Room, **changes: Any) -> Slack:
    values = {"token": TOKEN, "room": ROOM, "base_url": f"{room.base_url}/api/"} | changes
    return Slack(SlackOptions(**values), now=lambda: NOW, timeout_s=(5, 5))


def methods(room: Room) -> list[str]:
    return [method for method, _ in room.asked]


def test_a_card_is_posted_once_with_its_key_and_without_unfurling(room: Room) -> None:
    receipt = slack(room).send(card())
    [posted] = room.messages
    assert receipt == Receipt(f"{ROOM}:{posted['ts']}")
    assert posted["metadata"]["event_payload"] == {"delivery_id": "card:7211:social"}
    assert posted["unfurl_links"] is False and posted["unfurl_media"] is False
    assert "link_names" not in posted and "parse" not in posted
    assert posted["text"].startswith("🔴 P1 紧急")


def test_a_later_card_edits_the_first_one_in_place(room: Room) -> None:
    destination = slack(room)
    first = destination.send(card())
    second = destination.send(with_text(card(earlier=first, mentions=()), "没事了，谢谢"))
    assert second == first
    assert len(room.messages) == 1 and "没事了" in json.dumps(
        room.messages[0]["blocks"], ensure_ascii=False
    )
    assert room.asked[-1][1]["parse"] == "none"  # chat.update reads plain text otherwise


def test_an_edit_keeps_the_key_that_the_card_was_posted_with(room: Room) -> None:
    destination = slack(room)
    first = destination.send(card())
    destination.send(card(earlier=first, key="card:7211:social:99"))
    assert room.messages[0]["metadata"]["event_payload"]["delivery_id"] == "card:7211:social"


def test_a_message_goes_into_the_cards_thread(room: Room) -> None:
    destination = slack(room)
    first = destination.send(card())
    receipt = destination.send(message(earlier=first))
    assert room.messages[1]["thread_ts"] == first.external_id.partition(":")[2]
    assert receipt.external_id == f"{ROOM}:{room.messages[1]['ts']}"


@pytest.mark.parametrize(
    "error", ["message_not_found", "cant_update_message", "edit_window_closed", "block_mismatch"]
)
def test_a_card_that_can_no_longer_be_edited_is_posted_anew(room: Room, error: str) -> None:
    room.say_no = [error]
    receipt = slack(room).send(card(earlier=Receipt(f"{ROOM}:1.000001")))
    assert methods(room) == ["chat.update", "chat.postMessage"]
    assert receipt.external_id == f"{ROOM}:{room.messages[0]['ts']}"


@pytest.mark.parametrize("error", ["thread_not_found", "restricted_action_thread_locked"])
def test_a_message_whose_thread_is_gone_stands_alone(room: Room, error: str) -> None:
    room.say_no = [error]
    slack(room).send(message(earlier=Receipt(f"{ROOM}:1.000001")))
    assert "thread_ts" not in room.messages[0]


def test_a_card_in_a_former_room_that_is_closed_to_us_is_posted_in_the_new_one(room: Room) -> None:
    room.say_no = ["channel_not_found"]
    receipt = slack(room).send(card(earlier=Receipt("C0OLD:1.000001")))
    assert receipt.external_id.startswith(ROOM + ":")


def test_the_daemons_own_words_are_a_plain_message(room: Room) -> None:
    slack(room).send(ops("令牌过期"))
    assert "令牌过期" in room.messages[0]["text"]


# --- content that Slack refuses ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", ["invalid_blocks", "msg_blocks_too_long", "invalid_blocks_format"]
)
def test_refused_blocks_become_one_plain_section(room: Room, error: str) -> None:
    room.say_no = [error]
    slack(room).send(card())
    assert room.messages[0]["blocks"][0]["text"]["type"] == "plain_text"


def test_a_refused_section_becomes_text_alone(room: Room) -> None:
    room.say_no = ["invalid_blocks", "invalid_blocks"]
    slack(room).send(card())
    assert "blocks" not in room.messages[0]
    assert "起火了" in room.messages[0]["text"]


def test_what_is_refused_in_every_shape_is_never_tried_again(room: Room) -> None:
    room.say_no = ["invalid_blocks"] * 3
    with pytest.raises(Rejected, match="invalid_blocks"):
        slack(room).send(card())


def test_refused_metadata_is_left_out_and_the_card_kept(room: Room) -> None:
    room.say_no = ["metadata_must_be_sent_from_app"]
    slack(room).send(card())
    assert "metadata" not in room.messages[0] and len(room.messages[0]["blocks"]) > 3


def test_an_edit_down_to_text_takes_the_old_blocks_away(room: Room) -> None:
    destination = slack(room)
    first = destination.send(card())
    room.say_no = ["invalid_blocks", "invalid_blocks"]
    destination.send(card(earlier=first))
    assert room.messages[0]["blocks"] == []


# --- what a refusal means ----------------------------------------------------------------------------

SINK = "invalid_auth not_authed token_revoked token_expired account_inactive missing_scope no_permission"
PLACE = "channel_not_found not_in_channel is_archived restricted_action messages_tab_disabled"


@pytest.mark.parametrize("error", SINK.split())
def test_a_refused_token_stops_the_destination_with_a_remedy(room: Room, error: str) -> None:
    room.say_no = [error]
    with pytest.raises(Unauthorized, match=error) as raised:
        slack(room).send(card())
    assert "chat:write" in raised.value.remedy


@pytest.mark.parametrize("error", PLACE.split())
def test_a_closed_room_stops_the_destination_and_names_the_room(room: Room, error: str) -> None:
    room.say_no = [error]
    with pytest.raises(Unauthorized) as raised:
        slack(room).send(card())
    assert ROOM in raised.value.remedy and ROOM in raised.value.reason


@pytest.mark.parametrize(
    ("error", "maybe_done"),
    [
        ("fatal_error", True),
        ("internal_error", True),
        ("service_unavailable", True),
        ("request_timeout", False),
        ("team_added_to_org", False),
        ("a_word_of_next_year", True),
        ("", True),
    ],
)
def test_trouble_of_theirs_is_retried(room: Room, error: str, maybe_done: bool) -> None:
    room.say_no = [error]
    with pytest.raises(Unavailable) as raised:
        slack(room).send(card())
    assert raised.value.maybe_done is maybe_done


@pytest.mark.parametrize("error", ["ratelimited", "rate_limited"])
def test_slow_down_in_an_answer_is_obeyed(room: Room, error: str) -> None:
    room.say_no, room.no_headers = [error], {"Retry-After": "7"}
    with pytest.raises(RateLimited) as raised:
        slack(room).send(card())
    assert raised.value.retry_after_s == 7


def test_an_error_text_that_is_no_word_is_not_repeated(room: Room) -> None:
    room.say_no = [f"bad token {TOKEN}"]
    with pytest.raises(Unavailable) as raised:
        slack(room).send(card())
    assert TOKEN not in str(raised.value)


def test_a_wrong_address_stops_the_destination_instead_of_losing_notices(room: Room) -> None:
    with pytest.raises(Unauthorized, match="base_url"):
        slack(room, base_url=f"{room.base_url}/wrong/").send(card())


def test_a_redirect_is_not_followed_with_the_token(room: Room) -> None:
    other = Room()
    with running(other):
        room.fault("status", status=307, headers={"Location": f"{other.base_url}/api/auth.test"})
        with pytest.raises(Unavailable):
            slack(room).send(card())
    assert other.calls == []


def test_a_request_is_made_once_even_if_the_connection_ends(room: Room) -> None:
    room.fault("cut_after")
    with pytest.raises(Unavailable) as raised:
        slack(room).send(card())
    assert raised.value.maybe_done
    assert len(room.messages) == 1


def test_an_answer_without_a_ts_is_no_receipt(room: Room) -> None:
    room.fault("status", status=200, body=b'{"ok": true, "channel": "C1"}')
    with pytest.raises(Unavailable) as raised:
        slack(room).send(card())
    assert raised.value.maybe_done


def test_a_receipt_of_another_kind_of_destination_is_refused(room: Room) -> None:
    with pytest.raises(Rejected):
        slack(room).send(card(earlier=Receipt("4711")))


# --- looking before sending again --------------------------------------------------------------------


def test_a_card_that_arrived_before_the_answer_was_lost_is_found(room: Room) -> None:
    destination = slack(room)
    assert isinstance(destination, Finds)
    room.fault("cut_after")
    with pytest.raises(Unavailable):
        destination.send(card())
    for _ in range(5):
        destination.send(ops())  # newer ones: it stands on a later page
    found = destination.find(card(since=NOW))
    assert found == Receipt(f"{ROOM}:{room.messages[0]['ts']}")


def test_a_message_that_arrived_is_found_in_its_thread(room: Room) -> None:
    destination = slack(room)
    first = destination.send(card())
    receipt = destination.send(message(earlier=first))
    assert destination.find(message(earlier=first)) == receipt


def test_a_message_that_had_to_stand_alone_is_found_in_the_room(room: Room) -> None:
    destination = slack(room)
    first = destination.send(card())
    room.say_no = ["thread_not_found"]
    receipt = destination.send(message(earlier=first))
    assert destination.find(message(earlier=first)) == receipt


def test_a_notice_that_never_arrived_is_not_found(room: Room) -> None:
    slack(room).send(ops())
    assert slack(room).find(card(since=NOW)) is None


def test_only_what_came_since_the_first_attempt_is_looked_at(room: Room) -> None:
    slack(room).send(card())
    assert slack(room).find(card(since=NOW + timedelta(seconds=31))) is None
    assert slack(room).find(card(since=NOW + timedelta(seconds=29))) is not None


def test_an_edit_is_simply_made_again_unless_the_card_was_posted_anew(room: Room) -> None:
    destination = slack(room)
    first = destination.send(card())
    edit = card(earlier=first, key="card:7211:social:2", since=NOW)
    assert destination.find(edit) is None
    room.messages.clear()
    anew = destination.send(edit)
    assert destination.find(edit) == anew


@pytest.mark.parametrize("error", ["missing_scope", "not_in_channel", "no_permission"])
def test_where_history_may_not_be_read_nothing_is_found(room: Room, error: str) -> None:
    slack(room).send(card())
    room.unreadable = error
    assert slack(room).find(card(since=NOW)) is None


def test_a_dead_token_is_told_also_when_looking(room: Room) -> None:
    room.unreadable = "token_revoked"
    with pytest.raises(Unauthorized):
        slack(room).find(card(since=NOW))


def test_looking_ends_after_a_few_pages(room: Room) -> None:
    destination = slack(room)
    for _ in range(40):
        destination.send(ops())
    room.asked.clear()
    assert destination.find(card(since=NOW)) is None
    assert len(room.asked) == 5


# --- check and settings ------------------------------------------------------------------------------


def test_check_says_who_and_where_and_gives_links_to_later_receipts(room: Room) -> None:
    destination = slack(room)
    assert destination.check() == f"inboxd in Acme, room {ROOM}"
    receipt = destination.send(card())
    ts = receipt.external_id.partition(":")[2].replace(".", "")
    assert receipt.url == f"https://acme.slack.com/archives/{ROOM}/p{ts}"


def test_check_says_when_history_cannot_be_read(room: Room) -> None:
    room.unreadable = "missing_scope"
    assert "channels:history" in slack(room).check()


def test_check_refuses_a_wrong_token_and_a_wrong_room(room: Room) -> None:
    with pytest.raises(Unauthorized):
        slack(room, token="xoxb-other").check()
    room.unreadable = "channel_not_found"
    with pytest.raises(Unauthorized, match=ROOM):
        slack(room).check()


@pytest.mark.parametrize("wrong", ["#social", "social", "", "C0 1"])
def test_a_room_is_named_by_its_id(wrong: str) -> None:
    with pytest.raises(ValidationError, match="room's id"):
        SlackOptions(token=SecretStr(TOKEN), room=wrong)


@pytest.mark.parametrize("wrong", ["slack.com/api/", "ftp://slack.com", "https://"])
def test_a_base_url_is_a_web_address(wrong: str) -> None:
    with pytest.raises(ValidationError, match="web address"):
        SlackOptions(token=SecretStr(TOKEN), room=ROOM, base_url=wrong)


def test_every_kind_of_notice_arrives(room: Room) -> None:
    for kind in NoticeKind:
        slack(room).send(card(kind=kind, text="一段话", key=f"k:{kind}"))
    assert len(room.messages) == len(NoticeKind)
