"""What a webhook only named, until a poll has asked for it, and the posts that it told of: rows that replicas share."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from aggregator.model import Author, Direction, Kind, Message
from connectors.base import Keep
from connectors.facebook.graph import PageGraph
from connectors.facebook.refusals import Forbidden, Missing
from connectors.facebook.shapes import comment_message, post_message
from connectors.fields import digest, parse_time, raw_json
from connectors.payload import items, mapping, name, native

KEY = "wanted"
STIRRED = "stirred"
MOST_STIRRED = 100
TOLD = "told"
MOST_TOLD = 500
MOST = 200
_RACES = 8


def want(keep: Keep, more: Sequence[dict[str, Any]]) -> tuple[Message, ...]:
    """Remember these. What finds no room is told as far as it is known, at once."""
    if not more:
        return ()
    for _ in range(_RACES):
        before = keep.get(KEY)
        known = _read(before)
        ids = {one["id"] for one in known}
        fresh = list({one["id"]: one for one in more if one["id"] not in ids}.values())
        room = MOST - len(known)
        after = known + fresh[:room]
        if after == known or keep.swap(KEY, before, json.dumps(after, ensure_ascii=True)):
            return tuple(nameless(one) for one in fresh[room:])
    return tuple(nameless(one) for one in more)


def next_wanted(keep: Keep, asked: Collection[str]) -> dict[str, Any] | None:
    """The oldest of what is wanted. `asked`: what the stored cursor says was found; it is dropped now."""
    for _ in range(_RACES):
        before = keep.get(KEY)
        known = _read(before)
        left = [one for one in known if one["id"] not in asked]
        if len(left) == len(known) or keep.swap(
            KEY, before, json.dumps(left, ensure_ascii=True) if left else None
        ):
            return left[0] if left else None
    return None


def fetch(
    graph: PageGraph,
    one: dict[str, Any],
    *,
    page_id: str,
    instagram_id: str | None,
    post_fields: str,
    comment_fields: str,
) -> Message | None:
    """The object itself; where it may not be seen, what the webhook told of it. None: it is our own."""
    comment = one.get("kind") == "comment"
    if one.get("kind") == "ig":
        return _on_instagram(graph, one, instagram_id)
    try:
        raw = mapping(
            graph.get_object(one["id"], fields=comment_fields if comment else post_fields)
        )
    except (Missing, Forbidden):
        return nameless(one)
    if native(raw.get("id")) is None:
        return nameless(one)
    if comment:
        root = native(one.get("root")) or one["id"]
        message = comment_message(raw, page_id=page_id, post_id=root, post_author=None)
    else:
        message = post_message(raw, page_id=page_id)
        if message.direction is Direction.OUTBOUND:
            return None
    return message


def _on_instagram(graph: PageGraph, one: dict[str, Any], instagram_id: str | None) -> Message:
    """https://developers.facebook.com/docs/instagram-platform: what names us is asked for through ourselves."""
    if instagram_id is None:
        return nameless(one)
    what = "mentioned_media" if one["id"] == one.get("root") else "mentioned_comment"
    key = "media_id" if what == "mentioned_media" else "comment_id"
    words_of = "caption" if what == "mentioned_media" else "text"
    asked = f"{what}.{key}({one['id']}){{id,{words_of},timestamp,username}}"
    try:
        told = mapping(graph.get_object(instagram_id, fields=asked))
    except (Missing, Forbidden):
        return nameless(one)
    raw = mapping(told.get(what))
    if native(raw.get("id")) is None:
        return nameless(one)
    username = name(raw.get("username"))
    return replace(
        nameless(one),
        author=Author(handle=username) if username else None,
        text=name(raw.get(words_of)),
        sent_at=parse_time(raw.get("timestamp")),
        raw=raw_json(raw),
    )


def nameless(one: dict[str, Any]) -> Message:
    """A mention by nobody that is known."""
    comment = one.get("kind") != "post"
    root = native(one.get("root")) or one["id"]
    return Message(
        native_id=one["id"],
        platform="instagram" if one.get("kind") == "ig" else "facebook",
        kind=Kind.COMMENT if comment and one["id"] != root else Kind.MENTION,
        direction=Direction.INBOUND,
        author=None,
        text=name(one.get("text")),
        sent_at=parse_time(one.get("at")),
        root=root,
        reply_to=root if comment and one["id"] != root else None,
        raw=raw_json(one),
        marks=("author.missing",),
    )


def stir(keep: Keep, messages: Iterable[Message]) -> None:
    """Remember the posts that comments came under: old ones are in no list that is looked through."""
    told: dict[str, int] = {}
    for message in messages:
        comment = message.kind is Kind.COMMENT and message.platform == "facebook"
        at = message.edited_at or message.sent_at or message.deleted_at
        if comment and at is not None and message.root:
            told[message.root] = max(told.get(message.root, 0), round(at.timestamp() * 1000))
    for _ in range(_RACES if told else 0):
        before = keep.get(STIRRED)
        known = _stirred(before)
        both = known | {one: max(ms, known.get(one, 0)) for one, ms in told.items()}
        newest = sorted(both, key=lambda one: both[one], reverse=True)[:MOST_STIRRED]
        after = {one: both[one] for one in newest}
        if after == known or keep.swap(STIRRED, before, json.dumps(after, separators=(",", ":"))):
            return


def stirred(keep: Keep) -> dict[str, int]:
    """Post → epoch milliseconds of what a webhook last told of under it."""
    return _stirred(keep.get(STIRRED))


def tell(keep: Keep, messages: Iterable[Message]) -> None:
    """Remember Instagram's messages: of a conversation its list tells the newest only, and of the rest the ids."""
    ids = [
        short(one.native_id)
        for one in messages
        if one.platform == "instagram" and one.kind is Kind.DIRECT_MESSAGE
    ]
    for _ in range(_RACES if ids else 0):
        before = keep.get(TOLD)
        known = (before or "").split()
        after = " ".join(dict.fromkeys([*ids, *known][:MOST_TOLD]))
        if after == before or keep.swap(TOLD, before, after):
            return


def told(keep: Keep) -> frozenset[str]:
    """Messages of Instagram that webhooks told of lately, each as `short` has it."""
    return frozenset((keep.get(TOLD) or "").split())


def short(native_id: str) -> str:
    """Ids there have two hundred characters."""
    return digest(native_id)[:12]


def _stirred(raw: str | None) -> dict[str, int]:
    try:
        told = mapping(json.loads(raw)) if raw else {}
    except ValueError:
        return {}
    return {one: ms for one, ms in told.items() if type(ms) is int}


def _read(raw: str | None) -> list[dict[str, Any]]:
    try:
        told = json.loads(raw) if raw else []
    except ValueError:
        return []
    return [one for one in map(mapping, items(told)) if isinstance(one.get("id"), str)]
