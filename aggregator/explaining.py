"""What a person at a terminal is shown: a verdict with its words coloured, a decision, the daemon's state."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import IO, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from aggregator.destinations.escape import one_line
from aggregator.model import Verdict
from aggregator.reports import csv_safe
from aggregator.triage.ruleset import Ruleset

STYLES = {"P1": "bold red", "P2": "red", "P3": "yellow", "P4": "green"}


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """The keys that interface.md fixes for `try --json`."""
    return {
        "priority": verdict.priority.value,
        "urgency": verdict.urgency,
        "importance": verdict.importance,
        "sentiment": {"label": verdict.sentiment, "score": verdict.score},
        "tags": list(verdict.tags),
        "matches": [
            {"rule": match.rule, "term": match.term, "start": match.start, "end": match.end}
            for match in verdict.matches
        ],
        "reasons": list(verdict.reasons),
    }


def verdict_text(text: str, verdict: Verdict, rules: Ruleset) -> None:
    """The text with the matched words coloured, the verdict, and why."""
    console = Console(highlight=False)
    shown = Text(_same_length(text))
    for match in verdict.matches:
        if not match.quoted:
            shown.stylize("reverse", match.start, match.end)
    console.print(shown)
    _verdict_line(console, verdict_json(verdict))
    for rule in dict.fromkeys(match.rule for match in verdict.matches):
        console.print(f"  {rule}: {rules.title(rule)}", markup=False)
    for reason in verdict.reasons:
        console.print(f"  {one_line(reason)}", markup=False)


def print_decision(decision: Mapping[str, Any]) -> None:
    """A stored message: what was decided, who was told, and why nobody was."""
    console = Console(highlight=False)
    who = (decision.get("author") or {}).get("name") or "?"
    head = f"{decision['platform']} {decision['kind']} {decision['id']}  {one_line(who)}"
    console.print(head, style="bold", markup=False)
    shown = Text(_same_length(decision["text"] or ""))
    for match in decision["matches"]:
        shown.stylize("reverse", match["start"], match["end"])
    console.print(shown)
    if decision["priority"] is not None:
        _verdict_line(console, decision)
    for reason in decision["reasons"]:
        console.print(f"  {one_line(reason)}", markup=False)
    console.print(f"rules: {decision['rules_version']}   route: {decision['route']}", markup=False)
    if not decision["deliveries"]:
        console.print("told: nobody yet", markup=False)
    for row in decision["deliveries"]:
        line = f"{row['destination']} {row['kind']} {row['state']} after {row['attempts']} attempts"
        why = f": {one_line(row['reason'])}" if row["reason"] else ""
        console.print(f"told: {line}{why}", markup=False)


def print_status(rows: Mapping[str, Any], now: datetime) -> None:
    """Accounts with their streams, then destinations, each with what is wrong if anything is."""
    console = Console(highlight=False)
    table = Table(title="accounts", title_justify="left")
    for name in ("account", "platform", "stream", "last success", "failures", "trouble"):
        table.add_column(name)
    for account in rows["accounts"]:
        for stream in account["streams"]:
            table.add_row(
                account["name"],
                account["platform"],
                stream["name"],
                _ago(stream["last_success_at"], now),
                str(stream["failures"]),
                one_line(stream["last_error"] or ""),
            )
    console.print(table)
    table = Table(title="destinations", title_justify="left")
    for name in ("destination", "waiting", "dead", "last success", "paused until", "trouble"):
        table.add_column(name)
    for one in rows["destinations"]:
        table.add_row(
            one["name"],
            str(one["pending"]),
            str(one["dead"]),
            _ago(one["last_success_at"], now),
            one["paused_until"] or "",
            one_line(one["last_error"] or ""),
        )
    console.print(table)


def print_deliveries(rows: Iterable[Mapping[str, Any]]) -> None:
    table = Table()
    for name in ("id", "destination", "kind", "state", "attempts", "created", "reason"):
        table.add_column(name)
    for row in rows:
        table.add_row(
            row["id"],
            row["destination"],
            row["kind"],
            row["state"],
            str(row["attempts"]),
            row["created_at"],
            one_line(row["reason"] or ""),
        )
    Console(highlight=False).print(table)


def csv_writer(rows: Iterable[Mapping[str, Any]], out: IO[str]) -> None:
    """CSV with the rows' keys as header; lists and objects as JSON; no cell is a formula."""
    writer = None
    for row in rows:
        if writer is None:
            writer = csv.writer(out)
            writer.writerow(row)
        writer.writerow([csv_safe(_cell(value)) for value in row.values()])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _verdict_line(console: Console, verdict: Mapping[str, Any]) -> None:
    sentiment = verdict["sentiment"]
    line = Text(verdict["priority"], style=STYLES[verdict["priority"]])
    line.append(
        f"  urgency {verdict['urgency']} · importance {verdict['importance']} · "
        f"{sentiment['label']} {sentiment['score']:+.2f} · {' '.join(verdict['tags']) or 'no labels'}",
        style="default",
    )
    console.print(line)


def _same_length(text: str) -> str:
    """The text with control characters shown as ·, so that offsets stay true."""
    return "".join(
        char if char == "\n" or char.isprintable() or ord(char) > 0xFFFF else "·" for char in text
    )


def _ago(at: str | None, now: datetime) -> str:
    if at is None:
        return "never"
    seconds = max(int((now - datetime.fromisoformat(at)).total_seconds()), 0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
