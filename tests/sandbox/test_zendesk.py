"""The stand-in of Zendesk, asked as its documentation says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests

from aggregator.sandbox.zendesk import ZendeskStandin
from tests.sandbox.receiver import Clock

TICKET = {
    "subject": "李雷：要求退款",
    "comment": {"body": "我要退款 <b>&amp;", "public": False},
    "priority": "urgent",
    "tags": ["weibo", "退款"],
    "external_id": "inboxd-42",
    "requester": {"name": "李雷"},
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def zendesk(clock: Clock) -> Iterator[ZendeskStandin]:
    standin = ZendeskStandin(clock)
    standin.start()
    yield standin
    standin.stop()
    assert standin.errors == []


def ask(zendesk, method, path, ticket=None, headers=None, **more):
    options = zendesk.options()
    return requests.request(
        method,
        f"{options['url']}/api/v2/{path}",
        json=None if ticket is None else {"ticket": ticket},
        auth=(f"{options['email']}/token", options["token"]),
        headers=headers,
        timeout=5,
        **more,
    )


def test_a_ticket_is_created_shown_found_and_talked_about(zendesk):
    created = ask(zendesk, "POST", "tickets.json", TICKET)
    assert created.status_code == 201
    ticket = created.json()["ticket"]
    assert created.headers["Location"].endswith(f"/api/v2/tickets/{ticket['id']}.json")
    assert ask(zendesk, "GET", f"tickets/{ticket['id']}").json()["ticket"] == ticket
    update = {
        "comment": {"body": "还没收到", "public": False},
        "status": "open",
        "priority": "high",
    }
    updated = ask(zendesk, "PUT", f"tickets/{ticket['id']}.json", update)
    assert updated.json()["ticket"]["priority"] == "high"
    assert updated.json()["audit"]["events"][0]["body"] == "还没收到"
    comments = ask(zendesk, "GET", f"tickets/{ticket['id']}/comments").json()["comments"]
    assert [one["body"] for one in comments] == ["我要退款 <b>&amp;", "还没收到"]
    assert comments[0]["public"] is False
    found = ask(zendesk, "GET", "tickets", params={"external_id": "inboxd-42"}).json()
    assert [one["id"] for one in found["tickets"]] == [ticket["id"]]
    none = ask(zendesk, "GET", "tickets.json", params={"external_id": "inboxd-4"}).json()
    assert none["tickets"] == []
    kept = zendesk.tickets[ticket["id"]]
    assert (kept.subject, len(kept.comments), kept.tags) == (
        "李雷：要求退款",
        2,
        ["weibo", "退款"],
    )


def test_tags_are_replaced_added_and_taken_away(zendesk):
    number = ask(zendesk, "POST", "tickets", TICKET).json()["ticket"]["id"]
    path = f"tickets/{number}"
    more = ask(zendesk, "PUT", path, {"additional_tags": ["p1"], "remove_tags": ["weibo"]})
    assert more.json()["ticket"]["tags"] == ["p1", "退款"]
    assert ask(zendesk, "PUT", path, {"tags": ["一"]}).json()["ticket"]["tags"] == ["一"]


def test_lists_are_paged(zendesk):
    for number in range(5):
        ask(zendesk, "POST", "tickets", {**TICKET, "subject": f"第{number}张"})
    path, found = "tickets.json?per_page=2&external_id=inboxd-42", []
    while path:
        page = ask(zendesk, "GET", path).json()
        found += [one["subject"] for one in page["tickets"]]
        path = (page["next_page"] or "").partition("/api/v2/")[2]
    assert found == [f"第{number}张" for number in range(5)]


@pytest.mark.parametrize(
    "auth", [None, ("inboxd@brand.example", "x"), ("inboxd@brand.example/token", "错")]
)
def test_only_email_token_key_comes_in(auth, zendesk):
    auth = tuple(part.encode() for part in auth) if auth else None
    answer = requests.get(f"{zendesk.base_url}/api/v2/users/me.json", auth=auth, timeout=5)
    assert (answer.status_code, answer.json()["error"]) == (401, "Couldn't authenticate you")
    assert ask(zendesk, "GET", "users/me.json").json()["user"]["role"] == "agent"


def test_a_key_makes_one_ticket_for_two_hours_and_only_for_one_body(zendesk, clock):
    key = {"Idempotency-Key": "conversation-7"}
    first = ask(zendesk, "POST", "tickets", TICKET, key)
    second = ask(zendesk, "POST", "tickets", TICKET, key)
    assert [one.headers["x-idempotency-lookup"] for one in (first, second)] == ["miss", "hit"]
    assert first.json() == second.json()
    assert (first.status_code, second.status_code) == (201, 201)
    other = ask(zendesk, "POST", "tickets", {**TICKET, "subject": "另一张"}, key)
    assert (other.status_code, other.json()["error"]) == (400, "IdempotentRequestError")
    assert len(zendesk.tickets) == 1
    clock.now += timedelta(hours=2)
    assert ask(zendesk, "POST", "tickets", TICKET, key).headers["x-idempotency-lookup"] == "miss"
    assert len(zendesk.tickets) == 2


def test_a_refused_ticket_does_not_use_up_its_key(zendesk):
    key = {"Idempotency-Key": "conversation-8"}
    refused = ask(zendesk, "POST", "tickets", {**TICKET, "priority": "P1"}, key)
    assert refused.status_code == 422
    assert ask(zendesk, "POST", "tickets", TICKET, key).status_code == 201


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"subject": " "}, "subject"),
        ({"subject": "长" * 256}, "subject"),
        ({"subject": "两\n行"}, "subject"),
        ({"comment": {"body": ""}}, "base"),
        ({"comment": None}, "base"),
        ({"comment": {"body": "长" * 30_000}}, "comment"),
        ({"priority": "P1"}, "priority"),
        ({"status": "waiting"}, "status"),
        ({"tags": ["two words"]}, "tags"),
        ({"tags": "weibo"}, "tags"),
        ({"external_id": 42}, "external_id"),
        ({"requester": {"email": "li@example.com"}}, "requester"),
        ({"requester": {"name": "李", "email": "不是邮箱"}}, "requester"),
    ],
)
def test_what_is_not_a_ticket_is_refused_by_field(change, field, zendesk):
    answer = ask(zendesk, "POST", "tickets", {**TICKET, **change})
    assert (answer.status_code, answer.json()["error"]) == (422, "RecordInvalid")
    assert list(answer.json()["details"]) == [field]
    assert zendesk.tickets == {}


def test_a_body_that_is_no_json_object_is_refused(zendesk):
    url = f"{zendesk.base_url}/api/v2/tickets.json"
    auth = (f"{zendesk.email}/token", zendesk.token)
    for raw in (b"{", b"[]", b'{"ticket": "\xe9"}', '{"票": 1}'.encode()):
        json = {"Content-Type": "application/json"}
        assert requests.post(url, data=raw, auth=auth, headers=json, timeout=5).status_code == 400
    assert requests.post(url, data={"a": 1}, auth=auth, timeout=5).status_code == 415


def test_what_is_not_there_is_not_found(zendesk):
    assert ask(zendesk, "GET", "tickets/9").json()["error"] == "RecordNotFound"
    assert ask(zendesk, "PUT", "tickets/9.json", {"status": "open"}).status_code == 404
    assert ask(zendesk, "GET", "tickets/9/comments").status_code == 404
    assert ask(zendesk, "GET", "nothing.json").json()["error"] == "InvalidEndpoint"


def test_a_closed_ticket_takes_no_more_comments(zendesk):
    number = ask(zendesk, "POST", "tickets", TICKET).json()["ticket"]["id"]
    ask(zendesk, "PUT", f"tickets/{number}", {"status": "closed"})
    answer = ask(zendesk, "PUT", f"tickets/{number}", {"comment": {"body": "还有"}})
    assert answer.status_code == 422


def test_a_safe_update_that_comes_late_is_a_conflict(zendesk, clock):
    ticket = ask(zendesk, "POST", "tickets", TICKET).json()["ticket"]
    safe = {"status": "open", "safe_update": True, "updated_stamp": ticket["updated_at"]}
    clock.now += timedelta(seconds=1)
    path = f"tickets/{ticket['id']}"
    assert ask(zendesk, "PUT", path, safe).status_code == 200
    assert ask(zendesk, "PUT", path, safe).status_code == 409


def test_the_minutes_calls_are_counted_down_and_then_refused(zendesk, clock):
    zendesk.per_minute = 2
    left = [ask(zendesk, "GET", "users/me").headers["ratelimit-remaining"] for _ in range(2)]
    assert left == ["1", "0"]
    refused = ask(zendesk, "GET", "users/me")
    assert refused.status_code == 429
    clock.now += timedelta(seconds=int(refused.headers["Retry-After"]))
    again = ask(zendesk, "GET", "users/me")
    assert (again.status_code, again.headers["X-Rate-Limit"]) == (200, "2")


def test_one_ticket_takes_thirty_updates_in_ten_minutes(zendesk, clock):
    numbers = [ask(zendesk, "POST", "tickets", TICKET).json()["ticket"]["id"] for _ in range(2)]
    zendesk.updates_per_10_min = 3
    one, other = (f"tickets/{number}" for number in numbers)
    change = {"comment": {"body": "又一条"}}
    statuses = [ask(zendesk, "PUT", one, change).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert ask(zendesk, "PUT", other, change).status_code == 200
    wait = int(ask(zendesk, "PUT", one, change).headers["Retry-After"])
    assert 0 < wait <= 601
    clock.now += timedelta(seconds=wait)
    assert ask(zendesk, "PUT", one, change).status_code == 200
    assert len(zendesk.tickets[numbers[0]].comments) == 5


def test_a_cut_after_acceptance_leaves_a_ticket_that_the_key_finds_again(zendesk):
    key = {"Idempotency-Key": "conversation-9"}
    zendesk.fault("cut_after", path="/api/v2/tickets")
    with pytest.raises(requests.ConnectionError):
        ask(zendesk, "POST", "tickets", TICKET, key)
    again = ask(zendesk, "POST", "tickets", TICKET, key)
    assert again.headers["x-idempotency-lookup"] == "hit"
    assert len(zendesk.tickets) == 1
