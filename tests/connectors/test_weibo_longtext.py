"""Long posts of Weibo, which lists cut: asked for once, waited for a little, kept as they are in the end."""

from __future__ import annotations

import pytest

from aggregator.errors import Unavailable
from tests.connectors.weibo_fake import item, weibos


def test_a_long_post_is_asked_for_once_however_often_it_comes() -> None:
    with weibos() as (told, server, account, clock):
        told.items = [item(5, isLongText=True, text="说来话长…全文")]
        told.long = "说来话长 &amp; 很长"
        first = account.poll("mentions", None).messages[0]
        clock.on(seconds=2)
        again = account.poll("mentions", None).messages[0]
        assert len(server.asked("/2/statuses/show.json")) == 1
    assert first.text == again.text == "说来话长 & 很长"


def test_a_long_post_that_is_late_holds_its_page_and_after_three_tries_no_longer() -> None:
    with weibos() as (told, server, account, _):
        told.items = [item(5, isLongText=True, text="开头…")]
        for _ in range(2):
            server.fault("html", path="/2/statuses/show")
            with pytest.raises(Unavailable):
                account.poll("mentions", None)
        server.fault("html", path="/2/statuses/show")
        (message,) = account.poll("mentions", None).messages
    assert (message.text, message.marks) == ("开头…", ("text.cut",))


def test_a_long_post_that_may_not_be_read_is_kept_as_it_is() -> None:
    with weibos() as (told, server, account, _):
        told.items = [item(5, isLongText=True, text="开头…")]
        body = b'{"error": "permission", "error_code": "10014"}'
        server.fault("status", path="/2/statuses/show", status=403, body=body)
        (message,) = account.poll("mentions", None).messages
    assert message.marks == ("text.cut",)
