"""`rules train`: a small linear model on character n-grams, from what people of this site corrected.

scikit-learn fits it (the extra `learn`); the daemon needs none of that: aggregator/triage/learned.py reads the file.
Each question is learnt by itself: a label, a mood, whether a message is important (P1 or P3). Corrected messages
count in full; messages of late that nobody corrected count as agreed with, at a fraction, since nobody may have looked.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.text import Text

from aggregator.destinations.escape import one_line
from aggregator.errors import SettingsError
from aggregator.model import Correction, Priority, corrected
from aggregator.modelling import model_path
from aggregator.settings import Settings
from aggregator.terminal import Progress, console, progress, table
from aggregator.triage.learned import IMPORTANT, LABEL, SENTIMENT, dump, grams, parse
from aggregator.triage.modelfile import read
from storage.replay import Past, looking

ENOUGH = 10  # corrected messages that say yes to a question, and as many that say no
AGREED = (500, 5_000)  # messages that nobody corrected: at least, at most so many are looked at
AGREED_COUNTS = 0.2  # of a corrected one
FEATURES = 8_000
SMALL = 0.01  # a weight below changes nothing that matters
FOLDS = 5
TOP = 10
MISSING = (
    "rules train needs scikit-learn, which the daemon does not: install it with "
    "pip install 'inboxd[learn]'"
)


@dataclass(frozen=True, slots=True)
class Lesson:
    """A text, and what is known of it: question → yes or no. `sure`: a person said so."""

    text: str
    answers: Mapping[str, bool]
    sure: bool


@dataclass(frozen=True, slots=True)
class Learnt:
    """One question: `yes` of `asked` corrected messages; `agreed` of them told right unseen (cross-validation)."""

    name: str
    asked: int
    yes: int
    agreed: int
    top: tuple[str, ...]


def train(settings: Settings, now: datetime) -> None:
    """Fit, save and show it. Raises SettingsError where scikit-learn or enough corrections are missing."""
    with looking(settings.database) as store, progress() as told:
        told.say("reading what people corrected")
        words = store.corrections()
        asked = store.named(words)
        most = min(max(5 * len(asked), AGREED[0]), AGREED[1])
        others = [one for one in store.latest(most) if one.id not in words]
        lessons = [*taught(asked, words), *agreed(others)]
        names = questions(lessons)
        if not names:
            raise SettingsError(
                f"nothing to learn yet: {len(asked)} messages are corrected, and a label, a mood or a "
                f"priority needs {ENOUGH} that have it and {ENOUGH} that have not; "
                "`inboxd correct` takes more"
            )
        text, learnt = fit(lessons, names, now, told)
    path = model_path(settings)
    save(path, text)
    print_learnt(learnt, path, settings)


def taught(asked: Iterable[Past], words: Mapping[int, Sequence[Correction]]) -> list[Lesson]:
    """What people said: of a label, a mood or a level that they named, and nothing of the others."""
    lessons = []
    every = sorted(
        {label for rows in words.values() for one in rows for label in (*one.added, *one.removed)}
    )
    for past in asked:
        said = words[past.id]
        left = corrected(past.said.priority, past.said.sentiment, past.said.tags, said)
        # Who looked at the labels looked at all of them.
        looked = any(one.added or one.removed for one in said)
        answers = {f"{LABEL}{label}": label in left.tags for label in every} if looked else {}
        if any(one.sentiment for one in said):
            answers |= _moods(left.sentiment)
        if any(one.priority for one in said):
            answers[IMPORTANT] = left.priority in (Priority.P1, Priority.P3)
        if past.text and answers:
            lessons.append(Lesson(past.text, answers, sure=True))
    return lessons


def agreed(others: Iterable[Past]) -> list[Lesson]:
    """What nobody corrected, as the rules judged it."""
    lessons = []
    for past in others:
        if not past.text:
            continue
        answers = {f"{LABEL}{label}": True for label in past.said.tags}
        answers |= _moods(past.said.sentiment)
        answers[IMPORTANT] = past.said.priority in (Priority.P1, Priority.P3)
        lessons.append(Lesson(past.text, answers, sure=False))
    return lessons


def questions(lessons: Sequence[Lesson]) -> list[str]:
    """Those that people answered often enough, both ways."""
    yes: dict[str, int] = {}
    no: dict[str, int] = {}
    for one in lessons:
        if one.sure:
            for name, answer in one.answers.items():
                counts = yes if answer else no
                counts[name] = counts.get(name, 0) + 1
    return sorted(name for name in yes if yes[name] >= ENOUGH and no.get(name, 0) >= ENOUGH)


def fit(
    lessons: Sequence[Lesson], names: Sequence[str], now: datetime, told: Progress
) -> tuple[str, list[Learnt]]:
    """The model as a file, and what is to be said of it. The same lessons make the same weights."""
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError as error:
        raise SettingsError(MISSING) from error
    vectorizer = TfidfVectorizer(
        analyzer=lambda text: list(grams(text)),
        min_df=2,
        max_features=FEATURES,
        sublinear_tf=True,
    )
    matrix = vectorizer.fit_transform([one.text for one in lessons])
    features = [str(one) for one in vectorizer.get_feature_names_out()]
    heads: dict[str, tuple[float, list[float]]] = {}
    learnt = []
    for name in names:
        told.say(f"learning {name}")
        rows = [at for at, one in enumerate(lessons) if name in one.answers or not one.sure]
        answers = [lessons[at].answers.get(name, False) for at in rows]
        sure = [lessons[at].sure for at in rows]
        right = _unseen(matrix[rows], answers, sure)
        bias, weights = _fitted(matrix[rows], answers, sure)
        heads[name] = bias, [one if abs(one) >= SMALL else 0.0 for one in weights]
        best = sorted(range(len(weights)), key=lambda at: -weights[at])[:TOP]
        asked = [answer for answer, is_sure in zip(answers, sure, strict=True) if is_sure]
        top = tuple(features[at].strip() for at in best if weights[at] > 0)
        learnt.append(Learnt(name, len(asked), sum(asked), right, top))
    about = {
        "trained_at": now.isoformat(timespec="seconds"),
        "corrected": sum(one.sure for one in lessons),
        "agreed": sum(not one.sure for one in lessons),
        "heads": {
            one.name: {
                "asked": one.asked,
                "yes": one.yes,
                "agreed_unseen": one.agreed,
                "top": list(one.top),
            }
            for one in learnt
        },
    }
    return dump(features, [float(one) for one in vectorizer.idf_], heads, about), learnt


def _fitted(
    matrix: Any, answers: Sequence[bool], sure: Sequence[bool]
) -> tuple[float, list[float]]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        C=4.0, solver="liblinear", class_weight="balanced", random_state=0, max_iter=1_000
    )
    model.fit(matrix, answers, sample_weight=[1.0 if one else AGREED_COUNTS for one in sure])
    return float(model.intercept_[0]), [float(one) for one in model.coef_[0]]


def _unseen(matrix: Any, answers: Sequence[bool], sure: Sequence[bool]) -> int:
    """Of the corrected messages, how many are told right by a model that has not seen them."""
    import numpy as np
    from sklearn.model_selection import StratifiedKFold

    told, truth = np.array(sure), np.array(answers)
    people, rest = np.flatnonzero(told), np.flatnonzero(~told)
    right = 0
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for seen, unseen in folds.split(people, truth[people]):
        rows = np.concatenate([people[seen], rest])
        bias, weights = _fitted(matrix[rows], truth[rows].tolist(), told[rows].tolist())
        said = matrix[people[unseen]] @ np.array(weights) + bias > 0
        right += int((said == truth[people[unseen]]).sum())
    return right


def save(path: Path, text: str) -> None:
    """Whole or not at all: a daemon may be looking."""
    parse(text.encode(), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def print_learnt(learnt: Iterable[Learnt], path: Path, settings: Settings) -> None:
    out = console()
    shown = table("learnt", "corrected", "that have it", "right unseen", "what speaks for it most")
    for one in learnt:
        words = Text(" ".join(f"[{one_line(top)}]" for top in one.top))
        share = f"{one.agreed / one.asked:.0%}"
        shown.add_row(one.name, str(one.asked), str(one.yes), share, words)
    out.print(shown)
    version = read(path, live=False).model.version
    out.print(f"\nsaved as {path}, model {version}")
    if settings.learned == "off":
        out.print(
            "not in use: write learned: shadow in the settings; `inboxd rules stats` compares"
        )
    else:
        out.print(f"a running daemon takes it within seconds ({settings.learned})")


def _moods(sentiment: str) -> dict[str, bool]:
    return {f"{SENTIMENT}{one}": one == sentiment for one in ("positive", "neutral", "negative")}
