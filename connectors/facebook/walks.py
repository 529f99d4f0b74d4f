"""Walking a list from its newest entry down to what is known: a page a poll, over restarts.

Positions in a list (`after`) are kept only while a walk is under way: they die with the entry they name.
Times are epoch milliseconds, the platform's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
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


def begin(
    high: int | None,
    now: datetime,
    *,
    first: bool,
    history: bool = False,
    overlap_ms: int = OVERLAP_MS,
) -> Walk:
    """A walk down to what is known. The first poll ever only draws the line: what is below is `history`.

    History is a month, and may be cut short at so many entries; nothing else may.
    """
    if high is not None:
        return Walk(bound=high - overlap_ms)
    back_ms = OVERLAP_MS if first and not history else HISTORY_MS
    return Walk(bound=epoch_ms(now) - back_ms, first=first and history)


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
    """`asked`: ids that were asked for by themselves, and are in the store with this cursor.

    `known`: by edge, what its newest entries said; `doubted`: edge and id of what is missing there.
    """

    high: dict[str, int]
    edge: int = 0
    walk: Walk | None = None
    first: bool = False
    asked: tuple[str, ...] = ()
    known: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    doubted: tuple[tuple[str, str], ...] = ()

    def text(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def read_edges_cursor(text: str | None) -> EdgesCursor:
    """What cannot be read means all over again, a month back: what is found is known already."""
    try:
        told = json.loads(text or "")
        walk = told["walk"]
        return EdgesCursor(
            {name: int(ms) for name, ms in told["high"].items()},
            int(told["edge"]),
            None if walk is None else Walk(**walk),
            bool(told["first"]),
            tuple(map(str, told.get("asked", ()))),
            {str(edge): dict(known) for edge, known in told.get("known", {}).items()},
            tuple((str(edge), str(one)) for edge, one in told.get("doubted", ())),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return EdgesCursor({}, first=text is None)


@dataclass(frozen=True, slots=True)
class Polled:
    """One page of one edge, and where the stream stands then. `newest`: the first of a walk that may hold any."""

    raws: list[dict[str, Any]]
    cursor: EdgesCursor
    more: bool
    edge: Edge
    newest: bool = False
    whole: bool = False
    at: datetime | None = None


def poll_edges(
    graph: PageGraph,
    page_id: str,
    edges: Sequence[Edge],
    at: EdgesCursor,
    *,
    now: datetime,
    history: bool = False,
) -> Polled:
    """One call."""
    at = at if at.edge < len(edges) else replace(at, edge=0, walk=None)
    edge = edges[at.edge]
    high = at.high.get(edge.name)
    walk = at.walk or begin(high, now, first=at.first, history=history, overlap_ms=edge.overlap_ms)
    first, newest = walk.position is None, walk.found == 0
    more = at.edge + 1 < len(edges)
    try:
        listed = graph.edge(page_id, edge.name, walk.position, fields=edge.fields, limit=100)
    except Missing:
        if not first:  # the entry that it named was deleted: from the newest again
            again = replace(walk, position=None, top=None, found=0)
            return Polled([], replace(at, walk=again), history, edge)
        if not edge.optional:
            raise
        return Polled([], _next(at, edges), more, edge)
    except Forbidden:
        if not edge.optional:
            raise
        return Polled([], _next(at, edges), more, edge)
    times = times_of(listed.data, *edge.times)
    walk = advanced(walk, listed, times)
    whole = listed.next is None
    if not ended(walk, listed, times):
        return Polled(listed.data, replace(at, walk=walk), True, edge, newest, whole, listed.at)
    top = higher(high, walk.top)
    known = at.high if top is None else {**at.high, edge.name: top}
    after = _next(replace(at, high=known), edges)
    return Polled(listed.data, after, more, edge, newest, whole, listed.at)


def _next(at: EdgesCursor, edges: Sequence[Edge]) -> EdgesCursor:
    last = at.edge + 1 >= len(edges)
    return replace(
        at, edge=0 if last else at.edge + 1, walk=None, first=at.first and not last, asked=()
    )
