"""Which version of each file goes into force: the new one where it is good, the last good one where not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from aggregator.triage.loader import Examined
from aggregator.triage.ruleset import Ruleset

Files = Mapping[str, bytes]
Examine = Callable[[Files, bool], Examined]

# A name that another file would have given. Such a file is still of use when that one is missing.
SOFT = frozenset({"unknown-destination", "unknown-target", "unknown-calendar", "missing-list"})


@dataclass(frozen=True, slots=True)
class Settled:
    """`files`: what is in force. `problems`: by file, why its newest version is not, or not wholly."""

    ruleset: Ruleset
    files: Files
    problems: Mapping[str, tuple[str, ...]]


def settle(wanted: Files, good: Files, examine: Examine) -> Settled:
    """Take `wanted`, and step back file by file to `good` until what is left fits together.

    `examine` gets the files and whether some are missing that ought to be there. Every step takes
    back or leaves out a file, so it ends.
    """
    trial, fallback = dict(wanted), dict(good)
    problems: dict[str, tuple[str, ...]] = {}
    left_out = False
    while True:
        examined = examine(trial, left_out)
        faults: dict[str, list[str]] = {}
        for one in examined.errors:
            faults.setdefault(one.file, []).append(one.problem)
        for name, lines in faults.items():
            problems.setdefault(name, tuple(lines))
        if not faults:
            return Settled(examined.ruleset, trial, problems)
        hard = {one.file for one in examined.errors if one.code not in SOFT}
        changed = {name for name in {*trial, *fallback} if trial.get(name) != fallback.get(name)}
        bad = {name for name in changed & faults.keys() if name in fallback or name in hard}
        if not bad and (culprits := {name for name in changed if name in fallback}):
            bad = _culprit(trial, fallback, culprits, examine, left_out)
            for name in bad:
                said = tuple(line for lines in faults.values() for line in lines)
                problems.setdefault(name, said)
        for name in bad or hard:
            left_out = left_out or name not in fallback or name not in bad
            if name in fallback and name in bad:
                trial[name] = fallback[name]
            else:
                trial.pop(name, None)
                fallback.pop(name, None)
        if not bad and not hard:
            return Settled(examined.ruleset, trial, problems)


def _culprit(
    trial: Files, fallback: Files, changed: Collection[str], examine: Examine, left_out: bool
) -> set[str]:
    """A change in one file may break another: the one whose taking back mends it, else all of them."""
    for name in sorted(changed):
        if not examine({**trial, name: fallback[name]}, left_out).errors:
            return {name}
    return set(changed)
