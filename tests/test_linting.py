"""`rules lint` for programs: JSON, annotations, and what the stored messages say of a rule."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aggregator.arguments import LintFormat
from aggregator.linting import lint_rules, recent_messages, run_rule_tests
from aggregator.settings import load

WRONG = "schema: 1\nrules:\n  - {id: my-rule, when: {any: [退款, 100%], anny: [x]}}\n"
DOUBTFUL = "schema: 1\nrules:\n  - {id: my-rule, when: {any: [退款]}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules").mkdir()
    return tmp_path / "rules"


def test_json_has_a_row_for_every_finding(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.yaml").write_text(WRONG, encoding="utf-8")
    assert not lint_rules(Path("rules"), form=LintFormat.JSON)
    (row,) = json.loads(capsys.readouterr().out)
    assert row == {
        "severity": "error",
        "code": "schema",
        "file": "rules/a.yaml",
        "line": 3,
        "column": 43,
        "text": "unknown key rules.0.when.anny; did you mean 'any'?",
    }
    (folder / "a.yaml").write_text(DOUBTFUL, encoding="utf-8")
    assert lint_rules(folder, form=LintFormat.JSON)
    assert [row["code"] for row in json.loads(capsys.readouterr().out)] == ["no-examples"]
    (folder / "a.yaml").write_text("schema: 1\n", encoding="utf-8")
    assert lint_rules(folder, form=LintFormat.JSON)
    assert json.loads(capsys.readouterr().out) == []


def test_annotations_name_the_file_from_where_the_lint_runs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a,b.yaml").write_text(
        DOUBTFUL.replace("any: [退款]", "regex: ['100%(']"), encoding="utf-8"
    )
    assert not lint_rules(folder, form=LintFormat.GITHUB)
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(
        "::error file=rules/a%2Cb.yaml,line=3,col=34,title=inboxd rules lint%3A regex::'100%25('"
    )


def test_text_ends_in_a_count(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.yaml").write_text(WRONG, encoding="utf-8")
    assert not lint_rules(folder)
    said = capsys.readouterr().out
    assert "[schema]" in said
    assert said.endswith("1 errors, 0 warnings\n")


def test_the_examples_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tests = ", tests: [{hit: 退款}, {miss: 换货}, {hit: 换货}]}"
    (folder / "a.yaml").write_text(DOUBTFUL.replace("}}\n", "}" + tests + "\n"), encoding="utf-8")
    assert not run_rule_tests(folder)
    said = capsys.readouterr().out
    assert "my-rule does not hit '换货'" in said
    assert said.endswith("2 passed, 1 failed\n")


def test_a_lint_makes_no_database(folder: Path) -> None:
    path = folder.parent / "settings.yaml"
    path.write_text("sandbox: true\ndatabase: sqlite:///inboxd.db\n", encoding="utf-8")
    assert recent_messages(load(path, {})) == []
    assert not (folder.parent / "inboxd.db").exists()
    (folder.parent / "inboxd.db").write_bytes(b"no database at all, but long enough to be one" * 99)
    assert recent_messages(load(path, {})) == []
