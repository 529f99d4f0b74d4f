"""Which version of each file goes into force: the new one where it is good, the last good one where not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from aggregator.triage.loader import Examined
from aggregator.triage.ruleset import Ruleset

Files = Mapping[str, bytes]
Examine = Callable[[Files, bool], Examined]

# A name that another file would have given. Such a file is still of use when that one is missing.
SOFT = frozenset(
    {"unknown-destination", "unknown-target", "unknown-calendar", "missing-list", "unknown-rule"}
)


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
        faults: dict[str, tuple[str, ...]] = {}
        for one in examined.errors:
            faults[one.file] = (*faults.get(one.file, ()), one.problem)
        if not faults:
            return Settled(examined.ruleset, trial, problems)
        hard = {one.file for one in examined.errors if one.code not in SOFT}
        changed = {name for name in {*trial, *fallback} if trial.get(name) != fallback.get(name)}
        # 1. What is new and wrong itself; 2. what is new and broke another; 3. what never was good.
        out = {name for name in changed & faults.keys() if name in fallback or name in hard}
        if not out and (suspects := {one for one in changed if one in fallback or hard}):
            out = _culprits(trial, fallback, suspects, examine, left_out)
            whole = tuple(line for lines in faults.values() for line in lines)
            faults = dict.fromkeys(out, whole)
        elif not out:
            out = hard
            fallback = {name: data for name, data in fallback.items() if name not in out}
        if not out:
            return Settled(examined.ruleset, trial, {**faults, **problems})
        for name in out:
            problems.setdefault(name, faults[name])
            left_out = left_out or name not in fallback
            _take_back(trial, fallback, name)


def _culprits(
    trial: Files, fallback: Files, suspects: Collection[str], examine: Examine, left_out: bool
) -> set[str]:
    """A change in one file may break another: the one whose taking back mends it, else all of them."""
    for name in sorted(suspects):
        without = dict(trial)
        _take_back(without, fallback, name)
        if not examine(without, left_out).errors:
            return {name}
    return set(suspects)


def _take_back(trial: dict[str, bytes], fallback: Files, name: str) -> None:
    if name in fallback:
        trial[name] = fallback[name]
    else:
        trial.pop(name, None)
