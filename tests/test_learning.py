"""`rules train` and `rules stats`: what people corrected becomes a model, in shadow first, and is compared."""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aggregator.learning import ENOUGH, Lesson, fit, questions
from aggregator.metrics import Metrics
from aggregator.model import Correction, Direction, Kind, Message, Priority, StoredMessage
from aggregator.now import utc_now
from aggregator.ops import Ops
from aggregator.ruling import Ruling
from aggregator.terminal import Progress
from aggregator.triage.learned import Learned, parse
from aggregator.triage.loader import load
from aggregator.triage.modelfile import ModelFile
from aggregator.triage.ruleset import Subject
from storage.corrections import correct
from storage.engine import Database
from storage.message_rows import message_row
from storage.outbox import list_deliveries
from storage.schema import message
from storage.sql import bulk_insert
from tests.cli_stage import inboxd, write_settings
from tests.conftest import NOW
from tests.test_cli import fine, problem

RULES = """\
schema: 1
rules:
  - {id: late-words, when: {any: [快递, parcel]}, then: {urgency: 1, labels: [delivery]}, tests: [{hit: 快递}]}
  - {id: never-words, title: 从不 / never, when: {any: [爆炸]}, then: {urgency: 3}, tests: [{hit: 爆炸}]}
"""
SIZE = (
    "尺码偏大了换小一码",
    "鞋子大了半码",
    "衣服太大不合身",
    "M码穿着太大",
    "size too big, smaller please",
)
OTHER = ("快递什么时候到", "颜色很好看", "客服没人理", "味道不错", "where is my parcel")
BAD = "{"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Sixty messages, a third about sizes; people said so of forty."""
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "a.yaml").write_text(RULES, "utf-8")
    path = write_settings(tmp_path, rules=rules)
    path.write_text(path.read_text("utf-8") + "learned: shadow\n", "utf-8")
    return tmp_path


def filled(shop: Path, corrected: int, learned: Learned | None = None) -> None:
    rules = load(shop / "rules").having(learned)
    now = utc_now()
    db = Database.open(f"sqlite:///{shop / 'inboxd.db'}", now=utc_now)
    rows = []
    for at in range(60):
        text = SIZE[at % len(SIZE)] if at % 3 == 0 else OTHER[at % len(OTHER)]
        said = Message(
            str(at), "weibo", Kind.MENTION, Direction.INBOUND, None, f"{text}{at % 7}", now
        )
        verdict = rules.judge(Subject(said.text))
        received = now - timedelta(minutes=60 - at)
        rows.append(
            StoredMessage(at + 1, "weibo_lumo", said, received, None, None, verdict, rules.version)
        )
    db.write(lambda conn: bulk_insert(conn, message, [message_row(one) for one in rows]))
    for one in rows[:corrected]:
        size = (one.id - 1) % 3 == 0
        given = Correction(
            db.new_id(),
            one.id,
            now,
            "小王",
            added=("size",) if size else (),
            removed=() if size else ("size",),
        )
        db.write(lambda conn, given=given: correct(conn, given))
    db.close()


def test_what_people_corrected_is_learnt_and_tried_in_shadow(shop: Path) -> None:
    filled(shop, 40)
    said = fine(inboxd("rules", "train", cwd=shop))
    assert "label:size" in said
    assert "[码" in said
    model = parse((shop / "learned.json").read_bytes(), "x")
    assert model.about["corrected"] == 40
    found = json.loads(fine(inboxd("try", "这双鞋太大了一码", "--json", cwd=shop)))
    assert found["tags"] == []
    assert found["reasons"][-1] == f"learned {model.version} (shadow): labels size"
    path = shop / "settings.yaml"
    path.write_text(path.read_text("utf-8").replace("learned: shadow", "learned: live"), "utf-8")
    found = json.loads(fine(inboxd("try", "这双鞋太大了一码", "--json", cwd=shop)))
    assert found["tags"] == ["size"]
    path.write_text(path.read_text("utf-8").replace("learned: live", "learned: off"), "utf-8")
    found = json.loads(fine(inboxd("try", "这双鞋太大了一码", "--json", cwd=shop)))
    assert "learned" not in found["reasons"][-1]


def test_the_same_corrections_make_the_same_model(shop: Path) -> None:
    filled(shop, 40)
    versions = set()
    for _ in range(2):
        fine(inboxd("rules", "train", cwd=shop))
        versions.add(parse((shop / "learned.json").read_bytes(), "x").version)
    assert len(versions) == 1


def test_too_few_corrections_are_said_and_nothing_is_written(shop: Path) -> None:
    filled(shop, 2 * ENOUGH)
    err = problem(inboxd("rules", "train", cwd=shop))
    assert "nothing to learn yet: 20 messages are corrected" in err
    assert not (shop / "learned.json").exists()


def test_without_scikit_learn_the_remedy_is_named(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(shop, 40)
    usual = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("sklearn"):
            raise ModuleNotFoundError(name)
        return usual(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "pip install 'inboxd[learn]'" in problem(inboxd("rules", "train", cwd=shop))


def test_a_question_is_learnt_that_people_answered_often_enough_both_ways() -> None:
    def lessons(yes: int, no: int, sure: bool = True) -> list[Lesson]:
        answers = [True] * yes + [False] * no
        return [Lesson("x", {"label:size": one}, sure) for one in answers]

    assert questions(lessons(ENOUGH, ENOUGH)) == ["label:size"]
    assert questions(lessons(ENOUGH - 1, 50)) == []
    assert questions(lessons(50, ENOUGH - 1)) == []
    assert questions(lessons(50, 50, sure=False)) == []


def test_our_arithmetic_is_that_of_scikit_learn() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    from aggregator.triage.learned import grams

    texts = [f"{one}{at}" for at in range(6) for one in (*SIZE, *OTHER)]
    truth = [one in SIZE for _ in range(6) for one in (*SIZE, *OTHER)]
    lessons = [
        Lesson(text, {"label:size": answer}, sure=True)
        for text, answer in zip(texts, truth, strict=True)
    ]
    text, _ = fit(lessons, ["label:size"], NOW, Progress(shown=False))
    ours = parse(text.encode(), "x")
    vectorizer = TfidfVectorizer(
        analyzer=lambda one: list(grams(one)), min_df=2, max_features=8_000, sublinear_tf=True
    )
    matrix = vectorizer.fit_transform(texts)
    theirs = LogisticRegression(
        C=4.0, solver="liblinear", class_weight="balanced", random_state=0, max_iter=1_000
    ).fit(matrix, truth)
    for one in ("鞋子太大，换小一码", "快递呢", "brand new words", "size size SIZE"):
        expected = theirs.predict_proba(vectorizer.transform([one]))[0][1]
        said = ours.says(one)
        assert abs(said.get("label:size", expected) - expected) < 0.02


# --- stats ----------------------------------------------------------------------------------------


def test_stats_count_hits_by_day_name_what_never_fired_and_hold_a_model_to_people(
    shop: Path,
) -> None:
    filled(shop, 40)
    fine(inboxd("rules", "train", cwd=shop))
    model = parse((shop / "learned.json").read_bytes(), "x")
    (shop / "inboxd.db").unlink()
    filled(shop, 40, Learned(model))
    found = json.loads(fine(inboxd("rules", "stats", "--format", "json", cwd=shop)))
    assert (found["messages"], found["corrected"]) == (60, 40)
    (late,) = found["rules"]
    assert late["rule"] == "late-words"
    assert sum(late["days"].values()) == late["hits"] == late["counted"] > 0
    assert found["never"] == ["never-words"]
    (learned,) = found["learned"]
    assert learned["model"] == model.version
    agreement = learned["agreement"]["label size"]
    assert agreement["asked"] == 40
    assert agreement["agreed"] >= 36
    said = fine(inboxd("rules", "stats", "--since", "7d", cwd=shop))
    assert "never-words: 从不" in said
    assert "label size: " in said
    assert f"learned {model.version}" in said


def test_stats_of_nothing_are_nothing(shop: Path) -> None:
    assert "there is no store yet" in problem(inboxd("rules", "stats", cwd=shop))
    filled(shop, 0)
    said = fine(inboxd("rules", "stats", "--since", "2099-01-01T00:00:00Z", cwd=shop))
    assert said.startswith("0 messages of customers")
    (shop / "rules" / "a.yaml").write_text("rules: [", "utf-8")
    said = fine(inboxd("rules", "stats", cwd=shop))
    assert "the rules of now cannot be read" in said


# --- the daemon -----------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    made = Database.open(f"sqlite:///{tmp_path}/other.db", now=utc_now)
    yield made
    made.close()


def test_the_daemon_takes_a_new_model_and_tells_ops_of_a_bad_one(
    shop: Path, store: Database
) -> None:
    clock = [NOW]

    def now() -> datetime:
        return clock[0]

    path = shop / "learned.json"
    ruling = Ruling(
        shop / "rules",
        (),
        guard=None,
        db=store,
        ops=Ops(db=store, present=True, now=now, told=lambda _: None),
        metrics=Metrics("0"),
        now=now,
        learned=ModelFile(path, live=False),
    )
    assert ruling.current().learned is None
    filled(shop, 40)
    fine(inboxd("rules", "train", cwd=shop))
    ruling.look()
    rules = ruling.current()
    assert rules.learned is not None
    assert "(shadow)" in rules.judge(Subject("鞋子太大了")).reasons[-1]
    assert rules.judge(Subject("爆炸")).priority is Priority.P2
    path.write_text(BAD, "utf-8")
    for _ in range(3):
        ruling.look()
    assert ruling.current() is rules
    told = [one.text or "" for one in _told(store)]
    assert sum("no model of" in text for text in told) == 1
    fine(inboxd("rules", "train", cwd=shop))
    ruling.look()
    assert any("learnt model is good again" in (one.text or "") for one in _told(store))


def _told(store: Database) -> list[Any]:
    with store.read() as conn:
        return list(list_deliveries(conn, destination="ops"))
