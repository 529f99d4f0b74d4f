"""`inboxd auth`: the walk to a token ends with one that is kept sealed, or with words that help."""

from __future__ import annotations

import json
import os
from pathlib import Path
from unittest.mock import patch

import pytest
from sqlalchemy import select

from aggregator.authorizing import authorize
from aggregator.errors import SettingsError
from aggregator.settings import Settings, load
from storage.engine import Database
from storage.keep import AccountKeep
from storage.schema import keep
from storage.sealed import Seal
from tests.cli_stage import inboxd, write_settings
from tests.connectors.test_weibo_history import agreed
from tests.connectors.test_weibo_planner import NINE, Day, day

KEY = "一句足够长的口令，用来封存令牌。"
WALK = """
database: sqlite:///inboxd.db
rules: rules/
accounts:
  weibo_acme:
    connector: weibo
    uid: "{uid}"
    app_key: "{app_key}"
    app_secret: {app_secret}
    redirect_uri: {redirect_uri}
    base_url: {base_url}
  push_any: {{connector: push, token: any-token-of-a-script}}
"""


def settings(folder: Path, today: Day, **more: str) -> Settings:
    gate = today.weibo.gate
    given = {
        "uid": str(today.weibo.uid),
        "app_key": gate.app_key,
        "app_secret": gate.app_secret,
        "redirect_uri": gate.redirect_uri,
        "base_url": today.weibo.base_url,
        **more,
    }
    rules = folder / "rules"
    rules.mkdir(exist_ok=True)
    path = folder / "settings.yaml"
    path.write_text(WALK.format(**given), "utf-8")
    return load(path, {})


def walk(db: Database, given: Settings, today: Day, name: str = "weibo_acme", **more: str) -> str:
    """What was said; the answer is what the page leads to, unless it is given."""
    lines: list[str] = []

    def ask() -> str:
        page = next(line for line in lines if "http" in line)
        return more.get("answer") or agreed(page.split()[-1])

    with patch.dict(os.environ, {"INBOXD_KEY": more.get("key", KEY)}):
        authorize(given, db, name, now=today.clock, say=lines.append, ask=ask)
    return "\n".join(lines)


def test_the_walk_ends_with_a_token_that_only_the_key_opens(db: Database, tmp_path: Path) -> None:
    with day(NINE) as today:
        said = walk(db, settings(tmp_path, today), today)
    assert "sealed" in said
    kept = AccountKeep(db, "weibo_acme", Seal((KEY,))).get("token")
    assert kept is not None
    token = json.loads(kept)["access_token"]
    assert token not in said
    with db.read() as conn:
        raw = conn.execute(select(keep.c.value).where(keep.c.key == "token")).scalar_one()
    assert token not in raw


def test_a_token_that_no_key_opens_any_more_is_replaced(db: Database, tmp_path: Path) -> None:
    AccountKeep(db, "weibo_acme", Seal(("a key that got lost",))).swap("token", None, "old")
    with day(NINE) as today:
        walk(db, settings(tmp_path, today), today)
    assert AccountKeep(db, "weibo_acme", Seal((KEY,))).get("token") != "old"


def test_without_a_key_nobody_is_sent_to_a_page(db: Database, tmp_path: Path) -> None:
    with day(NINE) as today, pytest.raises(SettingsError, match="INBOXD_KEY"):
        walk(db, settings(tmp_path, today), today, key="")


@pytest.mark.parametrize(
    ("name", "words"),
    [("push_any", "not to be had from a terminal"), ("weibo_other", "no account 'weibo_other'")],
)
def test_an_account_without_a_walk_is_told_so(
    db: Database, tmp_path: Path, name: str, words: str
) -> None:
    with day(NINE) as today, pytest.raises(SettingsError, match=words):
        walk(db, settings(tmp_path, today), today, name)


def test_an_answer_that_is_none_stores_nothing(db: Database, tmp_path: Path) -> None:
    with day(NINE) as today, pytest.raises(SettingsError, match="nothing is stored"):
        walk(db, settings(tmp_path, today), today, answer="不是授权码 at all")
    assert AccountKeep(db, "weibo_acme", Seal((KEY,))).get("token") is None


def test_the_verb_says_what_is_wrong_with_status_1(tmp_path: Path) -> None:
    write_settings(tmp_path)
    ran = inboxd("auth", "weibo_lumo", "--answer", "c0de", cwd=tmp_path)
    assert ran.code == 1
    assert "inboxd auth needs app_key" in ran.err or "INBOXD_KEY" in ran.err
