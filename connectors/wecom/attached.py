"""What an item of kf/sync_msg brings beside words: media by id, cards by what they show."""

from __future__ import annotations

import json
from typing import Any

from aggregator.model import Attachment
from connectors.payload import items, mapping, name, words

_MEDIA = frozenset({"image", "voice", "video", "file"})
# Which fields tell a person what a card is; the first that is there counts, or all of them together.
_CARDS: dict[str, tuple[str, ...]] = {
    "business_card": ("userid",),
    "miniprogram": ("title",),
    "msgmenu": ("head_content",),
    "channels": ("nickname", "title"),
    "channels_shop_product": ("title", "sales_price", "shop_nickname"),
    "channels_shop_order": ("product_titles", "price_wording", "state", "order_id"),
    "merged_msg": ("title",),
}


def attachments(kind: str, body: dict[str, Any]) -> tuple[Attachment, ...]:
    if kind == "text":
        return ()
    if kind in _MEDIA:
        title = name(body.get("filename")) or name(body.get("title"))
        return (Attachment(kind, title=title, media_id=name(body.get("media_id"))),)
    if kind == "location":
        return (Attachment("location", title=_place(body)),)
    if kind == "link":
        title = name(body.get("title")) or name(body.get("desc"))
        return (Attachment("link", url=name(body.get("url")), title=title),)
    if kind in _CARDS:
        told = " · ".join(filter(None, (name(body.get(one)) for one in _CARDS[kind])))
        return (Attachment("card", title=told or kind),)
    return (Attachment("unknown", title=kind),)


def forwarded(body: dict[str, Any], marks: list[str]) -> str | None:
    """The words in a forwarded stretch of conversation: others', not the customer's own."""
    lines = []
    for one in items(body.get("item")):
        found = mapping(one)
        sender, kind = name(found.get("sender_name")), name(found.get("msgtype")) or "?"
        said = _said(found.get("msg_content"), marks) if kind == "text" else f"[{kind}]"
        if said:
            lines.append(f"{sender}: {said}" if sender else said)
    return "\n".join(lines) or None


def _said(content: Any, marks: list[str]) -> str | None:
    """The text in an item's content, which is JSON inside JSON."""
    try:
        told = json.loads(content) if isinstance(content, str) else content
    except (ValueError, RecursionError):
        return words(content, marks)
    inner = mapping(mapping(told).get("text")) or mapping(told)
    return words(inner.get("content"), marks)


def _place(body: dict[str, Any]) -> str | None:
    told = " ".join(filter(None, (name(body.get("name")), name(body.get("address")))))
    if told:
        return told
    where = (body.get("latitude"), body.get("longitude"))
    if all(isinstance(one, int | float) for one in where):
        return f"{where[0]}, {where[1]}"
    return None
