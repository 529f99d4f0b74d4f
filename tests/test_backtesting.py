"""`rules backtest` as a person runs it: beside a daemon, writing nothing, for people and programs."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from aggregator.now import utc_now
from aggregator.triage.loader import load
from storage.engine import Database
from storage.rules import save_version
from tests.cli_stage import FIRST, ROOT, fill, inboxd, write_settings
from tests.test_cli import fine, problem

SOFTER = """
schema: 1
rules:
  - {id: liked-much, when: {any: [喜欢]}, then: {urgency: 2}, tests: [{miss: 喜欢这个例子写错了}]}
tune:
  - {rules: [safety-incident], set: {urgency: 0, at_least: P4}}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_settings(folder)
    fill(folder)
    shutil.copytree(ROOT / "rules", folder / "draft")
    (folder / "draft" / "99-softer.yaml").write_text(SOFTER, "utf-8")
    return folder


def found(shop: Path, *more: str) -> dict[str, Any]:
    out = fine(inboxd("rules", "backtest", "--format", "json", *more, cwd=shop))
    return dict(json.loads(out))


def test_a_draft_is_tried_on_stored_messages_and_what_moves_is_shown(shop: Path) -> None:
    told = found(shop, "--rules", "draft")
    assert told["messages"] == 5
    assert told["matrix"]["P1"] == {"P1": 0, "P2": 0, "P3": 1, "P4": 0}
    assert told["matrix"]["P4"]["P2"] == 1
    assert told["changed"] == 2
    cell = next(one for one in told["examples"] if one["new"] == "P3")
    assert [one["text"] for one in cell["messages"]] == [FIRST]
    liked = next(one for one in told["rules"] if one["rule"] == "liked-much")
    assert (liked["old"], liked["new"]) == (0, 1)
    assert told["cards_a_day"]["old"] > 0


def test_the_table_shows_the_matrix_and_examples_without_what_steers_a_terminal(shop: Path) -> None:
    said = fine(inboxd("rules", "backtest", "--rules", "draft", cwd=shop))
    assert "old ↓  new →" in said
    assert "P1 → P3: 1" in said
    assert FIRST in said
    assert "好喜欢！👍" in said
    assert "+liked-much" in said
    assert "\x1b" not in said


def test_the_rules_in_force_are_one_side_and_the_folder_the_other(shop: Path) -> None:
    folder = shop
    db = Database.open(f"sqlite:///{folder / 'inboxd.db'}", now=utc_now)
    rules = load(ROOT / "rules", tests=False)
    db.write(lambda conn: save_version(conn, rules.version, rules.sources, utc_now()))
    db.close()
    told = found(folder, "--rules", "draft")
    assert told["old"] == {
        "rules": f"the rules in force, {rules.version}",
        "version": rules.version,
    }
    same = found(folder)
    assert same["old"]["rules"] == "as judged then"
    assert same["changed"] == 0


def test_messages_from_before_are_left_out(shop: Path) -> None:
    assert found(shop, "--since", "2099-01-01T00:00:00Z")["messages"] == 0
    said = fine(inboxd("rules", "backtest", "--since", "2099-01-01T00:00:00Z", cwd=shop))
    assert said.startswith("0 messages of customers")
    problem(inboxd("rules", "backtest", "--since", "neulich", cwd=shop), 2)


def test_nothing_is_written_while_a_daemon_has_the_store(shop: Path) -> None:
    db = Database.open(f"sqlite:///{shop / 'inboxd.db'}", now=utc_now)
    try:
        with sqlite3.connect(shop / "inboxd.db") as conn:
            before = list(conn.iterdump())
        found(shop, "--rules", "draft")
        with sqlite3.connect(shop / "inboxd.db") as conn:
            assert list(conn.iterdump()) == before
    finally:
        db.close()


def test_bad_rules_and_a_store_that_is_not_there_are_problems_with_a_remedy(
    shop: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.yaml").write_text("schema: 1\nrules: [{id: x}]\n", "utf-8")
    err = problem(inboxd("rules", "backtest", "--rules", str(tmp_path / "bad"), cwd=shop))
    assert "a.yaml:2:" in err
    assert "no such folder" in problem(inboxd("rules", "backtest", "--rules", "x", cwd=shop))
    write_settings(tmp_path)
    assert "there is no store yet" in problem(inboxd("rules", "backtest", cwd=tmp_path))
    assert not (tmp_path / "inboxd.db").exists()


def test_a_store_of_another_version_is_left_alone(shop: Path, tmp_path: Path) -> None:
    write_settings(tmp_path)
    with (
        sqlite3.connect(shop / "inboxd.db") as there,
        sqlite3.connect(tmp_path / "inboxd.db") as here,
    ):
        there.backup(here)
    here.execute("UPDATE alembic_version SET version_num = '0001'")
    here.commit()
    here.close()
    assert "its schema is 0001" in problem(inboxd("rules", "backtest", cwd=tmp_path))
