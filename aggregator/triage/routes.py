"""Who is told, and held to which target: the first route that matches."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from aggregator.model import Priority
from aggregator.triage.conditions import Facts, Told


@dataclass(frozen=True, slots=True)
class Route:
    """`to`: names of destinations; `target` and `quiet` are names in targets.yaml."""

    id: str
    to: tuple[str, ...]
    target: str | None = None
    mention: tuple[str, ...] = ()
    quiet: str | None = None


@dataclass(frozen=True, slots=True)
class RouteRule:
    """An empty condition asks nothing; of `labels` any one will do."""

    route: Route
    priority: frozenset[Priority] = frozenset()
    labels: frozenset[str] = frozenset()
    facts: Facts = field(default_factory=Facts)
    goes_on: bool = False

    def holds(self, told: Told, priority: Priority, labels: Collection[str]) -> bool:
        return (
            (not self.priority or priority in self.priority)
            and (not self.labels or not self.labels.isdisjoint(labels))
            and self.facts.hold(told)
        )


def choose(
    rules: Sequence[RouteRule], told: Told, priority: Priority, labels: Collection[str]
) -> tuple[Route, ...]:
    """The first that matches, and what comes after one that says `continue`."""
    chosen = []
    for rule in rules:
        if rule.holds(told, priority, labels):
            chosen.append(rule.route)
            if not rule.goes_on:
                break
    return tuple(chosen)
