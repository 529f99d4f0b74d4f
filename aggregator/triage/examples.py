"""The examples in the rule files: texts with what the rules must make of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aggregator.model import Priority, Verdict

if TYPE_CHECKING:
    from aggregator.triage.rule import Fired
    from aggregator.triage.ruleset import Ruleset, Subject


@dataclass(frozen=True, slots=True)
class Expected:
    """What the whole verdict must be; None asks nothing. `labels` must be among those given."""

    priority: Priority | None = None
    labels: frozenset[str] = frozenset()
    sentiment: str | None = None
    route: str | None = None
    to: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """`rule`: the one that must fire (or must not, `fires` False); `gap`: known not to hold yet."""

    file: str
    place: str
    source: str
    subject: Subject
    rule: str | None = None
    fires: bool = True
    gap: bool = False
    expect: Expected = field(default_factory=Expected)


@dataclass(frozen=True, slots=True)
class Result:
    """`wrong`: what is not as the example says, in words. A known gap fails no run.

    `tuned`: it would be as it says, but for what the site changed under `tune`. That fails no run either.
    """

    example: Example
    wrong: tuple[str, ...] = ()
    tuned: bool = False

    @property
    def passed(self) -> bool:
        return self.example.gap or self.tuned or not self.wrong

    @property
    def closed(self) -> bool:
        """A known gap that is none any more."""
        return self.example.gap and not self.wrong

    @property
    def text(self) -> str:
        if self.closed:
            kind = "hit" if self.example.fires else "miss"
            return f"this known gap is closed; write {kind} instead of todo_{kind}"
        return "; ".join(self.wrong)

    def __str__(self) -> str:
        return f"{self.example.place}: {self.text or 'ok'}"


_NOTHING = Expected()


def run(ruleset: Ruleset, *, whole: bool = True) -> tuple[Result, ...]:
    """Every example in the files; without `whole` only whether the rules fire, not what they make together."""
    examples = ruleset.examples
    every = zip(examples, ruleset.fired_of([one.subject for one in examples]), strict=True)
    # Few of them ask for more than one rule.
    more = [one.subject for one in examples if whole and one.expect != _NOTHING]
    verdicts = iter(ruleset.evaluate_many(more))
    rows = []
    for one, (_, fired, _) in every:
        wrong = [*_unfired(one, fired)]
        if whole and one.expect != _NOTHING:
            wrong.extend(_unexpected(ruleset, one, next(verdicts)))
        rows.append(Result(one, tuple(wrong)))
    return tuple(rows)


def _unfired(example: Example, fired: Sequence[Fired]) -> Iterator[str]:
    if example.rule is None:
        return
    there = any(one.rule.id == example.rule for one in fired)
    if there is not example.fires:
        what = "does not hit" if example.fires else "hits"
        yield f"{example.rule} {what} {example.subject.text!r}; change the rule or the example"


def _unexpected(ruleset: Ruleset, example: Example, verdict: Verdict) -> Iterator[str]:
    expect = example.expect
    why = "; ".join(verdict.reasons)
    if expect.priority and verdict.priority != expect.priority:
        yield f"expected {expect.priority}, it is {verdict.priority} ({why})"
    if missing := expect.labels - set(verdict.tags):
        yield f"expected the labels {', '.join(sorted(missing))} ({why})"
    if expect.sentiment and not _mood(expect.sentiment, verdict.sentiment, verdict.score):
        yield f"expected sentiment {expect.sentiment}, it is {verdict.score:+.2f} ({why})"
    if expect.route is None and expect.to is None:
        return
    routes = ruleset.route(example.subject, priority=verdict.priority, labels=verdict.tags)
    names = [route.id for route in routes]
    to = {one for route in routes for one in route.to}
    if expect.route is not None and expect.route not in names:
        yield f"expected the route {expect.route}, it takes {', '.join(names)} ({why})"
    if expect.to is not None and set(expect.to) != to:
        yield f"expected to reach {list(expect.to)}, it reaches {sorted(to)} ({why})"


def _mood(expected: str, label: str, score: float) -> bool:
    if expected in (">0", "<0", "0"):
        return {">0": score > 0, "<0": score < 0, "0": score == 0}[expected]
    return label == expected
