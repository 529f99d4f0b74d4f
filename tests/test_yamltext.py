from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from aggregator.errors import SettingsError
from aggregator.yamltext import MAX_BYTES, Document, parse, problems, read


def _parse(text: str) -> Document:
    return parse(text.encode(), name="f.yaml")


def _problem(text: str | bytes) -> str:
    with pytest.raises(SettingsError) as caught:
        parse(text if isinstance(text, bytes) else text.encode(), name="f.yaml")
    (one,) = caught.value.problems
    return one


def test_every_scalar_stays_the_text_that_was_written() -> None:
    tree = _parse("a: [no, off, on, 12:30, 0755, 1_000, 2026-01-01, 1e3, .5, =]\nb: 退款\n").tree
    assert tree["a"] == [
        "no",
        "off",
        "on",
        "12:30",
        "0755",
        "1_000",
        "2026-01-01",
        "1e3",
        ".5",
        "=",
    ]
    assert tree["b"] == "退款"


@pytest.mark.parametrize("empty", ["", "~", "null", "Null", "NULL"])
def test_nothing_is_none_and_the_quoted_word_is_a_word(empty: str) -> None:
    assert _parse(f"a: {empty}\n").tree == {"a": None}
    assert _parse(f"a: '{empty}'\n").tree == {"a": empty}


def test_an_empty_file_and_one_of_comments_are_an_empty_mapping() -> None:
    assert _parse("").tree == {}
    assert _parse("# 说明\n").tree == {}


def test_every_value_and_key_knows_its_line_and_column() -> None:
    document = _parse("规则:\n  - 标题: 退款\n    any: [一, 二]\n")
    assert document.at(("规则", 0, "标题")) == "f.yaml:2:9"
    assert document.at(("规则", 0, "any", 1)) == "f.yaml:3:14"
    assert document.at(("规则", 0, "any"), key=True) == "f.yaml:3:5"
    assert document.at(("规则", 0, "missing", 3)) == "f.yaml:2:5"
    assert document.at(("nowhere",)) == "f.yaml:1:1"


def test_a_bom_and_any_line_ends_read_the_same() -> None:
    for data in (b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", b"a: 1\rb: 2\r", b"a: 1\nb: 2\n"):
        document = parse(data, name="f.yaml")
        assert document.tree == {"a": "1", "b": "2"}
        assert document.at(("b",)) == "f.yaml:2:4"


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\na: 2\n", "2:1", "'a' stands already in line 1"),
        ("a:\n\t- b\n", "2:1", "a tab stands here"),
        ("标题：退款\nid: x\n", "2:3", "a full-width ："),
        ("a: [“退款”：b\n", "2:1", "a full-width ："),
        ('a: "退款”\n', "2:1", "full-width quotes"),
        ("a: @acme\n", "1:4", "quote the value"),
        ("a: %x\n", "1:4", "quote the value"),
        ("a: [*great]\n", "1:5", "quote it if it is text"),
        ("a: &x 1\n", "1:4", "anchors"),
        ("a: !!python/object:os.system x\n", "1:4", "the tag"),
        ("a: !secret x\n", "1:4", "the tag !secret"),
        ("a: [退款, #投诉#, b]\n", "2:1", "YAML reads # as a comment"),
        ("a: {b: ${TOKEN}}\n", "1:9", "in quotes"),
        ("a: {hit: 气死了[怒], b: c}\n", "1:13", "is quoted inside them"),
        ("a: 1\n---\nb: 2\n", "2:1", "one document"),
        ("? [a, b]\n: c\n", "1:3", "a key must be a word"),
        ("a: [b\nc: d\n", "2:2", "opened in line 1"),
        ("好: 坏\x07\n", "1:5", "control character"),
        ("a: 1\n中文: 坏\x00\n", "2:6", "control character"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_a_remedy(text: str, place: str, words: str) -> None:
    found = _problem(text)
    assert found.startswith(f"f.yaml:{place}: "), found
    assert words in found


def test_bytes_that_are_no_utf8_are_refused_with_their_line() -> None:
    assert _problem("a: 1\nb: 退款\n".encode("gb18030")).startswith("f.yaml:2:1: not UTF-8")


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 60 + "}" * 60, "- " * 80 + "x"])
def test_a_nesting_bomb_is_refused_and_crashes_nothing(text: str) -> None:
    assert "nested deeper than 50" in _problem(text)


def test_an_alias_bomb_is_refused() -> None:
    assert "anchors" in _problem("a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n")


def test_a_file_over_the_limit_is_refused_before_it_is_parsed() -> None:
    assert "larger than 4 MiB" in _problem(b"#" * (MAX_BYTES + 1))


def test_an_unreadable_file_is_a_problem_with_a_remedy(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(SettingsError, match="cannot be read"):
            read(path)
    (tmp_path / "good.yaml").write_text("a: 好", encoding="utf-8")
    assert read(tmp_path / "good.yaml", name="good").tree == {"a": "好"}


@given(st.text(st.sampled_from("ab退：:-[]{},#&*!|>'\"%@` \n\t?~\x00\x85\u2028")), st.binary())
def test_whatever_is_written_gives_a_document_or_problems_and_nothing_else(
    text: str, data: bytes
) -> None:
    for one in (text.encode(), data):
        try:
            document = parse(one, name="f.yaml")
        except SettingsError as error:
            assert all(problem.startswith("f.yaml:") for problem in error.problems)
        else:
            assert _only_text(document.tree)


def _only_text(tree: Any) -> bool:
    if isinstance(tree, dict):
        return all(isinstance(key, str) and _only_text(one) for key, one in tree.items())
    if isinstance(tree, list):
        return all(_only_text(one) for one in tree)
    return tree is None or isinstance(tree, str)


class _Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    every: int = 1


class _Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    inner: _Inner = _Inner()


def _problems(text: str, **extra: Any) -> list[str]:
    document = _parse(text)
    with pytest.raises(ValidationError) as caught:
        _Outer.model_validate(document.tree)
    return problems(caught.value, document, **extra)


def test_a_validation_error_is_told_by_place_and_names_the_nearest_key() -> None:
    known = {("inner",): ("every",)}
    (one,) = _problems("name: 一\ninner: {evry: 3}\n", known=known)
    assert one == "f.yaml:2:9: unknown key inner.evry; did you mean 'every'?"
    (two,) = _problems("name: 一\ninner: {evry: 3}\n", known=lambda loc: ["every"] if loc else [])
    assert two == one
    (three,) = _problems("name: 一\nzzz: 1\n")
    assert three == "f.yaml:2:1: unknown key zzz; remove it"


def test_a_missing_key_and_a_wrong_type_are_told_where_they_belong() -> None:
    missing, wrong = _problems("inner: {every: soon}\n")
    assert missing == "f.yaml:1:1: name is missing; add it"
    assert wrong.startswith("f.yaml:1:16: inner.every: ")


def test_a_full_width_colon_that_made_one_word_of_a_mapping_is_named() -> None:
    (one,) = _problems("name: 一\ninner: every：3\n")
    assert "a full-width ： stands here" in one
