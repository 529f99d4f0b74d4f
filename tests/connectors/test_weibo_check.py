"""What `check` says of a Weibo account, and what it does without."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aggregator.errors import Unauthorized, Unavailable
from tests.connectors.weibo_fake import US, weibos


def test_check_says_who_we_are_what_is_allowed_and_how_long() -> None:
    with weibos() as (_, server, account, clock):
        body = b'{"error": "Insufficient app permissions", "error_code": "10014"}'
        server.fault("status", path="/2/comments/by_me", status=403, body=body)
        identity = account.check()
        assert (identity.native_id, identity.name) == (US, "Lumo官方")
        assert identity.token_expires_at == clock() + timedelta(days=10)
        assert "10014" in identity.streams["own_comments"]
        assert identity.streams["mentions"] == "ok"


def test_a_token_of_another_account_is_told() -> None:
    with weibos(uid="1234567890") as (_, _, account, _), pytest.raises(Unauthorized, match="uid"):
        account.check()


def test_check_does_without_what_a_token_may_not_ask() -> None:
    with weibos() as (_, server, account, _):
        server.fault("status", path="/oauth2", status=404, body=b"{}")
        server.fault("status", path="/2/users", status=500, body=b"{}")
        identity = account.check()
    assert (identity.name, identity.token_expires_at) == (None, None)


def test_a_check_that_cannot_get_through_says_so() -> None:
    with weibos() as (_, server, account, _):
        server.fault("cut", path="/oauth2")
        with pytest.raises(Unavailable):
            account.check()
