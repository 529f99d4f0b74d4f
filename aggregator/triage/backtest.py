"""What a change of the rules would have done to messages that are stored: counted as they pass, in bounded memory."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from aggregator.model import Priority
from aggregator.triage.conditions import Facts
from aggregator.triage.reasons import Role, named
from aggregator.triage.routes import Route
from aggregator.triage.ruleset import Ruleset, Subject

EXAMPLES = 10  # kept of a cell of the matrix, the newest
CONVERSATIONS = 100_000  # that are remembered for the count of cards

Cell = tuple[Priority, Priority]


class Said(Protocol):
    """What a backtest looks at of a verdict, made now or stored then."""

    @property
    def priority(self) -> Priority: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def reasons(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Moved:
    """A message that would stand elsewhere, and the rules that fired under one ruleset only."""

    id: int
    text: str | None
    gone: tuple[str, ...]
    come: tuple[str, ...]


@dataclass(slots=True)
class Tally:
    """Both sides of every message, added up.

    `old_hits`, `new_hits`: rule → messages in which it fired, in shadow too. `cards` of a side: see Cards.
    """

    old: Ruleset
    new: Ruleset
    cells: Counter[Cell] = field(default_factory=Counter)
    old_hits: Counter[str] = field(default_factory=Counter)
    new_hits: Counter[str] = field(default_factory=Counter)
    examples: defaultdict[Cell, deque[Moved]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=EXAMPLES))
    )
    old_cards: Cards = field(init=False)
    new_cards: Cards = field(init=False)

    def __post_init__(self) -> None:
        self.old_cards, self.new_cards = Cards(self.old), Cards(self.new)

    @property
    def total(self) -> int:
        return sum(self.cells.values())

    @property
    def changed(self) -> int:
        return sum(count for (old, new), count in self.cells.items() if old != new)

    def add(
        self, id: int, conversation_id: int | None, subject: Subject, old: Said, new: Said
    ) -> None:
        """One message; `conversation_id` None where no card is made of it."""
        cell = (old.priority, new.priority)
        self.cells[cell] += 1
        said, says = old.reasons, new.reasons
        before = after = _rules(said)
        if said != says:
            after = _rules(says)
        for rule in before:
            self.old_hits[rule] += 1
        for rule in after:
            self.new_hits[rule] += 1
        if cell[0] != cell[1]:
            gone = tuple(one for one in before if one not in after)
            come = tuple(one for one in after if one not in before)
            self.examples[cell].append(Moved(id, subject.text, gone, come))
        if conversation_id is not None:
            self.old_cards.add(conversation_id, subject, old)
            self.new_cards.add(conversation_id, subject, new)


class Cards:
    """The cards that a ruleset would have made: one for each conversation and destination.

    As if no conversation had been open before. `made`: (route, destination) → how many. Of more than
    CONVERSATIONS the oldest are forgotten, and would get another card.
    """

    def __init__(self, rules: Ruleset) -> None:
        self.made: Counter[tuple[str, str]] = Counter()
        self._rules = rules
        self._plain = all(one.facts == Facts() for one in rules.routes)
        self._routes: dict[tuple[Priority, frozenset[str]], tuple[Route, ...]] = {}
        self._open: dict[int, tuple[Priority, frozenset[str], frozenset[str]]] = {}

    def add(self, conversation_id: int, subject: Subject, said: Said) -> None:
        known = self._open.get(conversation_id)
        priority, labels, told = said.priority, frozenset(said.tags), frozenset[str]()
        if known is not None:
            priority, labels, told = min(priority, known[0]), labels | known[1], known[2]
            if self._plain and (priority, labels) == known[:2]:
                return
        elif len(self._open) >= CONVERSATIONS:
            for old in list(islice(self._open, CONVERSATIONS // 2)):
                del self._open[old]
        for route in self._chosen(subject, priority, labels):
            for to in route.to:
                if to not in told:
                    self.made[route.id, to] += 1
                    told |= {to}
        self._open[conversation_id] = priority, labels, told

    def _chosen(
        self, subject: Subject, priority: Priority, labels: frozenset[str]
    ) -> tuple[Route, ...]:
        if not self._plain:
            return self._rules.route(subject, priority=priority, labels=labels)
        routes = self._routes.get((priority, labels))
        if routes is None:
            routes = self._rules.route(subject, priority=priority, labels=labels)
            self._routes[priority, labels] = routes
        return routes


def ordered(cells: Mapping[Cell, int]) -> Sequence[Cell]:
    """The cells of a change, the most messages first."""
    moved = [cell for cell in cells if cell[0] != cell[1]]
    return sorted(moved, key=lambda cell: (-cells[cell], cell))


def _rules(reasons: Iterable[str]) -> list[str]:
    return [rule for rule, role in named(reasons) if role is not Role.DROPPED]
