"""Every errcode that the facts name, for official accounts and for WeCom: what the daemon does next."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.sandbox.base import Answer
from connectors.wechat_errors import Failed, explained
from tests.connectors.test_wechat_api import LIST_PATH, desk

NOON = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)  # 12:00 in Beijing

BOTH: list[tuple[int, type[Exception], str]] = [
    (-1, Unavailable, "-1"),
    (40001, Unauthorized, "fresh access token"),
    (40014, Unauthorized, "fresh access token"),
    (42001, Unauthorized, "fresh access token"),
    (41001, Unauthorized, "fresh access token"),
    (40013, Unauthorized, "credentials"),
    (40056, Unauthorized, "credentials"),
    (40125, Unauthorized, "credentials"),
    (40164, Unauthorized, "IP address"),
    (60020, Unauthorized, "IP address"),
    (45009, RateLimited, "45009"),
    (45011, RateLimited, "45011"),
    (48001, Rejected, "48001"),
    (48002, Rejected, "48002"),
    (48004, Rejected, "48004"),
    (40033, Rejected, "40033"),
    (47001, Rejected, "47001"),
    (65400, Rejected, "65400"),
    (65416, Rejected, "65416"),
    (65417, Rejected, "65417"),
    (88000, Rejected, "88000"),
    (88010, Rejected, "88010"),
    (60011, Rejected, "60011"),
    (40201, Unauthorized, "40201"),
    (95000, Unauthorized, "95000"),
    (95004, Unauthorized, "95004"),
    (95011, Unauthorized, "95011"),
    (95012, Unauthorized, "95012"),
    (95017, Unauthorized, "95017"),
    (40058, Unavailable, "40058"),
    (99999, Unavailable, "99999"),
]


@pytest.mark.parametrize(("code", "outcome", "words"), BOTH)
@pytest.mark.parametrize("kind", ["WeChat", "WeCom"])
def test_a_code_alone_says_what_is_next_whatever_the_words_are(
    kind: str, code: int, outcome: type[Exception], words: str
) -> None:
    for told in ("ok", "系统繁忙，此时请开发者稍候再试", "", None, 7):
        found = explained(Failed(kind, code, told), daily=kind == "WeChat", now=NOON)
        assert isinstance(found, outcome)
        assert words in str(found)
        if outcome is Unavailable:
            assert not isinstance(found, RateLimited)


def test_the_days_quota_waits_for_midnight_where_it_is_a_days_and_a_minute_where_it_is_none() -> (
    None
):
    waits = [
        explained(Failed("it", code, ""), daily=daily, now=NOON)
        for code, daily in ((45009, True), (45009, False), (45011, True), (45011, False))
    ]
    assert [one.retry_after_s for one in waits if isinstance(one, RateLimited)] == [
        12 * 3600,
        60,
        60,
        60,
    ]


@pytest.mark.parametrize(
    ("told", "address"),
    [
        (
            "invalid ip 223.75.224.97 ipv6 ::ffff:223.75.224.97, not in whitelist rid: 1",
            "223.75.224.97",
        ),
        (
            "not allow to access from your ip, hint: [1], from ip: 203.0.113.9, more info",
            "203.0.113.9",
        ),
        ("不在白名单", "this server's outgoing IP address"),
    ],
)
def test_the_address_to_whitelist_is_named(told: str, address: str) -> None:
    for code in (40164, 60020):
        found = explained(Failed("it", code, told), daily=True, now=NOON)
        assert isinstance(found, Unauthorized)
        assert f"add {address} " in found.remedy


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ({"errcode": "45011", "errmsg": "minute"}, RateLimited),
        ({"errcode": "-1"}, Unavailable),
        ({"errcode": "many"}, Unavailable),
        ({"errcode": None}, Unavailable),
        ({"errcode": 1.5}, Unavailable),
        ({"errcode": [45011]}, Unavailable),
        ({"errmsg": "ok"}, Unavailable),
        ({"errcode": 0, "errmsg": "ok"}, Unavailable),
        ({"errcode": 10**30, "errmsg": "?"}, Unavailable),
    ],
)
def test_an_odd_body_is_an_outcome_too(body: dict[str, Any], outcome: type[Exception]) -> None:
    with desk() as (told, server, account, _):
        told.listed = lambda asked: Answer(json.dumps(body).encode())  # type: ignore[method-assign]
        with pytest.raises(outcome):
            account.poll("records", None)
        assert len(server.asked(LIST_PATH)) == 1
