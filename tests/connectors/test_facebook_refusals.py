"""What a Page refuses, and what the daemon is told then."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from datetime import timedelta

import pytest
from pydantic import ValidationError

from aggregator.errors import RateLimited, Unauthorized, Unavailable
from aggregator.sandbox.base import Answer, Fault, answer
from connectors.facebook import Facebook, FacebookOptions
from connectors.registry import connector_class
from tests.connectors.facebook_fake import (
    NOW,
    PAGE,
    SECRET,
    TOKEN,
    FakeGraph,
    connect,
    error,
    fault,
    ids,
    walk,
)


@pytest.fixture
def graph() -> Iterator[FakeGraph]:
    server = FakeGraph()
    server.start()
    yield server
    server.stop()


def test_the_registry_has_facebook() -> None:
    assert connector_class("facebook") is Facebook
    assert Facebook.options is FacebookOptions


def test_the_token_is_in_no_url_and_every_call_has_its_proof(graph: FakeGraph) -> None:
    for stream in Facebook.streams:
        walk(graph, stream, None)
    assert len(graph.asked) > 5
    for request in graph.asked:
        assert TOKEN not in request.raw_query
        assert "access_token" not in request.query
        assert request.path.startswith("/v26.0/")


def test_what_a_page_may_not_list_does_not_stop_the_rest(graph: FakeGraph) -> None:
    graph.refused["tagged"] = (200, "(#200) Missing permission")
    graph.refused["ratings"] = (100, "(#100) Tried accessing nonexisting field (ratings)")
    post = graph.post(NOW, "还能读到")
    comment = graph.comment(post, NOW, "这也能")
    assert ids(walk(graph, "posts", None)[0]) == {post}
    assert ids(walk(graph, "comments", None)[0]) == {comment}
    with pytest.raises(Unavailable):
        walk(graph, "reviews", None)
    told = connect(graph).check().streams
    assert told["posts"] == told["messages"] == "ok"
    assert "100" in told["reviews"]


def test_facebook_is_asked_for_less_when_it_says_so(graph: FakeGraph) -> None:
    connector = connect(graph)
    heavy = error(1, "Please reduce the amount of data you're asking for, then retry", status=500)
    graph.letter("52", NOW, "在吗")
    graph.faults.append(fault(heavy, path=f"/v26.0/{PAGE}/conversations"))
    with pytest.raises(Unavailable):
        connector.poll("messages", None)
    assert connector.poll("messages", None).messages
    asked = [request.query for request in graph.asked if "conversations" in request.path]
    assert asked[-1]["limit"] == "12"
    assert "messages.limit(2)" in asked[-1]["fields"]
    for _ in range(40):
        connector.poll("messages", None)
    asked = [request.query for request in graph.asked if "conversations" in request.path]
    assert asked[-1]["limit"] == "25"  # it was a passing trouble
    assert "messages.limit(20)" in asked[-1]["fields"]


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (error(4, "Application request limit reached"), 60),
        (error(17, "User request limit reached"), 60),
        (error(32, "Page request limit reached"), 60),
        (error(613, "Calls to this api have exceeded the rate limit"), 5),
        (error(80001, "There have been too many calls to this Page"), 60),
        (error(80006, "There have been too many calls to this Messenger account"), 60),
        (error(341, "Application limit reached"), 60),
        (Answer(b'{"error": {"code": "4", "message": "Application request limit reached"}}'), 60),
        (Answer(b"slow down", 429), 60),
    ],
)
def test_a_limit_is_waited_for_in_minutes_where_the_header_tells(
    graph: FakeGraph, given: Answer, seconds: float
) -> None:
    use = {"type": "pages", "call_count": 104, "estimated_time_to_regain_access": 7}
    for headers, wait in (
        ({}, seconds),
        ({"X-Business-Use-Case-Usage": json.dumps({PAGE: [use]})}, 420),
        ({"X-Business-Use-Case-Usage": '{"1": [null, 7, {"type": []}]}'}, seconds),
        ({"X-Business-Use-Case-Usage": "none"}, seconds),
    ):
        told = Answer(given.body, given.status, headers)
        graph.faults.append(fault(told, path="/v26.0/104"))
        with pytest.raises(RateLimited) as caught:
            connect(graph).poll("posts", None)
        assert caught.value.retry_after_s == wait


@pytest.mark.parametrize(
    ("code", "subcode", "remedy"),
    [
        (190, None, "Page access token"),
        (190, 458, "removed the app"),
        (190, 459, "log in"),
        (190, 460, "password"),
        (190, 463, "expired"),
        (190, 464, "not confirmed"),
        (190, 467, "no longer valid"),
        (190, 492, "a new token will not help"),
        (102, None, "Page access token"),
        (2500, None, "Page access token"),
        (1705, None, "Page access token"),
        (10, None, "pages_messaging"),
        (3, None, "pages_messaging"),
        (200, None, "pages_messaging"),
        (299, None, "pages_messaging"),
        (283, None, "pages_messaging"),
        (368, None, "Page quality"),
    ],
)
def test_what_only_a_person_can_mend_comes_with_the_remedy(
    graph: FakeGraph, code: int, subcode: int | None, remedy: str
) -> None:
    given = error(code, f"Malformed access token {TOKEN}", subcode)
    graph.faults.append(fault(given, path=f"/v26.0/{PAGE}/conversations"))
    with pytest.raises(Unauthorized) as caught:
        connect(graph).poll("messages", None)
    assert remedy in caught.value.remedy
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "trouble",
    [
        Fault("html"),
        Fault("html_ok"),
        Fault("truncated"),
        Fault("cut"),
        Fault("cut_after"),
        Fault("status", status=500, body=b'{"data": []}'),
        Fault("status", status=302, headers={"Location": "https://elsewhere.example/"}),
        Fault("status", status=200, body=b"[]"),
        Fault("status", status=200, body=b"{}"),
        Fault("status", status=200, body=b'{"data": {"id": 1}}'),
        Fault("status", status=200, body=b'{"error": "?"}'),
        Fault("status", status=200, body=b'{"data": [], "paging": {"next": "http://[::1"}}'),
        fault(error(1, "An unknown error occurred")),
        fault(error(2, "Service temporarily unavailable", status=503)),
        fault(error(99999, "Something new")),
        fault(error(100, "(#100) Unsupported get request")),
    ],
)
def test_anything_else_is_unavailable_and_tells_no_secret(graph: FakeGraph, trouble: Fault) -> None:
    graph.post(NOW, "投诉")
    trouble.path, trouble.times = f"/v26.0/{PAGE}/feed", 1
    graph.faults.append(trouble)
    with pytest.raises(Unavailable) as caught:
        connect(graph).poll("posts", None)
    text = "".join(traceback.format_exception(caught.value))
    assert TOKEN not in text
    assert SECRET not in text


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_codes_as_strings_and_under_any_status_are_codes(graph: FakeGraph, status: int) -> None:
    told = {"code": "190", "error_subcode": "463", "message": "会话已过期", "type": None}
    graph.faults.append(fault(answer({"error": told}, status), path=f"/v26.0/{PAGE}/feed"))
    with pytest.raises(Unauthorized) as caught:
        connect(graph).poll("posts", None)
    assert "has expired" in caught.value.remedy


def test_a_users_token_and_a_wrong_secret_are_told_before_anything_is_read(
    graph: FakeGraph,
) -> None:
    graph.me = "7100000000000001"
    for stream in Facebook.streams:
        with pytest.raises(Unauthorized, match="me/accounts"):
            connect(graph).poll(stream, None)
    with pytest.raises(Unauthorized, match="app_secret"):
        connect(graph, app_secret="wrong").check()
    with pytest.raises(Unauthorized) as caught:
        connect(graph, access_token=TOKEN + "x").check()
    assert TOKEN not in str(caught.value)


def test_check_says_who_we_are_and_how_long_the_token_lasts(graph: FakeGraph) -> None:
    identity = connect(graph).check()
    assert (identity.native_id, identity.name) == (PAGE, "Acme 香港")
    assert dict(identity.streams) == dict.fromkeys(Facebook.streams, "ok")
    assert identity.token_expires_at == NOW + timedelta(days=50)
    assert identity.note is None
    graph.refused["conversations"] = (10, "(#10) no pages_messaging")
    assert "pages_messaging" in connect(graph).check().streams["messages"]


def test_options_are_checked_and_show_no_secret(graph: FakeGraph) -> None:
    assert connect(graph, graph_version="25.0")._graph.version == "v25.0"
    for wrong in ({"page_id": "acme"}, {"graph_version": "newest"}, {"verify": "1"}):
        with pytest.raises(ValidationError) as caught:
            connect(graph, **wrong)
        assert TOKEN not in str(caught.value)
    options = FacebookOptions.model_validate({"page_id": PAGE, "access_token": TOKEN})
    assert TOKEN not in repr(options)
