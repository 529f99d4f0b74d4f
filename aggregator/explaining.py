"""What a person at a terminal is shown: a verdict with its words coloured, a decision and why nobody was told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.text import Text

from aggregator.destinations.escape import one_line
from aggregator.marking import print_marked, print_near, titles
from aggregator.model import Match, Verdict
from aggregator.telling import NOBODY
from aggregator.terminal import console, table, when
from aggregator.triage.nearly import Mark, State, look
from aggregator.triage.ruleset import Ruleset, Subject

STYLES = {"P1": "bold red", "P2": "red", "P3": "yellow", "P4": "green"}

# Reasons as the outbox keeps them, in more words.
_BACKFILL = {
    "backfill: silent": "it was sent before the account's first poll, and backfill: silent tells nobody of that",
    "backfill: skip": "it was sent before the account's first poll, and backfill: skip leaves that out",
}


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


def verdict_text(text: str, verdict: Verdict, rules: Ruleset, language: str) -> None:
    """The text with the rules' words coloured, the verdict, why, and what nearly fired.

    Rules by their title in `language`.
    """
    out = console()
    seen = look(rules, Subject(text))
    print_marked(out, text, seen.marks)
    _verdict_line(out, verdict_json(verdict))
    named = titles(rules, (match.rule for match in verdict.matches), language)
    if named:
        _section(out, "rules", named)
    _section(out, "why", verdict.reasons)
    print_near(out, seen)


def decision_json(decision: Mapping[str, Any]) -> dict[str, Any]:
    """The stored decision, with `untold`: why nobody was told, or None where somebody was or will be."""
    return {**decision, "untold": untold(decision)}


def print_decision(decision: Mapping[str, Any], zone: ZoneInfo) -> None:
    """A stored message: what was decided, who was told, and why nobody was."""
    out = console()
    author = decision["author"] or {}
    who = author.get("name") or author.get("handle") or author.get("native_id") or "unknown author"
    way = "from" if decision["direction"] == "inbound" else "our own, by"
    out.print(
        Text(
            f"{decision['platform']} {decision['kind']} {decision['id']}, {way} {one_line(who)}",
            style="bold",
        )
    )
    received = when(decision["received_at"], zone)
    out.print(
        Text(f"sent {when(decision['sent_at'], zone)}, received {received}, {zone}", style="dim")
    )
    if decision["text"] is None:
        kinds = ", ".join(one["kind"] for one in decision["attachments"]) or "no attachment"
        out.print(Text(f"(no text; {kinds})", style="dim"))
    else:
        spans = [Match(**one) for one in decision["matches"]]
        print_marked(out, decision["text"], [Mark(one, State.OWN) for one in spans])
    for key in ("edited_at", "deleted_at"):
        if decision[key]:
            out.print(f"{key.removesuffix('_at')} {when(decision[key], zone)}")
    if decision["priority"] is None:
        out.print("not judged: only what customers write is")
    else:
        _verdict_line(out, decision)
        _section(out, f"why, by rules {decision['rules_version']}", decision["reasons"])
    if decision["conversation_priority"]:
        labels = " ".join(decision["conversation_labels"]) or "no labels"
        out.print(
            f"conversation {decision['conversation_id']}: {decision['conversation_priority']}, {labels}"
        )
    out.print(f"route: {', '.join(decision['route']) or 'none'}")
    if decision.get("standing"):
        _section(out, "clocks", standing_lines(decision["standing"], zone))
    _told(out, decision, zone)


def standing_lines(stands: Mapping[str, Any], zone: ZoneInfo) -> list[str]:
    """Until when the platform and the targets let us answer, and by whose word clocks started and stopped."""
    lines = []
    if stands["reply_window_closes_at"] or stands["reply_window_left"] is not None:
        closes = stands["reply_window_closes_at"]
        left = stands["reply_window_left"]
        parts = [f"closes {when(closes, zone)}"] if closes else []
        parts += [f"{left} left"] if left is not None else []
        lines.append(f"reply window: {', '.join(parts)}")
    if stands["claimed_by"]:
        claimed = when(stands["claimed_at"], zone)
        lines.append(
            f"claimed by {one_line(stands['claimed_by'])} since {claimed}, which is no answer"
        )
    for clock in stands["clocks"]:
        outcome = clock["outcome"] or "running"
        lines.append(
            f"{clock['kind']} {clock['cycle']}, {clock['policy'].partition('@')[0]} {clock['priority']}: "
            f"due {when(clock['due_at'], zone)}, {outcome}"
        )
        lines += [f"  {_event(one, zone)}" for one in clock["events"]]
    return lines


def _event(event: Mapping[str, Any], zone: ZoneInfo) -> str:
    parts = [f"{when(event['at'], zone)} {event['event']}"]
    parts += [f"by message {event['cause']}"] if event["cause"] else []
    parts += [f"by {one_line(event['by'])}, {event['way']}"] if event["by"] else []
    parts += [f"({event['reason']})"] if event["reason"] else []
    return " ".join(parts)


def untold(decision: Mapping[str, Any]) -> str | None:
    """Why nobody was told of a message, in words; None where somebody was told or will be."""
    rows = decision["deliveries"]
    if any(row["destination"] != NOBODY and row["state"] != "skipped" for row in rows):
        return None
    if decision["direction"] == "outbound":
        return "it is our own message; nobody needs to be told of it"
    reasons = list(dict.fromkeys(row["reason"] for row in rows if row["reason"]))
    if reasons:
        return "; ".join(_BACKFILL.get(reason, reason) for reason in reasons)
    if decision["history"]:
        return "it was sent before the account's first poll"
    if decision["conversation_id"] is None:
        return "it belongs to no conversation"
    return "no delivery was made for it; that is a defect"


def print_deliveries(rows: Iterable[Mapping[str, Any]], zone: ZoneInfo) -> None:
    shown = table("id", "destination", "kind", "state", "attempts", "created", "reason")
    for row in rows:
        shown.add_row(
            row["id"],
            row["destination"],
            row["kind"],
            row["state"],
            str(row["attempts"]),
            when(row["created_at"], zone),
            Text(one_line(row["reason"] or "")),
        )
    console().print(shown if shown.rows else "no deliveries")


def _told(out: Console, decision: Mapping[str, Any], zone: ZoneInfo) -> None:
    why = untold(decision)
    if why is not None:
        out.print(Text(f"told: nobody, because {one_line(why)}"))
    for row in decision["deliveries"]:
        if row["destination"] == NOBODY:
            continue
        words = {
            "sent": f"sent {when(row['sent_at'], zone)}",
            "pending": "waits to be sent",
            "held": f"held back since {when(row['created_at'], zone)}",
            "skipped": "not told by itself" if row.get("held_by") else "not needed",
            "dead": f"given up after {row['attempts']} attempts",
        }[row["state"]]
        if row["state"] == "pending" and row["attempts"]:
            words += f", {row['attempts']} attempts so far"
        reason = f": {one_line(row['reason'])}" if row["reason"] else ""
        kind = f"{row['kind']} {row['step']}" if row.get("step") else row["kind"]
        out.print(Text(f"told: {row['destination']} {kind} ({row['id']}) {words}{reason}"))


def _section(out: Console, head: str, lines: Iterable[str]) -> None:
    out.print(Text(f"{head}:"))
    for line in lines:
        out.print(Text(f"  {one_line(line)}"), soft_wrap=True)


def _verdict_line(out: Console, verdict: Mapping[str, Any]) -> None:
    sentiment = verdict["sentiment"]
    line = Text(verdict["priority"], style=STYLES[verdict["priority"]])
    line.append(
        f"  urgency {verdict['urgency']} · importance {verdict['importance']} · "
        f"{sentiment['label']} {sentiment['score']:+.2f} · {' '.join(verdict['tags']) or 'no labels'}",
        style="default",
    )
    out.print(line, soft_wrap=True)
