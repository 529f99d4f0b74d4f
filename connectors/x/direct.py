"""A direct message of X as a message. Encrypted ones (XChat) are not among them."""

from __future__ import annotations

import re
from typing import Any

from aggregator.model import Attachment, Direction, Kind, Message
from connectors.fields import digest, parse_time, raw_json
from connectors.payload import items, mapping, native, words
from connectors.x.posts import Includes, attachments, post_text, post_url, unescaped

_PAIR = re.compile(r"(\d+)-(\d+)\Z", re.ASCII)
_NO_MESSAGES = ("ParticipantsJoin", "ParticipantsLeave")


def direct_message(raw: dict[str, Any], includes: Includes, *, me: str) -> Message | None:
    """None for what is no message: somebody came into a group, or left it."""
    event = raw.get("event_type", "MessageCreate")
    if event in _NO_MESSAGES:
        return None
    marks: list[str] = []
    native_id = native(raw.get("id"))
    if native_id is None:
        marks.append("id.missing")
        native_id = digest(raw)
    sender = native(raw.get("sender_id"))
    if sender is None:
        marks.append("author.missing")
    sent = parse_time(raw.get("created_at"))
    if sent is None:
        marks.append("time.missing")
    conversation = native(raw.get("dm_conversation_id"))
    text = words(raw.get("text"), marks)
    attached = list(attachments(raw, includes))
    if event != "MessageCreate":
        text = None
        attached.append(Attachment("unknown", title=words(event, marks)))
    shared = _shared(raw, includes, attached, marks)
    return Message(
        native_id=native_id,
        platform="x",
        kind=Kind.DIRECT_MESSAGE,
        direction=Direction.OUTBOUND if sender == me else Direction.INBOUND,
        author=includes.author(sender),
        text=None if text is None else unescaped(text),
        sent_at=sent,
        person=_person(conversation, raw, sender, me),
        url=f"https://x.com/messages/{conversation}" if conversation else None,
        attachments=tuple(attached),
        quoted=shared,
        raw=raw_json(raw),
        marks=tuple(marks),
    )


def _person(
    conversation: str | None, raw: dict[str, Any], sender: str | None, me: str
) -> str | None:
    """Who it is with: the other half of `a-b`, or the group itself."""
    pair = _PAIR.match(conversation or "")
    if pair:
        others = [one for one in pair.groups() if one != me]
        return others[0] if others else me
    if conversation is not None:
        return conversation
    others = [
        one
        for one in [sender, *map(native, items(raw.get("participant_ids")))]
        if one is not None and one != me
    ]
    return others[0] if others else None


def _shared(
    raw: dict[str, Any], includes: Includes, attached: list[Attachment], marks: list[str]
) -> str | None:
    """The words of a post that was sent along; a link to it is attached where none is in the text."""
    said: list[str] = []
    for one in map(mapping, items(raw.get("referenced_tweets") or raw.get("referenced_posts"))):
        post_id = native(one.get("id"))
        if post_id is None:
            continue
        post = includes.post(post_id)
        if not any(post_id in (item.url or "") for item in attached):
            author = includes.author(native(post.get("author_id")))
            attached.append(Attachment("link", url=post_url(author, post_id)))
        if text := post_text(post, marks):
            said.append(text)
    return "\n".join(said) or None
