"""What people say a verdict should have been: stored beside it, shown, exported; the verdict stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aggregator.model import Correction, Priority, corrected
from storage.corrections import correct, correctable, corrections_of
from storage.engine import Database
from storage.history import messages
from tests.cli_stage import FIRST, fill, inboxd, write_settings
from tests.conftest import NOW
from tests.storage import make
from tests.test_cli import exported, fine, id_of, problem


def said(id: int, message_id: int = 1, **more: object) -> Correction:
    return Correction(id, message_id, NOW, "小王", **more)  # type: ignore[arg-type]


def test_of_several_words_on_one_thing_the_last_one_counts() -> None:
    left = corrected(
        Priority.P4,
        "neutral",
        ("spam",),
        [
            said(1, priority=Priority.P1, added=("refund", "urgent")),
            said(2, sentiment="negative", removed=("spam", "urgent")),
            said(3, priority=Priority.P2),
        ],
    )
    assert (left.priority, left.sentiment, left.tags) == (Priority.P2, "negative", ("refund",))
    assert corrected(Priority.P4, "neutral", ("b", "a"), []).tags == ("a", "b")


def test_corrections_are_kept_in_their_order_and_leave_the_verdict_alone(db: Database) -> None:
    decided = make.decision(db.new_id, make.message())
    make.commit(db, make.fence(db), decided)
    id = decided.messages[0].id
    with db.read() as conn:
        assert correctable(conn, id) is None
        assert "no message 8" in str(correctable(conn, 8))
    first = said(1, id, priority=Priority.P1, added=("质量",), why="冒烟\x00了")
    for one in (first, said(2, id, sentiment="neutral", removed=("refund",))):
        db.write(lambda conn, one=one: correct(conn, one))
    with db.read() as conn:
        kept = corrections_of(conn, [id, 9])
        (row,) = messages(conn)
    assert [one.id for one in kept[id]] == [1, 2]
    assert kept[id][0].why == "冒烟\ufffd了"
    assert row["priority"] == "P2"
    assert row["tags"] == ["refund"]
    assert row["corrected"] == {
        "priority": "P1",
        "sentiment": "neutral",
        "tags": ["质量"],
        "by": "小王",
        "at": "2026-03-04T02:00:00.000Z",
    }


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    write_settings(tmp_path)
    fill(tmp_path)
    return tmp_path


def test_a_correction_is_shown_by_explain_and_exported(shop: Path) -> None:
    id = id_of(shop, FIRST)
    words = (
        "--priority",
        "P2",
        "--label",
        "+hotline",
        "--label",
        "-safety",
        "--why",
        "演习\x1b[2J",
    )
    out = fine(inboxd("correct", id, "--by", "小王", *words, cwd=shop))
    assert out.startswith(f"message {id}: P2 +hotline -safety by 小王, ")
    assert "no rule gives the label hotline" in out
    told = fine(inboxd("explain", id, cwd=shop))
    assert "corrected: P2 +hotline -safety by 小王" in told
    assert "\x1b" not in told
    found = json.loads(fine(inboxd("explain", id, "--json", cwd=shop)))
    assert found["priority"] == "P1"
    assert found["corrected"]["priority"] == "P2"
    assert found["corrections"][0]["labels_removed"] == ["safety"]
    row = next(one for one in exported(shop) if one["id"] == id)
    assert row["priority"] == "P1"
    assert isinstance(row["corrected"], dict)
    assert "hotline" in row["corrected"]["tags"]


def test_what_cannot_be_meant_is_refused_and_nothing_is_stored(shop: Path) -> None:
    id = id_of(shop, FIRST)
    for wrong in (
        ("--by", "x"),
        ("--by", " ", "--priority", "P1"),
        ("--by", "x", "--priority", "P5"),
        ("--by", "x", "--label", "refund"),
        ("--by", "x", "--label", "+a", "--label", "-a"),
        ("--priority", "P1"),
    ):
        problem(inboxd("correct", id, *wrong, cwd=shop), 2)
    ours = id_of(shop, "您好，请立即停用，我们马上联系您")
    right = ("--by", "x", "--priority", "P1")
    assert "was not judged" in problem(inboxd("correct", ours, *right, cwd=shop))
    assert "no message 12" in problem(inboxd("correct", "12", *right, cwd=shop))
    assert all(row["corrected"] is None for row in exported(shop))


def test_explain_says_what_nearly_fired_and_what_the_rules_of_now_say(shop: Path) -> None:
    id = id_of(shop, FIRST)
    found = json.loads(fine(inboxd("explain", id, "--json", cwd=shop)))
    assert {"near", "marks", "merge", "rules_now", "corrections", "corrected"} <= set(found)
    (safety,) = (one for one in found["merge"] if one["rule"] == "safety-incident")
    assert (safety["role"], safety["terms"]) == ("counted", ["起火"])
    assert found["rules_now"]["differs"] is False
    rules = shop / "rules"
    rules.mkdir()
    (rules / "a.yaml").write_text(
        "schema: 1\nrules: [{id: other-words, when: {any: [救命]}, then: {importance: 2}}]\n",
        "utf-8",
    )
    write_settings(shop, rules=rules)
    found = json.loads(fine(inboxd("explain", id, "--json", cwd=shop)))
    assert found["rules_now"]["differs"] is True
    assert found["rules_now"]["verdict"]["priority"] == "P3"
    assert found["near"] is None  # the rules of then were never in force, and are not kept
    told = fine(inboxd("explain", id, cwd=shop))
    assert "are not kept" in told
    assert "rules of now (" in told
    (rules / "a.yaml").write_text("schema: 1\nrules: [\n", "utf-8")
    assert "rules of now: " in fine(inboxd("explain", id, cwd=shop))
