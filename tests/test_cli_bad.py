"""What is wrong is said with its place and a remedy, with exit status 1, and never as a traceback."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli_stage import ROOT, SETTINGS, Ran, fill, inboxd, process, write_settings
from tests.test_cli import fine, problem

# --- the database -------------------------------------------------------------------------------


def _text(path: Path) -> None:
    path.write_text("这不是数据库\n" * 100, "utf-8")


def _folder(path: Path) -> None:
    path.mkdir()


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")


def _sandbox(path: Path) -> None:
    fill(path.parent)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = 'sandbox' WHERE key = 'owner'")


def _damaged(path: Path) -> None:
    fill(path.parent)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))


MADE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a text": (_text, "not a database"),
    "a folder": (_folder, "is a folder"),
    "newer": (_newer, "newer than this version"),
    "a sandbox's": (_sandbox, "holds sandbox data"),
    "damaged": (_damaged, "database: "),
}


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("verb", ["status", "db check", "export messages", "poll weibo_lumo"])
def test_a_database_that_cannot_be_used_is_said_so(tmp_path: Path, kind: str, verb: str) -> None:
    make, said = MADE[kind]
    write_settings(tmp_path)
    make(tmp_path / "inboxd.db")
    err = problem(inboxd(*verb.split(), cwd=tmp_path))
    assert said in err
    assert err.count("\n") <= 8


def test_a_locked_database_is_said_so(tmp_path: Path) -> None:
    write_settings(tmp_path)
    fill(tmp_path)
    with sqlite3.connect(tmp_path / "inboxd.db", isolation_level=None) as connection:
        connection.execute("UPDATE delivery SET state = 'dead'")
        connection.execute("BEGIN IMMEDIATE")
        ran = inboxd("deliveries", "retry", "--dead", cwd=tmp_path)
        connection.execute("ROLLBACK")
    assert "locked" in problem(ran)


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    write_settings(tmp_path)
    err = problem(
        inboxd("status", cwd=tmp_path, env={"INBOXD_DATABASE": "sqlite:////proc/no/x.db"})
    )
    assert "/proc/no/x.db" in err


@pytest.mark.parametrize(
    "url", ["mysql://x/y", "sqlite://", "nonsense", "postgresql://u:geheim@127.0.0.1:9/x"]
)
def test_a_database_url_that_cannot_be_used_is_said_without_its_password(
    tmp_path: Path, url: str
) -> None:
    write_settings(tmp_path)
    err = problem(inboxd("status", cwd=tmp_path, env={"INBOXD_DATABASE": url}))
    assert "database" in err
    assert "geheim" not in err


# --- settings -----------------------------------------------------------------------------------

BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
SETTINGS_TEXTS = {
    "empty": b"",
    "tabs": b"sandbox:\ttrue\n\tdatabase: x\n",
    "not UTF-8": "sandbox: 是\n".encode("gbk"),
    "duplicate keys": b"sandbox: true\nsandbox: false\n",
    "nesting bomb": b"a: " + b"[" * 100_000,
    "mapping bomb": b"".join(b" " * n + b"a:\n" for n in range(500)),
    "alias bomb": BOMB.encode(),
    "a list": b"- sandbox\n",
    "a word": b"sandbox\n",
    "a tag": b"sandbox: !!python/object/apply:os.system ['echo']\n",
    "unknown key": b"sandbox: true\ndatabse: sqlite:///x.db\n",
    "wrong type": b"sandbox: [true]\naccounts: 7\n",
    "missing secret": b'accounts:\n  x1: {connector: weibo, uid: "1750070171", access_token: "${NO_SUCH}"}\n',
    "NUL": b"sandbox: true\0\n",
    "two documents": b"sandbox: true\n---\nsandbox: false\n",
    "far too large": b"# " + b"x" * (5 << 20),
}


@pytest.mark.parametrize("kind", SETTINGS_TEXTS)
def test_bad_settings_are_told_with_file_and_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_bytes(SETTINGS_TEXTS[kind])
    ran = inboxd("check", cwd=tmp_path)
    if kind == "empty":
        assert ran.code in (0, 1)
        assert "Traceback" not in ran.err
        return
    for line in problem(ran).splitlines():
        assert line.startswith("settings.yaml:") or str(path) in line, line


def test_settings_that_are_missing_a_folder_or_unreadable(tmp_path: Path) -> None:
    assert "settings.yaml" in problem(inboxd("check", cwd=tmp_path))
    (tmp_path / "settings.yaml").mkdir()
    assert "settings.yaml" in problem(inboxd("check", cwd=tmp_path))
    named = problem(inboxd("--settings", "nirgendwo.yaml", "check", cwd=tmp_path))
    assert "nirgendwo.yaml" in named


def test_a_byte_order_mark_and_crlf_are_read(tmp_path: Path) -> None:
    text = SETTINGS.format(database=tmp_path / "x.db", language="zh", rules=ROOT / "rules")
    (tmp_path / "settings.yaml").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert "settings: ok" in fine(inboxd("check", cwd=tmp_path))


def test_settings_are_found_by_option_then_environment_then_here(tmp_path: Path) -> None:
    for name in ("option", "environment"):
        (tmp_path / name).mkdir()
        write_settings(tmp_path / name)
        (tmp_path / name / "settings.yaml").write_text(f"unknown_{name}: 1\n", "utf-8")
    write_settings(tmp_path)
    env = {"INBOXD_SETTINGS": str(tmp_path / "environment" / "settings.yaml")}
    assert inboxd("check", cwd=tmp_path).code == 0
    assert "unknown_environment" in problem(inboxd("check", cwd=tmp_path, env=env))
    option = str(tmp_path / "option" / "settings.yaml")
    assert "unknown_option" in problem(inboxd("--settings", option, "check", cwd=tmp_path, env=env))


# --- rules --------------------------------------------------------------------------------------

RULE = """\
schema: 1
rules:
  - id: late-parcel
    title: 催发货
    when: {{any: [还没发货, 不发货]}}
    then: {{urgency: 2, importance: 1, labels: [delivery]}}
    tests:
      - hit: 三天了还没发货
      - miss: {miss}
"""


def _rules(folder: Path, text: str) -> None:
    (folder / "rules").mkdir()
    (folder / "rules" / "10-late.yaml").write_text(text, "utf-8")
    write_settings(folder, rules=folder / "rules")


def test_rules_that_are_good_pass_lint_and_tests(tmp_path: Path) -> None:
    _rules(tmp_path, RULE.format(miss="收到了，谢谢"))
    assert fine(inboxd("rules", "lint", cwd=tmp_path)).endswith("0 errors, 0 warnings\n")
    assert fine(inboxd("rules", "test", cwd=tmp_path)) == "2 passed, 0 failed\n"
    assert "rules: ok" in fine(inboxd("check", cwd=tmp_path))


def test_an_example_that_fails_fails_the_test(tmp_path: Path) -> None:
    _rules(tmp_path, RULE.format(miss="你们不发货吗"))
    for verb in (("rules", "test"), ("rules", "lint"), ("check",)):
        ran = inboxd(*verb, cwd=tmp_path)
        assert ran.code == 1
        assert "Traceback" not in ran.err
        assert "10-late.yaml:9" in ran.out + ran.err


def test_a_rule_with_an_error_is_told_with_its_place(tmp_path: Path) -> None:
    _rules(tmp_path, RULE.format(miss="谢谢").replace("urgency:", "urgancy:"))
    ran = inboxd("rules", "lint", cwd=tmp_path)
    assert ran.code == 1
    assert "10-late.yaml:6" in ran.out
    assert "urgency" in ran.out
    for verb in (("check",), ("try", "还没发货"), ("rules", "test")):
        ran = inboxd(*verb, cwd=tmp_path)
        assert ran.code == 1
        assert "10-late.yaml:6" in ran.err


def test_rules_that_are_not_there_are_told(tmp_path: Path) -> None:
    for name in ("nirgendwo", "settings.yaml"):
        write_settings(tmp_path)
        ran: Ran = inboxd("rules", "lint", str(tmp_path / name), cwd=tmp_path)
        assert ran.code == 1
        assert name in ran.out + ran.err
        assert "Traceback" not in ran.err


# --- init, version, usage -----------------------------------------------------------------------


def test_init_copies_and_never_overwrites(tmp_path: Path) -> None:
    fine(inboxd("init", "新店", cwd=tmp_path))
    made = tmp_path / "新店"
    assert (made / "settings.yaml").read_bytes() == (ROOT / "settings.yaml").read_bytes()
    assert sorted(p.name for p in (made / "rules").iterdir()) == sorted(
        p.name for p in (ROOT / "rules").iterdir()
    )
    fine(inboxd("check", cwd=made))
    (made / "settings.yaml").write_text("sandbox: true\n", "utf-8")
    assert "exist already" in problem(inboxd("init", "新店", cwd=tmp_path))
    assert (made / "settings.yaml").read_text("utf-8") == "sandbox: true\n"
    (tmp_path / "file").write_text("x", "utf-8")
    problem(inboxd("init", "file", cwd=tmp_path))
    problem(inboxd("init", "/proc/nowhere", cwd=tmp_path))


def test_the_version_is_told(tmp_path: Path) -> None:
    assert fine(inboxd("--version", cwd=tmp_path)).startswith("inboxd ")


@pytest.mark.parametrize("words", [(), ("fly",), ("run", "--role", "cook"), ("try",), ("rules",)])
def test_wrong_usage_is_two(tmp_path: Path, words: tuple[str, ...]) -> None:
    write_settings(tmp_path)
    ran = inboxd(*words, cwd=tmp_path)
    assert ran.code == 2
    assert "Traceback" not in ran.err


def test_a_full_disk_is_no_traceback(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():  # macOS
        return
    write_settings(tmp_path)
    fill(tmp_path)
    with Path("/dev/full").open("wb") as full:
        ran = process("export", "messages", cwd=tmp_path, stdout=full)
    assert "No space left" in problem(ran)
