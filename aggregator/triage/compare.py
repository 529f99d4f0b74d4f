"""Two rulesets on the same messages: what one would decide otherwise than the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from aggregator.model import Priority, Verdict
from aggregator.triage.ruleset import Ruleset, Subject

BATCH = 1_000  # messages that are judged at once


@dataclass(frozen=True, slots=True)
class Moves:
    """`cells`: (old priority, new priority) → how many messages; those with none are not there."""

    cells: Mapping[tuple[Priority, Priority], int]

    @property
    def total(self) -> int:
        return sum(self.cells.values())

    @property
    def changed(self) -> int:
        return sum(count for (old, new), count in self.cells.items() if old != new)

    @property
    def share(self) -> float:
        """Of all messages, those that change their level: from 0 to 1."""
        return self.changed / self.total if self.total else 0.0

    def __str__(self) -> str:
        moves = sorted((pair, count) for pair, count in self.cells.items() if pair[0] != pair[1])
        return ", ".join(f"{old}→{new} {count}" for (old, new), count in moves)


def judged_twice(
    old: Ruleset, new: Ruleset, subjects: Iterable[Subject]
) -> Iterator[tuple[Subject, Verdict, Verdict]]:
    """Each message with both verdicts, in order; a stream of any length."""
    rest = iter(subjects)
    while some := list(islice(rest, BATCH)):
        yield from zip(some, old.evaluate_many(some), new.evaluate_many(some), strict=True)


def compare(old: Ruleset, new: Ruleset, subjects: Iterable[Subject]) -> Moves:
    """Priorities under `old` against those under `new`."""
    pairs = judged_twice(old, new, subjects)
    return Moves(Counter((before.priority, after.priority) for _, before, after in pairs))
