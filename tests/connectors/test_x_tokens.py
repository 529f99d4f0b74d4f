"""OAuth 2.0 on X: a token that renews itself once, for all replicas, and never silently dies."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests

from aggregator.errors import Rejected, Unauthorized, Unavailable
from connectors.x import X, XOptions
from connectors.x.tokens import BUSY, TOKEN
from tests.connectors.loopback import MemoryKeep
from tests.connectors.x_place import Place, place


@pytest.fixture
def x() -> Iterator[Place]:
    with place() as made:
        yield made


def options(x: Place) -> XOptions:
    return XOptions.model_validate(x.x.oauth2_options())


def connect(x: Place) -> X:
    return X(options(x), keep=x.keep, now=x.clock)


def authorise(x: Place) -> None:
    walk = X.authorization(options(x), keep=x.keep, now=x.clock)
    page, _ = walk.begin()
    walk.finish(requests.get(page, timeout=5, allow_redirects=False).headers["Location"])


@pytest.mark.parametrize("secret", [None, "秘密-s3cret"])
def test_an_operator_agrees_and_the_account_is_read(x: Place, secret: str | None) -> None:
    x.x.oauth2.client_secret = secret
    authorise(x)
    identity = connect(x).check()
    assert identity.native_id == str(x.x.brand.id)
    assert set(identity.streams.values()) == {"ok"}
    assert identity.note is not None
    assert "renews itself" in identity.note
    _, cursor = _walk(x, "mentions")
    x.mention()
    assert len(_walk(x, "mentions", cursor)[0]) == 1


def _walk(x: Place, stream: str, cursor: str | None = None) -> tuple[list[object], str | None]:
    found: list[object] = []
    while True:
        page = connect(x).poll(stream, cursor)
        found += page.messages
        cursor = page.cursor
        if not page.more:
            return found, cursor


def test_what_answers_another_beginning_is_refused(x: Place) -> None:
    walk = X.authorization(options(x), keep=x.keep, now=x.clock)
    page, state = walk.begin()
    for wrong in (
        "",
        "not a code",
        "http://127.0.0.1:8080/x?code=1&state=other",
        f"http://127.0.0.1:8080/x?state={state}",
        f"http://127.0.0.1:8080/x?error=access_denied&state={state}",
    ):
        with pytest.raises(Rejected):
            walk.finish(wrong)
    with pytest.raises(Unauthorized, match="inboxd auth"):
        walk.finish("a-code-that-x-never-gave")
    x.x.oauth2.agrees = False
    with pytest.raises(Rejected, match="access_denied"):
        walk.finish(requests.get(page, timeout=5, allow_redirects=False).headers["Location"])
    assert x.keep.get(TOKEN) is None
    with pytest.raises(Rejected, match="client_id"):
        X.authorization(XOptions.model_validate(x.x.options()), keep=x.keep, now=x.clock)


def test_without_a_token_a_person_is_told_what_to_run(x: Place) -> None:
    with pytest.raises(Unauthorized, match="inboxd auth"):
        connect(x).poll("mentions", None)


def test_a_token_is_renewed_before_it_ends_and_kept_before_it_is_used(x: Place) -> None:
    authorise(x)
    first = json.loads(x.keep.rows[TOKEN])
    connect(x).poll("mentions", None)
    assert x.x.oauth2.renewals == 0
    x.clock.on(minutes=116)
    x.x.fault("cut", path="/2/users", times=1)  # dies between the renewal and the use
    with pytest.raises(Unavailable):
        connect(x).poll("mentions", None)
    second = json.loads(x.keep.rows[TOKEN])
    assert second["refresh_token"] != first["refresh_token"]
    connect(x).poll("mentions", None)
    assert x.x.oauth2.renewals == 1
    assert x.keep.get(BUSY) is None
    for _ in range(20):
        x.clock.on(hours=2)
        connect(x).poll("mentions", None)
    assert x.x.oauth2.renewals == 21


def test_while_x_does_not_renew_the_token_that_is_still_good_is_used(x: Place) -> None:
    authorise(x)
    x.clock.on(minutes=117)
    x.x.fault("html", path="/2/oauth2/token", times=1)
    connect(x).poll("mentions", None)
    x.clock.on(minutes=4)
    x.x.fault("status", path="/2/oauth2/token", status=429, times=1)
    with pytest.raises(Unavailable):
        connect(x).poll("mentions", None)
    connect(x).poll("mentions", None)
    assert x.x.oauth2.renewals == 1


def test_a_refused_token_is_renewed_once_before_a_person_is_asked(x: Place) -> None:
    authorise(x)
    x.x.oauth2.expire()
    with pytest.raises(Unavailable, match="renewed"):
        connect(x).poll("mentions", None)
    connect(x).poll("mentions", None)
    assert x.x.oauth2.renewals == 1
    x.clock.on(minutes=30)
    x.x.oauth2.expire()  # again, much later: again it is renewed
    with pytest.raises(Unavailable):
        connect(x).poll("mentions", None)
    x.x.fault("status", path="/2/users", status=401, times=2)
    with pytest.raises(Unauthorized, match="inboxd auth"):
        connect(x).poll("mentions", None)


def test_a_withdrawn_consent_is_told_and_mended_by_agreeing_again(x: Place) -> None:
    authorise(x)
    x.x.oauth2.revoke()
    with pytest.raises(Unavailable):
        connect(x).poll("mentions", None)
    for _ in range(2):
        with pytest.raises(Unauthorized, match="inboxd auth") as caught:
            connect(x).poll("mentions", None)
        assert json.loads(x.keep.rows[TOKEN])["refresh_token"] not in str(caught.value)
    authorise(x)
    connect(x).poll("mentions", None)


def test_a_wrong_client_secret_is_told_apart(x: Place) -> None:
    authorise(x)
    x.x.oauth2.client_secret = "another"
    x.clock.on(hours=3)
    wrong = options(x).model_copy(update={"client_secret": None})
    with pytest.raises(Unauthorized, match="client_secret"):
        X(wrong, keep=x.keep, now=x.clock).poll("mentions", None)


def test_replicas_renew_once_and_all_go_on(x: Place) -> None:
    authorise(x)
    x.clock.on(minutes=117)
    failed: list[Exception] = []

    def replica() -> None:
        try:
            connect(x).poll("mentions", None)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=replica) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failed == []
    assert x.x.oauth2.renewals == 1


def test_a_replica_that_dies_while_renewing_holds_the_others_up_for_seconds_only(x: Place) -> None:
    authorise(x)
    x.clock.on(hours=2, minutes=1)
    x.keep.rows[BUSY] = (x.clock() + timedelta(seconds=40)).isoformat() + " dead"
    with pytest.raises(Unavailable, match="another replica"):
        connect(x).poll("mentions", None)
    x.clock.on(seconds=41)
    connect(x).poll("mentions", None)


def test_a_lost_race_takes_the_winners_token(x: Place) -> None:
    authorise(x)
    x.clock.on(hours=3)
    old = x.keep.rows[TOKEN]

    class Raced(MemoryKeep):
        """Somebody runs inboxd auth while we ask for a new token."""

        def swap(self, key: str, before: str | None, new: str | None) -> bool:
            if key == TOKEN and self.rows.get(TOKEN) == old:
                told = x.x.oauth2.issue()
                row = {**told, "expires_at": int((x.clock() + timedelta(hours=2)).timestamp())}
                self.rows[TOKEN] = json.dumps(row)
            return super().swap(key, before, new)

    raced = Raced()
    raced.rows = {TOKEN: old}
    X(options(x), keep=raced, now=x.clock).poll("mentions", None)
    assert x.x.oauth2.renewals == 1


def test_what_is_kept_as_a_token_and_is_none_asks_for_a_person(x: Place) -> None:
    for broken in ("", "{", "[]", "{}", '{"access_token": 7}'):
        x.keep.rows[TOKEN] = broken
        with pytest.raises(Unauthorized):
            connect(x).poll("mentions", None)
