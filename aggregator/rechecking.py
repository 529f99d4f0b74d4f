"""`inboxd db check --clocks`: every clock computed anew from the stored facts, and what differs. Some at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta

from aggregator.errors import SettingsError
from aggregator.model import Backfill, Clock, Entry, KnownConversation
from aggregator.sla.clock import breach, clocks
from aggregator.sla.course import NEW_RULES
from aggregator.sla.policy import Targets, parse_targets
from aggregator.sla.waits import whole_ms
from aggregator.yamltext import parse

_NO_FACTS = ("look_at",)  # when it is next looked at is no fact of the clock
_MS = timedelta(milliseconds=1)
_FIELDS = tuple(one.name for one in fields(Clock) if one.name not in _NO_FACTS)


@dataclass(slots=True)
class Recheck:
    """Compares conversations, one by one. `sources`: the rule files of a version that was in force, or None.

    A clock is computed under the version it was made by. What was made under several (the rules changed
    while it ran) is computed on with what is stored of it: it must stay as it is.
    """

    sources: Callable[[str], dict[str, str] | None]
    backfill: Callable[[str], Backfill]
    now: datetime
    _targets: dict[str, Targets | None] = field(default_factory=dict)

    def differences(self, known: KnownConversation) -> Iterator[str]:
        """One line for each clock that is not what the facts say."""
        about = known.conversation
        silent = self.backfill(about.account) is not Backfill.ALERT
        entries = [replace(one, history=one.history and silent) for one in known.entries]
        now = self._now_of(known)
        stored = {(one.kind, one.cycle): _late(one, now) for one in known.clocks}
        for version in sorted({_version(one) for one in stored.values()}):
            mine = {at: one for at, one in stored.items() if _version(one) == version}
            targets = self._of(version)
            if targets is None:
                yield f"conversation {about.id}: the rules {version} of its clocks are not in the store"
                continue
            anew = self._anew(known, entries, targets, version, now)
            kept = self._anew(known, entries, targets, version, now, known.clocks)
            for at, one in mine.items():
                mixed = len({_version(c) for c in stored.values()}) > 1 or any(
                    event.reason == NEW_RULES for event in one.events
                )
                found = (kept if mixed else anew).get(at)
                if differs := _differs(one, found):
                    kind, cycle = at
                    yield f"conversation {about.id}, {kind} {cycle}: {differs}"
            extra = set(anew) - set(stored) if len(mine) == len(stored) else set()
            for lacks, number in sorted(extra):
                yield f"conversation {about.id}, {lacks} {number}: there should be one, and is none"

    def _anew(
        self,
        known: KnownConversation,
        entries: list[Entry],
        targets: Targets,
        version: str,
        now: datetime,
        stored: tuple[Clock, ...] = (),
    ) -> dict[tuple[str, int], Clock]:
        about = known.conversation
        found = clocks(
            entries,
            about.aims,
            targets,
            version=version,
            now=now,
            stored=stored,
            resolved_at=about.resolved_at,
            closed_at=about.closed_at,
            acts=known.acts,
        )
        return {(one.kind, one.cycle): _late(one, now) for one in found}

    def _now_of(self, known: KnownConversation) -> datetime:
        """Not before what was noted: the clock of the daemon may have been ahead, or was set back since."""
        noted = (event.at for one in known.clocks for event in one.events)
        return max([self.now, *(at + _MS for at in noted)])

    def _of(self, version: str) -> Targets | None:
        if version not in self._targets:
            files = self.sources(version)
            self._targets[version] = None if files is None else _read(files)
        return self._targets[version]


def _late(clock: Clock, now: datetime) -> Clock:
    """With its breach, which the daemon may not have been there to note."""
    return breach(clock, now) or clock


def _version(clock: Clock) -> str:
    return clock.policy.rpartition("@")[2]


def _read(files: dict[str, str]) -> Targets | None:
    text = files.get("targets.yaml")
    if text is None:
        return Targets()
    try:
        return parse_targets(parse(text.encode(), name="targets.yaml"))
    except SettingsError:  # of a version of ours that read it otherwise
        return None


def _differs(stored: Clock, found: Clock | None) -> str:
    if found is None:
        return "the facts know of none"
    parts = []
    for name in _FIELDS:
        one, two = getattr(stored, name), getattr(found, name)
        if one != two:
            parts.append(f"{name} is {_shown(one)} and should be {_shown(two)}")
    return "; ".join(parts)


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return whole_ms(value).isoformat(timespec="milliseconds")
    if isinstance(value, tuple):
        return ", ".join(f"{one.event} {_shown(one.at)}" for one in value) or "nothing"
    return str(value)
