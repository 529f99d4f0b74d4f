"""Weibo's tiers, odd answers and error codes: each has its outcome, whatever the status."""

from __future__ import annotations

import traceback
from itertools import product
from typing import Any

import pytest

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from connectors.weibo.walk import id_at
from tests.connectors.weibo_fake import NOW, PATHS, TOKEN, item, metered, walk, weibos


def test_commercial_apps_ask_the_twins_that_there_are() -> None:
    with weibos(tier="commercial") as (_, server, account, _):
        for stream in PATHS:
            walk(account, None, stream)
        assert [one.path for one in metered(server)] == [
            "/2/statuses/mentions/biz.json",
            "/2/comments/to_me/biz.json",
            "/2/comments/mentions/biz.json",
            "/2/comments/by_me.json",
        ]


@pytest.mark.parametrize("body", [b"{}", b'{"statuses": null}', b'{"statuses": {}}', b"null", b"7"])
def test_an_answer_without_a_list_moves_no_cursor(body: bytes) -> None:
    with weibos() as (_, server, account, _):
        server.fault("status", path="/2/statuses", status=200, body=body)
        with pytest.raises(Unavailable):
            account.poll("mentions", None)


def test_an_empty_object_written_as_a_list_is_an_empty_page() -> None:
    with weibos() as (_, server, account, _):
        server.fault("status", path="/2/statuses", status=200, body=b"[]")
        page = account.poll("mentions", None)
    assert (page.messages, page.more) == ((), False)


def test_characters_that_are_broken_on_the_way_do_not_hold_up_the_page() -> None:
    with weibos() as (_, server, account, _):
        body = b'{"statuses": [{"id": %d, "text": "\xb6\xa9"}], "next_cursor": 0}' % id_at(NOW)
        server.fault("status", path="/2/statuses", status=200, body=body)
        (message,) = account.poll("mentions", None).messages
    assert message.text == "\ufffd\ufffd"


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        *((code, Unavailable) for code in (10001, 10002, 10003, 10009, 10010, 10011, 77777)),
        *((code, RateLimited) for code in (10004, 10022, 10023, 10024, 20016)),
        *((code, Unauthorized) for code in (10006, 10013, 21301, *range(21314, 21320), 21321)),
        *((code, Unauthorized) for code in (21327, 21332, 21335)),
        *((code, Rejected) for code in (10005, 10008, 10014, 10016, 10017, 10020, 10021, 21337)),
        *((code, Rejected) for code in (20003, 20101, 20201)),
    ],
)
def test_the_code_in_the_body_decides_whatever_the_status(
    code: int, outcome: type[Exception]
) -> None:
    for status, written in product((200, 400, 401, 403, 500), (code, str(code))):
        with weibos() as (told, _, account, _):
            told.error = (status, written)
            with pytest.raises(outcome, match=str(code)) as caught:
                account.poll("comments", None)
            assert issubclass(type(caught.value), outcome)
            assert outcome is not Unavailable or not isinstance(caught.value, RateLimited)
            assert TOKEN not in "".join(traceback.format_exception(caught.value))


def test_a_dead_token_is_told_with_where_to_get_another() -> None:
    with weibos() as (told, _, account, _):
        told.error = (403, 21327)
        with pytest.raises(Unauthorized) as caught:
            account.poll("comments", None)
    assert "https://api.weibo.com/oauth2/authorize?client_id=" in caught.value.remedy


@pytest.mark.parametrize(
    ("reset", "wait"),
    [(1234, 1234), ("60", 60), (10**9, 86400), (0, 3600), (-5, 3600), ("x", 3600)],
)
def test_a_used_up_quota_waits_until_it_starts_anew(reset: Any, wait: float) -> None:
    with weibos() as (told, _, account, _):
        told.error, told.reset = (403, 10023), reset
        with pytest.raises(RateLimited) as caught:
            account.poll("mentions", None)
    assert caught.value.retry_after_s == wait


@pytest.mark.parametrize("kind", ["status", "html", "html_ok", "truncated", "cut", "cut_after"])
def test_trouble_on_the_way_is_unavailable(kind: str) -> None:
    with weibos() as (told, server, account, _):
        told.items = [item(5)]
        server.fault(kind, path="/2/statuses")
        with pytest.raises(Unavailable):
            account.poll("mentions", None)
        assert len(walk(account, None)[0]) == 1


def test_a_plain_429_is_obeyed() -> None:
    with weibos() as (_, server, account, _):
        server.fault("status", path="/2/statuses", status=429, headers={"Retry-After": "77"})
        with pytest.raises(RateLimited) as caught:
            account.poll("mentions", None)
    assert caught.value.retry_after_s == 77
