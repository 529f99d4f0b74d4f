"""The door for Facebook's webhooks: who may knock, and what one stored body holds.

https://developers.facebook.com/docs/graph-api/webhooks/getting-started: the signature is over the raw body, with the
app secret. Anything may come twice, late and out of order; nothing that was missed can be asked for again here,
so polling goes on beside it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from aggregator.errors import Rejected
from aggregator.model import Accepted, Attachment, Direction, Kind, Message, Push
from connectors.facebook.changes import Told, change
from connectors.facebook.messaging import messaging
from connectors.fields import parse_time
from connectors.payload import items, mapping, native

STREAM = "webhook"
MAX_BODY = 1024 * 1024
_SIGNATURE = re.compile(r"sha256=([0-9a-fA-F]{64})", re.ASCII)
_CHALLENGE = re.compile(r"[0-9A-Za-z._-]{1,256}", re.ASCII)


def accepted(request: Push, *, verify_token: str, app_secret: str) -> Accepted:
    """What to answer and to store. Raises Rejected for whoever knows neither of the two secrets."""
    if request.method == "GET":
        return _handshake(request, verify_token)
    given = _SIGNATURE.fullmatch(request.headers.get("x-hub-signature-256", "").strip())
    if given is None:
        raise Rejected("no X-Hub-Signature-256 that can be read", status=401)
    if len(request.body) > MAX_BODY:
        raise Rejected("the body is too large", status=413)
    right = hmac.digest(app_secret.encode(), request.body, hashlib.sha256)
    if not hmac.compare_digest(right, bytes.fromhex(given.group(1))):
        raise Rejected("wrong signature", status=401)
    return Accepted(b"EVENT_RECEIVED", stream=STREAM, store=(request.body,))


def _handshake(request: Push, verify_token: str) -> Accepted:
    given = request.query.get("hub.verify_token", "").encode("utf-8", "replace")
    if not hmac.compare_digest(given, verify_token.encode()):
        raise Rejected("hub.verify_token is not the one in the settings", status=403)
    challenge = request.query.get("hub.challenge", "")
    if request.query.get("hub.mode") != "subscribe" or not _CHALLENGE.fullmatch(challenge):
        raise Rejected("no subscription to confirm")
    return Accepted(challenge.encode())


# --- what was stored --------------------------------------------------------------------------------


@dataclass(slots=True)
class Read:
    """What several bodies told: messages in the order that they are true in, and what is to be asked for."""

    messages: list[Message] = field(default_factory=list)
    wake: dict[str, None] = field(default_factory=dict)
    wanted: list[dict[str, Any]] = field(default_factory=list)


def read(raw: Sequence[bytes], *, page_id: str, instagram_id: str | None, instagram: bool) -> Read:
    """Never raises on what a body holds: one that is no JSON is kept as a message that says nothing."""
    found = Read()
    events: list[tuple[Message, datetime | None]] = []
    for body in raw:
        try:
            told = json.loads(body)
        except (ValueError, RecursionError):
            events.append((_unreadable(body), None))
            continue
        for one, at in _body(mapping(told), page_id, instagram_id, instagram):
            events += [(message, at) for message in one.messages]
            found.wake.update(dict.fromkeys(one.wake))
            found.wanted += one.wanted
    found.messages = list(_in_order(events))
    return found


def _body(
    told: dict[str, Any], page_id: str, instagram_id: str | None, instagram: bool
) -> Iterator[tuple[Told, datetime | None]]:
    """Each event with its time. An app has one address for all its Pages: those of others are not ours."""
    platform = {"page": "facebook", "instagram": "instagram"}.get(str(told.get("object")))
    if platform is None or (platform == "instagram" and not instagram):
        return
    ours = page_id if platform == "facebook" else instagram_id
    for entry in map(mapping, items(told.get("entry"))):
        of = native(entry.get("id"))
        if of is None or (ours is not None and of != ours):
            continue
        at = parse_time(entry.get("time"))  # seconds beside changes, milliseconds beside messaging
        for one in map(mapping, items(entry.get("changes"))):
            yield change(one, of=of, at=at, platform=platform), at
        for key in ("messaging", "standby"):  # standby: another app holds the thread
            for one in map(mapping, items(entry.get(key))):
                yield (
                    messaging(one, of=of, at=at, platform=platform),
                    parse_time(one.get("timestamp")) or at,
                )


def _in_order(events: Sequence[tuple[Message, datetime | None]]) -> Iterator[Message]:
    """An edit, or a deletion, after the message itself, whichever came first; an edit has its time then."""
    whole = {message.key: message for message, _ in events if not _of_another(message)}
    rank: dict[str, int] = {}
    for number, (message, _) in enumerate(events):
        rank.setdefault(message.key, number)

    def place(event: tuple[Message, datetime | None]) -> tuple[int, bool, float]:
        message, at = event
        when = message.edited_at or message.deleted_at or message.restored_at or at
        return rank[message.key], _of_another(message), when.timestamp() if when else 0.0

    for message, _ in sorted(events, key=place):
        first = whole.get(message.key)
        if first is None or not _of_another(message):
            yield message
            continue
        yield replace(
            message,
            author=message.author or first.author,
            person=message.person or first.person,
            direction=first.direction,
            sent_at=first.sent_at,
            url=message.url or first.url,
            reply_to=message.reply_to or first.reply_to,
            attachments=message.attachments or (() if message.deleted_at else first.attachments),
            marks=tuple(mark for mark in message.marks if mark != "time.edit"),
        )


def _of_another(message: Message) -> bool:
    """It tells what became of a message."""
    return bool(message.edited_at or message.deleted_at or message.restored_at)


def _unreadable(body: bytes) -> Message:
    return Message(
        native_id=hashlib.sha256(body).hexdigest()[:32],
        platform="facebook",
        kind=Kind.DIRECT_MESSAGE,
        direction=Direction.INBOUND,
        author=None,
        text=None,
        sent_at=None,
        attachments=(Attachment("unknown", title="unreadable"),),
        raw=body,
        marks=("unreadable", "author.missing", "time.missing"),
    )
