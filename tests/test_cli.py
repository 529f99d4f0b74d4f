"""The verbs that look into the store: what they print, in which form, with which exit status."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from aggregator.exporting import COLUMNS
from tests.cli_stage import (
    FIRST,
    FORMULA,
    OLD,
    Ran,
    environment,
    fill,
    inboxd,
    process,
    write_settings,
)

UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
PEOPLE_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only: what changes the store takes a copy."""
    folder = tmp_path_factory.mktemp("shop")
    write_settings(folder)
    fill(folder)
    return folder


@pytest.fixture
def copy(shop: Path, tmp_path: Path) -> Path:
    write_settings(tmp_path)
    with (
        sqlite3.connect(shop / "inboxd.db") as there,
        sqlite3.connect(tmp_path / "inboxd.db") as here,
    ):
        there.backup(here)
    return tmp_path


def fine(ran: Ran) -> str:
    assert ran.code == 0, ran.err
    assert "Traceback" not in ran.err
    return ran.out


def problem(ran: Ran, code: int = 1) -> str:
    assert ran.code == code, ran.out + ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""
    return ran.err


def exported(shop: Path, what: str = "messages", *more: str) -> list[dict[str, object]]:
    out = fine(inboxd("export", what, *more, cwd=shop))
    return [json.loads(line) for line in out.splitlines()]


def id_of(shop: Path, text: str | None) -> str:
    return next(str(row["id"]) for row in exported(shop) if row["text"] == text)


# --- export -------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", COLUMNS)
def test_an_export_has_the_keys_of_the_interface_in_both_forms(shop: Path, what: str) -> None:
    rows = exported(shop, what)
    assert rows or what == "gaps"  # nothing of the busy hour is lost
    assert {tuple(row) for row in rows} <= {COLUMNS[what]}
    text = fine(inboxd("export", what, "--format", "csv", cwd=shop))
    header, *lines = list(csv.reader(io.StringIO(text, newline="")))
    assert tuple(header) == COLUMNS[what]
    assert len(lines) == len(rows)
    for row in rows:
        for key, value in row.items():
            if key.endswith("_at") and value is not None:
                assert UTC_TIME.fullmatch(str(value))
            if key == "id":
                assert isinstance(value, str)


def test_no_cell_of_a_csv_is_a_formula(shop: Path) -> None:
    text = fine(inboxd("export", "messages", "--format", "csv", cwd=shop))
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert f"'{FORMULA}" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_a_csv_of_nothing_has_its_header(tmp_path: Path) -> None:
    write_settings(tmp_path)
    text = fine(inboxd("export", "clocks", "--format", "csv", cwd=tmp_path))
    assert text == ",".join(COLUMNS["clocks"]) + "\n"


def test_since_takes_a_span_or_a_time(shop: Path) -> None:
    for since in (
        "7d",
        "12h",
        "90m",
        "4w",
        "1.5d",
        "2026-01-01T00:00:00Z",
        "2026-01-01T08:00:00+08:00",
    ):
        assert len(exported(shop, "messages", "--since", since)) == 6
    assert exported(shop, "messages", "--since", "9999-01-01T00:00:00Z") == []
    for since in (
        "",
        "d",
        "-7d",
        "7y",
        "soon",
        "NaNd",
        "1e9d",
        "٣d",
        "2026-03-01",
        "9" * 5000 + "d",
    ):
        problem(inboxd("export", "messages", f"--since={since}", cwd=shop), 2)
    problem(inboxd("export", "messages", "--since", "0001-01-01T00:00:00+08:00", cwd=shop), 2)


def test_a_reader_that_stops_early_is_no_traceback(shop: Path) -> None:
    script = (
        f"'{sys.executable}' -m aggregator export messages | head -n 1; exit ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(
        ["bash", "-c", script], cwd=shop, env=environment(), capture_output=True, check=False
    )
    assert done.stderr == b""
    assert json.loads(done.stdout)["platform"] == "weibo"
    closed = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m aggregator export messages | true"],
        cwd=shop,
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert closed.stderr == b""


def test_chinese_and_emoji_come_out_whatever_the_locale(shop: Path) -> None:
    env = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    assert FIRST in fine(process("export", "messages", cwd=shop, env=env))
    assert FIRST in fine(process("explain", id_of(shop, FIRST), cwd=shop, env=env))


# --- explain ------------------------------------------------------------------------------------


def test_explain_says_the_whole_decision(shop: Path) -> None:
    found = json.loads(fine(inboxd("explain", id_of(shop, FIRST), "--json", cwd=shop)))
    wanted = {"priority", "urgency", "importance", "sentiment", "tags", "matches", "reasons"}
    assert {*wanted, "rules_version", "route", "deliveries", "untold"} <= set(found)
    assert found["priority"] == "P1"
    assert found["untold"] is None
    said = fine(inboxd("explain", id_of(shop, FIRST), cwd=shop))
    assert FIRST in said
    assert f"route: {', '.join(found['route'])}" in said
    assert "safety-incident" in said
    assert re.search(r"told: social card \(\d+\) waits to be sent", said)
    assert PEOPLE_TIME.search(said)
    assert "Asia/Shanghai" in said


def test_explain_says_why_nobody_was_told(shop: Path) -> None:
    said = fine(inboxd("explain", id_of(shop, OLD), cwd=shop))
    assert "told: nobody, because it was sent before the account's first poll" in said
    ours = next(str(row["id"]) for row in exported(shop) if row["direction"] == "outbound")
    said = fine(inboxd("explain", ours, cwd=shop))
    assert "our own, by 露沐官方" in said
    assert "not judged" in said


def test_explain_shows_no_escape_sequence_of_a_customer(shop: Path) -> None:
    said = fine(inboxd("explain", id_of(shop, "好喜欢！👍\x1b[2J"), cwd=shop))
    assert "\x1b" not in said
    assert "好喜欢！👍" in said


def test_explain_a_message_without_text(shop: Path) -> None:
    assert "(no text" in fine(inboxd("explain", id_of(shop, None), cwd=shop))


def test_explain_an_id_that_is_not_there(shop: Path) -> None:
    assert "no message 7;" in problem(inboxd("explain", "7", cwd=shop))
    for odd in ("abc", "-1", "0", "1.5", "9" * 30):
        problem(inboxd("explain", "--", odd, cwd=shop), 2)


# --- status and report --------------------------------------------------------------------------


def test_status_says_health_lag_trouble_and_backlog(shop: Path) -> None:
    found = json.loads(fine(inboxd("status", "--json", cwd=shop)))
    (account,) = found["accounts"]
    streams = {row["name"]: row for row in account["streams"]}
    assert streams["mentions"]["health"] == "paused"
    assert streams["comments"]["lag_ms"] >= 0
    assert {row["name"] for row in found["destinations"]} >= {"social", "leads", "desk", "ops"}
    assert found["backlog"]["deliveries"] > 0
    assert UTC_TIME.fullmatch(streams["comments"]["last_success_at"])
    said = fine(inboxd("status", cwd=shop))
    assert re.search(r"mentions +paused +never +not before \d{4}-.* 用户请求超过上限", said)
    assert f"backlog: {found['backlog']['deliveries']} notices to send" in said
    assert max(map(len, said.splitlines())) < 200


def test_status_names_what_was_never_read(tmp_path: Path) -> None:
    write_settings(tmp_path)
    said = fine(inboxd("status", cwd=tmp_path))
    assert re.search(r"weibo_lumo +weibo +– +waiting +never", said)


def test_a_report_in_each_form(shop: Path) -> None:
    table = fine(inboxd("report", "response-times", "--by", "platform,priority", cwd=shop))
    assert "first_response" in table
    assert "weibo" in table
    rows = json.loads(
        fine(inboxd("report", "response-times", "--by", "platform", "--format", "json", cwd=shop))
    )
    times = {f"{a}_{b}_ms" for a in ("business", "wall") for b in ("p50", "p90", "p95")}
    figures = {"platform", "clock", "count", "met", "breached", "unanswered"}
    assert all(set(row) >= times | figures for row in rows)
    assert {row["clock"] for row in rows} >= {"first_response", "resolution"}
    exact = ("report", "response-times", "--by", "platform", "--format", "json", "--exact")
    again = json.loads(fine(inboxd(*exact, cwd=shop)))
    for row, true in zip(rows, again, strict=True):
        assert {name: row[name] for name in figures} == {name: true[name] for name in figures}
        for name in times & {one for one in row if true[one]}:
            assert abs(row[name] - true[name]) <= 0.02 * true[name]
    for which in ("volume", "team", "targets"):
        assert json.loads(fine(inboxd("report", which, "--format", "json", cwd=shop)))
        assert "达标" in (said := fine(inboxd("report", which, cwd=shop))) or which == "volume"
        assert "收到的" in said
    drawn = ("report", "targets", "--chart", str(shop / "图.svg"))
    fine(inboxd(*drawn, cwd=shop))
    assert (shop / "图.svg").read_bytes().startswith(b"<?xml")
    assert ".png" in problem(inboxd("report", "volume", "--chart", "a.gif", cwd=shop), 2)
    assert "not counted by" in problem(inboxd("report", "volume", "--by", "person", cwd=shop), 2)
    assert "sound" in fine(inboxd("db", "check", cwd=shop))
    assert "anew" in fine(inboxd("db", "refill", cwd=shop))
    text = fine(inboxd("report", "response-times", "--format", "csv", cwd=shop))
    assert text.splitlines()[0].startswith("clock,count,met,breached,unanswered,")
    err = problem(inboxd("report", "response-times", "--by", "prority", cwd=shop), 2)
    assert "priority" in err
    problem(inboxd("report", "sentiment", cwd=shop), 2)


# --- deliveries ---------------------------------------------------------------------------------


def test_deliveries_are_listed_by_state(shop: Path) -> None:
    out = fine(inboxd("deliveries", "list", "--state", "pending", "--json", cwd=shop))
    rows = [json.loads(line) for line in out.splitlines()]
    assert {row["state"] for row in rows} == {"pending"}
    assert {tuple(row) for row in rows} == {COLUMNS["deliveries"]}
    assert fine(inboxd("deliveries", "list", "--state", "dead", cwd=shop)) == "no deliveries\n"
    said = fine(inboxd("deliveries", "list", cwd=shop))
    assert all(row["id"] in said for row in rows)
    problem(inboxd("deliveries", "list", "--state", "lost", cwd=shop), 2)


def test_dead_deliveries_are_put_back(copy: Path) -> None:
    with sqlite3.connect(copy / "inboxd.db") as connection:
        connection.execute("UPDATE delivery SET state = 'dead', reason = '房间不见了'")
    dead = exported(copy, "deliveries")
    assert "房间不见了" in fine(inboxd("deliveries", "list", "--state", "dead", cwd=copy))
    first = str(dead[0]["id"])
    assert fine(inboxd("deliveries", "retry", first, cwd=copy)) == "1 put back into the queue\n"
    again = inboxd("deliveries", "retry", first, "5", cwd=copy)
    assert again.code == 1
    assert "2 of them left alone" in again.err
    said = fine(inboxd("deliveries", "retry", "--dead", cwd=copy))
    assert said == f"{len(dead) - 1} put back into the queue\n"
    problem(inboxd("deliveries", "retry", cwd=copy), 2)
    problem(inboxd("deliveries", "retry", first, "--dead", cwd=copy), 2)


# --- db -----------------------------------------------------------------------------------------


def test_a_backup_is_whole_and_the_store_is_sound(copy: Path) -> None:
    assert "revision" in fine(inboxd("db", "upgrade", cwd=copy))
    assert fine(inboxd("db", "check", cwd=copy)) == "the database is sound\n"
    target = copy / "副本" / "backup.db"
    assert str(target) in fine(inboxd("db", "backup", str(target), cwd=copy))
    with sqlite3.connect(target) as connection:
        assert connection.execute("SELECT count(*) FROM message").fetchone() == (6,)
    assert "is a folder" in problem(inboxd("db", "backup", str(copy), cwd=copy))
    assert "itself" in problem(inboxd("db", "backup", str(copy / "inboxd.db"), cwd=copy))
    assert "cannot be written" in problem(inboxd("db", "backup", "/proc/x/y.db", cwd=copy))


def test_a_store_with_loose_ends_is_said_so(copy: Path) -> None:
    with sqlite3.connect(copy / "inboxd.db") as connection:
        connection.execute("DELETE FROM conversation")
    err = problem(inboxd("db", "check", cwd=copy))
    assert "without their conversation" in err
    assert "restore a backup" in err
