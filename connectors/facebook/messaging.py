"""Messenger (and Instagram) messages as webhooks tell them: sent, echoed, edited, unsent.

https://developers.facebook.com/docs/messenger-platform/reference/webhook-events: an echo is what the Page sent, by
whichever app, Meta's own inbox too. Times are milliseconds; ids have been seen as numbers.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aggregator.model import Attachment, Author, Direction, Kind, Message
from connectors.facebook.changes import Told
from connectors.facebook.shapes import window
from connectors.fields import parse_time, raw_json
from connectors.payload import items, mapping, name, native, words

_KINDS = {
    "image": "image",
    "video": "video",
    "ig_reel": "video",
    "reel": "video",
    "audio": "voice",
    "file": "file",
    "location": "location",
    "fallback": "link",
    "share": "link",
    "ig_post": "link",
    "post": "link",
    "template": "card",
    "story_mention": "card",
    "ig_story": "card",
    "sticker": "sticker",
    "like_heart": "sticker",
}


def messaging(raw: dict[str, Any], *, of: str, at: datetime | None, platform: str) -> Told:
    """`of`: the Page (or Instagram account) that it came for. Reads, reactions and handovers are no messages."""
    edit = mapping(raw.get("message_edit"))
    said = mapping(raw.get("message"))
    pressed = mapping(raw.get("postback"))
    body = said or edit or pressed
    mid = native(body.get("mid"))
    if mid is None:
        stream = "instagram" if platform == "instagram" else "messages"
        return Told(wake=(stream,) if body else ())
    marks: list[str] = []
    sender = native(mapping(raw.get("sender")).get("id"))
    recipient = native(mapping(raw.get("recipient")).get("id"))
    ours = said.get("is_echo") is True or sender == of
    person = next((one for one in (recipient, sender) if one and one != of), None)
    if not ours:
        person = sender or person
    author = of if ours else sender
    if author is None:
        marks.append("author.missing")
    event_at = parse_time(raw.get("timestamp")) or at
    deleted_at = event_at if said.get("is_deleted") is True else None
    edited_at = event_at if edit else None
    if edited_at is not None:
        marks.append("time.edit")  # an edit may come before its message
    if event_at is None:
        marks.append("time.missing")
    gone = said.get("is_deleted") is True
    inbound = not ours and not gone and not edit
    return Told(
        (
            Message(
                native_id=mid.removeprefix("m_"),  # lists name the same message with it
                platform=platform,
                kind=Kind.DIRECT_MESSAGE,
                direction=Direction.OUTBOUND if ours else Direction.INBOUND,
                author=Author(native_id=author) if author else None,
                text=None if gone else words(_text(said, edit, pressed), marks),
                sent_at=None if gone else event_at,
                person=person,
                reply_to=_reply_to(said),
                edited_at=edited_at,
                deleted_at=deleted_at,
                reply_window=window(event_at) if inbound else None,
                attachments=() if gone else _attachments(said),
                raw=raw_json(raw),
                marks=tuple(marks),
            ),
        )
    )


def _text(said: dict[str, Any], edit: dict[str, Any], pressed: dict[str, Any]) -> Any:
    if edit and not said:
        return edit.get("text")
    return said.get("text") if said else pressed.get("title")


def _reply_to(said: dict[str, Any]) -> str | None:
    mid = native(mapping(said.get("reply_to")).get("mid"))
    return mid.removeprefix("m_") if mid else None


def _attachments(said: dict[str, Any]) -> tuple[Attachment, ...]:
    found = [_one(one) for one in map(mapping, items(said.get("attachments"))) if one]
    story = mapping(mapping(said.get("reply_to")).get("story"))
    if story:
        found.append(Attachment("card", name(story.get("url")), "story", native(story.get("id"))))
    if said.get("is_unsupported") is True and not found:
        found.append(Attachment("unknown", title="unsupported"))
    return tuple(found)


def _one(raw: dict[str, Any]) -> Attachment:
    payload = mapping(raw.get("payload"))
    told = str(raw.get("type") or "")
    sticker = native(payload.get("sticker_id"))
    kind = "sticker" if sticker else _KINDS.get(told, "unknown")
    title = name(payload.get("title")) or name(raw.get("title"))
    if kind == "location":
        at = mapping(payload.get("coordinates"))
        where = [str(at[one]) for one in ("lat", "long") if isinstance(at.get(one), int | float)]
        title = ",".join(where) or title
    elif told in ("story_mention", "ig_story"):
        title = title or "story"
    elif kind == "unknown":
        title = title or name(told)
    return Attachment(
        kind=kind,
        url=name(payload.get("url")) or name(raw.get("url")),
        title=title,
        media_id=sticker or native(payload.get("reel_video_id")) or native(payload.get("id")),
    )
