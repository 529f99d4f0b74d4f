"""Zendesk over the wire: one ticket a conversation, comments, changes, closed tickets, and looking again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from aggregator.destinations.base import Finds
from aggregator.destinations.example import NOW
from aggregator.destinations.zendesk import Zendesk, ZendeskOptions
from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Author, ConversationState, Notice, Outcome, Priority, Receipt
from tests.destinations.desk import EMAIL, KEY, Desk
from tests.destinations.rooms import card, carded, digest, message, ops, running, with_text


@pytest.fixture
def desk() -> Iterator[Desk]:
    server = Desk()
    with running(server):
        yield server


def zendesk(desk: Desk, token: str = KEY) -> Zendesk:
    options = ZendeskOptions(url=desk.base_url, email=EMAIL, token=SecretStr(token))
    return Zendesk(options, timeout_s=(5, 5))


def conversation(notice: Notice, **changes: Any) -> Notice:
    assert notice.card is not None
    return carded(notice, conversation=replace(notice.card.conversation, **changes))


def test_a_card_becomes_a_ticket(desk: Desk) -> None:
    receipt = zendesk(desk).send(card())
    assert receipt == Receipt("1", f"{desk.base_url}/agent/tickets/1")
    ticket = desk.tickets[1]
    assert ticket["external_id"] == "7211"
    assert ticket["priority"] == "urgent"
    assert ticket["requester"] == {"name": "林小满"}
    assert ticket["tags"] == ["weibo", "safety", "refund", "inboxd_p1"]
    assert ticket["subject"].startswith("微博 · 提及 · 林小满：你们的充电宝起火了")
    assert desk.comments[1][0]["public"] is False
    for words in (
        "起火了",
        "最初（14:11）",
        "14:26 前首次回复",
        "原因：人身安全：起火",
        "https://social.example/posts/2",
    ):
        assert words in ticket["description"], words
    assert "card:7211:social" in desk.keys


@pytest.mark.parametrize(
    ("priority", "word"),
    [(Priority.P1, "urgent"), (Priority.P2, "high"), (Priority.P3, "normal"), (Priority.P4, "low")],
)
def test_priorities_are_zendesks_words(desk: Desk, priority: Priority, word: str) -> None:
    zendesk(desk).send(conversation(card(), priority=priority))
    assert desk.tickets[1]["priority"] == word


def test_a_later_message_becomes_an_internal_comment(desk: Desk) -> None:
    first = zendesk(desk).send(card())
    assert zendesk(desk).send(message("还没人理我？", earlier=first)) == first
    comment = desk.comments[1][1]
    assert comment["public"] is False
    assert comment["body"].startswith("林小满 · 14:19\n还没人理我？")
    assert "html_body" not in comment


def test_an_edit_with_nothing_new_changes_nothing(desk: Desk) -> None:
    first = zendesk(desk).send(card())
    assert zendesk(desk).send(with_text(card(earlier=first), "又一句")) == first
    assert desk.puts == []


def test_a_new_priority_and_new_labels_are_brought_up_to_date(desk: Desk) -> None:
    first = zendesk(desk).send(conversation(card(), priority=Priority.P3, labels=("order",)))
    zendesk(desk).send(conversation(card(earlier=first), labels=("order", "售后 问题")))
    assert desk.tickets[1]["priority"] == "urgent"
    assert desk.tickets[1]["tags"] == ["weibo", "order", "售后_问题", "inboxd_p1"]


def test_what_an_agent_set_by_hand_stays(desk: Desk) -> None:
    first = zendesk(desk).send(card())
    desk.tickets[1]["priority"] = "low"
    desk.tickets[1]["tags"].append("vip_by_hand")
    zendesk(desk).send(conversation(card(earlier=first), labels=("safety", "refund", "press")))
    assert desk.tickets[1]["priority"] == "low"
    assert "vip_by_hand" in desk.tickets[1]["tags"] and "press" in desk.tickets[1]["tags"]


def test_an_agent_who_is_faster_than_we_is_not_overwritten(desk: Desk) -> None:
    first = zendesk(desk).send(conversation(card(), priority=Priority.P3))
    stale = dict(desk.tickets[1])
    desk.tickets[1]["updated_at"] = "later"
    desk.route("GET", r"/api/v2/tickets/1", lambda request, match: _shown(stale))
    desk.routes.insert(0, desk.routes.pop())
    with pytest.raises(Unavailable):
        zendesk(desk).send(card(earlier=first))
    assert desk.puts == []


def _shown(ticket: dict[str, Any]) -> Any:
    from aggregator.sandbox.base import answer

    return answer({"ticket": ticket})


# --- tickets that take nothing any more --------------------------------------------------------------


def test_a_message_for_a_closed_ticket_opens_one_that_follows_it(desk: Desk) -> None:
    first = zendesk(desk).send(card())
    desk.tickets[1]["status"] = "closed"
    second = zendesk(desk).send(message("又坏了", earlier=first))
    assert second.external_id == "2"
    assert desk.tickets[2]["via_followup_source_id"] == 1
    assert "又坏了" in desk.tickets[2]["description"]


def test_the_next_message_goes_into_the_ticket_that_followed(desk: Desk) -> None:
    first = zendesk(desk).send(card())
    desk.tickets[1]["status"] = "closed"
    zendesk(desk).send(message("又坏了", earlier=first))
    again = replace(message("还在吗", earlier=first), key="message:6:desk")
    assert zendesk(desk).send(again).external_id == "2"
    assert len(desk.tickets) == 2 and "还在吗" in desk.comments[2][1]["body"]
    assert zendesk(desk).find(again) == Receipt("2", f"{desk.base_url}/agent/tickets/2")


def test_a_deleted_ticket_is_followed_by_a_new_one(desk: Desk) -> None:
    first = zendesk(desk).send(card())
    desk.deleted.add(1)
    second = zendesk(desk).send(card(earlier=first, key="card:7211:social:2"))
    assert second.external_id == "2"
    assert "via_followup_source_id" not in desk.tickets[2]


def test_a_closed_ticket_is_left_alone_when_nobody_waits(desk: Desk) -> None:
    first = zendesk(desk).send(card())
    desk.tickets[1]["status"] = "closed"
    given = card().card
    assert given is not None and given.clock is not None
    met = replace(given.clock, stopped_at=NOW, outcome=Outcome.MET)
    update = carded(card(earlier=first), clock=met)
    update = conversation(update, state=ConversationState.CLOSED, priority=Priority.P2)
    assert zendesk(desk).send(update) == first
    assert len(desk.tickets) == 1


def test_a_closed_ticket_is_followed_when_somebody_waits(desk: Desk) -> None:
    first = zendesk(desk).send(card())
    desk.tickets[1]["status"] = "closed"
    assert zendesk(desk).send(card(earlier=first, key="card:7211:2")).external_id == "2"


# --- once, and looked for ----------------------------------------------------------------------------


def test_a_ticket_whose_answer_was_lost_is_found(desk: Desk) -> None:
    desk.fault("cut_after")
    with pytest.raises(Unavailable) as raised:
        zendesk(desk).send(card())
    assert raised.value.maybe_done
    destination = zendesk(desk)
    assert isinstance(destination, Finds)
    assert destination.find(card()) == Receipt("1", f"{desk.base_url}/agent/tickets/1")


def test_sent_again_with_the_same_words_it_is_still_one_ticket(desk: Desk) -> None:
    assert zendesk(desk).send(card()) == zendesk(desk).send(card())
    assert len(desk.tickets) == 1


def test_sent_again_with_newer_words_it_is_still_one_ticket(desk: Desk) -> None:
    first = zendesk(desk).send(card())
    assert zendesk(desk).send(card(now=NOW + timedelta(minutes=3))) == first
    assert len(desk.tickets) == 1


def test_a_key_that_is_taken_by_nothing_of_ours_does_not_lose_the_ticket(desk: Desk) -> None:
    desk.keys["card:7211:social"] = ({}, 0)
    zendesk(desk).send(card())
    assert len(desk.tickets) == 1


def test_a_comment_that_arrived_is_found_on_a_later_page(desk: Desk) -> None:
    first = zendesk(desk).send(card())
    zendesk(desk).send(message(earlier=first))
    for number in range(4):
        zendesk(desk).send(replace(message(earlier=first), key=f"message:{number}"))
    assert zendesk(desk).find(message(earlier=first)) == first


def test_what_never_arrived_is_not_found(desk: Desk) -> None:
    assert zendesk(desk).find(card()) is None
    first = zendesk(desk).send(card())
    assert zendesk(desk).find(message(earlier=first)) is None
    assert zendesk(desk).find(message(earlier=Receipt("99"))) is None


def test_ops_notices_and_digests_are_tickets_that_can_be_found(desk: Desk) -> None:
    given = card().card
    assert given is not None
    for notice in (ops(), digest(given, count=4)):
        receipt = zendesk(desk).send(notice)
        assert zendesk(desk).find(notice) == receipt
    assert desk.tickets[1]["subject"] == "微博 weibo_acme 的令牌 3 天后过期"
    assert desk.tickets[2]["subject"] == "摘要 · 4 个会话"
    assert "另有 3 项" in desk.tickets[2]["description"]


# --- text from outside -------------------------------------------------------------------------------


def test_a_placeholder_in_a_customers_text_is_broken_up(desk: Desk) -> None:
    zendesk(desk).send(with_text(card(), "看 {{ticket.requester.email}} {% raw %}"))
    ticket = desk.tickets[1]
    for text in (ticket["description"], ticket["subject"]):
        assert "{{" not in text and "{%" not in text
        assert "ticket.requester.email" in text


def test_a_customer_without_a_name_is_somebody(desk: Desk) -> None:
    given = card().card
    assert given is not None
    nobody = replace(given.latest, author=Author(name="\u200b "))
    zendesk(desk).send(carded(card(), latest=nobody, contact=None))
    assert desk.tickets[1]["requester"] == {"name": "未知用户"}


def test_a_megabyte_of_text_stays_under_zendesks_limit(desk: Desk) -> None:
    zendesk(desk).send(with_text(card(), "退款！\n" * 300_000))
    assert len(desk.tickets[1]["description"].encode()) < 60_000
    assert len(desk.tickets[1]["subject"]) <= 150


def test_labels_of_any_kind_become_legal_tags(desk: Desk) -> None:
    labels = ("  ", "A B,C", "退款/进度", "x" * 300, *(f"l{n}" for n in range(40)))
    zendesk(desk).send(conversation(card(), labels=labels))
    tags = desk.tickets[1]["tags"]
    assert tags[:4] == ["weibo", "a_b_c", "退款/进度", "x" * 60]
    assert len(tags) == 21 and tags[-1] == "inboxd_p1"


# --- what a refusal means ----------------------------------------------------------------------------


def test_details_of_a_refusal_are_told(desk: Desk) -> None:
    body = b'{"error":"RecordInvalid","details":{"base":[{"description":"Subject: too short"}]}}'
    desk.fault("status", status=422, body=body)
    with pytest.raises(Rejected, match="base: Subject: too short"):
        zendesk(desk).send(card())


def test_an_echoed_token_is_not_told(desk: Desk) -> None:
    body = f'{{"error":"bad {KEY}"}}'.encode()
    desk.fault("status", status=422, body=body)
    with pytest.raises(Rejected) as raised:
        zendesk(desk).send(card())
    assert KEY not in str(raised.value) and "***" in str(raised.value)


def test_a_conflict_is_tried_again(desk: Desk) -> None:
    desk.fault("status", status=409)
    with pytest.raises(Unavailable):
        zendesk(desk).send(card())


def test_too_many_updates_of_one_ticket_wait_as_long_as_zendesk_says(desk: Desk) -> None:
    first = zendesk(desk).send(card())
    desk.fault("status", status=429, headers={"Retry-After": "93"})
    with pytest.raises(RateLimited) as raised:
        zendesk(desk).send(message(earlier=first))
    assert raised.value.retry_after_s == 93


def test_a_wrong_address_stops_the_destination_instead_of_losing_tickets(desk: Desk) -> None:
    for status in (301, 404):
        desk.fault("status", status=status)
        with pytest.raises(Unauthorized, match="YOUR-NAME"):
            zendesk(desk).send(card())


def test_check_names_the_agent(desk: Desk) -> None:
    assert zendesk(desk).check() == f"客服台 (agent) at {desk.base_url}"
    with pytest.raises(Unauthorized):
        zendesk(desk, token="wrong").check()


def test_an_anonymous_answer_is_no_login(desk: Desk) -> None:
    desk.fault("status", status=200, body=b'{"user": {"id": null, "name": "Anonymous user"}}')
    with pytest.raises(Unauthorized, match="anonymous"):
        zendesk(desk).check()


@pytest.mark.parametrize(
    "wrong", ["acme.zendesk.com", "https://acme.zendesk.com/api/v2", "ftp://a"]
)
def test_the_address_is_a_host(wrong: str) -> None:
    with pytest.raises(ValidationError, match="address of your Zendesk"):
        ZendeskOptions(url=wrong, email=EMAIL, token=SecretStr(KEY))


def test_a_slash_at_the_end_of_the_address_is_no_matter() -> None:
    options = ZendeskOptions(url="https://acme.zendesk.com/", email=EMAIL, token=SecretStr(KEY))
    assert options.url == "https://acme.zendesk.com"
