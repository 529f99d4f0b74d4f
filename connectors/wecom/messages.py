"""One item of kf/sync_msg as a message.

Page: https://developer.work.weixin.qq.com/document/path/94670
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aggregator.model import Attachment, Author, Direction, Kind, Message
from connectors.fields import digest, parse_time, raw_json
from connectors.payload import integer, mapping, name, native, words

CUSTOMER, SYSTEM, SERVICER = 3, 4, 5

_RECALLS = {
    "user_recall_msg": Direction.INBOUND,
    "servicer_recall_msg": Direction.OUTBOUND,
}
_MEDIA = frozenset({"image", "voice", "video", "file"})
_CARDS = frozenset(
    {
        "business_card",
        "miniprogram",
        "msgmenu",
        "channels",
        "channels_shop_product",
        "channels_shop_order",
        "merged_msg",
    }
)


def message(item: Any, *, kfid: str, now: datetime) -> Message | None:
    """The message in `item`; None for an event, and for what belongs to another account.

    A recall is a tombstone for the message that it takes back. The system's own words (origin 4) are
    no message: nobody of ours wrote them, so they answer nothing.
    """
    found = mapping(item)
    if item is None or native(found.get("open_kfid")) not in (None, kfid):
        return None
    if found.get("msgtype") == "event":
        return _recall(found, kfid=kfid, now=now)
    origin = integer(found.get("origin"))
    return None if origin == SYSTEM else _message(item, found, origin)


def _recall(found: dict[str, Any], *, kfid: str, now: datetime) -> Message | None:
    event = mapping(found.get("event"))  # ids stand in here, not beside it
    direction = _RECALLS.get(str(event.get("event_type")))
    recalled = native(event.get("recall_msgid"))
    if direction is None or recalled is None or native(event.get("open_kfid")) not in (None, kfid):
        return None
    person = native(event.get("external_userid"))
    servicer = native(event.get("servicer_userid"))
    who = person if direction is Direction.INBOUND else servicer
    return Message(
        native_id=recalled,
        platform="wecom",
        kind=Kind.DIRECT_MESSAGE,
        direction=direction,
        author=Author(native_id=who) if who else None,
        text=None,
        sent_at=None,
        person=person,
        deleted_at=parse_time(found.get("send_time")) or now,
        raw=raw_json(found),
    )


def _message(item: Any, found: dict[str, Any], origin: int) -> Message:
    marks: list[str] = []
    person, servicer = native(found.get("external_userid")), native(found.get("servicer_userid"))
    if origin not in (CUSTOMER, SERVICER):
        marks.append("origin.unknown")
        origin = SERVICER if servicer else CUSTOMER
    inbound = origin == CUSTOMER
    who = person if inbound else servicer
    if who is None and inbound:
        marks.append("author.missing")
    sent_at = parse_time(found.get("send_time"))
    if sent_at is None:
        marks.append("time.missing")
    kind = name(found.get("msgtype")) or "missing"
    body = mapping(found.get(kind))
    return Message(
        native_id=native(found.get("msgid")) or digest(item),
        platform="wecom",
        kind=Kind.DIRECT_MESSAGE,
        direction=Direction.INBOUND if inbound else Direction.OUTBOUND,
        author=Author(native_id=who) if who else None,
        text=words(body.get("content"), marks) if kind == "text" else None,
        sent_at=sent_at,
        person=person,
        attachments=_attachments(kind, body),
        raw=raw_json(item),
        marks=tuple(marks),
    )


def _attachments(kind: str, body: dict[str, Any]) -> tuple[Attachment, ...]:
    title = name(body.get("title"))
    if kind == "text":
        return ()
    if kind in _MEDIA:
        return (
            Attachment(kind, title=name(body.get("filename")), media_id=name(body.get("media_id"))),
        )
    if kind == "location":
        where = (name(body.get("name")), name(body.get("address")))
        return (Attachment("location", title=" ".join(filter(None, where)) or None),)
    if kind == "link":
        return (Attachment("link", url=name(body.get("url")), title=title),)
    if kind in _CARDS:
        told = (title, name(body.get("head_content")), name(body.get("nickname")))
        return (Attachment("card", title=next(filter(None, told), kind)),)
    return (Attachment("unknown", title=kind),)
