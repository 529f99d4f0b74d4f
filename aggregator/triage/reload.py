"""The rules in force: looks at the folder, takes what is good, keeps the last good version of what is not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aggregator.triage.files import Gathered, gather
from aggregator.triage.loader import Examined, examine
from aggregator.triage.ruleset import Ruleset
from aggregator.triage.settle import Settled, settle

FOLDER = ""  # the file name under which problems of the folder itself stand
RESTLESS = 5  # a folder that changes at so many looks in a row is taken as it is

Guard = Callable[[Ruleset, Ruleset], str | None]


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one file. `refused`: its last good version stays; `problems` say why."""

    file: str
    what: Literal["loaded", "refused", "removed"]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """Good rules that are not in force because they would change much, and why."""

    version: str
    why: str


class RuleBook:
    """Holds one immutable ruleset at a time. Neither the constructor nor `look` ever raises.

    `last_good`: file name → text of the version that was live before the last stop; a bad file at start
    takes its text from there, and if it has none the other files go on without it. `guard` is given the
    ruleset in force and the one to come, and says why that must wait, or None; it is asked at every look.
    Call `look` every second or so, from one thread; `current` may be read from any.
    """

    def __init__(
        self,
        folder: Path,
        destinations: Collection[str] | None = None,
        last_good: Mapping[str, str] | None = None,
        guard: Guard | None = None,
    ) -> None:
        self._folder = folder
        self._destinations = tuple(destinations) if destinations is not None else None
        self._guard = guard
        self._files: Mapping[str, bytes] = {
            name: text.encode("utf-8", "surrogatepass") for name, text in (last_good or {}).items()
        }
        self._problems: Mapping[str, tuple[str, ...]] = {}
        self._looked: object = None
        self._restless = 0
        self._seen: object = None
        self._waiting: Settled | None = None
        self._held: Held | None = None
        self._current: Ruleset | None = None
        if guard is not None and self._files:
            self._current = self._before()
        self._take()

    @property
    def current(self) -> Ruleset:
        assert self._current is not None
        return self._current

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong now, as `file:line:column: …`; empty when all that the folder holds is in force."""
        return tuple(one for name in sorted(self._problems) for one in self._problems[name])

    @property
    def wrong(self) -> frozenset[str]:
        """The names of the files that have problems; FOLDER for the folder itself."""
        return frozenset(self._problems)

    @property
    def files(self) -> frozenset[str]:
        """The names of the files in force."""
        return frozenset(self._files)

    @property
    def held(self) -> Held | None:
        """What waits for a person, if anything does."""
        return self._held

    def look(self) -> list[Change]:
        """Compare contents with the last look and take what changed; a change counts when it is seen twice."""
        files, problems = self._files, self._problems
        self._take()
        changes = []
        for name in sorted({*files, *self._files, *problems, *self._problems}):
            now = self._problems.get(name, ())
            if now:
                if now != problems.get(name):
                    changes.append(Change(name, "refused", now))
            elif name in self._files:
                if self._files[name] != files.get(name) or name in problems:
                    changes.append(Change(name, "loaded"))
            elif name != FOLDER:
                changes.append(Change(name, "removed"))
            else:
                changes.append(Change(name, "loaded"))
        return changes

    def _take(self) -> None:
        try:
            self._settle(gather(self._folder))
        except Exception as error:  # noqa: BLE001 - the boundary of a rule load (design.md)
            said = f"{self._folder}:1:1: the rules cannot be read ({error!r})"
            self._problems = {FOLDER: (said,)}
            self._looked = self._seen = None
            if self._current is None:
                self._current = examine({}, destinations=self._destinations).ruleset

    def _settle(self, gathered: Gathered) -> None:
        unread = {one.file: (one.problem,) for one in gathered.findings}
        if not gathered.files and self._files and not unread:
            unread = {FOLDER: (f"{self._folder}:1:1: no rule files are left here; put them back",)}
        steady = self._steady(gathered, unread)
        if not steady and self._restless < RESTLESS:
            return
        wanted = dict(gathered.files)
        for name in self._files:
            # An editor that is just saving makes a file vanish, or empty.
            saving = not steady and not wanted.get(name)
            if saving or (name not in wanted and (name in unread or FOLDER in unread)):
                wanted[name] = self._files[name]
        seen = (_digests(wanted), unread)
        if seen != self._seen:
            settled = settle(wanted, self._files, self._examine)
            self._problems = {**settled.problems, **unread}
            self._seen = seen
            self._waiting = settled
        if self._waiting is not None:
            self._admit(self._waiting)

    def _steady(self, gathered: Gathered, unread: object) -> bool:
        """The folder is as it was at the last look, or this is the first."""
        looked = (_digests(gathered.files), unread)
        steady = self._looked is None or looked == self._looked
        self._looked = looked
        self._restless = 0 if steady else self._restless + 1
        return steady

    def _admit(self, settled: Settled) -> None:
        """Put it into force, unless it must wait."""
        if self._current is not None and self._guard is not None:
            why = self._guard(self._current, settled.ruleset)
            if why is not None:
                self._held = Held(settled.ruleset.version, why)
                return
        self._current = settled.ruleset
        self._files = settled.files
        self._held = self._waiting = None

    def _before(self) -> Ruleset | None:
        """What was in force before the last stop, so that a change made meanwhile can be held."""
        try:
            found = self._examine(self._files, absent=False)
        except Exception:  # noqa: BLE001 - the boundary of a rule load (design.md)
            return None
        return None if found.errors else found.ruleset

    def _examine(self, files: Mapping[str, bytes], absent: bool) -> Examined:
        shown = f"{self._folder}/"
        return examine(files, destinations=self._destinations, shown=shown, absent=absent)


def _digests(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {name: hashlib.sha256(data).digest() for name, data in files.items()}
