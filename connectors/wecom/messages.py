"""One item of kf/sync_msg as a message.

Page: https://developer.work.weixin.qq.com/document/path/94670
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aggregator.model import Author, Direction, Kind, Message
from connectors.fields import digest, parse_time, raw_json
from connectors.payload import integer, mapping, name, native, words
from connectors.wecom.attached import attachments, forwarded

CUSTOMER, SYSTEM, SERVICER = 3, 4, 5

_RECALLS = {
    "user_recall_msg": Direction.INBOUND,
    "servicer_recall_msg": Direction.OUTBOUND,
}
_SEND_FAIL = "msg_send_fail"
_WHY = {
    1: "account_gone",
    2: "app_closed",
    4: "expired",
    5: "session_ended",
    6: "too_many",
    7: "no_channels",
    8: "unverified",
    9: "no_channels_unverified",
    10: "refused",
}


def message(item: Any, *, kfid: str, now: datetime) -> Message | None:
    """The message in `item`; None for an event, and for what belongs to another account.

    A recall is a tombstone for the message that it takes back, and so is the news that what we sent did
    not arrive. The system's own words (origin 4) are no message: nobody of ours wrote them, so they answer
    nothing. Entering, and who holds a session, are none either.
    """
    found = mapping(item)
    if item is None or native(found.get("open_kfid")) not in (None, kfid):
        return None
    if found.get("msgtype") == "event":
        return _withdrawn(found, kfid=kfid, now=now)
    origin = integer(found.get("origin"))
    return None if origin == SYSTEM else _message(item, found, origin)


def _withdrawn(found: dict[str, Any], *, kfid: str, now: datetime) -> Message | None:
    event = mapping(found.get("event"))  # ids stand in here, not beside it
    what = str(event.get("event_type"))
    direction = _RECALLS.get(what)
    marks: tuple[str, ...] = ()
    gone = native(event.get("recall_msgid"))
    if what == _SEND_FAIL:
        direction, gone = Direction.OUTBOUND, native(event.get("fail_msgid"))
        why = _WHY.get(integer(event.get("fail_type")), "unknown")
        marks = ("send.failed", f"send.failed.{why}")
    if direction is None or gone is None or native(event.get("open_kfid")) not in (None, kfid):
        return None
    person = native(event.get("external_userid"))
    servicer = native(event.get("servicer_userid"))
    who = person if direction is Direction.INBOUND else servicer
    return Message(
        native_id=gone,
        platform="wecom",
        kind=Kind.DIRECT_MESSAGE,
        direction=direction,
        author=Author(native_id=who) if who else None,
        text=None,
        sent_at=None,
        person=person,
        deleted_at=parse_time(found.get("send_time")) or now,
        raw=raw_json(found),
        marks=marks,
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
        attachments=attachments(kind, body),
        quoted=forwarded(body, marks) if kind == "merged_msg" else None,
        raw=raw_json(item),
        marks=tuple(marks),
    )
