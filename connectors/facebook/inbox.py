"""The messages stream: Messenger threads, newest first, and in each the messages that are new.

https://developers.facebook.com/docs/graph-api/reference/page/conversations: there is no paging by time, and
a thread that gets a message while the list is paged moves to its top, past what is still to be read. So a list
that took more than one page is looked through again from the top, until nothing moved.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from aggregator.model import Gap, Message, Page
from connectors.facebook.graph import Listed, PageGraph
from connectors.facebook.refusals import Forbidden, Missing
from connectors.facebook.shapes import WWW, direct_message
from connectors.facebook.walks import Walk, advanced, begin, ended, higher, times_of
from connectors.facebook.wanted import short
from connectors.payload import items, mapping, name, native

THREADS = 25
INSIDE = 20  # messages that come with their thread; Instagram never gives more
SETTLED_MS = 60_000
PASSES = 5
MESSAGE_FIELDS = "id,created_time,from,to,message,attachments,sticker,shares,tags,is_unsupported"
_BARE = {"id", "created_time"}
FIELDS = "id,updated_time,link,participants,messages.limit({}){{{}}}"


@dataclass(frozen=True, slots=True)
class Box:
    """Whose inbox it is: the Page's, or that of the Instagram account linked to it (`us`).

    `told`: messages that webhooks brought, in short.
    """

    graph: PageGraph
    page_id: str
    platform: str
    us: str
    told: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread with more new messages than came along with it."""

    id: str
    person: str | None
    link: str | None
    position: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class InboxCursor:
    """`walk` goes over threads and bounds the messages. `stop`: a later pass ends at this time already."""

    high: int | None = None
    walk: Walk | None = None
    first: bool = False
    top: int | None = None
    stop: int | None = None
    passes: int = 0
    listed: bool = False
    todo: tuple[Thread, ...] = field(default_factory=tuple)
    cut: tuple[tuple[int, int], ...] = ()  # stretches that Instagram does not tell

    def text(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def read_inbox_cursor(text: str | None) -> InboxCursor:
    """What cannot be read means all over again, a month back: what is found is known already."""
    try:
        told = json.loads(text or "")
        return InboxCursor(
            **{
                **told,
                "walk": Walk(**told["walk"]) if told["walk"] else None,
                "todo": tuple(Thread(**one) for one in told["todo"]),
                "cut": (),
            }
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return InboxCursor(first=text is None)


def poll_inbox(
    graph: PageGraph,
    page_id: str,
    cursor: str | None,
    *,
    now: datetime,
    history: bool = False,
    platform: str = "facebook",
    us: str | None = None,
    told: frozenset[str] = frozenset(),
) -> Page:
    """One call: a page of threads with their newest messages, or more messages of one thread.

    `us`: who we are in them, where that is not the Page. `told`: messages that webhooks brought, in short.
    """
    box = Box(graph, page_id, platform, us or page_id, told)
    at = read_inbox_cursor(cursor)
    walk = at.walk
    if walk is None:
        walk = begin(at.high, now, first=at.first, history=history)
        at = InboxCursor(high=at.high, walk=walk)
    if at.todo:
        messages, at = _more_of_thread(box, at, walk)
    elif not at.listed:
        messages, at = _threads(box, at, walk)
    else:
        messages = []
    first = at.passes == 0 and not history  # what is read again has been told
    gaps = tuple(_gap(*one) for one in at.cut) if first else ()
    at = replace(at, cut=())
    if at.listed and not at.todo:
        at = _after_pass(at)
    return Page(tuple(messages), at.text(), more=at.walk is not None, gaps=gaps)


def _gap(since_ms: int, until_ms: int) -> Gap:
    since, until = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (since_ms, until_ms))
    why = f"Instagram tells only the {INSIDE} newest messages of a conversation"
    return Gap(since, until, why, recoverable=False)


def _threads(box: Box, at: InboxCursor, walk: Walk) -> tuple[list[Message], InboxCursor]:
    graph = box.graph
    inside = max(min(INSIDE, graph.most("conversations") // 5), 1)
    try:
        listed = graph.edge(
            box.page_id,
            "conversations",
            walk.position,
            fields=FIELDS.format(inside, _message_fields(box)),
            limit=THREADS,
            **({"platform": box.platform} if box.platform != "facebook" else {}),
        )
    except Missing:
        if walk.position is None:
            raise
        return [], replace(at, walk=replace(walk, position=None, pages=1))  # a dead position
    messages: list[Message] = []
    todo: list[Thread] = []
    cut: list[tuple[int, int]] = []
    for raw in listed.data:
        thread = _thread(raw, box.us)
        embedded = mapping(raw.get("messages"))
        found, times, untold = _told(box, graph.listed(embedded))
        messages += _messages(found, box, thread)
        cut += _cut(at, walk, untold)
        quiet = any(time < walk.bound for time in times_of([raw], "updated_time"))
        over = quiet or (embedded and ended(replace(walk, first=False), found, times))
        if untold is None and not over:
            todo.append(replace(thread, position=found.next))
    times = times_of(listed.data, "updated_time")
    walk = advanced(walk, listed, times)
    stop = replace(walk, bound=walk.bound if at.stop is None else at.stop)
    return messages, replace(
        at,
        walk=walk,
        listed=ended(stop, listed, times),
        todo=tuple(one for one in todo if one.id),
        cut=tuple(cut),
    )


def _more_of_thread(box: Box, at: InboxCursor, walk: Walk) -> tuple[list[Message], InboxCursor]:
    thread = at.todo[0]
    try:
        listed = box.graph.edge(
            thread.id, "messages", thread.position, fields=_message_fields(box), limit=100
        )
    except (Missing, Forbidden):
        if thread.position is not None:  # the message that it named is gone: from the newest again
            return [], replace(at, todo=(replace(thread, position=None), *at.todo[1:]))
        return [], replace(at, todo=at.todo[1:])
    listed, times, untold = _told(box, listed)
    rest = at.todo[1:]
    if untold is None and not ended(replace(walk, first=False), listed, times):
        rest = (replace(thread, position=listed.next), *rest)
    return _messages(listed, box, thread), replace(at, todo=rest, cut=_cut(at, walk, untold))


def _message_fields(box: Box) -> str:
    """Stories are Instagram's."""
    return f"{MESSAGE_FIELDS},story" if box.platform == "instagram" else MESSAGE_FIELDS


def _told(box: Box, listed: Listed) -> tuple[Listed, list[int], int | None]:
    """What Instagram gives the details of; the times of all; and, where some have none, of the newest of those.

    What a webhook has brought is not missing.
    """
    times = times_of(listed.data, "created_time")
    if box.platform != "instagram":
        return listed, times, None
    known = [raw for raw in listed.data if set(raw) - _BARE]
    bare = [raw for raw in listed.data if not set(raw) - _BARE]
    ids = ((native(raw.get("id")) or "").removeprefix("m_") for raw in bare)
    missing = [raw for raw, one in zip(bare, ids, strict=True) if short(one) not in box.told]
    untold = max(times_of(missing, "created_time"), default=None)
    return replace(listed, data=known), times, untold


def _cut(at: InboxCursor, walk: Walk, untold: int | None) -> tuple[tuple[int, int], ...]:
    """Only what is newer than all that was read is missing; the rest was told when it was new."""
    since = walk.bound if at.high is None else at.high
    return () if untold is None or untold <= since else ((since, untold),)


def _after_pass(at: InboxCursor) -> InboxCursor:
    """The whole list in one page is a snapshot; else threads may have moved past us meanwhile."""
    assert at.walk is not None
    top = at.top if at.top is not None else at.walk.top
    if at.walk.pages <= 1 or at.walk.top is None or at.passes + 1 >= PASSES:
        return InboxCursor(high=higher(at.high, top))
    again = replace(at.walk, position=None, top=None, pages=0)
    return replace(
        at,
        walk=again,
        top=top,
        stop=at.walk.top - SETTLED_MS,
        passes=at.passes + 1,
        listed=False,
    )


def _thread(raw: dict[str, Any], us: str) -> Thread:
    people = (
        native(mapping(one).get("id"))
        for one in items(mapping(raw.get("participants")).get("data"))
    )
    link = name(raw.get("link"))
    return Thread(
        id=native(raw.get("id")) or "",
        person=next((one for one in people if one and one != us), None),
        link=WWW + link if link and link.startswith("/") else link,
        position=None,
    )


def _messages(listed: Listed, box: Box, thread: Thread) -> list[Message]:
    return [
        direct_message(
            raw,
            page_id=box.us,
            person=thread.person,
            link=thread.link,
            platform=box.platform,
        )
        for raw in listed.data
    ]
