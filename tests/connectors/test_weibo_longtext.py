"""Long posts of Weibo, which lists cut: asked for once, waited for a little, kept as they are in the end."""

from __future__ import annotations

import pytest

from tests.connectors.weibo_fake import item, seen, walk, weibos


def test_a_long_post_is_asked_for_once_however_often_it_comes() -> None:
    with weibos() as (told, server, account, clock):
        told.items = [item(5, isLongText=True, text="说来话长…全文")]
        told.long = "说来话长 &amp; 很长"
        first = account.poll("mentions", None).messages[0]
        clock.on(seconds=2)
        again = account.poll("mentions", None).messages[0]
        assert len(server.asked("/2/statuses/show.json")) == 1
    assert first.text == again.text == "说来话长 & 很长"


def test_a_long_post_that_is_late_waits_alone_and_after_three_tries_no_longer() -> None:
    with weibos() as (told, server, account, clock):
        told.items = [item(5, isLongText=True, text="开头…"), item(9)]
        server.fault("html", path="/2/statuses/show", times=3)
        for _ in range(2):
            page = account.poll("mentions", None)
            assert [one.native_id for one in page.messages] == [told.items[1]["idstr"]]
            assert (page.cursor, page.more) == (None, False)
            clock.on(seconds=30)
        message, _ = account.poll("mentions", None).messages
    assert (message.text, message.marks) == ("开头…", ("text.cut",))


def test_a_late_long_post_is_whole_in_the_end_and_nothing_is_skipped() -> None:
    with weibos() as (told, server, account, clock):
        told.items = [item(n, isLongText=True, text=f"开头 {n}…") for n in range(4)]
        server.fault("cut", path="/2/statuses/show", after=1)
        page = account.poll("mentions", None)
        assert len(page.messages) == 3
        clock.on(seconds=30)
        again, cursor = walk(account, page.cursor)
        assert len(again) == 4
        assert seen(cursor) == told.items[0]["id"]
        assert len(server.asked("/2/statuses/show.json")) == 4


@pytest.mark.parametrize("code", [10023, 10024])
def test_a_limit_of_the_call_for_long_posts_stops_no_list(code: int) -> None:
    with weibos() as (told, server, account, clock):
        told.items = [item(5, isLongText=True, text="开头…"), item(9)]
        body = b'{"error": "out of rate limit", "error_code": %d}' % code
        server.fault("status", path="/2/statuses/show", status=403, body=body, times=9)
        found = account.poll("mentions", None).messages
        assert [one.native_id for one in found] == [told.items[1]["idstr"]]
        if code == 10024:
            for _ in range(2):
                clock.on(seconds=30)
                found = account.poll("mentions", None).messages
            assert [one.marks for one in found] == [("text.cut",), ()]


def test_a_wave_of_long_posts_leaves_calls_for_the_lists() -> None:
    with weibos() as (told, server, account, _):
        told.limit = 100
        told.items = [item(n, isLongText=True, text=f"开头 {n}…") for n in range(60)]
        found = account.poll("mentions", None).messages
    assert len(server.asked("/2/statuses/show.json")) == 33
    assert sum(one.marks == ("text.cut",) for one in found) == 60 - 33


def test_a_long_post_that_may_not_be_read_is_kept_as_it_is() -> None:
    with weibos() as (told, server, account, _):
        told.items = [item(5, isLongText=True, text="开头…")]
        body = b'{"error": "permission", "error_code": "10014"}'
        server.fault("status", path="/2/statuses/show", status=403, body=body)
        (message,) = account.poll("mentions", None).messages
    assert message.marks == ("text.cut",)
