"""`rules lint` and `rules test`: what an admin asks before a change is let loose, for people and for machines."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from rich.console import Console
from typer import echo

from aggregator.arguments import LintFormat
from aggregator.settings import Settings
from aggregator.threads import subject
from aggregator.triage.finding import Finding
from aggregator.triage.loader import lint, try_folder
from aggregator.triage.ruleset import Subject
from storage.rules import peek

LOOKED_BACK = 10_000  # messages that `too-often` counts in


def lint_rules(
    folder: Path,
    destinations: Collection[str] | None = None,
    *,
    messages: Sequence[Subject] = (),
    form: LintFormat = LintFormat.TEXT,
) -> bool:
    """Print every finding with its place; True when none is an error."""
    findings = lint(folder, destinations=destinations, recent=messages)
    errors = sum(1 for finding in findings if finding.severity == "error")
    if form is LintFormat.JSON:
        echo(json.dumps([_row(one) for one in findings], ensure_ascii=False, indent=2))
        return errors == 0
    if form is LintFormat.GITHUB:
        for line in _annotations(findings):
            echo(line)
        return errors == 0
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        console.print(str(finding), markup=False)
    console.print(f"{errors} errors, {len(findings) - errors} warnings", markup=False)
    return errors == 0


def run_rule_tests(folder: Path) -> bool:
    """Run the examples in the files; prints those that fail, and known gaps as such."""
    results = try_folder(folder)
    failed = [one for one in results if not one.passed]
    for one in failed:
        echo(str(one))
    echo(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return not failed


def recent_messages(settings: Settings) -> list[Subject]:
    """What customers wrote of late, to try rules on; nothing where there is no store that answers."""
    rows = peek(settings.database, LOOKED_BACK)
    return [subject(one.message, one.account) for one in rows]


def _row(finding: Finding) -> dict[str, object]:
    file, line, column = finding.at
    return {
        "severity": finding.severity.value,
        "code": finding.code,
        "file": file,
        "line": line,
        "column": column,
        "text": finding.text,
    }


def _annotations(findings: Iterable[Finding]) -> Iterable[str]:
    """As GitHub shows them beside the line: workflow commands, with paths from the working folder."""
    for finding in findings:
        file, line, column = finding.at
        given = {
            "file": os.path.relpath(file),
            "line": str(line),
            "col": str(column),
            "title": f"inboxd rules lint: {finding.code}",
        }
        told = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in given.items())
        yield f"::{finding.severity.value} {told}::{_escaped(finding.text)}"


def _escaped(text: str, more: str = "") -> str:
    """% and line ends, and in a property : and , too; docs.github.com, workflow commands."""
    for char in ("%", "\r", "\n", *more):
        text = text.replace(char, f"%{ord(char):02X}")
    return text
