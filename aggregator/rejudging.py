"""A stored message judged once more: by the rules of then, to show how, and by those of now, to show what changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from rich.text import Text

from aggregator.destinations.escape import one_line
from aggregator.errors import SettingsError
from aggregator.explaining import verdict_json
from aggregator.marking import look_json, merge_json, print_near
from aggregator.model import Correction, StoredMessage, Verdict, corrected
from aggregator.modelling import with_learned
from aggregator.settings import Settings
from aggregator.terminal import console, when
from aggregator.threads import subject
from aggregator.triage.loader import load, load_texts
from aggregator.triage.nearly import Look, look
from aggregator.triage.ruleset import Ruleset
from storage.corrections import corrections_of
from storage.engine import Connection
from storage.rules import message_named, version_sources
from storage.sql import rfc3339


@dataclass(frozen=True, slots=True)
class Again:
    """`then`: the rules that judged it, None where they cannot be had. `now`: those of the folder, or why there are none."""

    stored: StoredMessage
    then: Ruleset | None
    now: Ruleset | None
    problem: str | None
    said: Sequence[Correction]

    @property
    def look(self) -> Look | None:
        if self.then is None:
            return None
        return look(self.then, subject(self.stored.message, self.stored.account))

    def verdict(self, rules: Ruleset) -> Verdict:
        return rules.judge(subject(self.stored.message, self.stored.account))


def again(connection: Connection, settings: Settings, message_id: int) -> Again | None:
    """None for a message that was not judged."""
    stored = message_named(connection, message_id)
    if stored is None or stored.verdict is None:
        return None
    said = corrections_of(connection, [message_id]).get(message_id, ())
    sources = version_sources(connection, stored.rules_version or "")
    now, problem = _loaded(settings)
    then = now if now is not None and now.version == stored.rules_version else None
    if then is None and sources is not None:
        then = _of_then(sources)
    return Again(stored, then, now, problem, said)


def again_json(one: Again) -> dict[str, Any]:
    """What `explain --json` has besides the stored decision."""
    verdict = one.stored.verdict
    assert verdict is not None
    seen = one.look
    row: dict[str, Any] = {"near": None, "marks": None, "merge": None}
    if seen is not None:
        row = {**look_json(seen), "merge": merge_json(seen, verdict.reasons)}
    now = verdict_json(one.verdict(one.now)) if one.now is not None else None
    left = corrected(verdict.priority, verdict.sentiment, verdict.tags, one.said)
    return {
        **row,
        "rules_now": {
            "version": one.now.version if one.now else None,
            "problem": one.problem,
            "differs": now is not None and _differs(now, verdict_json(verdict)),
            "verdict": now,
        },
        "corrections": [correction_json(correction) for correction in one.said],
        "corrected": {
            "priority": left.priority.value,
            "sentiment": left.sentiment,
            "tags": list(left.tags),
        }
        if one.said
        else None,
    }


def correction_json(one: Correction) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "at": rfc3339(one.at),
        "by": one.by,
        "why": one.why,
        "priority": one.priority.value if one.priority else None,
        "sentiment": one.sentiment,
        "labels_added": list(one.added),
        "labels_removed": list(one.removed),
    }


def print_again(one: Again, zone: ZoneInfo) -> None:
    """What nearly fired then, what people corrected, and what the rules of now say."""
    out = console()
    verdict = one.stored.verdict
    assert verdict is not None
    if (seen := one.look) is not None:
        print_near(out, seen)
    else:
        version = one.stored.rules_version
        out.print(Text(f"nearly: the rules {version} are not kept; what lacked is not known"))
    for said in one.said:
        out.print(Text(f"corrected: {one_line(correction_text(said, zone))}"), soft_wrap=True)
    if one.now is None:
        out.print(Text(f"rules of now: {one_line(one.problem or '')}"), soft_wrap=True)
        return
    if one.now.version == one.stored.rules_version:
        out.print("rules of now: the same")
        return
    now, before = one.verdict(one.now), verdict_json(verdict)
    if not _differs(verdict_json(now), before):
        out.print(Text(f"rules of now ({one.now.version}): they say the same"))
        return
    labels = " ".join(now.tags) or "no labels"
    out.print(
        Text(f"rules of now ({one.now.version}): {now.priority} · {now.sentiment} · {labels}")
    )
    for reason in now.reasons:
        out.print(Text(f"  {one_line(reason)}"), soft_wrap=True)


def correction_text(one: Correction, zone: ZoneInfo) -> str:
    said = [one.priority.value] if one.priority else []
    said += [one.sentiment] if one.sentiment else []
    said += [f"+{label}" for label in one.added] + [f"-{label}" for label in one.removed]
    why = f": {one.why}" if one.why else ""
    return f"{' '.join(said)} by {one.by}, {when(rfc3339(one.at), zone)}{why}"


def _differs(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two verdicts differ in more than their words."""
    keys: Iterable[str] = ("priority", "urgency", "importance", "tags")
    labels = one["sentiment"]["label"], other["sentiment"]["label"]
    return labels[0] != labels[1] or any(one[key] != other[key] for key in keys)


def _loaded(settings: Settings) -> tuple[Ruleset | None, str | None]:
    try:
        return with_learned(settings, load(settings.rules, tests=False)), None
    except SettingsError as error:
        return None, error.problems[0]


def _of_then(sources: Mapping[str, str]) -> Ruleset | None:
    """Files that were written for another version of inboxd may not be read any more."""
    try:
        return load_texts(sources, tests=False)
    except SettingsError:
        return None
