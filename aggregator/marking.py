"""A text with what the rules found in it: styles at a terminal, words in a pipe, rows for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from aggregator.destinations.escape import one_line
from aggregator.triage.nearly import Look, Mark, State
from aggregator.triage.reasons import named
from aggregator.triage.ruleset import Ruleset

NEAR = 8  # rules that nearly fired, as a person is shown them

# The last one lies on top: what counted is never hidden by what did not.
STYLES = {
    State.IDLE: "underline",
    State.MASKED: "strike cyan",
    State.VETOED: "strike red",
    State.VETO: "bold blue",
    State.NEGATED: "underline magenta",
    State.QUOTED: "reverse dim not strike not underline default",
    State.OWN: "reverse not dim not strike not underline default",
}
WORDS = {
    State.IDLE: "not enough",
    State.MASKED: "masked",
    State.VETOED: "vetoed",
    State.VETO: "the veto",
    State.NEGATED: "negated",
    State.QUOTED: "quoted",
    State.OWN: "own words",
}
_KEPT = "\n\u3000\u200d"  # of what is not printable: the ideographic space, and what joins emoji


def print_marked(out: Console, text: str, marks: Sequence[Mark]) -> None:
    """The text; at a terminal with a line below that says what the styles mean, where there are several."""
    shown = Text(same_length(text))
    mine = [one for one in marks if not one.match.quoted]
    for state, style in STYLES.items():
        for one in mine:
            if one.state is state:
                shown.stylize(style, one.match.start, one.match.end)
    out.print(shown)
    there = {one.state for one in mine} - {State.OWN}
    if out.is_terminal and there:
        order = [state for state in reversed(STYLES) if state in there or state is State.OWN]
        legend = (Text(WORDS[state], style=STYLES[state]) for state in order)
        out.print(Text("  ").join([Text(""), *legend]))


def print_near(out: Console, look: Look, *, told: int = NEAR) -> None:
    """The rules that nearly fired, the nearest first, each with why not."""
    if not look.near:
        return
    out.print(Text("nearly:"))
    for one in look.near[:told]:
        shadow = "" if one.rule.status == "live" else f" ({one.rule.status})"
        out.print(Text(f"  {one.rule.id}{shadow}: {one_line(one.why)}"), soft_wrap=True)
    if len(look.near) > told:
        out.print(Text(f"  and {len(look.near) - told} more of which a word is there"))


def look_json(look: Look) -> dict[str, Any]:
    return {
        "near": [
            {
                "rule": one.rule.id,
                "title": one.rule.title,
                "status": one.rule.status,
                "why": one.why,
            }
            for one in look.near
        ],
        "marks": [
            {
                "rule": one.match.rule,
                "term": one.match.term,
                "start": one.match.start,
                "end": one.match.end,
                "quoted": one.match.quoted,
                "state": one.state.value,
            }
            for one in look.marks
        ],
    }


def merge_json(look: Look, reasons: Iterable[str]) -> list[dict[str, Any]]:
    """What each rule that fired brought to the verdict, and whether it had a say."""
    roles = dict(named(reasons))
    rows = []
    for one in sorted(look.fired, key=lambda fired: fired.rule.id):
        effect, role = one.effect, roles.get(one.rule.id)
        rows.append(
            {
                "rule": one.rule.id,
                "role": role.value if role else None,
                "terms": list(one.terms),
                "negated": one.evidence.denied,
                "urgency": effect.urgency,
                "importance": effect.importance,
                "labels": list(effect.labels),
                "sentiment": effect.sentiment,
                "at_least": effect.at_least.value if effect.at_least else None,
                "at_most": effect.at_most.value if effect.at_most else None,
                "final": one.rule.final,
                "weight": one.rule.weight,
            }
        )
    return rows


def titles(rules: Ruleset, ids: Iterable[str], language: str) -> list[str]:
    return [f"{one}: {one_line(rules.title(one, language))}" for one in dict.fromkeys(ids)]


def same_length(text: str) -> str:
    """The text with control characters shown as ·, so that offsets stay true."""
    return "".join(char if char in _KEPT or char.isprintable() else "·" for char in text)
