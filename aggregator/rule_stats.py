"""`rules stats`: how often each rule fired, which never did, which say too little, and where people disagreed."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Any, Literal

from rich.text import Text

from aggregator.errors import SettingsError
from aggregator.settings import Settings
from aggregator.sla.zone import zone_named
from aggregator.terminal import console, progress, table
from aggregator.triage.loader import load
from aggregator.triage.reasons import Role
from aggregator.triage.rule import Rule
from aggregator.triage.tallied import Hits, Tallied
from storage.replay import looking

_BARS = " ▁▂▃▄▅▆▇█"
SHOWN_DAYS = 30


def stats(settings: Settings, since: datetime, form: Literal["table", "json"]) -> None:
    """Count what was judged since then, by the verdicts as stored, and print it. Reads only."""
    zone = zone_named(settings.timezone)
    rules = _rules(settings)
    found = Tallied()
    with looking(settings.database) as store, progress() as told:
        words = store.corrections()
        whole = store.count(since)
        for page in store.judged(since):
            for one in page:
                day = one.received_at.astimezone(zone).date()
                found.add(day, one.said, one.said.sentiment, words.get(one.id, ()))
            told.say(f"{found.messages:,} of {whole:,} messages")
    if form == "json":
        print(json.dumps(as_json(found, rules), ensure_ascii=False, indent=2))  # noqa: T201
    else:
        print_stats(found, rules, settings.language)


def as_json(found: Tallied, rules: dict[str, Rule] | None) -> dict[str, Any]:
    often = set(found.too_often())
    return {
        "messages": found.messages,
        "corrected": found.corrected,
        "days": {day.isoformat(): count for day, count in sorted(found.days.items())},
        "rules": [
            {
                "rule": id,
                "status": _status(id, rules),
                "hits": hits.total,
                "share": round(hits.total / found.messages, 6),
                "counted": hits.roles[Role.COUNTED],
                "shadow": hits.roles[Role.SHADOW],
                "dropped": hits.roles[Role.DROPPED],
                "corrected": hits.corrected,
                "too_often": id in often,
                "days": {day.isoformat(): count for day, count in sorted(hits.days.items())},
            }
            for id, hits in _sorted(found)
        ],
        "never": found.never(rules) if rules is not None else None,
        "learned": [
            {
                "model": version,
                "agreement": {
                    what: {"asked": asked, "agreed": one.agreed[what]}
                    for what, asked in sorted(one.asked.items())
                },
            }
            for version, one in sorted(found.models.items())
        ],
    }


def print_stats(found: Tallied, rules: dict[str, Rule] | None, language: str) -> None:
    out = console()
    out.print(f"{found.messages:,} messages of customers, {found.corrected:,} corrected by people")
    if found.messages:
        often = set(found.too_often())
        days = _days(found)
        head = f"{days[0]:%m-%d} to {days[-1]:%m-%d}"
        shown = table("rule", "status", "hits", "share", "a day", head, "note")
        for id, hits in _sorted(found):
            notes = [
                f"{hits.roles[Role.DROPPED]:,} dropped by a final rule"
                if hits.roles[Role.DROPPED]
                else "",
                "no effect yet" if hits.roles[Role.SHADOW] else "",
                f"{hits.corrected:,} corrected" if hits.corrected else "",
                "too often" if id in often else "",
            ]
            shown.add_row(
                id,
                _status(id, rules),
                f"{hits.total:,}",
                f"{hits.total / found.messages:.1%}",
                f"{hits.total / max(len(found.days), 1):,.1f}",
                Text(_drawn(hits, days)),
                ", ".join(filter(None, notes)),
            )
        out.print(shown if shown.rows else "no rule fired")
    for version, one in sorted(found.models.items()):
        out.print(f"\nlearned {version}, against what people said later:")
        for what, asked in sorted(one.asked.items()):
            share = one.agreed[what] / asked
            out.print(f"  {what}: {one.agreed[what]} of {asked} the same ({share:.0%})")
    if rules is None:
        out.print("\nthe rules of now cannot be read; `inboxd rules lint` says why")
        return
    never = found.never(rules)
    if never:
        out.print(f"\nnever fired ({len(never)}):")
        for id in never:
            out.print(Text(f"  {id}: {rules[id].name(language)}"), soft_wrap=True)


def _rules(settings: Settings) -> dict[str, Rule] | None:
    try:
        return dict(load(settings.rules, tests=False).rules)
    except SettingsError:
        return None


def _status(id: str, rules: dict[str, Rule] | None) -> str:
    if rules is None:
        return "?"
    return rules[id].status if id in rules else "gone"


def _sorted(found: Tallied) -> list[tuple[str, Hits]]:
    return sorted(found.hits.items(), key=lambda row: (-row[1].total, row[0]))


def _days(found: Tallied) -> list[date]:
    """Every day up to the last one, the quiet ones too; at most SHOWN_DAYS."""
    last = max(found.days)
    first = max(min(found.days), last - timedelta(days=SHOWN_DAYS - 1))
    return [first + timedelta(days=at) for at in range((last - first).days + 1)]


def _drawn(hits: Hits, days: list[date]) -> str:
    counts = [hits.days[day] for day in days]
    most = max(*counts, 1)
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // most)] for count in counts)
