"""The stand-in of a Facebook Page, asked by facebook-sdk and by plain requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import facebook
import pytest
import requests

from aggregator.sandbox.facebook import FacebookStandin
from aggregator.sandbox.facebook_graph import parse_fields, spelt
from tests.sandbox.facebook_page import ANN, BEN, NOON, Clock, ask, code, graph, page_of, proof


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def page(clock: Clock) -> Iterator[FacebookStandin]:
    with page_of(clock) as standin:
        yield standin


# --- who may read ---------------------------------------------------------------------------------


def test_the_sdk_reads_who_the_page_is(page: FacebookStandin) -> None:
    mine = proof(page, page.gate.page_token)
    told = graph(page).get_object("me", fields="name,username", appsecret_proof=mine)
    assert told == {"id": page.page.id, "name": "Lumo", "username": "lumo"}


def test_a_token_counts_in_the_query_and_in_the_header(page: FacebookStandin) -> None:
    url = f"{page.base_url}/v26.0/me"
    assert code(requests.get(url, timeout=5).json()) == (104, None)
    assert code(requests.get(url, params={"access_token": "EAA"}, timeout=5).json()) == (190, None)
    token = page.gate.page_token
    good = {"access_token": token, "appsecret_proof": proof(page, token)}
    assert requests.get(url, params=good, timeout=5).json()["name"] == "Lumo"
    assert ask(page, "me")["name"] == "Lumo"


def test_a_missing_or_wrong_proof_is_refused(page: FacebookStandin) -> None:
    with pytest.raises(facebook.GraphAPIError) as caught:
        graph(page).get_object("me")
    assert "appsecret_proof" in caught.value.message
    assert code(ask(page, "me", appsecret_proof="0" * 64)) == (100, None)
    page.gate.require_proof = False
    assert graph(page).get_object("me")["name"] == "Lumo"
    assert code(ask(page, "me", appsecret_proof="0" * 64)) == (100, None)


@pytest.mark.parametrize("subcode", [458, 459, 460, 463, 464, 467, 492])
def test_a_dead_token_says_why_by_its_subcode(page: FacebookStandin, subcode: int) -> None:
    page.gate.trouble = subcode
    assert code(ask(page, "me")) == (190, subcode)
    asked = ask(page, "debug_token", page.gate.app_token, input_token=page.gate.page_token)
    assert asked["data"]["is_valid"] is False
    page.gate.trouble = 0
    assert code(ask(page, "me")) == (190, None)
    page.gate.trouble = None
    assert ask(page, "me")["name"] == "Lumo"


def test_a_users_token_sees_no_comments_and_no_authors_and_gets_no_error(
    page: FacebookStandin,
) -> None:
    post = page.post(page.page, "新品上市", page.now())
    page.comment(page.person(ANN), "多少钱", page.now(), post=post)
    page.post(page.person(BEN), "Where is my parcel?", page.now())
    assert ask(page, f"{post.id}/comments", page.user_token) == {"data": []}
    told = ask(page, "me", page.user_token)
    assert told["id"] != page.page.id
    told = ask(page, f"{page.page.id}/feed", page.user_token, fields="from,comments{id}")
    assert told["data"] == [{"id": post.id}]
    assert code(ask(page, f"{page.page.id}/conversations", page.user_token)) == (190, None)


def test_versions_too_new_are_unknown_and_old_ones_are_served_by_the_oldest(
    page: FacebookStandin,
) -> None:
    token = page.gate.page_token
    good = {"access_token": token, "appsecret_proof": proof(page, token)}
    answered = {}
    for version in ("v26.0", "v21.0", "v2.8", "v99.0", "vx"):
        response = requests.get(f"{page.base_url}/{version}/me", params=good, timeout=5)
        answered[version] = (response.status_code, response.headers.get("facebook-api-version"))
    assert answered == {
        "v26.0": (200, "v26.0"),
        "v21.0": (200, "v21.0"),
        "v2.8": (200, "v21.0"),
        "v99.0": (400, None),
        "vx": (400, None),
    }


# --- fields ---------------------------------------------------------------------------------------


def test_fields_are_read_as_they_are_written() -> None:
    text = "id,comments.filter(stream).limit(5){id,from{name},parent{id}},message"
    assert spelt(parse_fields(text)) == text
    assert parse_fields("") == ()


@pytest.mark.parametrize(
    "text", ["id,", "{id}", "id{", "id{name", "comments.limit{id}", "a b", "id}"]
)
def test_fields_that_are_no_list_are_a_syntax_error(page: FacebookStandin, text: str) -> None:
    assert code(ask(page, "me", fields=text)) == (2500, None)


def test_a_field_that_is_not_there_is_an_error_not_a_gap(page: FacebookStandin) -> None:
    page.post(page.page, "新品", page.now())
    told = ask(page, "me/feed", fields="id,colour")
    assert code(told) == (100, None)
    assert "(colour)" in told["error"]["message"]


def test_only_asked_for_fields_come_and_empty_ones_are_absent(page: FacebookStandin) -> None:
    ann = page.person(ANN)
    silent = page.post(ann, None, page.now(), attachment="image", story="安妮 added a photo.")
    told = ask(page, "me/visitor_posts", fields="from{name},message,story,attachments{media_type}")
    assert told["data"] == [
        {
            "from": {"name": "安妮", "id": ann.id},
            "story": "安妮 added a photo.",
            "attachments": {"data": [{"media_type": "photo"}]},
            "id": silent.id,
        }
    ]
    assert ask(page, "me/visitor_posts")["data"][0] == {
        "created_time": "2026-03-04T12:00:00+0000",
        "story": "安妮 added a photo.",
        "id": silent.id,
    }


def test_authors_are_missing_where_rights_are(page: FacebookStandin) -> None:
    post = page.post(page.page, "新品", page.now())
    page.comment(page.person(ANN), "在吗", page.now(), post=post, anonymous=True)
    page.comment(page.person(BEN), "hi", page.now(), post=post)
    told = ask(page, f"{post.id}/comments", fields="id,from")["data"]
    assert ["from" in one for one in told] == [False, True]
    page.hide_from = True
    assert not any("from" in one for one in ask(page, f"{post.id}/comments")["data"])


def test_several_nodes_come_by_id_and_one_that_is_gone_fails_all(page: FacebookStandin) -> None:
    one, two = (page.post(page.page, text, page.now()) for text in ("一", "二"))
    told = ask(page, "", ids=f"{one.id},{two.id}", fields="message")
    assert told[two.id] == {"message": "二", "id": two.id}
    page.edges.delete(two)
    assert code(ask(page, "", ids=f"{one.id},{two.id}")) == (100, 33)
    assert code(ask(page, two.id)) == (100, 33)


# --- quotas ---------------------------------------------------------------------------------------


def headers(page: FacebookStandin) -> Any:
    token = page.gate.page_token
    asked = {"access_token": token, "appsecret_proof": proof(page, token)}
    return requests.get(f"{page.base_url}/v26.0/me", params=asked, timeout=5).headers


def test_usage_is_told_from_some_call_on_in_percent(page: FacebookStandin) -> None:
    page.usage.told_from, page.usage.quota = 3, 10
    assert "X-App-Usage" not in headers(page)
    assert "X-App-Usage" not in headers(page)
    told = headers(page)
    assert json.loads(told["X-App-Usage"])["call_count"] == 30
    (business,) = json.loads(told["X-Business-Use-Case-Usage"])[page.page.id]
    assert (business["type"], business["estimated_time_to_regain_access"]) == ("pages", 0)


@pytest.mark.parametrize("number", [4, 17, 32, 613, 80001, 80006])
def test_a_block_is_told_in_minutes_and_grows_when_hammered(
    page: FacebookStandin, clock: Clock, number: int
) -> None:
    page.usage.told_from = 0
    page.throttle(number, minutes=5)

    def minutes() -> int:
        (business,) = json.loads(headers(page)["X-Business-Use-Case-Usage"])[page.page.id]
        return int(business["estimated_time_to_regain_access"])

    assert code(ask(page, "me")) == (number, None)
    assert minutes() == 7  # this was the second call while blocked
    clock.pass_(minutes=6)
    assert code(ask(page, "me")) == (number, None)
    clock.pass_(minutes=3)
    assert ask(page, "me")["name"] == "Lumo"
    assert minutes() == 0


def test_conversations_have_a_rate_of_their_own(page: FacebookStandin, clock: Clock) -> None:
    page.usage.conversations_burst = 2
    for _ in range(2):
        assert ask(page, "me/conversations") == {"data": []}
    assert code(ask(page, "me/conversations")) == (613, None)
    assert ask(page, "me/feed") == {"data": []}
    clock.pass_(seconds=0.5)
    assert ask(page, "me/conversations") == {"data": []}


def test_any_error_of_graph_can_be_had_on_demand(page: FacebookStandin) -> None:
    page.refuse(10, "(#10) This endpoint requires pages_messaging", path="/v26.0/me/conversations")
    page.refuse(2, "Service temporarily unavailable", times=2, path="/v26.0/me/feed", status=500)
    assert code(ask(page, "me/conversations")) == (10, None)
    assert code(ask(page, "me/feed")) == code(ask(page, "me/feed")) == (2, None)
    assert ask(page, "me/feed") == {"data": []}


def test_what_a_token_is_good_for_can_be_asked(page: FacebookStandin) -> None:
    token = page.gate.page_token
    told = ask(page, "debug_token", page.gate.app_token, input_token=token)["data"]
    assert (told["type"], told["is_valid"], told["expires_at"]) == ("PAGE", True, 0)
    assert told["data_access_expires_at"] > NOON.timestamp()
    assert ask(page, "debug_token", input_token=page.user_token)["data"]["type"] == "USER"
    assert ask(page, "debug_token", input_token="EAAx")["data"]["is_valid"] is False
    assert code(ask(page, "debug_token", "nobody", input_token=token)) == (190, None)
