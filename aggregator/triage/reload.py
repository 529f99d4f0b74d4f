"""The rules in force: looks at the folder, takes what is good, keeps the last good version of what is not."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aggregator.triage.files import Gathered, gather
from aggregator.triage.loader import Examined, examine
from aggregator.triage.ruleset import Ruleset
from aggregator.triage.settle import settle

FOLDER = ""  # the file name under which problems of the folder itself stand


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one file. `refused`: its last good version stays; `problems` say why."""

    file: str
    what: Literal["loaded", "refused", "removed"]
    problems: tuple[str, ...] = ()


class RuleBook:
    """Holds one immutable ruleset at a time. Neither the constructor nor `look` ever raises.

    `last_good`: file name → text of the version that was live before the last stop; a bad file at start
    takes its text from there, and if it has none the other files go on without it. Call `look` every few
    seconds, from one thread; `current` may be read from any.
    """

    def __init__(
        self,
        folder: Path,
        destinations: Collection[str] | None = None,
        last_good: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._destinations = tuple(destinations) if destinations is not None else None
        self._files: Mapping[str, bytes] = {
            name: text.encode("utf-8", "surrogatepass") for name, text in (last_good or {}).items()
        }
        self._problems: Mapping[str, tuple[str, ...]] = {}
        self._seen: object = None
        self._gone: frozenset[str] = frozenset(self._files)  # gone before we came: counts at once
        self._current: Ruleset | None = None
        self._take()

    @property
    def current(self) -> Ruleset:
        assert self._current is not None
        return self._current

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong now, as `file:line:column: …`; empty when all that the folder holds is in force."""
        return tuple(one for name in sorted(self._problems) for one in self._problems[name])

    def look(self) -> list[Change]:
        """Compare contents with the last look and take what changed; a file gone counts at the second look."""
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
            if self._current is None:
                self._current = examine({}, destinations=self._destinations).ruleset

    def _settle(self, gathered: Gathered) -> None:
        unread = {one.file: (one.problem,) for one in gathered.findings}
        if not gathered.files and self._files and not unread:
            unread = {FOLDER: (f"{self._folder}:1:1: no rule files are left here; put them back",)}
        wanted = self._wanted(gathered.files, unread)
        seen = ({name: hashlib.sha256(data).digest() for name, data in wanted.items()}, unread)
        if self._current is not None and seen == self._seen:
            return
        settled = settle(wanted, self._files, self._examine)
        self._current = settled.ruleset
        self._files = settled.files
        self._problems = {**settled.problems, **unread}
        self._seen = seen

    def _wanted(self, files: Mapping[str, bytes], unread: Mapping[str, object]) -> dict[str, bytes]:
        """What the folder asks for. An editor that is just saving makes a file vanish, or empty."""
        wanted = dict(files)
        gone = frozenset(name for name in self._files if not files.get(name))
        for name in gone:
            if name in unread or FOLDER in unread or name not in self._gone:
                wanted[name] = self._files[name]
        self._gone = gone
        return wanted

    def _examine(self, files: Mapping[str, bytes], absent: bool) -> Examined:
        shown = f"{self._folder}/"
        return examine(files, destinations=self._destinations, shown=shown, absent=absent)
