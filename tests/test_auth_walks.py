"""`inboxd auth` as an operator types it, for every platform that has a walk, against its stand-in."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from sqlalchemy import select

from aggregator.now import utc_now
from aggregator.sandbox.facebook import FacebookStandin
from aggregator.sandbox.weibo import WeiboStandin
from aggregator.sandbox.x import XStandin
from connectors import beginning
from connectors.registry import CONNECTORS, connector_class
from storage.engine import Database
from storage.keep import AccountKeep
from storage.schema import keep
from storage.sealed import Seal
from tests.cli_stage import Ran, inboxd
from tests.connectors.loopback import MemoryKeep
from tests.fakes import plain_rules

KEY = "一句足够长的口令，用来封存令牌。"


@dataclass
class Place:
    """A platform, an account on it without a token, and the browser in which the operator agrees."""

    standin: Any
    options: dict[str, str]
    agreed: Callable[[str], str]
    secrets: Callable[[], list[str]]


def redirected(page: str) -> str:
    return requests.get(page, timeout=5, allow_redirects=False).headers["Location"]


@contextmanager
def x() -> Iterator[Place]:
    one = XStandin(utc_now)
    one.start()
    try:
        yield Place(one, dict(one.oauth2_options()), redirected, lambda: [*one.oauth2._access])
    finally:
        one.stop()


@contextmanager
def weibo() -> Iterator[Place]:
    one = WeiboStandin(utc_now, brand="Lumo官方")
    one.start()
    options = {
        "uid": str(one.uid),
        "app_key": one.gate.app_key,
        "app_secret": one.gate.app_secret,
        "redirect_uri": one.gate.redirect_uri,
        "base_url": one.base_url,
    }
    try:
        yield Place(one, options, redirected, lambda: [one.gate.token])
    finally:
        one.stop()


@contextmanager
def facebook() -> Iterator[Place]:
    one = FacebookStandin(utc_now)
    one.start()
    given = {**one.options(), "app_id": one.gate.app_id}
    given.pop("access_token")

    def agreed(page: str) -> str:
        asked = {key: value[0] for key, value in parse_qs(urlsplit(page).query).items()}
        code = one.apps.agree(asked["redirect_uri"])
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}#_=_"

    def tokens() -> list[str]:
        return [one.gate.page_token, one.gate.long_token, one.gate.user_token]

    try:
        yield Place(one, given, agreed, tokens)
    finally:
        one.stop()


WALKS = {"x": x, "weibo": weibo, "facebook": facebook}


def test_every_platform_with_a_walk_has_its_line_here() -> None:
    assert {one for one in CONNECTORS if hasattr(connector_class(one), "authorization")} == {*WALKS}


@pytest.fixture(params=WALKS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with WALKS[request.param]() as made:
        settings = {
            "database": f"sqlite:///{tmp_path}/inboxd.db",
            "rules": "rules/",
            "accounts": {"acme": {"connector": request.param, **made.options}},
            "destinations": {name: {"kind": "console"} for name in ("social", "leads", "desk")},
        }
        plain_rules(tmp_path)
        (tmp_path / "settings.yaml").write_text(json.dumps(settings), "utf-8")
        yield made


def auth(
    folder: Path, *words: str, key: str | None = KEY, pasted: Callable[[str], str] | None = None
) -> Ran:
    """The verb; `pasted` makes of the page what the operator pastes, else the terminal has nobody."""
    env = {"INBOXD_KEY": key} if key is not None else {}

    class Terminal(io.StringIO):
        def readline(self, *_: Any) -> str:  # type: ignore[override]
            sys.stdout.flush()
            text = sys.stdout.buffer.getvalue().decode()  # type: ignore[attr-defined]
            return pasted(page_in(text)) + "\n" if pasted is not None else ""

    with patch.object(sys, "stdin", Terminal()):
        return inboxd("auth", "acme", *words, cwd=folder, env=env)


def page_in(text: str) -> str:
    return next(word for word in text.split() if word.startswith("http"))


def kept(folder: Path) -> dict[str, str]:
    """What lies in the database, as it lies there."""
    db = Database.open(f"sqlite:///{folder}/inboxd.db", now=utc_now)
    try:
        with db.read() as conn:
            return {row.key: row.value for row in conn.execute(select(keep))}
    finally:
        db.close()


def opened(folder: Path, key: str = KEY) -> str | None:
    db = Database.open(f"sqlite:///{folder}/inboxd.db", now=utc_now)
    try:
        return AccountKeep(db, "acme", Seal((key,))).get("token")
    finally:
        db.close()


def test_one_terminal_leads_to_a_token_that_the_account_is_read_with(
    place: Place, tmp_path: Path
) -> None:
    ran = auth(tmp_path, pasted=place.agreed)
    assert (ran.code, ran.err) == (0, "")
    assert "sealed" in ran.out
    found = opened(tmp_path)
    assert found is not None
    assert json.loads(found)["access_token"] in place.secrets()
    rows = kept(tmp_path)
    assert rows["token"].startswith("sealed:1:")
    for secret in place.secrets():
        assert secret not in ran.out + ran.err + "".join(rows.values())
    env = {"INBOXD_KEY": KEY}
    checked = inboxd("check", "--online", cwd=tmp_path, env=env)
    assert checked.code == 0, checked.out + checked.err
    assert place.standin.errors == []


def test_a_second_process_finishes_what_the_first_began(place: Place, tmp_path: Path) -> None:
    first = auth(tmp_path)
    assert first.code == 1
    assert "inboxd auth acme --answer" in first.err
    begun = kept(tmp_path)["token.begun"]
    assert begun.startswith("sealed:1:")
    second = auth(tmp_path, "--answer", place.agreed(page_in(first.out)))
    assert (second.code, second.err) == (0, "")
    assert "http" not in second.out  # no other page is shown
    assert opened(tmp_path) is not None
    assert "token.begun" not in kept(tmp_path)


def test_an_answer_without_a_beginning_or_to_another_one_is_refused(
    place: Place, tmp_path: Path
) -> None:
    early = auth(tmp_path, "--answer", "https://lumo.example/?code=AQ1234567890&state=昨天的")
    assert early.code == 1
    assert "no page was opened" in early.err
    page = page_in(auth(tmp_path).out)
    auth(tmp_path)  # another page: the first one is worth nothing now
    late = auth(tmp_path, "--answer", place.agreed(page))
    assert late.code == 1
    assert "another beginning" in late.err
    assert "token" not in kept(tmp_path)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (None, "INBOXD_KEY"),
        ("", "INBOXD_KEY"),
        ("太短了", "a key is shorter than 16 characters"),
    ],
)
def test_a_missing_or_short_key_is_told_before_a_page_is_shown(
    place: Place, tmp_path: Path, key: str | None, words: str
) -> None:
    ran = auth(tmp_path, key=key, pasted=place.agreed)
    assert ran.code == 1
    assert words in ran.err
    assert "32 bytes in base64 or hex" in ran.err
    assert "http" not in ran.out
    assert "Traceback" not in ran.err


def test_another_key_is_named_with_its_remedy_and_a_new_walk_replaces_what_it_cannot_open(
    place: Place, tmp_path: Path
) -> None:
    auth(tmp_path, pasted=place.agreed)
    other = "另一句足够长的口令，机器换过了。"
    checked = inboxd("check", "--online", cwd=tmp_path, env={"INBOXD_KEY": other})
    assert checked.code == 1
    assert "the token was sealed with another key" in checked.out + checked.err
    assert "inboxd auth" in checked.out + checked.err
    between = auth(tmp_path, "--answer", "https://lumo.example/?code=AQ12&state=1", key=other)
    assert between.code == 1
    ran = auth(tmp_path, key=other, pasted=place.agreed)
    assert (ran.code, ran.err) == (0, "")
    assert opened(tmp_path, other) is not None


def test_a_beginning_is_good_for_an_hour_and_what_lies_there_broken_is_none() -> None:
    at = utc_now()
    store = MemoryKeep()
    made = beginning.begin(store, lambda: at)
    assert beginning.begun(store, lambda: at + timedelta(minutes=59)) == made
    for later, text in (
        (timedelta(hours=1), None),
        (timedelta(0), "不是 JSON"),
        (timedelta(0), "[]"),
    ):
        if text is not None:
            store.rows[beginning.KEY] = text
        with pytest.raises(Exception, match="no page was opened"):
            beginning.begun(store, lambda later=later: at + later)  # type: ignore[misc]
