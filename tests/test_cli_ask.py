"""The verbs that ask: a text's verdict, who we are at each platform, one poll now."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from aggregator.now import utc_now
from storage.engine import Database
from storage.leases import acquire
from tests.cli_stage import ROOT, inboxd, write_settings
from tests.test_cli import fine, problem

VERDICT = {"priority", "urgency", "importance", "sentiment", "tags", "matches", "reasons"}
FIRE = "充电宝起火了，救命！"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    write_settings(tmp_path)
    return tmp_path


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    (tmp_path / "settings.yaml").write_text(
        f"sandbox: true\ndatabase: 'sqlite:///{tmp_path}/box.db'\nrules: {ROOT / 'rules'}\n"
        "timezone: Asia/Shanghai\nlanguage: zh\n",
        "utf-8",
    )
    return tmp_path


@pytest.fixture
def held(sandbox: Path) -> Path:
    """A daemon elsewhere has the account."""
    db = Database.open(f"sqlite:///{sandbox}/box.db", now=utc_now, owner_mark="sandbox")
    db.write(lambda conn: acquire(conn, "account:weibo_demo", "another-host:1:aa", 600))
    db.close()
    return sandbox


# --- try ----------------------------------------------------------------------------------------


def test_try_prints_the_verdict_with_its_reasons(shop: Path) -> None:
    said = fine(inboxd("try", FIRE, cwd=shop))
    assert said.startswith(f"{FIRE}\nP1  urgency 3 · importance 3 · negative")
    assert "safety-incident: 人身安全\n" in said
    assert "起火 → urgency 3" in said


def test_a_rules_title_is_in_the_settings_language(tmp_path: Path) -> None:
    write_settings(tmp_path, language="en")
    said = fine(inboxd("try", FIRE, cwd=tmp_path))
    assert "safety-incident: product safety\n" in said


def test_try_as_json_has_the_keys_of_the_interface(shop: Path) -> None:
    found = json.loads(fine(inboxd("try", FIRE, "--json", cwd=shop)))
    assert set(found) == VERDICT | {"text", "near", "marks", "rules_version"}
    assert {tuple(match) for match in found["matches"]} == {("rule", "term", "start", "end")}
    match = next(one for one in found["matches"] if one["rule"] == "safety-incident")
    assert FIRE[match["start"] : match["end"]] == "起火"


def test_a_file_has_one_object_out_for_each_line_in(shop: Path) -> None:
    lines = [FIRE, "", "谢谢\u2028你们", "  两边有空格  ", "\x0b奇怪\x1c的字", "最后一行"]
    (shop / "话.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n")
    out = fine(inboxd("try", "--file", "话.txt", "--json", cwd=shop))
    rows = [json.loads(line) for line in out.split("\n")[:-1]]
    assert [row["text"] for row in rows] == lines
    assert all(set(row) == VERDICT | {"text"} for row in rows)
    (shop / "leer.txt").write_bytes(b"")
    assert fine(inboxd("try", "--file", "leer.txt", cwd=shop)) == ""


def test_a_file_that_cannot_be_read_is_told_with_its_line(shop: Path) -> None:
    (shop / "gbk.txt").write_bytes("好的\n".encode() + "不好".encode("gbk"))
    assert "gbk.txt:2: not UTF-8" in problem(inboxd("try", "--file", "gbk.txt", cwd=shop))
    assert "cannot be read" in problem(inboxd("try", "--file", "fehlt.txt", cwd=shop))
    assert "cannot be read" in problem(inboxd("try", "--file", ".", cwd=shop))
    problem(inboxd("try", "x", "--file", "gbk.txt", cwd=shop), 2)


@pytest.mark.parametrize("text", ["", " ", "\x1b[2J", "\udcff", "a\u202eb", "好" * 20_000])
def test_no_text_is_too_odd_to_try(shop: Path, text: str) -> None:
    said = fine(inboxd("try", text, cwd=shop))
    assert "\x1b" not in said
    assert "\u202e" not in said
    found = json.loads(fine(inboxd("try", text, "--json", cwd=shop)))
    assert found["priority"] == "P4"


# --- check --online and poll --------------------------------------------------------------------


def test_every_account_and_destination_of_the_sandbox_says_who_it_is(sandbox: Path) -> None:
    said = fine(inboxd("check", "--online", cwd=sandbox))
    for name in ("x_demo", "facebook_demo", "weibo_demo", "wechat_demo", "wecom_demo"):
        assert f"account {name}: ok, " in said
    for name in ("social", "leads", "desk", "ops"):
        assert f"destination {name}: ok, " in said


def test_an_account_that_cannot_be_asked_is_a_problem(shop: Path) -> None:
    ran = inboxd("check", "--online", cwd=shop)
    assert ran.code == 1
    assert "account weibo_lumo: " in ran.out
    assert "account weibo_lumo: ok" not in ran.out
    assert "lumo-weibo-token" not in ran.out + ran.err


def test_a_poll_prints_what_each_stream_gave(sandbox: Path) -> None:
    said = fine(inboxd("poll", "weibo_demo", cwd=sandbox))
    for stream in ("mentions", "comments", "comment_mentions", "own_comments"):
        assert f"{stream}: 0 new" in said


def test_a_poll_of_an_account_that_a_daemon_holds_is_refused(held: Path) -> None:
    err = problem(inboxd("poll", "weibo_demo", cwd=held))
    assert "a daemon holds weibo_demo" in err
    assert "--dry-run" in err


def test_a_dry_run_needs_no_lease_and_stores_nothing(held: Path) -> None:
    assert "mentions: 0 new" in fine(inboxd("poll", "weibo_demo", "--dry-run", cwd=held))
    assert json.loads(fine(inboxd("status", "--json", cwd=held)))["accounts"] == []


def test_a_poll_that_fails_is_a_problem(shop: Path) -> None:
    for more in ((), ("--dry-run",)):
        ran = inboxd("poll", "weibo_lumo", *more, cwd=shop)
        assert ran.code == 1
        assert "ConnectionError" in ran.out
        assert "mentions: " in ran.out
        assert "Traceback" not in ran.err
        assert "lumo-weibo-token" not in ran.out + ran.err


def test_a_poll_of_nobody_names_who_is_there(shop: Path) -> None:
    err = problem(inboxd("poll", "weibo_lum", cwd=shop))
    assert "weibo_lumo" in err


def test_a_lease_that_has_run_out_keeps_nobody_out(sandbox: Path) -> None:
    db = Database.open(
        f"sqlite:///{sandbox}/box.db",
        now=lambda: utc_now() - timedelta(hours=1),
        owner_mark="sandbox",
    )
    db.write(lambda conn: acquire(conn, "account:weibo_demo", "another-host:1:aa", -60))
    db.close()
    fine(inboxd("poll", "weibo_demo", cwd=sandbox))
