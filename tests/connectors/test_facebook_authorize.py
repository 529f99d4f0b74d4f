"""The walk to a Page token: from a code in a browser's address to a token without an end, kept and used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from pydantic import ValidationError

from aggregator.errors import Rejected, Unauthorized, Unavailable
from connectors.base import Authorizes
from connectors.facebook import Facebook, FacebookOptions
from tests.connectors.test_facebook_quota import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    one = Stage()
    one.page.start()
    yield one
    one.page.stop()
    assert one.page.errors == []


def options(stage: Stage, **more: Any) -> FacebookOptions:
    given = {**stage.page.options(), "access_token": None, "app_id": stage.page.gate.app_id}
    return FacebookOptions.model_validate({**given, **more})


def account(stage: Stage) -> Facebook:
    return Facebook(options(stage), keep=stage.keep, now=stage.clock)


def begun(stage: Stage, **more: Any) -> tuple[Authorizes, dict[str, str]]:
    walk = Facebook.authorization(options(stage, **more), keep=stage.keep, now=stage.clock)
    url, state = walk.begin()
    asked = {name: one[0] for name, one in parse_qs(urlsplit(url).query).items()}
    assert asked["state"] == state
    return walk, asked


def led_to(stage: Stage, asked: dict[str, str], **more: str) -> str:
    code = stage.page.apps.agree(asked["redirect_uri"])
    return (
        f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state'], **more})}#_=_"
    )


def test_an_operator_gets_a_page_token_without_an_end_and_it_is_used_at_once(stage: Stage) -> None:
    running = account(stage)
    with pytest.raises(Unauthorized, match="inboxd auth"):
        running.poll("posts", None)
    walk, asked = begun(stage)
    assert asked["client_id"] == stage.page.gate.app_id
    assert "pages_manage_engagement" in asked["scope"].split(",")
    assert "instagram_basic" not in asked["scope"]
    walk.finish(led_to(stage, asked))
    assert json.loads(stage.keep.rows["token"])["access_token"] == stage.page.gate.page_token
    assert running.poll("posts", None).messages == ()
    assert running.check().name == "Lumo"


def test_a_code_alone_and_a_short_token_will_do(stage: Stage) -> None:
    walk, asked = begun(stage, instagram="true")
    assert "instagram_basic" in asked["scope"]
    walk.finish(f"  {stage.page.apps.agree(asked['redirect_uri'])}\n")
    stage.keep.rows.clear()
    walk.finish(stage.page.user_token)
    assert account(stage).check().name == "Lumo"


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ("", "neither"),
        ("不是网址", "neither"),
        ("https://[", "cannot be read"),
        ("https://www.facebook.com/connect/login_success.html", "another beginning"),
        ("https://x.example/?code=abc&state=of-yesterday", "another beginning"),
        ("https://x.example/?error=access_denied&error_description=Permissions+error", "says"),
        ("AQused", "refused the code"),
    ],
)
def test_what_is_no_answer_is_told_as_such(stage: Stage, answer: str, word: str) -> None:
    walk, _ = begun(stage)
    with pytest.raises(Rejected, match=word) as caught:
        walk.finish(answer)
    assert stage.page.gate.app_secret not in str(caught.value)
    assert "token" not in stage.keep.rows


def test_a_code_is_good_once(stage: Stage) -> None:
    walk, asked = begun(stage)
    address = led_to(stage, asked)
    walk.finish(address)
    with pytest.raises(Rejected, match="good once"):
        walk.finish(address)
    without = f"{asked['redirect_uri']}?{urlencode({'state': asked['state']})}"
    with pytest.raises(Rejected, match="no code"):
        walk.finish(without)


def test_a_person_without_a_role_on_the_page_is_told(stage: Stage) -> None:
    walk, asked = begun(stage, page_id="123")
    with pytest.raises(Rejected, match="no role"):
        walk.finish(led_to(stage, asked))


def test_trouble_on_the_way_leaves_the_old_token(stage: Stage) -> None:
    stage.keep.rows["token"] = "before"
    walk, asked = begun(stage)
    stage.page.fault("html", path="/v26.0/me/accounts")
    with pytest.raises(Unavailable) as caught:
        walk.finish(led_to(stage, asked))
    assert stage.keep.rows["token"] == "before"
    assert stage.page.gate.long_token not in str(caught.value)


def test_a_token_or_a_way_to_one_is_needed(stage: Stage) -> None:
    with pytest.raises(ValidationError, match="inboxd auth"):
        FacebookOptions.model_validate({"page_id": "1"})
    with pytest.raises(Rejected, match="app_id"):
        Facebook.authorization(
            FacebookOptions.model_validate({"page_id": "1", "access_token": "x"}),
            keep=stage.keep,
            now=stage.clock,
        )
