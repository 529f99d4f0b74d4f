"""`rules backtest`: what a change of the rules would have done to the messages of late. Reads, never writes."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from rich.text import Text

from aggregator.destinations.escape import fit, one_line
from aggregator.errors import SettingsError
from aggregator.model import Priority
from aggregator.modelling import with_learned
from aggregator.settings import Settings
from aggregator.sla.zone import zone_named
from aggregator.terminal import Progress, console, progress, table
from aggregator.triage.backtest import Said, Tally, ordered
from aggregator.triage.loader import load, load_texts
from aggregator.triage.ruleset import Ruleset, Subject
from storage.replay import Past, Replay, looking

SHOWN = 100  # characters of an example
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Sides:
    """`old` None: each message's verdict as it was stored. `was`, `now`: what they are called."""

    old: Ruleset | None
    new: Ruleset
    was: str
    now: str


@dataclass(frozen=True, slots=True)
class Span:
    """What was looked at, from the first message to `until`; cards are told for each of its `days`."""

    since: datetime
    until: datetime

    @property
    def days(self) -> float:
        return max((self.until - self.since) / DAY, 1.0)


def backtest(
    settings: Settings,
    folder: Path | None,
    since: datetime,
    now: datetime,
    form: Literal["table", "json"],
) -> None:
    """Judge what came since then by the rules in force and by those in `folder`, and print what differs.

    Where the folder holds what is in force, against what was judged then. Raises SettingsError.
    """
    names = tuple(settings.destinations) or None
    new = with_learned(settings, load(folder or settings.rules, destinations=names, tests=False))
    with looking(settings.database) as store, progress() as told, _without_gc():
        sides = _sides(store, new, str(folder or settings.rules))
        tally = Tally(sides.old or new, new)
        span = Span(now, now)
        bar = Bar(store.count(since), told)
        for page in store.judged(since):
            oldest = min(page, key=attrgetter("received_ms")).received_at
            newest = max(page, key=attrgetter("received_ms")).received_at
            span = Span(min(oldest, span.since), max(newest, span.until))
            add(tally, sides.old, page)
            bar.at(tally.total)
    if form == "json":
        print(json.dumps(as_json(tally, sides, span), ensure_ascii=False, indent=2))  # noqa: T201
    else:
        print_tally(tally, sides, span, zone_named(settings.timezone))


def add(tally: Tally, old: Ruleset | None, page: Sequence[Past]) -> None:
    """One page, judged by both rulesets; what was said by the old one when it was in force stands as it is."""
    subjects = [subject_of(one) for one in page]
    before: list[Said] = [one.said for one in page]
    if old is not None:
        anew = [at for at, one in enumerate(page) if one.rules_version != old.version]
        verdicts = old.evaluate_many([subjects[at] for at in anew])
        for at, verdict in zip(anew, verdicts, strict=True):
            before[at] = verdict
    after = tally.new.evaluate_many(subjects)
    for past, subject, said, says in zip(page, subjects, before, after, strict=True):
        card = None if past.history else past.conversation_id
        tally.add(past.id, card, subject, said, says)


def subject_of(past: Past) -> Subject:
    """What intake gave to triage, but for the language: rules that ask for it are told by the letters too."""
    return Subject(
        past.text,
        past.quoted,
        past.platform,
        past.kind,
        past.account,
        past.lang,
        past.author,
        past.sent_at,
    )


def _sides(store: Replay, new: Ruleset, folder: str) -> Sides:
    version, sources = store.in_force()
    if version == new.version:
        return Sides(None, new, "as judged then", f"the rules in force, {new.version}")
    named = f"{folder}, {new.version}"
    if sources is None:
        return Sides(None, new, "as judged then (no rules were in force yet)", named)
    try:
        old = load_texts(sources, tests=False).having(new.learned)
        return Sides(old, new, f"the rules in force, {version}", named)
    except SettingsError:  # they were written for another version of inboxd
        return Sides(
            None, new, f"as judged then (version {version} cannot be read any more)", named
        )


@contextmanager
def _without_gc() -> Iterator[None]:
    """Nothing here makes cycles, and looking for them through two rulesets again and again takes a tenth."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Bar:
    """How far it is, for a person who waits."""

    def __init__(self, whole: int, told: Progress) -> None:
        self._whole, self._told, self._began = whole, told, time.monotonic()

    def at(self, done: int) -> None:
        share = min(done / self._whole, 1.0) if self._whole else 1.0
        took = time.monotonic() - self._began
        left = took / share - took if share else 0.0
        full = round(24 * share)
        self._told.say(
            f"backtest [{'█' * full}{'░' * (24 - full)}] {share:4.0%}  {done:,} messages, "
            f"{left:.0f} s left"
        )


# --- as a person reads it -----------------------------------------------------------------------


def print_tally(tally: Tally, sides: Sides, span: Span, zone: ZoneInfo) -> None:
    out = console()
    first, last = (f"{at.astimezone(zone):%Y-%m-%d %H:%M}" for at in (span.since, span.until))
    out.print(Text(f"{tally.total:,} messages of customers, {first} to {last}, {zone}"))
    out.print(Text(f"old: {sides.was}\nnew: {sides.now}"))
    if not tally.total:
        return
    out.print("")
    matrix = table("old ↓  new →", *Priority, "all")
    for old in Priority:
        row = [tally.cells[old, new] for new in Priority]
        matrix.add_row(old.value, *(f"{one:,}" if one else "·" for one in row), f"{sum(row):,}")
    down = [sum(tally.cells[old, new] for old in Priority) for new in Priority]
    matrix.add_row("all", *(f"{one:,}" for one in down), f"{tally.total:,}")
    out.print(matrix)
    share = tally.changed / tally.total
    out.print(f"\n{tally.changed:,} would stand elsewhere ({share:.2%})")
    _print_cards(tally, span)
    rows = [one for one in rules(tally) if one["old"] != one["new"]]
    same = len(rules(tally)) - len(rows)
    if rows:
        out.print("")
        shown = table("messages by rule", "old", "new", "more")
        for one in rows:
            more = one["new"] - one["old"]
            shown.add_row(one["rule"], f"{one['old']:,}", f"{one['new']:,}", f"{more:+,}")
        out.print(shown)
    out.print(f"\n{same} rules fire as often as before" if same else "")
    for cell in ordered(tally.cells):
        out.print(Text(f"\n{cell[0]} → {cell[1]}: {tally.cells[cell]:,}", style="bold"))
        for moved in reversed(tally.examples[cell]):
            why = ", ".join(
                [*(f"-{one}" for one in moved.gone), *(f"+{one}" for one in moved.come)]
            )
            out.print(Text(f"  {moved.id}  {short(moved.text)}"), soft_wrap=True)
            out.print(Text(f"      {why or 'other effects of the same rules'}", style="dim"))


def _print_cards(tally: Tally, span: Span) -> None:
    rows = cards(tally)
    if not rows:
        return
    out = console()
    shown = table("cards a day", "destination", "old", "new", "more")
    for one in rows:
        old, new = one["old"] / span.days, one["new"] / span.days
        shown.add_row(one["route"], one["destination"], _a_day(old), _a_day(new), _more(new - old))
    old, new = (sum(one[side] for one in rows) / span.days for side in ("old", "new"))
    shown.add_row("all", "", _a_day(old), _a_day(new), _more(new - old))
    out.print("")
    out.print(shown)


def _a_day(count: float) -> str:
    return f"{count:,.1f}"


def _more(count: float) -> str:
    return f"{count:+,.1f}" if round(count, 1) else "±0"


def short(text: str | None) -> str:
    """An example on one line, fit for a terminal whatever a customer wrote."""
    return fit(one_line(text or ""), SHOWN) or "(no text)"


# --- and a program ------------------------------------------------------------------------------


def as_json(tally: Tally, sides: Sides, span: Span) -> dict[str, Any]:
    counted = cards(tally)
    old, new = (sum(one[side] for one in counted) / span.days for side in ("old", "new"))
    return {
        "since": _time(span.since),
        "until": _time(span.until),
        "days": round(span.days, 3),
        "messages": tally.total,
        "changed": tally.changed,
        "share": round(tally.changed / tally.total, 6) if tally.total else 0.0,
        "old": {"rules": sides.was, "version": sides.old.version if sides.old else None},
        "new": {"rules": sides.now, "version": sides.new.version},
        "matrix": {
            old.value: {new.value: tally.cells[old, new] for new in Priority} for old in Priority
        },
        "rules": rules(tally),
        "cards": counted,
        "cards_a_day": {"old": round(old, 3), "new": round(new, 3), "more": round(new - old, 3)},
        "examples": [
            {
                "old": cell[0].value,
                "new": cell[1].value,
                "count": tally.cells[cell],
                "messages": [
                    {
                        "id": str(one.id),
                        "text": short(one.text),
                        "rules_gone": list(one.gone),
                        "rules_come": list(one.come),
                    }
                    for one in reversed(tally.examples[cell])
                ],
            }
            for cell in ordered(tally.cells)
        ],
    }


def rules(tally: Tally) -> list[dict[str, Any]]:
    """Every rule that fired, those that moved most first."""
    old, new = tally.old_hits, tally.new_hits
    names = sorted({*old, *new}, key=lambda one: (-abs(new[one] - old[one]), one))
    return [{"rule": one, "old": old[one], "new": new[one]} for one in names]


def cards(tally: Tally) -> list[dict[str, Any]]:
    """Cards in all, by route and destination."""
    old, new = tally.old_cards.made, tally.new_cards.made
    order = {one.route.id: at for at, one in enumerate((*tally.old.routes, *tally.new.routes))}
    keys: Iterable[tuple[str, str]] = sorted({*old, *new}, key=lambda one: (order[one[0]], one[1]))
    return [
        {"route": route, "destination": to, "old": old[route, to], "new": new[route, to]}
        for route, to in keys
    ]


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
