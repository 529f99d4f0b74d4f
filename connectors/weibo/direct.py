"""Direct messages as the fan service pushes them, in JSON or in WeChat's XML: checked, and as messages.

The signature's key is the App Secret; the answer that ends the push is an empty one. The XML form has no
detail of mentions. Page: https://open.weibo.com/wiki/Messages_callback
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from aggregator.errors import Rejected
from aggregator.model import (
    Accepted,
    Attachment,
    Author,
    Direction,
    Kind,
    Message,
    Push,
    ReplyWindow,
)
from connectors.fields import digest, parse_time
from connectors.handshake import check_signature
from connectors.payload import joined, mapping, name, native, words
from connectors.weibo.messages import unescaped

MAX_BODY, MAX_XML = 1024 * 1024, 64 * 1024
ANSWERABLE = timedelta(hours=48)  # after a message of theirs, as often as one likes
MEDIA = "https://upload.api.weibo.com/2/mss/msget"
_TYPES = {"position": "location", "image": "image", "voice": "voice"}
_WAKES = {"status": "mentions", "comment": "comment_mentions"}
_XML_TYPES = {"location": "position"}
_XML_HEAD = frozenset({"ToUserName", "FromUserName", "CreateTime", "MsgType", "Content", "MsgId"})


@dataclass(frozen=True, slots=True)
class Mentioned:
    """A push that only says that somebody mentions us: the list that has it, its kind, id and time."""

    stream: str
    kind: Kind
    native_id: str | None
    at: datetime | None


def accepted(secret: str, request: Push, *, stream: str) -> Accepted:
    """Raises Rejected for a wrong signature, and for a body that is neither form of a push."""
    check_signature(secret, request)
    if request.method == "GET":
        echo = request.query.get("echostr", "")
        if not echo or len(echo) > 4096 or name(echo) != echo:
            raise Rejected("no echostr in the query")
        return Accepted(echo.encode())
    if len(request.body) > (MAX_XML if _is_xml(request.body) else MAX_BODY):
        raise Rejected("the body is too large", status=413)
    found = _pushed(request.body)
    if not found:
        raise Rejected("the body is no JSON object and no XML of the platform's")
    if found.get("type") == "event" or _subscribes(found):
        return Accepted(b"")
    return Accepted(b"", stream=stream, store=(request.body,))


def direct(raw: bytes, *, uid: str) -> Message | Mentioned | None:
    """The message in one stored push, or what it tells of a mention; None for an event."""
    found = _pushed(raw)
    kind = name(found.get("type"))
    data = found.get("data")
    if kind == "event" or _subscribes(found):
        return None
    if kind == "mention":
        return _mentioned(mapping(data), parse_time(found.get("created_at")))
    marks: list[str] = []
    sender, receiver = native(found.get("sender_id")), native(found.get("receiver_id"))
    ours = sender == uid
    text = found.get("text")
    sent_at = parse_time(found.get("created_at"))
    if sender is None:
        marks.append("author.missing")
    if sent_at is None:
        marks.append("time.missing")
    return Message(
        native_id=_made_id(found, raw),
        platform="weibo",
        kind=Kind.DIRECT_MESSAGE,
        direction=Direction.OUTBOUND if ours else Direction.INBOUND,
        author=Author(native_id=sender) if sender else None,
        text=words(unescaped(text), marks) if kind == "text" and isinstance(text, str) else None,
        sent_at=sent_at,
        person=receiver if ours else sender,
        reply_window=None if ours or sent_at is None else ReplyWindow(sent_at + ANSWERABLE),
        attachments=_attachments(kind, mapping(data), text),
        raw=raw,
        marks=tuple(marks),
    )


def _subscribes(found: dict[str, Any]) -> bool:
    """Two words that are commands to the platform, which subscribe (订阅) and unsubscribe (退订)."""
    text = found.get("text")
    return found.get("type") == "text" and isinstance(text, str) and text.lower() in ("dy", "td")


def _attachments(kind: str | None, data: dict[str, Any], text: Any) -> tuple[Attachment, ...]:
    if kind == "text":
        return ()
    if kind not in _TYPES:
        return (Attachment("unknown", title=kind),)
    if kind == "position":
        at = [str(data[one]) for one in ("latitude", "longitude") if data.get(one) is not None]
        return (Attachment("location", title=name(",".join(at)) or name(text)),)
    media_id = native(data.get("tovfid")) or native(data.get("MediaId"))
    url = f"{MEDIA}?fid={quote(media_id, safe='')}" if media_id else None
    picture = name(data.get("PicUrl"))
    if picture is not None:
        return (Attachment(_TYPES[kind], url=picture, media_id=media_id),)
    title = "opens with the account's access_token only" if url else None
    return (Attachment(_TYPES[kind], url=url, title=title, media_id=media_id),)


def _mentioned(data: dict[str, Any], at: datetime | None) -> Mentioned | None:
    subtype = str(data.get("subtype"))
    if subtype not in _WAKES:
        return None
    kind = Kind.COMMENT if subtype == "comment" else Kind.MENTION
    return Mentioned(_WAKES[subtype], kind, native(data.get("key")), at)


def _made_id(found: dict[str, Any], raw: bytes) -> str:
    """For what has no id: sender and second, as the platform says, and what was said in it."""
    if not found:
        return digest(raw.hex())
    data = json.dumps(found.get("data"), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    told = (*(found.get(one) for one in ("sender_id", "created_at", "type", "text")), data)
    return joined(*told)


def _pushed(raw: bytes) -> dict[str, Any]:
    """The push, in the names of the JSON form; empty for what is neither form."""
    if not _is_xml(raw):
        return _object(raw)
    # Here, and not at the start: it brings the whole WeChat SDK, and few accounts push XML.
    from connectors.wechat_sdk import elements

    try:
        found = elements(raw.decode("utf-8-sig"), whole=True)
    except (Rejected, UnicodeDecodeError):
        return {}
    kind = name(_word(found.get("MsgType")))
    if kind is None:
        return {}
    kind = kind.lower()
    data = {key: value for key, value in found.items() if key not in _XML_HEAD}
    if kind == "location":
        data |= {"latitude": data.get("Location_X"), "longitude": data.get("Location_Y")}
    return {
        "type": _XML_TYPES.get(kind, kind),
        "sender_id": _word(found.get("FromUserName")),
        "receiver_id": _word(found.get("ToUserName")),
        "created_at": _word(found.get("CreateTime")),
        "text": found.get("Content"),
        "data": data,
    }


def _is_xml(raw: bytes) -> bool:
    return raw[:64].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def _word(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else None


def _object(raw: bytes) -> dict[str, Any]:
    try:
        return mapping(json.loads(raw))
    except (ValueError, RecursionError):
        return {}
