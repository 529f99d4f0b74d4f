"""The comments under what the linked Instagram account posted; answers come inside what they answer.

https://developers.facebook.com/docs/instagram-platform: newest first, at most fifty a page, and no paging by time. A turn
looks at how many comments each media has, reads those where that changed until it has found as many new ones, and
the newest page of a few others in rotation: what was hidden or taken back changes no number that is told of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from aggregator.model import Kind, Message, Page
from connectors.facebook import watch
from connectors.facebook.graph import Listed, PageGraph
from connectors.facebook.refusals import Forbidden, Missing
from connectors.facebook.shapes import remark_message
from connectors.facebook.usage import INSTAGRAM
from connectors.facebook.walks import (
    DAY_MS,
    HISTORY_MS,
    OVERLAP_MS,
    epoch_ms,
    times_of,
)
from connectors.payload import integer, mapping, name, native

LIVE_MS = 90 * DAY_MS
MOST_MEDIA = 150
WATCHED_MEDIA = 20
ROTATION = 2
MOST_PAGES = 40  # of one media, in one visit
FIELDS = "id,text,timestamp,username,from,hidden,parent_id"
MEDIA_FIELDS = "id,timestamp,comments_count,permalink"
REPLIES = 25
SMALL = 100  # so many comments are read whole, whatever their number says


@dataclass(frozen=True, slots=True)
class Medium:
    """`count`: comments as told now; `read`: as told when it was last read whole; `high`: the newest known."""

    made: int
    count: int
    url: str | None = None
    read: int | None = None
    high: int | None = None
    visited: int = 0
    known: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MediaCursor:
    """`todo`: media still to visit, the first is at hand; `position` in its comments, `fresh` new ones so far.

    `below`: comments whose answers go on past those that came along: media, comment and a position.
    """

    turn: int = 0
    media: dict[str, Medium] = field(default_factory=dict)
    busy: bool = False
    swept: bool = False
    todo: tuple[str, ...] = ()
    position: dict[str, str] | None = None
    pages: int = 0
    found: int = 0
    fresh: int = 0
    top: int = 0
    below: tuple[tuple[str, str, dict[str, str] | None], ...] = ()
    doubted: tuple[tuple[str, str], ...] = ()

    def text(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def read_media_cursor(text: str | None) -> MediaCursor:
    """What cannot be read means all over again, a month back: what is found is known already."""
    try:
        told = json.loads(text or "")
        return MediaCursor(
            **{
                **told,
                "media": {one: Medium(**medium) for one, medium in told["media"].items()},
                "todo": tuple(map(str, told["todo"])),
                "below": tuple((str(one), str(two), at) for one, two, at in told["below"]),
                "doubted": tuple((str(one), str(two)) for one, two in told["doubted"]),
            }
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return MediaCursor(turn=0 if text is None else 1)


def poll_media(
    graph: PageGraph,
    us: str,
    cursor: str | None,
    *,
    history: bool = False,
    pushed: bool = False,
) -> Page:
    """One call. `us`: the account's id. `history`: one turn, over a month."""
    at = read_media_cursor(cursor)
    if not at.busy:
        at = replace(at, busy=True, swept=False, position=None)
    if at.doubted:
        gone, at = _verified(graph, at)
        return _page([gone] if gone else [], at)
    if not at.swept:
        return _page((), _swept(graph, us, at, history))
    if at.below:
        messages, at = _below(graph, us, at)
        return _page(messages, at)
    if at.todo:
        messages, at = _visited(graph, us, at, history, pushed)
        return _page(messages, at)
    return _page((), at)


def _swept(graph: PageGraph, us: str, at: MediaCursor, history: bool) -> MediaCursor:
    """One page of what the account posted; after the last, whom to visit."""
    try:
        listed = graph.edge(us, "media", at.position, fields=MEDIA_FIELDS, limit=50, case=INSTAGRAM)
    except Missing:
        if at.position is None:
            raise
        return replace(at, position=None)
    now_ms = epoch_ms(listed.at)
    media = dict(at.media)
    for raw in listed.data:
        if (media_id := native(raw.get("id"))) is None:
            continue
        made = next(iter(times_of([raw], "timestamp")), now_ms)
        count = integer(raw.get("comments_count"))
        known = media.get(media_id)
        if known is None:
            first = at.turn == 0 and not history  # the line is drawn: what is below it is history
            known = Medium(made, count, read=count if first else None)
            known = replace(known, high=now_ms - OVERLAP_MS if first else None)
        media[media_id] = replace(known, count=count, url=name(raw.get("permalink")))
    oldest = min(times_of(listed.data, "timestamp"), default=now_ms)
    at = replace(at, media=media)
    if listed.next is not None and oldest >= now_ms - LIVE_MS and len(media) < MOST_MEDIA:
        return replace(at, position=listed.next)
    return _due(replace(at, position=None, swept=True), now_ms)


def _due(at: MediaCursor, now_ms: int) -> MediaCursor:
    """Those with another number of comments first, then who waited longest."""
    live = [one for one, medium in at.media.items() if medium.made >= now_ms - LIVE_MS]
    newest = sorted(live, key=lambda one: at.media[one].made, reverse=True)[:MOST_MEDIA]
    media = {
        one: at.media[one] if rank < WATCHED_MEDIA else replace(at.media[one], known={})
        for rank, one in enumerate(newest)
    }
    moved = [one for one in newest if media[one].read != media[one].count]
    waiting = sorted(set(newest) - set(moved), key=lambda one: (media[one].visited, one))
    waiting = [one for one in waiting if media[one].count]
    return replace(at, media=media, todo=(*moved, *waiting[:ROTATION]))


def _visited(
    graph: PageGraph, us: str, at: MediaCursor, history: bool, pushed: bool
) -> tuple[list[Message], MediaCursor]:
    """One page of the comments of the media at hand, with the answers that came inside."""
    media_id = at.todo[0]
    medium = at.media.get(media_id, Medium(0, 0))
    try:
        listed = graph.edge(
            media_id,
            "comments",
            at.position,
            fields=f"{FIELDS},replies.limit({min(REPLIES, graph.most('comments'))}){{{FIELDS}}}",
            limit=50,
            case=INSTAGRAM,
        )
    except Missing:
        if at.position is not None:  # the comment that it named is gone: from the newest again
            return [], replace(at, position=None, pages=0, found=0, fresh=0)
        left = {one: medium for one, medium in at.media.items() if one != media_id}
        at = replace(at, doubted=watch.doubted(at.doubted, media_id, medium.known))
        return [], _left(replace(at, media=left))
    except Forbidden:
        if len(at.todo) <= 1:
            raise
        return [], _left(at)
    now_ms = epoch_ms(listed.at)
    rows, below = _flat(graph, listed)
    bound = now_ms - HISTORY_MS if medium.high is None else medium.high - OVERLAP_MS
    found = [
        (remark_message(raw, us=us, media_id=media_id, url=medium.url, over=over), raw)
        for raw, over in rows
    ]
    if at.found == 0:
        hidden = [(message, raw.get("hidden") is True) for message, raw in found]
        whole = listed.next is None
        told = watch.compare(medium.known, hidden, whole=whole, at=listed.at, pushed=pushed)
        messages = list(told.messages)
        medium = replace(medium, known=told.known)
        at = replace(
            at,
            media={**at.media, media_id: medium},
            doubted=watch.doubted(at.doubted, media_id, told.missing),
        )
    else:
        since = bound - DAY_MS  # an answer may have been missed while as many others were deleted
        messages = [m for m, _ in found if m.sent_at is None or epoch_ms(m.sent_at) >= since]
    times = [time for time in times_of([raw for raw, _ in rows], "timestamp") if time <= now_ms]
    tops = times_of(listed.data, "timestamp")
    at = replace(
        at,
        pages=at.pages + 1,
        found=at.found + len(rows),
        fresh=at.fresh + sum(1 for time in times if medium.high is None or time > medium.high),
        top=max([at.top, *times]),
        below=tuple((media_id, over, position) for over, position in below),
        position=listed.next,
    )
    passed = bool(tops) and max(tops) < bound
    complete = medium.read is not None and at.fresh >= medium.count - medium.read
    enough = passed and complete and medium.count > SMALL
    if listed.next is None or enough or at.pages >= MOST_PAGES:
        high = max([one for one in (medium.high, at.top) if one], default=None)
        medium = replace(medium, read=medium.count, high=high, visited=at.turn)
        at = _left(replace(at, media={**at.media, media_id: medium}))
    return messages, at


def _flat(
    graph: PageGraph, listed: Listed
) -> tuple[
    list[tuple[dict[str, Any], dict[str, Any] | None]],
    list[tuple[str, dict[str, str] | None]],
]:
    """Each comment and each answer with what it answers; and what has more answers than came along."""
    rows: list[tuple[dict[str, Any], dict[str, Any] | None]] = []
    more: list[tuple[str, dict[str, str] | None]] = []
    for raw in listed.data:
        rows.append((raw, None))
        inside = graph.listed(mapping(raw.get("replies")))
        rows += [(answer, raw) for answer in inside.data]
        if inside.next is not None and (over := native(raw.get("id"))) is not None:
            more.append((over, inside.next))
    return rows, more


def _below(graph: PageGraph, us: str, at: MediaCursor) -> tuple[list[Message], MediaCursor]:
    """The next answers to one comment. They come oldest first: all of them are gone through."""
    (media_id, over, position), *rest = at.below
    try:
        listed = graph.edge(over, "replies", position, fields=FIELDS, limit=50, case=INSTAGRAM)
    except (Missing, Forbidden):
        return [], replace(at, below=tuple(rest))
    if listed.next is not None:
        rest.insert(0, (media_id, over, listed.next))
    medium = at.media.get(media_id)
    answered = {"id": over}
    messages = [
        remark_message(
            raw, us=us, media_id=media_id, url=medium.url if medium else None, over=answered
        )
        for raw in listed.data
    ]
    return messages, replace(at, below=tuple(rest))


def _verified(graph: PageGraph, at: MediaCursor) -> tuple[Message | None, MediaCursor]:
    (media_id, native_id), *rest = at.doubted
    gone = watch.verify(graph, native_id, kind=Kind.COMMENT, root=media_id, platform="instagram")
    media = at.media
    if media_id in media:
        medium = media[media_id]
        known = {one: entry for one, entry in medium.known.items() if one != native_id}
        media = {**media, media_id: replace(medium, known=known)}
    return gone, replace(at, media=media, doubted=tuple(rest))


def _left(at: MediaCursor) -> MediaCursor:
    """Done with the media at hand, for this turn."""
    return replace(at, todo=at.todo[1:], position=None, pages=0, found=0, fresh=0, top=0)


def _page(messages: Iterable[Message], at: MediaCursor) -> Page:
    done = at.swept and not at.todo and not at.doubted and not at.below
    if done:
        at = replace(at, turn=at.turn + 1, busy=False, swept=False)
    ordered = sorted(messages, key=_when)
    return Page(tuple(ordered), at.text(), more=not done)


def _when(message: Message) -> float:
    sent: datetime | None = message.sent_at
    return sent.timestamp() if sent is not None else 0.0
