"""Walking a list from its newest entry down to what is known: a page a poll, over restarts.

Positions in a list (`after`) are kept only while a walk is under way: they die with the entry they name.
Times are epoch milliseconds, the platform's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from connectors.facebook.graph import Listed, PageGraph
from connectors.facebook.refusals import Forbidden, Missing
from connectors.fields import parse_time

OVERLAP_MS = 10 * 60_000
DAY_MS = 24 * 3600_000
HISTORY_MS = 30 * DAY_MS
MOST_AT_FIRST = 500  # entries of a list


@dataclass(frozen=True, slots=True)
class Walk:
    """`bound`: older than this is known. `top`: the newest of the first page that had any."""

    bound: int
    position: dict[str, str] | None = None
    top: int | None = None
    pages: int = 0
    found: int = 0
    first: bool = False


def begin(high: int | None, now: datetime, *, first: bool, overlap_ms: int = OVERLAP_MS) -> Walk:
    """A walk down to what is known, or a month back; only the first one ever may be cut short."""
    if high is None:
        return Walk(bound=epoch_ms(now) - HISTORY_MS, first=first)
    return Walk(bound=high - overlap_ms)


def advanced(walk: Walk, listed: Listed, times: Sequence[int]) -> Walk:
    """The walk after one more page."""
    # A time from the future is no watermark: nothing would be newer.
    limit = epoch_ms(listed.at) + OVERLAP_MS // 2
    top = max((time for time in times if time <= limit), default=None)
    return replace(
        walk,
        position=listed.next,
        top=walk.top if walk.top is not None else top,
        pages=walk.pages + 1,
        found=walk.found + len(listed.data),
    )


def ended(walk: Walk, listed: Listed, times: Sequence[int]) -> bool:
    """Whether the page that was just read was the last one needed; one odd old time ends no walk."""
    older = sum(1 for time in times if time < walk.bound)
    return (
        listed.next is None
        or (older > 0 and older >= min(3, len(listed.data)))
        or (walk.first and walk.found >= MOST_AT_FIRST)
    )


def higher(high: int | None, top: int | None) -> int | None:
    return max((one for one in (high, top) if one is not None), default=None)


def times_of(raws: Sequence[dict[str, Any]], *names: str) -> list[int]:
    """When each was made, by the first of these fields that can be read."""
    found = ((parse_time(raw.get(name)) for name in names) for raw in raws)
    firsts = (next((time for time in times if time is not None), None) for times in found)
    return [epoch_ms(time) for time in firsts if time is not None]


def epoch_ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)


# --- a stream that is one edge of the Page after another --------------------------------------------


@dataclass(frozen=True, slots=True)
class Edge:
    """`times`: the fields that it is ordered by. `optional`: a Page may not have it, or not to us."""

    name: str
    fields: str
    times: tuple[str, ...] = ("created_time",)
    overlap_ms: int = OVERLAP_MS
    optional: bool = False


@dataclass(frozen=True, slots=True)
class EdgesCursor:
    """`asked`: ids that were asked for by themselves, and are in the store with this cursor."""

    high: dict[str, int]
    edge: int = 0
    walk: Walk | None = None
    first: bool = False
    asked: tuple[str, ...] = ()

    def text(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def read_edges_cursor(text: str | None) -> EdgesCursor:
    """What cannot be read is the first poll again: all that is found is known already."""
    try:
        told = json.loads(text or "")
        walk = told["walk"]
        return EdgesCursor(
            {name: int(ms) for name, ms in told["high"].items()},
            int(told["edge"]),
            None if walk is None else Walk(**walk),
            bool(told["first"]),
            tuple(map(str, told.get("asked", ()))),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return EdgesCursor({}, first=True)


def poll_edges(
    graph: PageGraph, page_id: str, edges: Sequence[Edge], cursor: str | None, *, now: datetime
) -> tuple[list[dict[str, Any]], EdgesCursor, bool]:
    """One page of one edge: what is on it, where the stream stands then, and whether to go on at once."""
    at = read_edges_cursor(cursor)
    at = at if at.edge < len(edges) else replace(at, edge=0, walk=None)
    edge = edges[at.edge]
    high = at.high.get(edge.name)
    walk = at.walk or begin(high, now, first=at.first, overlap_ms=edge.overlap_ms)
    try:
        listed = graph.edge(page_id, edge.name, walk.position, fields=edge.fields, limit=100)
    except Missing:
        if walk.position is not None:  # the entry that it named was deleted: from the newest again
            return [], replace(at, walk=replace(walk, position=None, top=None)), False
        if not edge.optional:
            raise
        return [], _next(at, edges), at.edge + 1 < len(edges)
    except Forbidden:
        if not edge.optional:
            raise
        return [], _next(at, edges), at.edge + 1 < len(edges)
    times = times_of(listed.data, *edge.times)
    walk = advanced(walk, listed, times)
    if not ended(walk, listed, times):
        return listed.data, replace(at, walk=walk), True
    top = higher(high, walk.top)
    known = at.high if top is None else {**at.high, edge.name: top}
    return listed.data, _next(replace(at, high=known), edges), at.edge + 1 < len(edges)


def _next(at: EdgesCursor, edges: Sequence[Edge]) -> EdgesCursor:
    last = at.edge + 1 >= len(edges)
    return EdgesCursor(at.high, 0 if last else at.edge + 1, first=at.first and not last)
