"""YAML as people write it: every scalar stays text, every node knows its line and column."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from aggregator.errors import SettingsError

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 50

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """`tree`: dicts, lists and strings (None for an empty value). `marks`: path → (line, column), from 1.

    A mapping's key is marked at path + ("",) order apart: `keys` holds where each key stands.
    """

    name: str
    text: str
    tree: Any
    marks: Mapping[Loc, tuple[int, int]] = field(default_factory=dict)
    keys: Mapping[Loc, tuple[int, int]] = field(default_factory=dict)

    def at(self, loc: Sequence[str | int], *, key: bool = False) -> str:
        """`file:line:column` of the node at `loc`, or of the nearest node above that exists."""
        path = tuple(loc)
        if key and path in self.keys:
            line, column = self.keys[path]
            return f"{self.name}:{line}:{column}"
        while path and path not in self.marks:
            path = path[:-1]
        line, column = self.marks.get(path, (1, 1))
        return f"{self.name}:{line}:{column}"


def read(path: Path, *, name: str | None = None) -> Document:
    """Read one file. Raises SettingsError with file, line, column and remedy; never anything else."""
    name = name or str(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"{name}:1:1: cannot be read ({error.strerror}); check that it exists and its permissions"
        ) from None
    return parse(data, name=name)


def parse(data: bytes, *, name: str) -> Document:
    """Parse UTF-8 YAML (a BOM and CRLF are fine). Raises SettingsError."""
    if len(data) > MAX_BYTES:
        raise SettingsError(f"{name}:1:1: larger than {MAX_BYTES // 2**20} MiB; split the file")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SettingsError(f"{name}:{line}:1: not UTF-8; save the file as UTF-8") from None
    _check_depth(text, name)
    try:
        node = yaml.compose(text, yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise _syntax(error, name, text) from None
    if node is None:
        return Document(name, text, {}, {(): (1, 1)})
    problems: list[str] = []
    marks: dict[Loc, tuple[int, int]] = {}
    keys: dict[Loc, tuple[int, int]] = {}
    tree = _walk(node, (), name, marks, keys, problems)
    if problems:
        raise SettingsError(*problems)
    return Document(name, text, tree, marks, keys)


def _check_depth(text: str, name: str) -> None:
    """Over the events first: composing a deep nesting crashes the process, in C."""
    depth = 0
    try:
        for event in yaml.parse(text, yaml.CSafeLoader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    line, column = event.start_mark.line + 1, event.start_mark.column + 1
                    raise SettingsError(
                        f"{name}:{line}:{column}: nested deeper than {MAX_DEPTH}; flatten it"
                    )
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            elif isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                line, column = event.start_mark.line + 1, event.start_mark.column + 1
                raise SettingsError(
                    f"{name}:{line}:{column}: anchors (&) and aliases (*) are not read; "
                    "write the value out, or quote it if it is text"
                )
    except yaml.YAMLError as error:
        raise _syntax(error, name, text) from None


def _syntax(error: yaml.YAMLError, name: str, text: str) -> SettingsError:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    if mark is None:  # a reader error: a character that YAML does not allow
        position = getattr(error, "position", 0)
        line = text.count("\n", 0, position) + 1
        return SettingsError(f"{name}:{line}:1: a character that YAML does not allow; remove it")
    lines = text.split("\n")
    source = lines[mark.line] if mark.line < len(lines) else ""
    remedy = "check indentation, quotes and brackets"
    if "\t" in source:
        remedy = "a tab stands here; YAML wants spaces"
    elif "：" in source:
        remedy = "a full-width ： stands here; YAML wants `: `"
    elif "“" in source or "”" in source:
        remedy = "full-width quotes stand here; YAML wants \" or '"
    elif "%" in what or "cannot start any token" in what:
        remedy = "quote the value: a leading @ ` % & * ! has a meaning in YAML"
    elif "{" in source and "$" in source:
        remedy = 'inside {} write "${NAME}" in quotes'
    context = getattr(error, "context_mark", None)
    opened = (
        f" (opened in line {context.line + 1})" if context and context.line != mark.line else ""
    )
    return SettingsError(f"{name}:{mark.line + 1}:{mark.column + 1}: {what}{opened}; {remedy}")


def _walk(
    node: yaml.Node,
    loc: Loc,
    name: str,
    marks: dict[Loc, tuple[int, int]],
    keys: dict[Loc, tuple[int, int]],
    problems: list[str],
) -> Any:
    position = (node.start_mark.line + 1, node.start_mark.column + 1)
    marks[loc] = position
    where = f"{name}:{position[0]}:{position[1]}"
    if node.tag and not node.tag.startswith("tag:yaml.org,2002:"):
        problems.append(f"{where}: the tag {node.tag} is not read; quote the value if it is text")
    if isinstance(node, yaml.ScalarNode):
        plain_null = node.style is None and node.value in ("", "~", "null", "Null", "NULL")
        return None if plain_null else node.value
    if isinstance(node, yaml.SequenceNode):
        return [
            _walk(child, (*loc, index), name, marks, keys, problems)
            for index, child in enumerate(node.value)
        ]
    tree: dict[str, Any] = {}
    assert isinstance(node, yaml.MappingNode)
    for key_node, value_node in node.value:
        line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
        if not isinstance(key_node, yaml.ScalarNode):
            problems.append(f"{name}:{line}:{column}: a key must be a word; quote it")
            continue
        key = key_node.value
        if key in tree:
            first = keys[(*loc, key)][0]
            problems.append(
                f"{name}:{line}:{column}: the key {key!r} stands already in line {first}; keep one"
            )
            continue
        keys[(*loc, key)] = (line, column)
        tree[key] = _walk(value_node, (*loc, key), name, marks, keys, problems)
    return tree


def problems(
    error: ValidationError,
    document: Document,
    known: Mapping[Loc, Sequence[str]] | None = None,
    *,
    prefix: Loc = (),
) -> list[str]:
    """A pydantic error as lines `file:line:column: what is wrong, and the remedy`.

    `known`: path of a mapping → the keys it takes, to name the nearest one to an unknown key.
    """
    lines = []
    for one in error.errors(include_url=False, include_input=False):
        loc: Loc = (*prefix, *one["loc"])
        dotted = ".".join(str(part) for part in loc) or "the file"
        if one["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(loc[-1]), (known or {}).get(loc[:-1], ()), n=1)
            remedy = f"did you mean {near[0]!r}?" if near else "remove it"
            lines.append(f"{document.at(loc, key=True)}: unknown key {dotted}; {remedy}")
        elif one["type"] == "missing":
            lines.append(f"{document.at(loc[:-1])}: {dotted} is missing; add it")
        else:
            lines.append(f"{document.at(loc)}: {dotted}: {one['msg']}")
    return lines
