"""Facts, bounds and examples: from what is written to what is judged."""

from __future__ import annotations

from aggregator.model import Author
from aggregator.sla.policy import Targets
from aggregator.triage.conditions import Facts, Limits
from aggregator.triage.examples import Example, Expected
from aggregator.triage.files import Parsed
from aggregator.triage.finding import finding
from aggregator.triage.keywords import Notes
from aggregator.triage.ruleset import Subject
from aggregator.triage.schema import About, AuthorIs, Bounds, Expect, RouteExample, RuleNode
from aggregator.triage.schema import Example as ExampleNode
from aggregator.triage.schema import Facts as FactsNode
from aggregator.yamltext import Loc


def limits(node: Bounds | None) -> Limits | None:
    return Limits(gt=node.gt, gte=node.gte, lt=node.lt, lte=node.lte) if node else None


def facts(
    node: FactsNode,
    parsed: Parsed,
    loc: Loc,
    targets: Targets | None,
    notes: Notes,
    *,
    complete: bool,
) -> Facts:
    author, hours = node.author, node.hours
    calendar = None
    if hours is not None:
        key = "inside" if hours.inside else "outside"
        name = hours.inside or hours.outside or ""
        calendar = (targets or Targets()).calendars.get(name)
        if calendar is None and complete:
            said = f"there is no calendar {name}; add it under calendars in targets.yaml"
            notes.error(parsed, (*loc, "hours", key), "unknown-calendar", said)
    return Facts(
        platform=frozenset(node.platform or ()),
        kind=frozenset(node.kind or ()),
        account=frozenset(node.account or ()),
        lang=frozenset(node.lang or ()),
        followers=limits(author.followers) if author else None,
        verified=author.verified if author else None,
        calendar=calendar,
        open=hours is None or hours.inside is not None,
    )


def example(parsed: Parsed, loc: Loc, node: ExampleNode, rule: RuleNode) -> Example:
    """The facts that an example leaves out are those that its rule asks for."""
    key = next(
        one for one in ("hit", "miss", "todo_hit", "todo_miss") if getattr(node, one) is not None
    )
    text: str = getattr(node, key)
    when = rule.when
    subject = _subject(node, text)
    asked = Subject(
        text,
        quoted=subject.quoted,
        platform=subject.platform or _first(when.platform),
        kind=subject.kind or (when.kind[0] if when.kind else None),
        account=subject.account or _first(when.account),
        lang=subject.lang or _first(when.lang),
        author=subject.author or _author(when),
        sent_at=subject.sent_at,
    )
    place = finding(parsed.document, parsed.name, (*loc, key), "example", "")
    return Example(
        file=parsed.name,
        place=place.place,
        source=place.source,
        subject=asked,
        rule=rule.id,
        fires=key.endswith("hit"),
        gap=key.startswith("todo_"),
        expect=_expected(node.expect),
    )


def route_example(parsed: Parsed, loc: Loc, node: RouteExample) -> Example:
    place = finding(parsed.document, parsed.name, (*loc, "message"), "example", "")
    return Example(
        file=parsed.name,
        place=place.place,
        source=place.source,
        subject=_subject(node.message, node.message.text),
        expect=_expected(node.expect),
    )


def _subject(node: About, text: str) -> Subject:
    return Subject(
        text,
        quoted=node.quoted,
        platform=node.platform,
        kind=node.kind,
        account=node.account,
        lang=node.lang,
        author=_named(node.author) if node.author else None,
        sent_at=node.sent_at,
    )


def _named(node: AuthorIs) -> Author:
    return Author(name=node.name, followers=node.followers, verified=node.verified)


def _author(when: FactsNode) -> Author | None:
    if when.author is None:
        return None
    return Author(
        followers=_inside(when.author.followers) if when.author.followers else None,
        verified=when.author.verified,
    )


def _inside(bounds: Bounds) -> int:
    if bounds.gte is not None or bounds.gt is not None:
        return int(bounds.gte if bounds.gte is not None else (bounds.gt or 0) + 1)
    return int(bounds.lte if bounds.lte is not None else (bounds.lt or 0) - 1)


def _first(words: tuple[str, ...] | None) -> str | None:
    return words[0] if words else None


def _expected(node: Expect | None) -> Expected:
    if node is None:
        return Expected()
    return Expected(
        priority=node.priority,
        labels=frozenset(node.labels or ()),
        sentiment=node.sentiment,
        route=node.route,
        to=node.to,
    )
