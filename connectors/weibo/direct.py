"""Direct messages as the fan service pushes them: checked, and as messages.

The signature's key is the App Secret; the answer that ends the push is an empty one.
Page: https://open.weibo.com/wiki/Messages_callback
"""

from __future__ import annotations

import json
from typing import Any

from aggregator.errors import Rejected
from aggregator.model import Accepted, Attachment, Author, Direction, Kind, Message, Push
from connectors.fields import digest, parse_time
from connectors.handshake import check_signature
from connectors.payload import joined, mapping, name, native, words
from connectors.weibo.messages import unescaped

MAX_BODY = 1024 * 1024
_TYPES = {"position": "location", "image": "image", "voice": "voice"}
_WAKES = {"status": "mentions", "comment": "comment_mentions"}


def accepted(secret: str, request: Push, *, stream: str) -> Accepted:
    """Raises Rejected for a wrong signature, and for a body that is no JSON object."""
    check_signature(secret, request)
    if request.method == "GET":
        echo = request.query.get("echostr", "")
        if not echo or len(echo) > 4096 or name(echo) != echo:
            raise Rejected("no echostr in the query")
        return Accepted(echo.encode())
    if len(request.body) > MAX_BODY:
        raise Rejected("the body is too large", status=413)
    found = _object(request.body)
    if not found:
        raise Rejected("the body is no JSON object: set the push format to JSON")
    if found.get("type") == "event":
        return Accepted(b"")
    return Accepted(b"", stream=stream, store=(request.body,))


def direct(raw: bytes, *, uid: str) -> Message | str | None:
    """The message in one stored push; the stream to wake where it tells of a mention; None for an event."""
    found = _object(raw)
    kind = name(found.get("type"))
    data = found.get("data")
    if kind == "event":
        return None
    if kind == "mention":
        return _WAKES.get(str(mapping(data).get("subtype")))
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
        attachments=_attachments(kind, mapping(data), text),
        raw=raw,
        marks=tuple(marks),
    )


def _attachments(kind: str | None, data: dict[str, Any], text: Any) -> tuple[Attachment, ...]:
    if kind == "text":
        return ()
    if kind not in _TYPES:
        return (Attachment("unknown", title=kind),)
    if kind == "position":
        at = [str(data[one]) for one in ("latitude", "longitude") if data.get(one) is not None]
        return (Attachment("location", title=name(",".join(at)) or name(text)),)
    return (Attachment(_TYPES[kind], media_id=native(data.get("tovfid"))),)


def _made_id(found: dict[str, Any], raw: bytes) -> str:
    """For what has no id: sender and second, as the platform says, and what was said in it."""
    if not found:
        return digest(raw.hex())
    data = json.dumps(found.get("data"), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    told = (*(found.get(one) for one in ("sender_id", "created_at", "type", "text")), data)
    return joined(*told)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        return mapping(json.loads(raw))
    except (ValueError, RecursionError):
        return {}
