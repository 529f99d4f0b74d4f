"""Response targets: how soon which priority is owed an answer (rules/targets.yaml)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aggregator.findings import Findings, nearest
from aggregator.model import ClockKind, Priority
from aggregator.sla.calendar import ALWAYS, BusinessCalendar
from aggregator.sla.duration import DAY_MS, parse_duration
from aggregator.sla.hours import read_calendar, read_interval
from aggregator.sla.interval import Interval
from aggregator.yamltext import Document, Loc

FILE_KEYS = ("schema", "calendars", "targets", "intervals")
METRICS = tuple(kind.value for kind in ClockKind)
TARGET_KEYS = ("calendar", *METRICS, "warn_at", "escalate")
ESCALATION_KEYS = ("at", "to", "mention")

_NAME = re.compile(r"[\w-]{1,64}")
_PERCENT = re.compile(r"([0-9]{1,3})%")
_AFTER_DUE = re.compile(r"due(?:\s*\+\s*(\S+))?")


@dataclass(frozen=True, slots=True)
class Escalation:
    """At `percent` of the target or, if None, `after_due_ms` past the deadline: who hears of it."""

    percent: int | None
    after_due_ms: int
    to: tuple[str, ...]
    mention: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResponseTarget:
    """Milliseconds of `calendar` time by priority; a metric or priority without any has no clock."""

    name: str
    calendar: BusinessCalendar
    first_response: Mapping[Priority, int] = field(default_factory=dict)
    next_response: Mapping[Priority, int] = field(default_factory=dict)
    resolution: Mapping[Priority, int] = field(default_factory=dict)
    warn_at: tuple[int, ...] = ()  # percent, rising
    escalate: tuple[Escalation, ...] = ()

    def ms(self, kind: ClockKind, priority: Priority) -> int | None:
        """What is owed, or None where there is no clock."""
        if kind is ClockKind.FIRST_RESPONSE:
            return self.first_response.get(priority)
        if kind is ClockKind.NEXT_RESPONSE:
            return self.next_response.get(priority)
        return self.resolution.get(priority)


@dataclass(frozen=True, slots=True)
class Targets:
    """What targets.yaml says. `calendars` has `24x7` always."""

    targets: Mapping[str, ResponseTarget] = field(default_factory=dict)
    calendars: Mapping[str, BusinessCalendar] = field(default_factory=lambda: {ALWAYS.name: ALWAYS})
    intervals: Mapping[str, Interval] = field(default_factory=dict)

    def warnings(self, now: datetime) -> tuple[str, ...]:
        """What is no mistake yet: years whose make-up working days are not known here."""
        return tuple(
            f"calendar {calendar.name}: the make-up working days (调休) of {year} are not known; "
            "update the holidays package, or name them in extra_workdays and extra_holidays"
            for calendar in self.calendars.values()
            for year in calendar.missing_makeup_years(now)
        )


def parse_targets(document: Document) -> Targets:
    """Read targets.yaml. Raises SettingsError with every problem of the file at once."""
    found = Findings(document)
    tree = found.mapping(document.tree, (), FILE_KEYS)
    if tree.get("schema", "1") != "1":
        found.say(("schema",), "this version reads schema 1 only; write schema: 1")
    calendars = {ALWAYS.name: ALWAYS}
    refused = set()
    for name, node in _named(found, tree, "calendars"):
        calendar = read_calendar(found, name, node, ("calendars", name))
        if name == ALWAYS.name:
            found.say(
                ("calendars", name), "24x7 is there already; give yours another name", key=True
            )
        elif calendar is None:
            refused.add(name)
        else:
            calendars[name] = calendar
    targets = {
        name: _target(found, name, node, calendars, refused)
        for name, node in _named(found, tree, "targets")
    }
    intervals = {
        name: interval
        for name, node in _named(found, tree, "intervals")
        if (interval := read_interval(found, name, node, ("intervals", name))) is not None
    }
    found.finish()
    return Targets(targets, calendars, intervals)


def _named(found: Findings, tree: Mapping[str, Any], section: str) -> list[tuple[str, Any]]:
    rows = []
    for name, node in found.mapping(tree.get(section), (section,)).items():
        if _NAME.fullmatch(name):
            rows.append((name, node))
        else:
            found.say(
                (section, name), f"{name!r} is no name; use letters, digits, _ and -", key=True
            )
    return rows


def _target(
    found: Findings,
    name: str,
    node: Any,
    calendars: Mapping[str, BusinessCalendar],
    refused: set[str],
) -> ResponseTarget:
    loc: Loc = ("targets", name)
    tree = found.mapping(node, loc, TARGET_KEYS)
    calendar = ALWAYS
    if "calendar" not in tree:
        found.say(loc, f"targets.{name}.calendar is missing; name one, or write calendar: 24x7")
    elif (wanted := found.text(tree["calendar"], (*loc, "calendar"))) is not None:
        calendar = calendars.get(wanted, ALWAYS)
        if wanted not in calendars and wanted not in refused:
            remedy = nearest(wanted, calendars, otherwise="add it under calendars")
            found.say((*loc, "calendar"), f"there is no calendar {wanted!r}; {remedy}")
    owed = {one: _owed(found, tree.get(one), (*loc, one), calendar.day_ms) for one in METRICS}
    return ResponseTarget(
        name,
        calendar,
        first_response=owed[ClockKind.FIRST_RESPONSE],
        next_response=owed[ClockKind.NEXT_RESPONSE],
        resolution=owed[ClockKind.RESOLUTION],
        warn_at=_percents(found, tree.get("warn_at"), (*loc, "warn_at")),
        escalate=_escalations(found, tree.get("escalate"), (*loc, "escalate"), calendar.day_ms),
    )


def _owed(found: Findings, node: Any, loc: Loc, day_ms: int) -> dict[Priority, int]:
    owed = {}
    for key, value in found.mapping(node, loc, tuple(Priority)).items():
        text = found.text(value, (*loc, key))
        ms = None if text is None else _ms(found, text, (*loc, key), day_ms)
        if ms is not None and key in tuple(Priority):
            owed[Priority(key)] = ms
    return owed


def _ms(found: Findings, text: str, loc: Loc, day_ms: int = DAY_MS) -> int | None:
    try:
        return parse_duration(text, day_ms=day_ms)
    except ValueError as error:
        found.say(loc, str(error))
        return None


def _percents(found: Findings, node: Any, loc: Loc) -> tuple[int, ...]:
    levels = set()
    for text, where in found.texts(node, loc):
        level = _percent(text)
        if level is None:
            found.say(
                where, f"{text!r} is no level; write a percentage from 1% to 99%, such as 50%"
            )
        elif level in levels:
            found.say(where, f"{text} stands here twice; keep one")
        else:
            levels.add(level)
    return tuple(sorted(levels))


def _percent(text: str) -> int | None:
    match = _PERCENT.fullmatch(text)
    return int(match[1]) if match and 1 <= int(match[1]) <= 99 else None


def _escalations(found: Findings, node: Any, loc: Loc, day_ms: int) -> tuple[Escalation, ...]:
    if node is not None and not isinstance(node, list):
        found.say(loc, "escalate is a list; write - {at: due, to: [leads]}")
        return ()
    steps = []
    for index, one in enumerate(node or ()):
        where = (*loc, index)
        tree = found.mapping(one, where, ESCALATION_KEYS)
        to = tuple(text for text, _ in found.texts(tree.get("to"), (*where, "to")))
        mention = tuple(text for text, _ in found.texts(tree.get("mention"), (*where, "mention")))
        at = found.text(tree.get("at"), (*where, "at"))
        if not to:
            found.say(where, "an escalation needs to: the destinations that hear of it")
        percent, late = _percent(at or ""), _AFTER_DUE.fullmatch(at or "")
        after = _ms(found, late[1], (*where, "at"), day_ms) if late and late[1] else 0
        if at is not None and percent is None and late is None:
            found.say((*where, "at"), f"{at!r} is no moment; write 50%, due or due+30m")
        steps.append(Escalation(percent, after or 0, to, mention))
    return tuple(steps)
