"""What X refuses, and what the daemon is told then."""

from __future__ import annotations

import base64
import hashlib
import hmac
import traceback
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote, unquote

import pytest
from pydantic import SecretStr, ValidationError

from aggregator.errors import RateLimited, Unauthorized, Unavailable
from aggregator.sandbox.base import Fault
from connectors.registry import connector_class
from connectors.x import X, XOptions
from tests.connectors.x_fake import (
    KEYS,
    ME,
    NOW,
    PROBLEM,
    FakeX,
    NoKeep,
    connect,
    sid,
    told,
    until,
    walk,
)


@pytest.fixture
def x() -> Iterator[FakeX]:
    server = FakeX()
    server.start()
    yield server
    server.stop()


def test_the_registry_has_x() -> None:
    assert connector_class("x") is X
    assert X.options is XOptions


def test_every_request_is_signed_for_the_host_it_goes_to(x: FakeX) -> None:
    x.post(NOW, "退款 & 投诉")
    _, cursor = walk(x, "mentions", None)
    walk(x, "mentions", cursor)
    connect(x).check()
    assert len(x.authorizations) == 5
    for header, request in x.authorizations:
        given = {
            name: unquote(value.strip('"'))
            for name, value in (
                part.strip().split("=", 1) for part in header.removeprefix("OAuth ").split(",")
            )
        }
        signature = given.pop("oauth_signature")
        pairs = sorted(
            (quote(name, "~"), quote(value, "~"))
            for name, value in {**given, **request.query}.items()
        )
        base = "&".join(
            quote(part, "~")
            for part in ("GET", request.url, "&".join(f"{n}={v}" for n, v in pairs))
        )
        key = f"{KEYS['consumer_secret']}&{KEYS['access_token_secret']}".encode()
        expected = base64.b64encode(hmac.digest(key, base.encode(), hashlib.sha1)).decode()
        assert signature == expected


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (told(429, {"errors": [{"code": 88}]}, x_rate_limit_reset=until(40)), 40),
        (told(429, {"title": "Too Many Requests"}, x_rate_limit_reset=until(40_000)), 900),
        (told(429, {}, x_rate_limit_reset=until(-30)), 60),
        (told(429, [], x_rate_limit_reset=until(0)), 60),
        (told(429, "slow down"), 60),
        (told(429, {}, x_rate_limit_reset="soon"), 60),
        (told(429, {}, x_rate_limit_reset="nan"), 60),
        (told(429, {"title": "UsageCapExceeded", "type": PROBLEM + "usage-capped"}), 3600),
        (told(429, {"type": "https://api.x.com/2/problems/usage-capped"}), 3600),
        (told(402, {"title": "CreditsDepleted", "type": PROBLEM + "credits"}), 3600),
    ],
)
def test_a_limit_says_how_long_to_wait_by_xs_own_clock(
    x: FakeX, fault: Fault, seconds: float
) -> None:
    for skew in (timedelta(0), timedelta(minutes=-40)):  # our clock is no help here
        fault.times = 1
        x.faults.append(fault)
        options = XOptions.model_validate({"user_id": ME, "base_url": x.base_url, **KEYS})
        skewed = X(options, keep=NoKeep(), now=lambda skew=skew: NOW + skew)  # type: ignore[misc]
        with pytest.raises(RateLimited) as caught:
            skewed.poll("mentions", None)
        assert caught.value.retry_after_s == seconds
        assert ("billing" in caught.value.reason) == (seconds == 3600)


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        (told(401, {"title": "Unauthorized", "type": "about:blank", "status": 401}), "new Access"),
        (Fault("status", status=401, body=b"nope"), "new Access Token"),
        (
            told(403, {"reason": "client-not-enrolled", "type": PROBLEM + "client-forbidden"}),
            "perm",
        ),
        (told(403, {"type": PROBLEM + "unsupported-authentication"}), "Direct message"),
        (told(404, {"type": PROBLEM + "resource-not-found"}), "user_id"),
    ],
)
def test_what_only_a_person_can_mend_comes_with_the_remedy(
    x: FakeX, fault: Fault, remedy: str
) -> None:
    x.faults.append(fault)
    with pytest.raises(Unauthorized) as caught:
        connect(x).poll("direct_messages", None)
    assert remedy in caught.value.remedy


def test_a_wrong_clock_is_told_apart_from_a_wrong_token(x: FakeX) -> None:
    x.faults.append(told(401, {"title": "Unauthorized"}))
    options = XOptions.model_validate({"user_id": ME, "base_url": x.base_url, **KEYS})
    with pytest.raises(Unauthorized, match="clock"):
        X(options, keep=NoKeep(), now=lambda: NOW - timedelta(hours=2)).poll("mentions", None)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("html"),
        Fault("html_ok"),
        Fault("truncated"),
        Fault("cut"),
        Fault("cut_after"),
        Fault("status", status=404, body=b"no route"),
        Fault("status", status=302, headers={"Location": "https://elsewhere.example/"}),
        told(500, [{"errors": 7}]),
        told(503, {"errors": ["over capacity"]}),
        told(200, []),
        told(200, {}),
        told(200, {"data": [], "meta": "none"}),
        told(400, {"errors": [{"message": "id is wrong"}]}),
    ],
)
def test_anything_else_is_unavailable_and_tells_no_secret(x: FakeX, fault: Fault) -> None:
    x.post(NOW, "投诉")
    x.faults.append(fault)
    with pytest.raises(Unavailable) as caught:
        connect(x).poll("mentions", None)
    text = "".join(traceback.format_exception(caught.value))
    for secret in KEYS.values():
        assert secret not in text


def test_an_error_inside_an_answer_loses_nothing_else(x: FakeX) -> None:
    raw = {"id": str(sid(NOW)), "author_id": "710001", "text": "还在"}
    fault = told(
        200,
        {
            "data": [raw],
            "meta": {"result_count": 1},
            "errors": [{"resource_id": "5", "type": PROBLEM + "resource-not-found"}],
        },
    )
    x.faults.append(fault)
    page = connect(x).poll("mentions", None)
    assert [m.text for m in page.messages] == ["还在"]


def test_a_user_that_x_does_not_know_is_told_to_a_person(x: FakeX) -> None:
    error = {"resource_type": "user", "parameter": "id", "type": PROBLEM + "resource-not-found"}
    x.faults.append(told(200, {"errors": [error]}))
    with pytest.raises(Unauthorized, match="user_id"):
        connect(x).poll("mentions", None)


def test_check_says_who_we_are_and_what_is_not_allowed(x: FakeX) -> None:
    identity = connect(x).check()
    assert (identity.native_id, identity.name) == (ME, "艾克美")
    assert dict(identity.streams) == dict.fromkeys(
        ("mentions", "direct_messages", "own_posts"), "ok"
    )
    x.access = "read-write"
    assert "Direct message" in connect(x).check().streams["direct_messages"]
    with pytest.raises(Unauthorized, match="belongs to user"):
        connect(x, user_id="5").check()


def test_streams_can_be_chosen_and_options_are_checked(x: FakeX) -> None:
    assert connect(x, streams="mentions, own_posts").streams == ("mentions", "own_posts")
    assert connect(x, streams=["direct_messages"]).streams == ("direct_messages",)
    wrongs: tuple[dict[str, Any], ...] = (
        {"streams": "everything"},
        {"user_id": "@acme"},
        {"budget": "5"},
        {"budget": {"per_day": "-1"}},
        {"streams": "search"},
        {"search": ["露沐"] * 200},
        {"client_id": "both"},
        {"access_token": None},
    )
    for wrong in wrongs:
        with pytest.raises(ValidationError) as caught:
            connect(x, **wrong)
        assert KEYS["consumer_secret"] not in str(caught.value)
    options = XOptions.model_validate({"user_id": ME, **KEYS})
    assert isinstance(options.access_token, SecretStr)
    assert "very-secret" not in repr(options)
