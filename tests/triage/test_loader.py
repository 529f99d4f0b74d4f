from __future__ import annotations

from pathlib import Path

import pytest

from aggregator.errors import SettingsError
from aggregator.triage.loader import lint, load, load_texts
from tests.triage.making import judged

ONE = "schema: 1\nrules:\n  - {id: one-rule, title: 一, when: {any: [退款, 退货]}, then: {labels: [a]}, tests: [{hit: 退款}]}\n"
TWO = "schema: 1\nrules:\n  - {id: two-rule, when: {any: [起火]}, then: {urgency: 2}, tests: [{hit: 起火}]}\n"
BOTH = ONE + TWO.split("rules:\n")[1]


def test_the_version_is_16_hex_digits_and_knows_no_file_names_or_order() -> None:
    version = load_texts({"a.yaml": ONE, "b.yaml": TWO}).version
    assert len(version) == 16
    assert int(version, 16) >= 0
    assert load_texts({"z.yaml": ONE, "sub/b.yaml": TWO}).version == version
    assert load_texts({"all.yaml": BOTH}).version == version


@pytest.mark.parametrize(
    ("before", "after"),
    [("title: 一", "title: 二"), ("hit: 退款", "hit: 退货"), ("schema: 1", "# 注释\nschema: 1")],
)
def test_what_decides_nothing_leaves_the_version_alone(before: str, after: str) -> None:
    assert (
        load_texts({"a.yaml": ONE}).version
        == load_texts({"a.yaml": ONE.replace(before, after)}).version
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("退货", "换货"),
        ("labels: [a]", "labels: [b]"),
        ("one-rule", "uno-rule"),
        ("any:", "negation: block, any:"),
    ],
)
def test_what_decides_something_changes_the_version(before: str, after: str) -> None:
    assert (
        load_texts({"a.yaml": ONE}).version
        != load_texts({"a.yaml": ONE.replace(before, after)}).version
    )


def test_verdicts_do_not_depend_on_file_names() -> None:
    text = "起火了，我要退款"
    first = judged(load_texts({"a.yaml": ONE, "b.yaml": TWO}), text)
    assert first == judged(load_texts({"b.yaml": ONE, "a.yaml": TWO}), text)


def test_the_sources_rebuild_the_same_rules() -> None:
    rules = load_texts({"a.yaml": ONE, "sentiment/zh.yaml": "schema: 1\nterms: {'2': [好]}\n"})
    again = load_texts(rules.sources)
    assert (again.version, again.sources) == (rules.version, rules.sources)


def test_a_folder_is_read_below_and_hidden_files_are_not(tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    (tmp_path / "..2026_01").mkdir()
    (tmp_path / "team" / "mine.yml").write_text(ONE, encoding="utf-8")
    (tmp_path / "..2026_01" / "mine.yaml").write_text(ONE, encoding="utf-8")
    (tmp_path / ".#mine.yaml").write_text("not: [yaml", encoding="utf-8")
    (tmp_path / "README.md").write_text("# 说明", encoding="utf-8")
    assert load(tmp_path).sources.keys() == {"team/mine.yml"}


def test_a_bom_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    (tmp_path / "win.yaml").write_bytes(b"\xef\xbb\xbf" + ONE.replace("\n", "\r\n").encode())
    rules = load(tmp_path)
    assert rules.version == load_texts({"a.yaml": ONE}).version


def test_a_missing_folder_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path / "nowhere")
    assert "inboxd init" in caught.value.problems[0]
    assert lint(tmp_path / "nowhere")[0].code == "unreadable"


def test_an_empty_folder_judges_everything_p4(tmp_path: Path) -> None:
    assert judged(load(tmp_path), "起火了").priority == "P4"


def test_a_file_over_4_mib_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "big.yaml").write_bytes(b"# " + b"x" * (4 * 1024 * 1024))
    with pytest.raises(SettingsError, match="larger than 4 MiB"):
        load(tmp_path)


def test_failing_examples_refuse_a_load_unless_they_are_not_run() -> None:
    bad = ONE.replace("hit: 退款", "hit: 你好")
    with pytest.raises(SettingsError, match="does not hit"):
        load_texts({"a.yaml": bad})
    assert load_texts({"a.yaml": bad}, tests=False).rules.keys() == {"one-rule"}


def test_a_lone_surrogate_in_stored_text_is_a_problem_and_no_crash() -> None:
    with pytest.raises(SettingsError, match="UTF-8"):
        load_texts({"a.yaml": "title: \ud800"})
