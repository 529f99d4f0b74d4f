"""The comments stream. Comments do not announce themselves: the posts they may stand under are visited.

A turn sweeps the Page's lists of posts for activity (`updated_time`), then visits the posts that have some,
and a few of the others in rotation, since nothing promises that `updated_time` moves for a reply.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from aggregator.model import Kind, Message, Page
from connectors.facebook import watch
from connectors.facebook.graph import Listed, PageGraph
from connectors.facebook.refusals import Forbidden, Missing
from connectors.facebook.shapes import comment_message
from connectors.facebook.walks import (
    DAY_MS,
    OVERLAP_MS,
    Walk,
    advanced,
    begin,
    ended,
    epoch_ms,
    higher,
    times_of,
)
from connectors.payload import mapping, native

LIVE_MS = 30 * DAY_MS  # a post without activity for so long is left out, until it has some
MOST_POSTS = 300
WATCHED_POSTS = 20  # of the most active ones it is known what their newest comments said
ROTATION = 3
MOST_RESTARTS = 3
RECENT_MS = 15 * 60_000
RARE_TURNS = 5  # tags and reviews are looked through for posts only every so many turns
DEEP_TURNS = 60  # and old posts for new activity
SWEPT = 100  # posts that a turn looks at, newest first; pages may be short, and even empty
SWEPT_DEEP = 1000

POST_FIELDS = "id,from,created_time,updated_time"
FIELDS = (
    "id,from,message,created_time,parent{id,from},permalink_url,attachment,message_tags,is_hidden"
)


@dataclass(frozen=True, slots=True)
class Post:
    """A post that may get comments. `high`: its newest comment known. `seen`: its activity then."""

    active: int
    author: str | None = None  # None: the Page, or not told
    high: int | None = None
    seen: int | None = None
    visited: int | None = None  # in which turn
    known: dict[str, list[int]] = field(default_factory=dict)  # what its newest comments said


@dataclass(frozen=True, slots=True)
class CommentsCursor:
    """`sweep`: lists still to look through, by name; `todo`: posts still to visit, the first is at hand."""

    turn: int = 0
    posts: dict[str, Post] = field(default_factory=dict)
    sweep: tuple[str, ...] = ()
    todo: tuple[str, ...] = ()
    walk: Walk | None = None
    found: int = 0
    restarts: int = 0
    refused: int = 0
    read: int = 0
    busy: bool = False
    doubted: tuple[
        tuple[str, str], ...
    ] = ()  # post and comment that is missing there; or post alone

    def text(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def read_comments_cursor(text: str | None) -> CommentsCursor:
    """What cannot be read means all over again, a month back: what is found is known already."""
    try:
        told = json.loads(text or "")
        return CommentsCursor(
            **{
                **told,
                "posts": {name: Post(**post) for name, post in told["posts"].items()},
                "sweep": tuple(told["sweep"]),
                "todo": tuple(told["todo"]),
                "walk": Walk(**told["walk"]) if told["walk"] else None,
                "doubted": tuple((str(p), str(c)) for p, c in told.get("doubted", ())),
            }
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return CommentsCursor(turn=0 if text is None else DEEP_TURNS)


def poll_comments(
    graph: PageGraph,
    page_id: str,
    cursor: str | None,
    *,
    now: datetime,
    history: bool = False,
    pushed: bool = False,
    stirred: Mapping[str, int] | None = None,
) -> Page:
    """One call: a page of a list of posts, or a page of one post's comments.

    `history`: a single turn, over all that is a month old or less. `pushed`: webhooks tell of them too.
    `stirred`: posts that one has told of, however old, and when (epoch milliseconds).
    """
    at = read_comments_cursor(cursor)
    if not at.busy:
        rare = ("tagged", "ratings") if at.turn % RARE_TURNS == 0 else ()
        posts = dict(at.posts)
        for post_id, ms in (stirred or {}).items():
            known = posts.get(post_id, Post(ms))
            posts[post_id] = replace(known, active=max(known.active, ms))
        at = replace(at, busy=True, posts=posts, sweep=("feed", *rare), refused=0, read=0)
    if at.doubted:
        gone, at = _verified(graph, at)
        return _page([gone] if gone else [], at)
    if at.sweep:
        return _page((), _swept(graph, page_id, at, now, history))
    if at.todo:
        messages, at = _visited(graph, page_id, at, now, history=history, pushed=pushed)
        return _page(messages, at)
    return _page((), at)


def _swept(
    graph: PageGraph, page_id: str, at: CommentsCursor, now: datetime, history: bool
) -> CommentsCursor:
    """One page of a list of posts, and, after the last list, whom to visit."""
    edge = at.sweep[0]
    position = at.walk.position if at.walk else None
    fields = POST_FIELDS if edge != "ratings" else "created_time,open_graph_story"
    try:
        listed = graph.edge(page_id, edge, position, fields=fields, limit=100)
    except (Missing, Forbidden):
        if edge == "feed" and position is None:
            raise
        listed = Listed([], None, now)  # a Page may not have these to us, and a position dies
    posts = dict(at.posts)
    for post_id, post in _posts(listed, edge, page_id):
        known = posts.get(post_id, post)
        posts[post_id] = replace(known, active=max(known.active, post.active))
    found = at.found + len(listed.data)
    enough = SWEPT_DEEP if at.turn % DEEP_TURNS == 0 else SWEPT
    if listed.next is not None and found < enough:
        return replace(at, posts=posts, found=found, walk=Walk(0, position=listed.next))
    at = replace(at, posts=posts, found=0, walk=None, sweep=at.sweep[1:])
    if at.sweep:
        return at
    first = at.turn == 0 and not history
    return _due(_lined(at, epoch_ms(listed.at)) if first else at, epoch_ms(listed.at))


def _posts(listed: Listed, edge: str, page_id: str) -> Iterator[tuple[str, Post]]:
    for raw in listed.data:
        story = mapping(raw.get("open_graph_story")) if edge == "ratings" else raw
        post_id = native(story.get("id"))
        if post_id is not None:
            times = times_of([raw], "updated_time", "created_time") or [epoch_ms(listed.at)]
            author = native(mapping(raw.get("from")).get("id"))
            active = min(times[0], epoch_ms(listed.at))
            yield post_id, Post(active, author if author != page_id else None)


def _lined(at: CommentsCursor, platform_ms: int) -> CommentsCursor:
    """The first poll ever draws the line: what is below it on quiet posts is history, and not visited for."""
    line = platform_ms - OVERLAP_MS
    posts = {
        name: post if post.active >= line else replace(post, high=line, seen=post.active)
        for name, post in at.posts.items()
    }
    return replace(at, posts=posts)


def _due(at: CommentsCursor, platform_ms: int) -> CommentsCursor:
    """Which posts to visit in this turn: those with activity first, then who waited longest."""
    live = {name: post for name, post in at.posts.items() if post.active >= platform_ms - LIVE_MS}
    kept = sorted(live, key=lambda name: live[name].active, reverse=True)[:MOST_POSTS]
    moved = [
        name
        for name in kept
        if live[name].seen != live[name].active or live[name].active >= platform_ms - RECENT_MS
    ]
    waiting = sorted(set(kept) - set(moved), key=lambda name: (live[name].visited or 0, name))
    posts = {
        name: live[name] if rank < WATCHED_POSTS else replace(live[name], known={})
        for rank, name in enumerate(kept)
    }
    return replace(at, posts=posts, todo=(*moved, *waiting[:ROTATION]))


def _visited(
    graph: PageGraph,
    page_id: str,
    at: CommentsCursor,
    now: datetime,
    *,
    history: bool,
    pushed: bool,
) -> tuple[list[Message], CommentsCursor]:
    """One page of the comments of the post at hand."""
    post_id = at.todo[0]
    post = at.posts.get(post_id, Post(0))
    walk = at.walk or begin(post.high, now, first=at.turn == 0, history=history)
    try:
        listed = graph.edge(
            post_id,
            "comments",
            walk.position,
            fields=FIELDS,
            filter="stream",  # replies too
            order="reverse_chronological",
            limit=100,
        )
    except Missing:
        if walk.position is None:  # the post is gone, and what stood under it
            missing = [*post.known, *([post_id] if post.author else [])]
            return [], _left(_doubting(at, post_id, missing), post_id, replace(post, known={}))
        if at.restarts >= MOST_RESTARTS:  # due again in the next turn: it counts as not visited
            return [], replace(at, walk=None, restarts=0, todo=at.todo[1:])
        # The comment that the position named was deleted: from the newest again.
        again = replace(walk, position=None, top=None, found=0)
        return [], replace(at, walk=again, restarts=at.restarts + 1)
    except Forbidden:
        if at.read or not post_id.startswith(f"{page_id}_"):
            return [], _left(at, post_id, post)  # this one post, or somebody else's page
        if at.refused + 1 >= len(at.todo):
            raise  # not one of our own may be read
        return [], replace(at, todo=(*at.todo[1:], post_id), walk=None, refused=at.refused + 1)
    messages = [
        comment_message(raw, page_id=page_id, post_id=post_id, post_author=post.author)
        for raw in listed.data
    ]
    if walk.found == 0:  # a page may be empty, and a next one there
        hidden = [raw.get("is_hidden") is True for raw in listed.data]
        told = watch.compare(
            post.known,
            list(zip(messages, hidden, strict=True)),
            whole=listed.next is None,
            at=listed.at,
            pushed=pushed,
        )
        messages = list(told.messages)
        post = replace(post, known=told.known)
        at = _doubting(replace(at, posts={**at.posts, post_id: post}), post_id, told.missing)
    times = times_of(listed.data, "created_time")
    walk = advanced(walk, listed, times)
    if not ended(walk, listed, times):
        return messages, replace(at, walk=walk)
    active = max(post.active, walk.top or 0)
    post = replace(post, active=active, high=higher(post.high, walk.top))
    return messages, _left(replace(at, read=at.read + 1), post_id, post)


def _doubting(at: CommentsCursor, post_id: str, missing: Iterable[str]) -> CommentsCursor:
    return replace(at, doubted=watch.doubted(at.doubted, post_id, missing))


def _verified(graph: PageGraph, at: CommentsCursor) -> tuple[Message | None, CommentsCursor]:
    """Ask for one that is missing; it is not looked for again."""
    (post_id, native_id), *rest = at.doubted
    kind = Kind.MENTION if native_id == post_id else Kind.COMMENT
    gone = watch.verify(graph, native_id, kind=kind, root=post_id)
    posts = at.posts
    if post_id in posts:
        post = posts[post_id]
        known = {one: entry for one, entry in post.known.items() if one != native_id}
        posts = {**posts, post_id: replace(post, known=known)}
    return gone, replace(at, posts=posts, doubted=tuple(rest))


def _left(at: CommentsCursor, post_id: str, post: Post) -> CommentsCursor:
    """Done with the post at hand, for this turn."""
    done = replace(post, seen=post.active, visited=at.turn)
    return replace(
        at,
        posts={**at.posts, post_id: done},
        todo=at.todo[1:],
        walk=None,
        restarts=0,
    )


def _page(messages: Iterable[Message], at: CommentsCursor) -> Page:
    done = not at.sweep and not at.todo and not at.doubted
    if done:
        at = replace(at, turn=at.turn + 1, busy=False, found=0, walk=None)
    return Page(tuple(messages), at.text(), more=not done)
