"""How well sentiment and priority are judged: public research sets in a folder, and our own labelled messages.

Run: python -m bench.evaluate [FOLDER] [--half even|odd]

The research sets have no licence to ship, so they are read where they lie: in FOLDER, or in the
folder that INBOXD_EVALUATION names. Nothing is learnt from them here: one setting for all, as shipped.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aggregator.model import Verdict
from aggregator.triage.loader import load
from aggregator.triage.ruleset import Ruleset, Subject
from bench.figures import Figure, show

ROOT = Path(__file__).parents[1]
LABELLED = ROOT / "tests" / "fixtures" / "labelled"
VARIABLE = "INBOXD_EVALUATION"
HALVES = {"even": 0, "odd": 1}
_HIGH = ("P1", "P2")
_THREE = ("negative", "neutral", "positive")
_TWO = ("negative", "positive")
_EMOTIONS = {
    "happy": "positive",
    "angry": "negative",
    "sad": "negative",
    "fear": "negative",
    "neural": "neutral",  # spelt so in the set
    "neutral": "neutral",
}
_BINARY = {"0": "negative", "1": "positive"}

Row = tuple[str, str]  # text, label


@dataclass(frozen=True, slots=True)
class Collection:
    """One public set: its files in the folder, how they are read, and what is promised of it."""

    name: str
    files: tuple[str, ...]
    read: Callable[..., Iterable[Row]]
    labels: tuple[str, ...]
    promised: str  # of macro-F1, or of macro-recall where `by_recall`
    by_recall: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """0 to 1, all of them; macro: every label weighs the same."""

    accuracy: float
    f1: float
    recall: float


def main(arguments: Sequence[str]) -> int:
    """1 where something promised does not hold."""
    half = arguments[arguments.index("--half") + 1] if "--half" in arguments else None
    given = [one for one in arguments if one not in ("--half", half)]
    named = given[0] if given else os.environ.get(VARIABLE, "")
    rules = load(ROOT / "rules")
    fine = True
    for title, figures in (*public(rules, named, half), *own(rules, LABELLED)):
        show(title, figures)
        fine = fine and all(one.holds for one in figures)
    return 0 if fine else 1


def public(
    rules: Ruleset, named: str, half: str | None = None
) -> Iterator[tuple[str, list[Figure]]]:
    """The sets of the folder `named`, each with a title; every second row where a half is asked for."""
    folder = Path(named)
    if not named or not folder.is_dir():
        print(f"The public sets are not here: name their folder, or set {VARIABLE}={named or '…'}")
        return
    for one in COLLECTIONS:
        missing = [name for name in one.files if not (folder / name).is_file()]
        if missing:
            print(f"{one.name}: {', '.join(missing)} is not in {folder}")
            continue
        rows = list(one.read(*(folder / name for name in one.files)))
        if half:
            rows = rows[HALVES[half] :: 2]
        yield f"{one.name}: {len(rows):,} texts", _figures(rules, one, rows)


def own(rules: Ruleset, folder: Path) -> Iterator[tuple[str, list[Figure]]]:
    """Our own messages as a brand gets them: lines of text, sentiment, priority, complaint."""
    files = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
    if not files:
        print("Our own labelled messages are not here: no .jsonl in tests/fixtures/labelled")
    for path in files:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
        verdicts = rules.evaluate_many([Subject(line["text"]) for line in lines])
        yield f"{path.stem}: {len(lines):,} messages of ours", _own_figures(lines, verdicts)


def score(rows: Iterable[tuple[str, str]], labels: Sequence[str]) -> Score:
    """Of pairs (true, said). A label that never occurs counts as 0."""
    table = Counter(rows)
    total = sum(table.values())
    right = sum(table[one, one] for one in labels)
    recalls, f1s = [], []
    for one in labels:
        true = sum(count for (wanted, _), count in table.items() if wanted == one)
        said = sum(count for (_, given), count in table.items() if given == one)
        recalls.append(table[one, one] / true if true else 0.0)
        f1s.append(2 * table[one, one] / (true + said) if true + said else 0.0)
    accuracy = right / total if total else 0.0
    return Score(accuracy, sum(f1s) / len(labels), sum(recalls) / len(labels))


def _figures(rules: Ruleset, of: Collection, rows: Sequence[Row]) -> list[Figure]:
    started = time.perf_counter()
    verdicts = rules.evaluate_many([Subject(text) for text, _ in rows])
    seconds = time.perf_counter() - started
    two = of.labels == _TWO
    said = [_sign(one) if two else one.sentiment for one in verdicts]
    got = score(zip((label for _, label in rows), said, strict=True), of.labels)
    quiet = sum(one.score == 0 for one in verdicts) / max(1, len(verdicts))
    return [
        Figure("macro-F1", got.f1, target=None if of.by_recall else of.promised),
        Figure("macro-recall", got.recall, target=of.promised if of.by_recall else None),
        Figure("accuracy", got.accuracy),
        Figure("texts without any term", quiet * 100, "%"),
        Figure("whole verdicts a second", len(rows) / seconds),
    ]


def _sign(verdict: Verdict) -> str:
    """Of two labels only: what has no mood is not praise."""
    return "positive" if verdict.score > 0 else "negative"


def _own_figures(lines: Sequence[dict[str, object]], verdicts: Sequence[Verdict]) -> list[Figure]:
    figures = []
    pairs = list(zip(lines, verdicts, strict=True))
    moods = [(str(line["sentiment"]), one.sentiment) for line, one in pairs if "sentiment" in line]
    if moods:
        got = score(moods, _THREE)
        figures += [Figure("sentiment, macro-F1", got.f1), Figure("accuracy", got.accuracy)]
    levels = [
        (line["priority"] in _HIGH, one.priority in _HIGH)
        for line, one in pairs
        if "priority" in line
    ]
    if levels:
        precision, recall, _ = _found(levels)
        figures.append(Figure("P1 and P2, recall", recall, target="≥ 0.85"))
        figures.append(Figure("P1 and P2, precision", precision, target="≥ 0.7"))
    complaints = [
        (bool(line["complaint"]), "complaint" in one.tags)
        for line, one in pairs
        if "complaint" in line
    ]
    if complaints:
        figures.append(Figure("complaints, F1", _found(complaints)[2], target="≥ 0.7"))
    return figures


def _found(rows: Sequence[tuple[bool, bool]]) -> tuple[float, float, float]:
    """Precision, recall and F1 of pairs (is, was said to be)."""
    both = sum(true and said for true, said in rows)
    true, said = sum(one for one, _ in rows), sum(one for _, one in rows)
    return (
        both / said if said else 0.0,
        both / true if true else 0.0,
        2 * both / (true + said) if true + said else 0.0,
    )


def _reviews(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row["review"], _BINARY[row["label"]]


def _weibo(path: Path) -> Iterator[Row]:
    for line in path.read_text(encoding="utf-8").splitlines():
        _, found, text = line.split(",", 2)
        yield text, _BINARY[found]


def _posts(path: Path) -> Iterator[Row]:
    for one in json.loads(path.read_text(encoding="utf-8")):
        if one["label"] in _EMOTIONS:
            yield one["content"], _EMOTIONS[one["label"]]


def _tweets(texts: Path, labels: Path) -> Iterator[Row]:
    lines = texts.read_text(encoding="utf-8").split("\n")
    found = labels.read_text(encoding="utf-8").split()
    for text, label in zip(lines, found, strict=False):
        yield text, _THREE[int(label)]


COLLECTIONS = (
    Collection(
        "waimai, food delivery (zh)", ("waimai_10k.csv",), _reviews, _TWO, promised="≥ 0.87"
    ),
    Collection("Weibo 2018 (zh)", ("weibo2018_test.txt",), _weibo, _TWO, promised="≥ 0.82"),
    Collection(
        "Weibo, SMP2020 usual (zh)",
        ("smp2020_usual_eval.json",),
        _posts,
        _THREE,
        promised="≥ 0.66",
    ),
    Collection(
        "tweets, TweetEval validation (en)",
        ("tweeteval_sentiment_val_text.txt", "tweeteval_sentiment_val_labels.txt"),
        _tweets,
        _THREE,
        promised="≥ 0.6",
        by_recall=True,
    ),
)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
