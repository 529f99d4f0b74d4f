"""The files of a rules folder: read, parsed, and checked each for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from aggregator import yamltext
from aggregator.errors import SettingsError
from aggregator.sla.policy import Targets, parse_targets
from aggregator.triage.finding import Finding, Severity, empties, refused
from aggregator.triage.schema import (
    File,
    LexiconFile,
    PriorityFile,
    RouteFile,
    RuleFile,
    keys_at,
)
from aggregator.yamltext import Document

ROUTES, TARGETS, PRIORITY = "routes.yaml", "targets.yaml", "priority.yaml"
_HOMES = {
    "routes": ROUTES,
    "targets": TARGETS,
    "calendars": TARGETS,
    "intervals": TARGETS,
    "matrix": PRIORITY,
    "terms": "sentiment/",
    "emoticons": "sentiment/",
    "negators": "sentiment/",
    "rules": "a file of its own, such as 10-rules.yaml",
    "lists": "a file with rules",
}
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Gathered:
    """What stands in the folder: file name (with /, from the folder) → bytes; and what cannot be read."""

    files: Mapping[str, bytes]
    findings: tuple[Finding, ...] = ()


def gather(folder: Path) -> Gathered:
    """Every YAML file below `folder`, hidden ones and what a mounted volume keeps aside left out."""
    files: dict[str, bytes] = {}
    found: list[Finding] = []
    if not folder.is_dir():
        said = "there is no such folder; `inboxd init` makes one, `rules:` in the settings names it"
        return Gathered({}, (Finding(Severity.ERROR, "unreadable", "", f"{folder}:1:1", said),))
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.suffix not in _SUFFIXES or any(part.startswith(".") for part in name.parts):
            continue
        try:
            if path.is_file():
                files[name.as_posix()] = path.read_bytes()
        except OSError as error:
            said = f"cannot be read ({error.strerror}); check that it exists and its permissions"
            place = f"{path}:1:1"
            found.append(Finding(Severity.ERROR, "unreadable", name.as_posix(), place, said))
    return Gathered(files, tuple(found))


@dataclass(frozen=True, slots=True)
class Parsed:
    """One file that is right by itself. `content` is its model; of targets.yaml the targets."""

    name: str
    document: Document
    content: File | Targets


def parse(name: str, data: bytes, shown: str) -> tuple[Parsed | None, list[Finding]]:
    """What the file says, or every problem in it."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    try:
        document = yamltext.parse(data, name=shown)
    except SettingsError as refusal:
        return None, refused(refusal, name, shown, text, "syntax")
    if not isinstance(document.tree, dict):
        error = SettingsError(
            f"{shown}:1:1: the file must be keys and values; begin with schema: 1"
        )
        return None, refused(error, name, shown, text, "syntax")
    if name == TARGETS:
        try:
            return Parsed(name, document, parse_targets(document)), []
        except SettingsError as unfit:
            return None, refused(unfit, name, shown, text, "targets")
    model = _model(name)
    if found := empties(document, name, nested=("matrix",)):
        return None, found
    try:
        return Parsed(name, document, model.model_validate(document.tree)), []
    except ValidationError as wrong:
        lines = yamltext.problems(wrong, document, lambda loc: keys_at(model, loc))
        lines = [_hinted(line) for line in lines]
        return None, refused(SettingsError(*lines), name, shown, text, "schema")


def _model(name: str) -> type[File]:
    if name == ROUTES:
        return RouteFile
    if name == PRIORITY:
        return PriorityFile
    return LexiconFile if name.startswith("sentiment/") else RuleFile


def _hinted(line: str) -> str:
    """Keys that stand in the wrong file."""
    place, _, rest = line.partition(": unknown key ")
    key = rest.partition(";")[0]
    return f"{place}: {key} stands in {_HOMES[key]}; move it there" if key in _HOMES else line
