"""How Weibo cuts its lists into pages: newest first, and shorter than asked where items are hidden."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aggregator.sandbox import weibo_shapes as shapes
from aggregator.sandbox.weibo_shapes import Comment, Status


@dataclass(slots=True)
class Entry:
    """One place in a list. Without an `item` it is counted and never shown (hidden by the platform)."""

    id: int
    visible_at: datetime | None  # None: at once
    item: Status | Comment | None
    read: bool = False

    def visible(self, now: datetime) -> bool:
        return self.visible_at is None or self.visible_at <= now


class BadParameter(Exception):
    """A query that makes no sense; `code` is Weibo's."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


def by_id(entry: Entry) -> int:
    return entry.id


def file(entries: list[Entry], entry: Entry) -> None:
    """Put it where its id belongs, which a late item's is not at the end."""
    insort(entries, entry, key=by_id)


def page(
    query: Mapping[str, str],
    entries: list[Entry],
    key: str,
    most: int,
    now: datetime,
    history: int | None = None,
) -> dict[str, Any]:
    """One page as JSON; the window is cut before hidden items are taken out. Raises BadParameter.

    `history`: so many of the newest are listed at all.
    """
    since, until, number, count = (
        _whole(query.get(name) or default)
        for name, default in (("since_id", 0), ("max_id", 0), ("page", 1), ("count", 0))
    )
    if min(since, until, count) < 0 or number < 1:
        raise BadParameter(10017, "Parameter value is not valid")
    count = min(count or (20 if key == "statuses" else 50), most)
    if history is not None:
        entries = entries[-history:] if history else []
    start = bisect_right(entries, since, key=by_id)  # since_id is exclusive, max_id inclusive
    end = bisect_right(entries, until, key=by_id) if until else len(entries)
    matching = [entry for entry in entries[start:end] if entry.visible(now)]
    matching.reverse()
    window = matching[(number - 1) * count : number * count]
    more = matching[number * count : number * count + 1]
    return {
        key: [_shown(entry.item) for entry in window if entry.item and entry.item.listed],
        "hasvisible": False,
        "previous_cursor": 0,
        "next_cursor": more[0].id if more else 0,
        "total_number": len(matching),
    }


def _whole(value: str | int) -> int:
    try:
        return int(value)
    except ValueError:
        raise BadParameter(10008, "Param error, see doc for more info") from None


def _shown(item: Status | Comment) -> dict[str, Any]:
    return shapes.status(item) if isinstance(item, Status) else shapes.comment(item)
