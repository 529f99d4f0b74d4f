"""Graph's own grammar on the stand-in of Facebook: `fields=`, edges within edges, and cursor pages."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from aggregator.sandbox.facebook_gate import GraphError
from aggregator.sandbox.facebook_media import Gram, Media, Remark
from aggregator.sandbox.facebook_objects import (
    DEFAULTS,
    FIELDS,
    Comment,
    Letter,
    Page,
    Post,
    Review,
    Thread,
    Who,
)

Node = Page | Post | Comment | Review | Thread | Letter | Gram | Media | Remark

DEFAULT_LIMIT = 25
DEPTH = 6
EDGES = frozenset({"comments", "messages", "replies", "media"})  # fields that are connections
TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*|[{}(),.]|[^\s{}(),.]+)")


@dataclass(frozen=True, slots=True)
class Asked:
    """One field: `name.key(value){sub,sub}`."""

    name: str
    args: Mapping[str, str] = field(default_factory=dict)
    sub: tuple[Asked, ...] = ()


@dataclass(frozen=True, slots=True)
class Here:
    """Where a call came in: scheme, host and version; and its token, which the next page's URL repeats."""

    base: str
    token: str


@dataclass(frozen=True, slots=True)
class Rows:
    """A connection, whole: `kind` of its nodes, and its address for the next page."""

    kind: str
    rows: Sequence[Node]
    path: str
    most: int = 100
    strict: bool = True  # more than `most` is an error, else cut silently
    by_offset: bool = False  # rows move while they are read: some come twice, some not at all


def parse_fields(text: str) -> tuple[Asked, ...]:
    """Raises GraphError 2500 where it is no list of fields."""
    tokens = TOKEN.findall(text)
    if not tokens:
        return ()
    fields, rest = _fields(tokens, 0, 0)
    if rest != len(tokens):
        raise _syntax(tokens[rest])
    return fields


def _fields(tokens: Sequence[str], at: int, depth: int) -> tuple[tuple[Asked, ...], int]:
    if depth > DEPTH:
        raise GraphError(2500, "Syntax Error: fields nested too deep")
    found: list[Asked] = []
    while True:
        name = _word(tokens, at)
        at += 1
        args: dict[str, str] = {}
        while _is(tokens, at, "."):
            key = _word(tokens, at + 1)
            if not _is(tokens, at + 2, "("):
                raise _syntax(key)
            end = at + 3
            while end < len(tokens) and tokens[end] != ")":
                end += 1
            args[key] = "".join(tokens[at + 3 : end])
            at = end + 1
        sub: tuple[Asked, ...] = ()
        if _is(tokens, at, "{"):
            sub, at = _fields(tokens, at + 1, depth + 1)
            if not _is(tokens, at, "}"):
                raise GraphError(2500, "Syntax Error: Expected end of string instead of nothing")
            at += 1
        found.append(Asked(name, args, sub))
        if not _is(tokens, at, ","):
            return tuple(found), at
        at += 1


def spelt(asked: Sequence[Asked]) -> str:
    """The fields as they were written."""
    told = []
    for one in asked:
        args = "".join(f".{key}({value})" for key, value in one.args.items())
        told.append(one.name + args + (f"{{{spelt(one.sub)}}}" if one.sub else ""))
    return ",".join(told)


def _is(tokens: Sequence[str], at: int, wanted: str) -> bool:
    return at < len(tokens) and tokens[at] == wanted


def _word(tokens: Sequence[str], at: int) -> str:
    if at >= len(tokens) or not re.fullmatch(r"[A-Za-z_]\w*", tokens[at], re.ASCII):
        raise _syntax(tokens[at] if at < len(tokens) else "the end")
    return tokens[at]


def _syntax(found: str) -> GraphError:
    return GraphError(2500, f"Syntax Error: unexpected {found!r} in the fields parameter")


# --- nodes and connections ------------------------------------------------------------------------


@dataclass(slots=True)
class Graph:
    """Renders nodes and pages. `edge` finds the rows of a connection of a node, by its arguments.

    `short_pages`: a page may hold fewer than its limit and still have a next one; `empty_pages`: every so many
    pages one is empty, and has a next one; `heavy_above`: more rows than this are too much data to ask for;
    `hide_from`: no author is told, as where a permission is missing.
    """

    page: Who
    edge: Callable[[Node, str, Mapping[str, str]], Rows]
    short_pages: bool = True
    empty_pages: int = 0
    heavy_above: int = 5_000
    hide_from: bool = False
    _served: int = 0

    def node_json(self, node: Node, asked: Sequence[Asked], here: Here) -> dict[str, Any]:
        """What was asked for, and the id; a field that has no value is absent."""
        full = node.full(self.page)
        if self.hide_from:
            full = _authorless(full)
        if not asked:
            asked = [Asked(name) for name in DEFAULTS[node.kind].split()]
        told: dict[str, Any] = {}
        for one in asked:
            if isinstance(node, Gram) and (named := node.mentioned(one.name, one.args)):
                told[one.name] = self.node_json(named, one.sub, here)
                continue
            if one.name not in FIELDS[node.kind]:
                raise GraphError(
                    100,
                    f"(#100) Tried accessing nonexisting field ({one.name}) on node type ({node.kind})",
                )
            if one.name in EDGES and (node.kind, one.name) != ("remark", "media"):
                part = self.connection(self.edge(node, one.name, one.args), one.args, one.sub, here)
                if part["data"] or "summary" in part:
                    told[one.name] = part
            elif full.get(one.name) is not None:
                told[one.name] = _chosen(full[one.name], one.sub)
        if "id" in full:
            told["id"] = full["id"]
        return told

    def connection(
        self, rows: Rows, args: Mapping[str, str], sub: Sequence[Asked], here: Here
    ) -> dict[str, Any]:
        """One page. `args` is the query, which the next page's URL repeats."""
        limit = _limit(args, rows)
        weight = limit
        for one in sub:
            if one.name in EDGES:
                weight *= int(one.args.get("limit") or DEFAULT_LIMIT)
        if weight > self.heavy_above:
            message = "Please reduce the amount of data you're asking for, then retry your request"
            raise GraphError(1, message, status=500)
        start, fresh = _start(rows, args)
        self._served += 1
        size = max(1, limit * 2 // 3) if self.short_pages else limit
        if self.empty_pages and self._served % self.empty_pages == 0 and fresh:
            size = 0
        if "before" in args:
            page = rows.rows[max(0, start - size) : start]
            start -= len(page)
        else:
            page = rows.rows[start : start + size]
        told: dict[str, Any] = {"data": [self.node_json(row, sub, here) for row in page]}
        if rows.rows and (page or size == 0):
            kept = {"access_token": here.token, **args}
            if sub:
                kept["fields"] = spelt(sub)
            told["paging"] = _paging(rows, kept, here.base, start, len(page), size)
        if args.get("summary") in ("true", "1", "total_count"):
            told["summary"] = {"order": "chronological", "total_count": len(rows.rows)}
        return told


def _paging(
    rows: Rows, args: Mapping[str, str], base: str, start: int, count: int, size: int
) -> dict[str, Any]:
    end = start + count
    after = _cursor(rows, end, empty=size == 0)
    cursors = {"after": after} if size == 0 else {"before": _before(rows, start), "after": after}
    paging: dict[str, Any] = {"cursors": cursors}
    kept = {key: value for key, value in args.items() if key not in ("after", "before")}
    if end < len(rows.rows) or size == 0:
        paging["next"] = f"{base}/{rows.path}?{urlencode({**kept, 'after': after})}"
    if start > 0 and size:
        paging["previous"] = (
            f"{base}/{rows.path}?{urlencode({**kept, 'before': cursors['before']})}"
        )
    return paging


def _authorless(full: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in full.items() if key not in ("from", "reviewer")}
    parent = kept.get("parent")
    return {**kept, "parent": _authorless(parent)} if parent else kept


def _chosen(value: Any, sub: Sequence[Asked]) -> Any:
    """A nested object, cut to what was asked of it. An id comes along wherever there is one."""
    if not sub:
        return value
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        return {"data": [_chosen(row, sub) for row in value["data"]]}
    if not isinstance(value, dict):
        return value
    names = {one.name: one.sub for one in sub}
    told = {name: _chosen(value[name], names[name]) for name in names if name in value}
    return {**told, "id": value["id"]} if "id" in value else told


def _limit(args: Mapping[str, str], rows: Rows) -> int:
    given = args.get("limit", str(DEFAULT_LIMIT))
    if not re.fullmatch(r"\d{1,6}", given, re.ASCII) or int(given) < 1:
        raise GraphError(100, "(#100) Param limit must be a positive number")
    if int(given) > rows.most and rows.strict:
        raise GraphError(100, f"(#100) Param limit must be at most {rows.most}")
    return min(int(given), rows.most)


def _cursor(rows: Rows, end: int, *, empty: bool = False) -> str:
    """Where a page ended: behind a row, so that new rows move nothing; or, where rows move, at a number."""
    anchor = str(end) if rows.by_offset else rows.rows[end - 1].id if end > 0 else ""
    flag = "e" if empty else ""
    return base64.urlsafe_b64encode(f"{rows.kind}|{anchor}|{flag}".encode()).decode()


def _before(rows: Rows, start: int) -> str:
    anchor = str(start) if rows.by_offset else rows.rows[start].id
    return base64.urlsafe_b64encode(f"{rows.kind}|{anchor}|b".encode()).decode()


def _start(rows: Rows, args: Mapping[str, str]) -> tuple[int, bool]:
    """The row to begin at (to end before, with `before`); False after a page that was empty on purpose."""
    given = args.get("after") or args.get("before")
    if not given:
        return 0, True
    try:
        text = base64.urlsafe_b64decode(given.encode()).decode()
    except (binascii.Error, ValueError):
        text = ""
    kind, _, rest = text.partition("|")
    anchor, _, flag = rest.rpartition("|")
    fresh = flag != "e"
    if kind != rows.kind:
        raise _invalid_cursor()
    if rows.by_offset:
        if not re.fullmatch(r"\d{1,9}", anchor, re.ASCII):
            raise _invalid_cursor()
        return int(anchor), fresh
    if anchor == "":
        return 0, fresh
    for index, row in enumerate(rows.rows):
        if row.id == anchor:
            return index + (0 if "before" in args else 1), fresh
    raise _invalid_cursor()


def _invalid_cursor() -> GraphError:
    return GraphError(100, "(#100) The cursor is not valid: its object may have been deleted")


def moment(text: str) -> datetime:
    """`since` and `until`: epoch seconds, or a date and time. Raises GraphError."""
    try:
        if re.fullmatch(r"\d{1,11}", text, re.ASCII):
            return datetime.fromtimestamp(int(text), UTC)
        then = datetime.fromisoformat(text)
        return then if then.tzinfo else then.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        raise GraphError(100, f"(#100) {text!r} is not a valid time") from None
