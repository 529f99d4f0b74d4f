"""The destinations against the sandbox's stand-ins, which were written from the same contracts by other hands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from aggregator.destinations.example import NOW, story
from aggregator.destinations.slack import Slack, SlackOptions
from aggregator.destinations.zendesk import Zendesk, ZendeskOptions
from aggregator.errors import RateLimited, Unauthorized, Unavailable
from aggregator.model import Notice, NoticeKind, Receipt
from aggregator.sandbox.slack import SlackStandin
from aggregator.sandbox.zendesk import ZendeskStandin
from tests.destinations.rooms import card, every_kind, message, running, with_text
from tests.destinations.test_render_slack import notices


@pytest.fixture(scope="module")
def workspace() -> Iterator[SlackStandin]:
    server = SlackStandin(lambda: NOW, per_second=1e6, burst=1e6)
    with running(server):
        yield server


@pytest.fixture
def slack(workspace: SlackStandin) -> Slack:
    workspace.posts.clear()
    return Slack(SlackOptions(**workspace.options("C0SOCIAL")), now=lambda: NOW)


@pytest.fixture
def support() -> Iterator[ZendeskStandin]:
    server = ZendeskStandin(lambda: NOW, per_minute=10**6, updates_per_10_min=10**6)
    with running(server):
        yield server


@pytest.fixture
def zendesk(support: ZendeskStandin) -> Zendesk:
    return Zendesk(ZendeskOptions(**support.options()))


# --- Slack -------------------------------------------------------------------------------------------


def test_a_whole_story_is_told_in_one_card_and_its_thread(
    slack: Slack, workspace: SlackStandin
) -> None:
    first = slack.send(card())
    slack.send(message("还没人理我？", earlier=first))
    answered = replace(story("zh")[3], earlier=first, mentions=())
    assert slack.send(answered) == first
    posted, reply = workspace.posts
    assert reply.thread_ts == posted.ts
    assert posted.text.startswith("✅ 已回复")
    assert len(posted.edits) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(notice=notices())
def test_any_notice_is_taken_whole(slack: Slack, workspace: SlackStandin, notice: Notice) -> None:
    workspace.posts.clear()
    workspace.calls.clear()
    slack.send(notice)
    [posted] = workspace.posts
    assert posted.blocks and posted.text
    assert workspace.errors == []
    assert len(workspace.calls) == 1, "refused, and sent in a simpler shape"


def test_a_lost_answer_is_found_and_not_posted_twice(slack: Slack, workspace: SlackStandin) -> None:
    workspace.fault("cut_after")
    with pytest.raises(Unavailable) as raised:
        slack.send(card())
    assert raised.value.maybe_done
    found = slack.find(card(since=NOW))
    assert found == Receipt(f"C0SOCIAL:{workspace.posts[0].ts}")
    workspace.fault("cut_after")
    with pytest.raises(Unavailable):
        slack.send(message(earlier=found))
    again = slack.find(message(earlier=found))
    assert again == Receipt(f"C0SOCIAL:{workspace.posts[1].ts}")
    assert len(workspace.posts) == 2


def test_a_deleted_card_is_posted_anew_and_its_thread_goes_on(
    slack: Slack, workspace: SlackStandin
) -> None:
    first = slack.send(card())
    workspace.delete("C0SOCIAL", first.external_id.partition(":")[2])
    alone = slack.send(message("在吗", earlier=first))
    anew = slack.send(card(earlier=first, mentions=()))
    assert len({first, alone, anew}) == 3
    assert slack.send(message("在吗", earlier=anew)) not in (first, alone, anew)
    assert workspace.posts[-1].thread_ts == anew.external_id.partition(":")[2]


@pytest.mark.parametrize("room", ["C_ARCHIVED", "C_NOT_IN", "C_RESTRICTED", "C0NOWHERE"])
def test_a_room_that_is_closed_to_us_is_named(workspace: SlackStandin, room: str) -> None:
    options = workspace.options("C0SOCIAL") | {"room": room}
    with pytest.raises(Unauthorized, match=room):
        Slack(SlackOptions(**options), now=lambda: NOW).send(card())


def test_a_room_that_is_full_says_how_long_to_wait(workspace: SlackStandin) -> None:
    slow = SlackStandin(lambda: NOW, per_second=0.05, burst=1)
    with running(slow):
        destination = Slack(SlackOptions(**slow.options("C0SOCIAL")), now=lambda: NOW)
        destination.send(card())
        with pytest.raises(RateLimited) as raised:
            destination.send(message())
    assert 1 <= raised.value.retry_after_s <= 20


def test_without_the_history_scope_nothing_is_found_and_check_says_so(
    slack: Slack, workspace: SlackStandin
) -> None:
    slack.send(card())
    workspace.scopes.discard("channels:history")
    try:
        assert slack.find(card(since=NOW)) is None
        assert "may come twice" in slack.check()
    finally:
        workspace.scopes.add("channels:history")
    assert slack.check().endswith("room C0SOCIAL")


# --- Zendesk -----------------------------------------------------------------------------------------


def test_a_whole_story_is_told_in_one_ticket(zendesk: Zendesk, support: ZendeskStandin) -> None:
    first = zendesk.send(card(key="card:7211:desk"))
    zendesk.send(message("还没人理我？", earlier=first))
    zendesk.send(replace(story("zh")[3], earlier=first, key="card:7211:desk:2"))
    [ticket] = support.tickets.values()
    assert ticket.priority == "urgent" and ticket.external_id == "7211"
    assert [comment.public for comment in ticket.comments] == [False, False]
    assert support.errors == []


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(notice=notices())
def test_any_notice_becomes_a_ticket_and_a_comment(
    support: Any, zendesk: Any, notice: Notice
) -> None:
    key = f"notice:{len(support.calls)}"
    receipt = zendesk.send(replace(notice, key=key))
    zendesk.send(replace(notice, kind=NoticeKind.MESSAGE, key=f"{key}:more", earlier=receipt))
    assert support.errors == []


def test_a_lost_answer_is_found_in_the_desk_too(zendesk: Zendesk, support: ZendeskStandin) -> None:
    support.fault("cut_after")
    with pytest.raises(Unavailable):
        zendesk.send(card())
    found = zendesk.find(card())
    assert found is not None and found.external_id == "1"
    support.fault("cut_after")
    with pytest.raises(Unavailable):
        zendesk.send(message(earlier=found))
    assert zendesk.find(message(earlier=found)) == found
    later = card(now=NOW + timedelta(minutes=1))
    assert zendesk.send(later) == found
    assert len(support.tickets) == 1


def test_a_priority_that_rises_is_brought_to_the_desk(
    zendesk: Zendesk, support: ZendeskStandin
) -> None:
    given_card = card().card
    assert given_card is not None
    calm = replace(given_card, conversation=replace(given_card.conversation, priority="P3"))  # type: ignore[arg-type]
    first = zendesk.send(card(card=calm))
    assert support.tickets[1].priority == "normal"
    zendesk.send(with_text(card(earlier=first), "起火了"))
    assert support.tickets[1].priority == "urgent"


def test_a_closed_ticket_is_followed(zendesk: Zendesk, support: ZendeskStandin) -> None:
    first = zendesk.send(card())
    support.tickets[1].status = "closed"
    second = zendesk.send(message("又坏了", earlier=first))
    assert second.external_id == "2"
    assert "又坏了" in support.tickets[2].comments[0].body


def test_too_many_changes_of_one_ticket_wait(zendesk: Zendesk, support: ZendeskStandin) -> None:
    support.updates_per_10_min = 1
    first = zendesk.send(card())
    zendesk.send(message(earlier=first))
    with pytest.raises(RateLimited) as raised:
        zendesk.send(replace(message(earlier=first), key="message:6"))
    assert 1 <= raised.value.retry_after_s <= 601


@pytest.mark.parametrize("notice", every_kind(), ids=lambda notice: notice.kind)
def test_every_kind_is_taken_by_both(slack: Slack, zendesk: Zendesk, notice: Notice) -> None:
    for destination in (slack, zendesk):
        receipt = destination.send(notice)
        assert destination.find(notice) == receipt
    assert zendesk.check().startswith("inboxd (agent)")
