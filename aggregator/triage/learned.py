"""A small linear model that a site learnt from its people: applied behind the rules, and never above them.

A model adds labels, says what the mood is and that a message is important. It takes no label away,
says nothing of urgency, and makes no message P1: that is for rules alone.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aggregator.errors import SettingsError
from aggregator.model import Priority, Verdict
from aggregator.triage.priority import Matrix
from aggregator.triage.text import Folder

FORMAT = 1
GRAMS = (1, 2, 3)  # characters of a feature
READ = 1_000  # characters of a text that are looked at
IMPORTANT = "important"
LABEL, SENTIMENT = "label:", "sentiment:"
SURE = 0.5
_SAID = re.compile(r"learned ([0-9a-f]{8}) \((shadow|live)\): (.*)")


@dataclass(frozen=True, slots=True)
class Head:
    """One question, answered by a probability: does the text carry `name`?"""

    name: str
    bias: float
    weights: Mapping[int, float] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Model:
    """`grams`: feature → its number and idf. `about`: what it was learnt from, for people."""

    version: str
    grams: Mapping[str, tuple[int, float]] = field(repr=False)
    heads: tuple[Head, ...]
    about: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def says(self, text: str) -> dict[str, float]:
        """Of every question the probability, from 0 to 1. Of an empty text nothing is said."""
        counts: dict[str, int] = {}
        for gram in grams(text):
            counts[gram] = counts.get(gram, 0) + 1
        known = self.grams
        values = [
            (known[gram][0], (1 + math.log(count)) * known[gram][1])
            for gram, count in counts.items()
            if gram in known
        ]
        length = math.sqrt(sum(value * value for _, value in values))
        if not length:
            return {}
        return {
            head.name: _logistic(
                head.bias + sum(value * head.weights.get(at, 0.0) for at, value in values) / length
            )
            for head in self.heads
        }


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a model says of one message, as far as it is sure."""

    labels: tuple[str, ...] = ()
    sentiment: str | None = None
    important: bool = False

    def __str__(self) -> str:
        parts = [
            f"labels {', '.join(self.labels)}" if self.labels else "",
            f"sentiment {self.sentiment}" if self.sentiment else "",
            "important" if self.important else "",
        ]
        return "; ".join(filter(None, parts)) or "nothing"


@dataclass(frozen=True, slots=True)
class Learned:
    """A model in use. In shadow it is recorded and has no effect."""

    model: Model
    live: bool = False

    def opinion(self, text: str | None) -> Opinion:
        said = self.model.says(text or "")
        moods = {one: share for one, share in said.items() if one.startswith(SENTIMENT)}
        mood = max(moods, key=lambda one: moods[one], default=None)
        return Opinion(
            labels=tuple(
                sorted(
                    one.removeprefix(LABEL)
                    for one, share in said.items()
                    if one.startswith(LABEL) and share > SURE
                )
            ),
            sentiment=mood.removeprefix(SENTIMENT) if mood and moods[mood] > SURE else None,
            important=said.get(IMPORTANT, 0.0) > SURE,
        )

    def applied(self, verdict: Verdict, text: str | None, matrix: Matrix) -> Verdict:
        """The verdict with what the model says in its reasons and, where it is live, in its effects."""
        opinion = self.opinion(text)
        status = "live" if self.live else "shadow"
        reasons = (*verdict.reasons, f"learned {self.model.version} ({status}): {opinion}")
        if not self.live:
            return replace(verdict, reasons=reasons)
        importance = max(verdict.importance, 2) if opinion.important else verdict.importance
        priority = verdict.priority
        if importance > verdict.importance and priority is not Priority.P1:
            # Never above P2, and never above what a rule's at_most or the spam filter left it at.
            raised = max(matrix[verdict.urgency][importance], Priority.P2)
            clamped = matrix[verdict.urgency][verdict.importance] != priority
            priority = priority if clamped else min(priority, raised)
        return replace(
            verdict,
            importance=importance,
            priority=priority,
            sentiment=opinion.sentiment or verdict.sentiment,
            tags=tuple(sorted({*verdict.tags, *opinion.labels})),
            reasons=reasons,
        )


def recorded(reasons: Sequence[str]) -> tuple[str, Opinion] | None:
    """The version of the model that judged a message, and what it said; None where none did."""
    for reason in reversed(reasons):
        if found := _SAID.fullmatch(reason):
            parts = found[3].split("; ")
            labels = next((one for one in parts if one.startswith("labels ")), "labels ")
            moods = [one for one in parts if one.startswith("sentiment ")]
            return found[1], Opinion(
                tuple(filter(None, labels.removeprefix("labels ").split(", "))),
                moods[0].removeprefix("sentiment ") if moods else None,
                "important" in parts,
            )
    return None


def grams(text: str) -> Iterator[str]:
    """The features of a text: 1 to 3 characters of it, folded, with a space at either end."""
    folded = f" {_FOLDER.fold(text[:READ])} "
    for size in GRAMS:
        for at in range(len(folded) - size + 1):
            gram = folded[at : at + size]
            if gram.strip():
                yield gram


_FOLDER = Folder()


def dump(
    names: Sequence[str],
    idf: Sequence[float],
    heads: Mapping[str, tuple[float, Sequence[float]]],
    about: Mapping[str, Any],
) -> str:
    """A model as a data file: `heads` are name → (bias, a weight for each of `names`)."""
    content = {
        "format": FORMAT,
        "about": dict(about),
        "grams": [[name, round(value, 6)] for name, value in zip(names, idf, strict=True)],
        "heads": {
            name: {
                "bias": round(bias, 6),
                "weights": {
                    str(at): round(weight, 6) for at, weight in enumerate(weights) if weight
                },
            }
            for name, (bias, weights) in sorted(heads.items())
        },
    }
    return json.dumps(content, ensure_ascii=False, sort_keys=True) + "\n"


def parse(data: bytes, name: str) -> Model:
    """Raises SettingsError where the file is none that `rules train` wrote."""
    try:
        content = json.loads(data)
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}, not {FORMAT}")
        known = {
            _kind(gram, str): (at, _number(value))
            for at, (gram, value) in enumerate(content["grams"])
        }
        heads = tuple(
            Head(
                _kind(name, str),
                _number(head["bias"]),
                {int(at): _number(weight) for at, weight in head["weights"].items()},
            )
            for name, head in content["heads"].items()
        )
        about = _kind(content.get("about", {}), dict)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SettingsError(
            f"{name}:1: no model of `inboxd rules train` ({error}); train again, or remove it"
        ) from None
    decides = json.dumps([content["grams"], content["heads"]], ensure_ascii=False, sort_keys=True)
    version = hashlib.sha256(decides.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return Model(version, known, heads, about)


def _kind(value: Any, kind: Callable[..., Any]) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{value!r} stands where it may not")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, value))))
