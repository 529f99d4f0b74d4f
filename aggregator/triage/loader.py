"""A folder of rule files, or their texts, becomes a ruleset; lint and examples are part of it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from aggregator.errors import SettingsError
from aggregator.triage.compiler import compile_files
from aggregator.triage.examples import Result, run
from aggregator.triage.files import gather, parse
from aggregator.triage.finding import Finding, Severity, errors
from aggregator.triage.keywords import Notes
from aggregator.triage.often import too_often
from aggregator.triage.ruleset import Ruleset, Subject
from aggregator.triage.schema import RuleFile


@dataclass(frozen=True, slots=True)
class Examined:
    """`ruleset`: what can be made of the good parts, whatever the findings say."""

    ruleset: Ruleset
    findings: tuple[Finding, ...]
    untuned: Callable[[], Ruleset] = field(repr=False)
    notes: Notes = field(repr=False)
    complete: bool = True

    @property
    def errors(self) -> list[Finding]:
        return errors(self.findings)

    def results(self) -> tuple[Result, ...]:
        """The examples run; one that holds but for a tune is marked so."""
        results = run(self.ruleset, whole=self.complete)
        if all(one.passed for one in results):
            return results
        plain = self.untuned()
        if plain is self.ruleset:
            return results
        fine = {one.example.place for one in run(plain, whole=self.complete) if one.passed}
        return tuple(
            replace(one, tuned=bool(one.wrong) and one.example.place in fine) for one in results
        )


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


def lint(
    folder: Path,
    *,
    destinations: Collection[str] | None = None,
    recent: Sequence[Subject] = (),
) -> list[Finding]:
    """Everything that is wrong or doubtful in the folder; never raises for what is in it.

    `recent`: messages of late, to tell the rules that hit too many of them.
    """
    gathered = gather(folder)
    examined = examine(gathered.files, destinations=destinations, shown=_shown(folder))
    found = [*gathered.findings, *examined.findings]
    return [*found, *too_often(examined.ruleset, examined.notes, recent)]


def run_tests(ruleset: Ruleset) -> tuple[Result, ...]:
    """The examples in the files: each with what is not as it says."""
    return run(ruleset)


def try_folder(folder: Path) -> tuple[Result, ...]:
    """The same for a folder; an example that only a tune contradicts is marked so. Raises SettingsError."""
    gathered = gather(folder)
    examined = examine(gathered.files, shown=_shown(folder), tests=False)
    _refuse([*gathered.findings, *examined.errors])
    return examined.results()


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
    with _undisturbed():
        return _examined(files, destinations=destinations, shown=shown, tests=tests, absent=absent)


def _examined(
    files: Mapping[str, bytes],
    *,
    destinations: Collection[str] | None,
    shown: str,
    tests: bool,
    absent: bool,
) -> Examined:
    findings: list[Finding] = []
    parsed = []
    for name in sorted(files):
        one, found = parse(name, files[name], f"{shown}{name}")
        findings.extend(found)
        if one is not None:
            parsed.append(one)
    complete = not absent and len(parsed) == len(files)

    def compiled(*, tuned: bool) -> tuple[Ruleset, Notes]:
        return compile_files(
            parsed,
            {one.name: one.document.text for one in parsed},
            destinations=destinations,
            complete=complete,
            tuned=tuned,
        )

    ruleset, notes = compiled(tuned=True)
    tunes = any(isinstance(one.content, RuleFile) and one.content.tune for one in parsed)
    findings.extend(notes.rows)
    examined = Examined(
        ruleset,
        tuple(findings),
        untuned=lambda: compiled(tuned=False)[0] if tunes else ruleset,
        notes=notes,
        complete=complete,
    )
    if not tests or examined.errors:
        return examined
    return replace(examined, findings=(*findings, *_failed(examined.results())))


def _failed(results: tuple[Result, ...]) -> list[Finding]:
    rows = []
    for one in results:
        tuned = bool(one.wrong) and one.tuned
        if one.passed and not (one.closed or tuned):
            continue
        example = one.example
        severity = Severity.WARNING if one.closed or tuned else Severity.ERROR
        code = "gap-closed" if one.closed else "example-tuned" if tuned else "example-failed"
        text = f"a tune of this site says otherwise: {one.text}" if tuned else one.text
        rows.append(Finding(severity, code, example.file, example.place, text, example.source))
    return rows


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Without the collector of cycles, which would look again and again at what is just being made: a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _refuse(found: list[Finding]) -> None:
    if found:
        raise SettingsError(*(one.problem for one in found))


def _shown(folder: Path) -> str:
    return f"{folder}/"
