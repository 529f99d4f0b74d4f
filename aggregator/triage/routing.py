"""routes.yaml, checked against the destinations, the targets and the labels that rules give."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass

from aggregator.sla.cautions import cautions
from aggregator.sla.policy import Targets
from aggregator.triage.examples import Example
from aggregator.triage.files import Parsed
from aggregator.triage.keywords import Notes
from aggregator.triage.parts import facts, route_example
from aggregator.triage.routes import Route, RouteRule
from aggregator.triage.schema import RouteFile, RouteNode
from aggregator.yamltext import Loc

OPS = "ops"  # the daemon's own voice; customers' messages do not go there by default
Compiled = tuple[tuple[RouteRule, ...], tuple[Example, ...]]


def compile_routes(
    file: tuple[Parsed, RouteFile] | None,
    targets: Targets | None,
    notes: Notes,
    *,
    destinations: Collection[str] | None,
    labels: Collection[str],
    complete: bool,
) -> Compiled:
    """Without a file everything goes to every destination but ops: nothing is dropped quietly."""
    if file is None:
        to = tuple(sorted(set(destinations or ()) - {OPS}))
        return (RouteRule(Route("everything", to)),), ()
    parsed, content = file
    check = _Check(
        parsed=parsed,
        notes=notes,
        targets=targets or Targets(),
        destinations=destinations,
        labels=labels,
        complete=complete,
    )
    rules, seen = [], set()
    last = len(content.routes) - 1
    for at, node in enumerate(content.routes):
        loc: Loc = ("routes", at)
        if node.id in seen:
            said = f"the route {node.id} stands here twice; rename one"
            notes.error(parsed, (*loc, "id"), "duplicate-id", said)
        seen.add(node.id)
        if at == last and node.when is not None:
            said = "the last route must match always; add one without when"
            notes.error(parsed, (*loc, "when"), "route-order", said, key=True)
        if at < last and node.when is None and not node.continue_:
            said = "this route always matches: what stands below is never reached; move it down"
            notes.error(parsed, loc, "route-order", said)
        rules.append(check.route(loc, node))
    if content.routes[-1].when is not None:
        rules.append(RouteRule(Route("everything", ())))
    examples = [route_example(parsed, ("tests", at), node) for at, node in enumerate(content.tests)]
    for at, test in enumerate(content.tests):
        wanted = test.expect.route
        if wanted is not None and wanted not in seen:
            said = f"there is no route {wanted}; {_near(wanted, seen)}"
            notes.error(parsed, ("tests", at, "expect", "route"), "unknown-route", said)
    return tuple(rules), tuple(examples)


def check_escalations(parsed: Parsed, destinations: Collection[str] | None, notes: Notes) -> None:
    """Whoever a target escalates to must be a destination. What may surprise is said."""
    if isinstance(parsed.content, Targets):
        for one in cautions(parsed.document.tree, parsed.content):
            notes.warn(parsed, one.loc, one.code, one.text)
    tree = parsed.document.tree.get("targets") or {}
    for name, target in tree.items() if destinations is not None else ():
        for at, step in enumerate(target.get("escalate") or ()):
            to = step.get("to") or ()
            for number, one in enumerate([to] if isinstance(to, str) else to):
                if one not in (destinations or ()):
                    loc = ("targets", name, "escalate", at, "to", number)
                    said = (
                        f"the settings have no destination {one}; {_near(one, destinations or ())}"
                    )
                    notes.error(parsed, loc, "unknown-destination", said)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    parsed: Parsed
    notes: Notes
    targets: Targets
    destinations: Collection[str] | None
    labels: Collection[str]
    complete: bool

    def route(self, loc: Loc, node: RouteNode) -> RouteRule:
        when = node.when
        for at, label in enumerate((when.labels if when else None) or ()):
            if label not in self.labels and self.complete:
                said = f"no rule gives the label {label}; {_near(label, self.labels)}"
                where = (*loc, "when", "labels", at)
                self.notes.warn(self.parsed, where, "unknown-label", said)
        to = tuple(one for at, one in enumerate(node.to) if self._goes((*loc, "to", at), one))
        route = Route(
            node.id,
            tuple(dict.fromkeys(to)),
            self._named((*loc, "targets"), node.targets, self.targets.targets, "targets"),
            node.mention,
            self._named((*loc, "quiet"), node.quiet, self.targets.intervals, "intervals"),
        )
        if when is None:
            return RouteRule(route, goes_on=node.continue_)
        return RouteRule(
            route,
            priority=frozenset(when.priority or ()),
            labels=frozenset(when.labels or ()),
            facts=facts(
                when,
                self.parsed,
                (*loc, "when"),
                self.targets,
                self.notes,
                complete=self.complete,
            ),
            goes_on=node.continue_,
        )

    def _goes(self, loc: Loc, name: str) -> bool:
        if self.destinations is None or name in self.destinations:
            return True
        said = f"the settings have no destination {name}; {_near(name, self.destinations)}"
        self.notes.error(self.parsed, loc, "unknown-destination", said)
        return False

    def _named(
        self, loc: Loc, name: str | None, known: Collection[str], section: str
    ) -> str | None:
        if name is None or name in known:
            return name
        if self.complete:
            said = f"targets.yaml has no {name} under {section}; {_near(name, known)}"
            self.notes.error(self.parsed, loc, "unknown-target", said)
        return None


def _near(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"there are: {', '.join(sorted(known)) or 'none'}"
