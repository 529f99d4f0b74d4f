from __future__ import annotations

from aggregator.model import Priority
from aggregator.triage.loader import load_texts
from aggregator.triage.routes import Route
from aggregator.triage.ruleset import Subject
from tests.triage.making import CELEBRITY, ruleset

TARGETS = """
schema: 1
calendars:
  office: {timezone: Asia/Shanghai, hours: {mon-fri: ["09:00-18:00"]}}
targets:
  urgent: {calendar: 24x7, first_response: {P1: 10m}}
  standard: {calendar: office, first_response: {P1: 15m}}
intervals:
  night: {days: mon-sun, from: "22:00", to: "08:00", timezone: Asia/Shanghai}
"""
ROUTES = """
schema: 1
routes:
  - {id: big-names, when: {author: {followers: {gte: 50000}}}, to: [leads], continue: true}
  - {id: safety, when: {priority: P1, labels: [safety, legal]}, to: [social, desk], targets: urgent, mention: ["<!subteam^S012>"]}
  - {id: spam, when: {labels: [spam]}, to: []}
  - {id: everything-else, to: [social], targets: standard, quiet: night}
"""
RULES = ruleset(routes=ROUTES, targets=TARGETS)


def _ids(subject: Subject, priority: Priority, *labels: str) -> list[str]:
    return [one.id for one in RULES.route(subject, priority=priority, labels=labels)]


def test_the_first_route_that_matches_wins() -> None:
    plain = Subject("起火了")
    assert _ids(plain, Priority.P1, "safety", "spam") == ["safety"]
    assert _ids(plain, Priority.P2, "safety") == ["everything-else"]
    assert _ids(plain, Priority.P4, "spam") == ["spam"]
    assert _ids(plain, Priority.P1) == ["everything-else"]


def test_continue_goes_on_to_the_next_that_matches() -> None:
    assert _ids(Subject("起火了", author=CELEBRITY), Priority.P1, "legal") == [
        "big-names",
        "safety",
    ]


def test_a_route_carries_whom_to_tell_and_what_is_owed() -> None:
    (route,) = RULES.route(Subject("起火了"), priority=Priority.P1, labels=("safety",))
    assert route == Route("safety", ("social", "desk"), "urgent", ("<!subteam^S012>",))
    (last,) = RULES.route(Subject("你好"), priority=Priority.P4, labels=())
    assert (last.target, last.quiet) == ("standard", "night")
    assert "standard" in RULES.targets.targets
    assert "night" in RULES.targets.intervals


def test_without_routes_everything_goes_to_every_destination_but_ops() -> None:
    rules = load_texts({}, destinations=("ops", "social", "desk"))
    (route,) = rules.route(Subject("你好"), priority=Priority.P4, labels=())
    assert route.to == ("desk", "social")


def test_examples_in_routes_are_tried_with_the_whole_verdict() -> None:
    rules = """
    schema: 1
    rules:
      - {id: fire-words, when: {any: [起火]}, then: {urgency: 3, importance: 3, labels: [safety]}}
    """
    tests = """
tests:
  - message: {platform: weibo, kind: mention, text: 你们的充电宝起火了}
    expect: {priority: P1, route: safety, to: [social, desk]}
"""
    assert ruleset(rules, routes=ROUTES + tests, targets=TARGETS).examples
