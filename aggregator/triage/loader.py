"""A folder of rule files, or their texts, becomes a ruleset; lint and examples are part of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from aggregator.errors import SettingsError
from aggregator.triage.compiler import compile_files
from aggregator.triage.examples import Result, run
from aggregator.triage.files import gather, parse
from aggregator.triage.finding import Finding, Severity, errors
from aggregator.triage.ruleset import Ruleset


@dataclass(frozen=True, slots=True)
class Examined:
    """`ruleset`: what can be made of the good parts, whatever the findings say."""

    ruleset: Ruleset
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> list[Finding]:
        return errors(self.findings)


def load(
    folder: Path, *, destinations: Collection[str] | None = None, tests: bool = True
) -> Ruleset:
    """Raises SettingsError with every problem. `destinations`: the names that routes may use, if known.

    With `tests` the examples in the files are run, and one that fails is a problem.
    """
    gathered = gather(folder)
    examined = examine(gathered.files, destinations=destinations, shown=_shown(folder), tests=tests)
    _refuse([*gathered.findings, *examined.errors])
    return examined.ruleset


def load_texts(
    sources: Mapping[str, str],
    *,
    destinations: Collection[str] | None = None,
    tests: bool = True,
) -> Ruleset:
    """The same of texts by file name, such as those of a version that was live once."""
    files = {name: text.encode("utf-8", "surrogatepass") for name, text in sources.items()}
    examined = examine(files, destinations=destinations, tests=tests)
    _refuse(examined.errors)
    return examined.ruleset


def lint(folder: Path, *, destinations: Collection[str] | None = None) -> list[Finding]:
    """Everything that is wrong or doubtful in the folder, by place; never raises for what is in it."""
    gathered = gather(folder)
    examined = examine(gathered.files, destinations=destinations, shown=_shown(folder))
    return [*gathered.findings, *examined.findings]


def run_tests(ruleset: Ruleset) -> tuple[Result, ...]:
    """The examples in the files: each with what is not as it says."""
    return run(ruleset)


def examine(
    files: Mapping[str, bytes],
    *,
    destinations: Collection[str] | None = None,
    shown: str = "",
    tests: bool = True,
    absent: bool = False,
) -> Examined:
    """Parse, check, compile and try out. `shown` stands before each name in a place.

    `absent`: files are known to be missing, so that names they would have given are no errors, and
    examples of the whole verdict are not run.
    """
    findings: list[Finding] = []
    parsed = []
    for name in sorted(files):
        one, found = parse(name, files[name], f"{shown}{name}")
        findings.extend(found)
        if one is not None:
            parsed.append(one)
    complete = not absent and len(parsed) == len(files)
    ruleset, notes = compile_files(
        parsed,
        {one.name: one.document.text for one in parsed},
        destinations=destinations,
        complete=complete,
    )
    findings.extend(notes.rows)
    if tests and not errors(findings):
        findings.extend(_failed(run(ruleset, whole=complete)))
    return Examined(ruleset, tuple(findings))


def _failed(results: tuple[Result, ...]) -> list[Finding]:
    rows = []
    for one in results:
        if one.passed and not one.closed:
            continue
        severity = Severity.WARNING if one.closed else Severity.ERROR
        code = "gap-closed" if one.closed else "example-failed"
        example = one.example
        rows.append(Finding(severity, code, example.file, example.place, one.text, example.source))
    return rows


def _refuse(found: list[Finding]) -> None:
    if found:
        raise SettingsError(*(one.problem for one in found))


def _shown(folder: Path) -> str:
    return f"{folder}/"
