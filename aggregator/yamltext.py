"""YAML as people write it: every scalar stays text, every node knows its line and column."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from aggregator.errors import SettingsError

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 50

Loc = tuple[str | int, ...]

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Document:
    """`tree`: dicts, lists and strings (None for an empty value). `marks`: path → (line, column), from 1.

    `marks` says where a value stands, `keys` where the key of a mapping does.
    """

    name: str
    text: str
    tree: Any
    marks: Mapping[Loc, tuple[int, int]] = field(default_factory=dict)
    keys: Mapping[Loc, tuple[int, int]] = field(default_factory=dict)
    lines: Sequence[str] = field(default=(), repr=False)

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
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SettingsError(f"{name}:{line}:1: not UTF-8; save the file as UTF-8") from None
    walk = _Walk(name, iter(yaml.parse(text, yaml.CSafeLoader)))
    try:
        tree = walk.document()
    except yaml.YAMLError as error:
        raise _syntax(error, name, text) from None
    if walk.problems:
        raise SettingsError(*walk.problems)
    return Document(name, text, tree, walk.marks, walk.keys, text.split("\n"))


def _syntax(error: yaml.YAMLError, name: str, text: str) -> SettingsError:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    if mark is None:  # a reader error, whose position counts bytes
        found = _FORBIDDEN.search(text)
        before = text[: found.start()] if found else ""
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return SettingsError(
            f"{name}:{line}:{column}: a control character that YAML does not allow; remove it"
        )
    context = getattr(error, "context_mark", None)
    # What was typed wrong often stands in the line before the one where YAML noticed.
    first = min(context.line if context else mark.line, max(mark.line - 1, 0))
    around = text.split("\n")[first : mark.line + 1]
    opened = (
        f" (opened in line {context.line + 1})" if context and context.line != mark.line else ""
    )
    remedy = _remedy(what, around)
    return SettingsError(f"{name}:{mark.line + 1}:{mark.column + 1}: {what}{opened}; {remedy}")


def _remedy(what: str, around: list[str]) -> str:
    source, near = around[-1] if around else "", "\n".join(around)
    if "\t" in source:
        return "a tab stands here; YAML wants spaces"
    if "another document" in what:
        return "one file holds one document; remove the line ---"
    if "：" in near:
        return "a full-width ： stands here; YAML wants `: `"
    if "“" in near or "”" in near:
        return "full-width quotes stand here; YAML wants \" or '"
    if re.search(r"(^|[\s\[,])#[^\s#]+#", near):
        return 'YAML reads # as a comment; write "#…#" in quotes'
    if "%" in what or "cannot start any token" in what or "alphabetic" in what:
        return "quote the value: a leading @ ` % & * ! has a meaning in YAML"
    if "{" in near and "$" in near:
        return 'inside {} write "${NAME}" in quotes'
    if re.search(r"[^\s\[{,:][\[{]|[\]}][^\s\]},:]", source):
        return "check brackets; a text that holds [ ] { } or , is quoted inside them"
    return "check indentation, quotes and brackets"


class _Walk:
    """From YAML's events to dicts, lists and strings, keeping where everything stands.

    Events and not nodes: composing nodes of a deep nesting crashes the process, in C, and takes longer.
    """

    def __init__(self, name: str, events: Iterator[yaml.Event]) -> None:
        self.name = name
        self.marks: dict[Loc, tuple[int, int]] = {}
        self.keys: dict[Loc, tuple[int, int]] = {}
        self.problems: list[str] = []
        self._events = events
        self._depth = 0

    def document(self) -> Any:
        """The one document; an empty file is an empty mapping."""
        tree: Any = {}
        self.marks[()] = (1, 1)
        found = False
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if found:
                    raise self._refused(event, "one file holds one document; remove the line ---")
                found = True
                tree = self._value(next(self._events), ())
        return tree

    def _value(self, event: Any, loc: Loc) -> Any:
        kind = type(event)
        if event.anchor is not None:
            raise self._refused(
                event,
                "anchors (&) and aliases (*) are not read; "
                "write the value out, or quote it if it is text",
            )
        if event.tag is not None:
            raise self._refused(
                event, f"the tag {event.tag} is not read; quote the value if it is text"
            )
        mark = event.start_mark
        self.marks[loc] = (mark.line + 1, mark.column + 1)
        if kind is yaml.ScalarEvent:
            plain_null = not event.style and event.value in ("", "~", "null", "Null", "NULL")
            return None if plain_null else event.value
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._refused(event, f"nested deeper than {MAX_DEPTH}; flatten it")
        found = self._list(loc) if kind is yaml.SequenceStartEvent else self._mapping(loc)
        self._depth -= 1
        return found

    def _list(self, loc: Loc) -> list[Any]:
        items: list[Any] = []
        for event in self._events:
            if type(event) is yaml.SequenceEndEvent:
                break
            items.append(self._value(event, (*loc, len(items))))
        return items

    def _mapping(self, loc: Loc) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for event in self._events:
            if type(event) is yaml.MappingEndEvent:
                break
            mark = event.start_mark
            assert mark is not None
            line, column = mark.line + 1, mark.column + 1
            self._value(event, (*loc, ""))
            if type(event) is not yaml.ScalarEvent:
                said = "a key must be a word; quote it"
            elif event.value in tree:
                first = self.keys[(*loc, event.value)][0]
                said = f"the key {event.value!r} stands already in line {first}; keep one"
            else:
                key = event.value
                self.keys[(*loc, key)] = (line, column)
                tree[key] = self._value(next(self._events), (*loc, key))
                continue
            self.problems.append(f"{self.name}:{line}:{column}: {said}")
            self._value(next(self._events), (*loc, ""))
        return tree

    def _refused(self, event: yaml.Event, said: str) -> SettingsError:
        mark = event.start_mark
        assert mark is not None
        return SettingsError(f"{self.name}:{mark.line + 1}:{mark.column + 1}: {said}")


# pydantic speaks to programmers in these; what it says otherwise has the values that it takes.
_SAID = {
    "model_type": "must be keys and values; write `key: value`",
    "model_attributes_type": "must be keys and values; write `key: value`",
    "dict_type": "must be keys and values; write `key: value`",
    "list_type": "must be a list; write [one, two] or a line `- one` each",
    "tuple_type": "must be a list; write [one, two] or a line `- one` each",
    "string_type": "must be one text; quote it if it holds : [ { or #",
    "int_type": "must be a whole number; write digits",
    "int_parsing": "must be a whole number; write digits",
    "float_type": "must be a number; write digits",
    "float_parsing": "must be a number; write digits",
    "bool_type": "must be true or false; write one of them",
    "bool_parsing": "must be true or false; write one of them",
    "timezone_aware": "must name its time zone; add Z or +08:00",
}

Known = Mapping[Loc, Sequence[str]] | Callable[[Loc], Sequence[str]]


def problems(
    error: ValidationError,
    document: Document,
    known: Known | None = None,
    *,
    prefix: Loc = (),
) -> list[str]:
    """A pydantic error as lines `file:line:column: what is wrong, and the remedy`.

    `known`: the keys that the mapping at a path takes, to name the nearest one to an unknown key.
    """
    lines = []
    for one in error.errors(include_url=False, include_input=False):
        loc: Loc = (*prefix, *one["loc"])
        dotted = ".".join(str(part) for part in loc) or "the file"
        if one["type"] == "extra_forbidden":
            keys = known(loc[:-1]) if callable(known) else (known or {}).get(loc[:-1], ())
            near = difflib.get_close_matches(str(loc[-1]), keys, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else "remove it"
            lines.append(f"{document.at(loc, key=True)}: unknown key {dotted}; {remedy}")
        elif one["type"] == "missing":
            lines.append(f"{document.at(loc[:-1])}: {dotted} is missing; add it")
        else:
            message = _SAID.get(one["type"], one["msg"].removeprefix("Value error, "))
            lines.append(f"{document.at(loc)}: {dotted}: {message}{_hint(document, loc)}")
    return lines


def _hint(document: Document, loc: Loc) -> str:
    """A full-width colon is no colon to YAML: `id：x` is one word, where keys were wanted."""
    value = document.tree
    for part in loc:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return ""
    if isinstance(value, str) and "：" in value:
        return "; a full-width ： stands here, YAML wants `: `"
    return ""
