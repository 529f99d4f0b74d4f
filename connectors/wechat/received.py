"""What customers wrote: from one push, XML or JSON, to a message.

Page: https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Receiving_standard_messages.html
"""

from __future__ import annotations

from typing import Any

from aggregator.errors import Rejected
from aggregator.model import Attachment, Author, Direction, Kind, Message
from connectors.fields import digest, parse_time
from connectors.payload import name, native, words
from connectors.wechat_sdk import elements, pushed


def received(raw: bytes) -> tuple[Message | None, dict[str, Any] | None]:
    """The message in one stored push, or the event. What cannot be read is kept, as unknown."""
    try:
        kind, found = pushed(raw.decode("utf-8", "replace"))
    except Rejected:
        kind, found = "unreadable", _readable(raw)
    if kind == "event":
        return None, found
    marks: list[str] = []
    openid = native(found.get("FromUserName"))
    text = words(found.get("Content" if kind == "text" else "Recognition"), marks)
    sent_at = parse_time(found.get("CreateTime"))
    if openid is None:
        marks.append("author.missing")
    if sent_at is None:
        marks.append("time.missing")
    message = Message(
        native_id=native(found.get("MsgId")) or _made_id(found, raw),
        platform="wechat",
        kind=Kind.DIRECT_MESSAGE,
        direction=Direction.INBOUND,
        author=Author(native_id=openid) if openid else None,
        text=text if kind in ("text", "voice") else None,
        sent_at=sent_at,
        person=openid,
        attachments=_attachments(kind, found),
        raw=raw,
        marks=tuple(marks),
    )
    return message, None


def _readable(raw: bytes) -> dict[str, Any]:
    try:
        return elements(raw.decode("utf-8", "replace"))
    except Rejected:
        return {}


def _made_id(found: dict[str, Any], raw: bytes) -> str:
    """For a push without MsgId: sender and second, as the platform says, and what was said."""
    if not found:
        return digest(raw.hex())
    return digest(*(found.get(one) for one in _TELLING))


_TELLING = ("FromUserName", "CreateTime", "MsgType", "Event", "EventKey", "Content", "MediaId")


def _attachments(kind: str, found: dict[str, Any]) -> tuple[Attachment, ...]:
    media_id, title = name(found.get("MediaId")), name(found.get("Title"))
    if kind == "text":
        return ()
    if kind == "image":
        return (Attachment("image", url=name(found.get("PicUrl")), media_id=media_id),)
    if kind == "voice":
        return (Attachment("voice", media_id=media_id),)
    if kind in ("video", "shortvideo"):
        return (Attachment("video", media_id=media_id),)
    if kind == "file":
        return (Attachment("file", title=title, media_id=media_id),)
    if kind == "location":
        told = [name(found.get(one)) for one in ("Label", "Location_X", "Location_Y")]
        return (Attachment("location", title=" ".join(filter(None, told)) or None),)
    if kind == "link":
        return (Attachment("link", url=name(found.get("Url")), title=title),)
    if kind == "miniprogrampage":
        return (Attachment("card", title=title, media_id=name(found.get("ThumbMediaId"))),)
    return (Attachment("unknown", title=name(kind)),)
