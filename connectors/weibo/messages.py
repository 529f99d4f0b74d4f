"""A status and a comment as messages.

Page: https://open.weibo.com/wiki/常见返回对象数据结构
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from aggregator.model import Author, Direction, Kind, Message
from connectors.fields import digest, parse_time, raw_json
from connectors.payload import integer, mapping, name, native, words
from connectors.weibo.attached import attached
from connectors.weibo.longtext import Gone

# Only what ends in a semicolon: html.unescape alone would turn `?a=1&copy=2` into `?a=1©=2`.
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# What stands in the place of a deleted post's text: nobody wrote it.
_GONE = re.compile(r"\s*(?:抱歉，)?此微博已被原?作者删除。?\s*(?:查看帮助.{0,40})?")

Long = Callable[[dict[str, Any]], str | None]


def status(item: Any, *, uid: str, now: datetime, long: Long) -> Message:
    """A post that mentions us; one of ours that reposts a customer's is an answer to it.

    The text stays whole, with the `//@name:` chain of those who reposted before; the words of the post at
    its end are `quoted`.
    """
    found = mapping(item)
    marks: list[str] = []
    gone = deleted(found)
    text = None if gone else _text(found.get("text"), marks)
    if text is not None and found.get("isLongText") in (True, 1, "1", "true"):
        text, gone = _whole(found, text, long, marks)
    who = _author(found.get("user"), marks)
    original = mapping(found.get("retweeted_status"))
    native_id = _id(found) or _made_id(item, found, marks)
    direction, root, person, reply_to = Direction.INBOUND, native_id, who, None
    if who is not None and who.native_id == uid:
        direction, reply_to = Direction.OUTBOUND, _id(original)
        root, person = reply_to or native_id, _author(original.get("user"), [])
    return Message(
        native_id=native_id,
        platform="weibo",
        kind=Kind.MENTION,
        direction=direction,
        author=who,
        text=text,
        sent_at=_sent_at(found, marks),
        root=root,
        person=person.native_id if person else None,
        reply_to=reply_to,
        url=_url(found),
        deleted_at=now if gone else None,
        attachments=() if gone else attached(found),
        quoted=None if deleted(original) else _text(original.get("text"), []),
        raw=raw_json(item),
        marks=tuple(marks),
    )


def original(item: Any, *, uid: str, now: datetime) -> Message | None:
    """A tombstone for the reposted post, if the repost says that it was deleted: we may have its words."""
    found = mapping(mapping(item).get("retweeted_status"))
    native_id = _id(found)
    if native_id is None or not deleted(found):
        return None
    return status({**found, "text": None, "deleted": "1"}, uid=uid, now=now, long=lambda _: None)


def comment(item: Any, *, uid: str, now: datetime, ours: bool) -> Message:
    """A comment; one of our own answers a comment or the post that it stands under."""
    found = mapping(item)
    marks: list[str] = []
    gone = deleted(found)
    who = _author(found.get("user"), marks)
    post, answered = mapping(found.get("status")), mapping(found.get("reply_comment"))
    native_id = _id(found) or _made_id(item, found, marks)
    root = _id(post)
    if root is None:
        marks.append("root.missing")
    outbound = ours or (who is not None and who.native_id == uid)
    person = who
    if outbound:
        to = _author((answered or post).get("user"), [])
        person = None if to is not None and to.native_id == uid else to
    return Message(
        native_id=native_id,
        platform="weibo",
        kind=Kind.COMMENT,
        direction=Direction.OUTBOUND if outbound else Direction.INBOUND,
        author=who,
        text=None if gone else _text(found.get("text"), marks),
        sent_at=_sent_at(found, marks),
        root=root or native_id,
        person=person.native_id if person else None,
        reply_to=_id(answered) or (root if outbound else None),
        url=_url(post),
        deleted_at=now if gone else None,
        attachments=() if gone else attached(found),
        raw=raw_json(item),
        marks=tuple(marks),
    )


def unescaped(text: str) -> str:
    """The text with its HTML entities undone, once."""
    return _ENTITY.sub(lambda match: html.unescape(match.group()), text)


def _text(value: Any, marks: list[str]) -> str | None:
    return words(unescaped(value), marks) if isinstance(value, str) else None


def _whole(
    found: dict[str, Any], text: str, long: Long, marks: list[str]
) -> tuple[str | None, bool]:
    """The words, and whether they were withdrawn while we asked for the rest of them."""
    try:
        whole = long(found)
    except Gone:
        marks.append("text.cut")
        return text, True
    if whole is None:
        marks.append("text.cut")
        return text, False
    return _text(whole, marks), False


def deleted(found: dict[str, Any]) -> bool:
    if found.get("deleted") in ("1", 1, True):
        return True
    text = found.get("text")
    return isinstance(text, str) and _GONE.fullmatch(text) is not None


def _author(user: Any, marks: list[str]) -> Author | None:
    found = author(user)
    if found is None:
        marks.append("author.missing")
    return found


def author(user: Any) -> Author | None:
    """A user, None where there is no id."""
    found = mapping(user)
    native_id = _id(found)
    if native_id is None:
        return None
    screen_name = name(found.get("screen_name")) or name(found.get("name"))
    followers = found.get("followers_count")
    verified = found.get("verified")
    return Author(
        native_id=native_id,
        name=screen_name,
        handle=screen_name,
        followers=integer(followers) if followers is not None else None,
        verified=verified if isinstance(verified, bool) else None,
    )


def _id(found: dict[str, Any]) -> str | None:
    return native(found.get("idstr")) or native(found.get("id"))


def _made_id(item: Any, found: dict[str, Any], marks: list[str]) -> str:
    """The same over repeats: counters and profiles change between two polls, these do not."""
    marks.append("id.missing")
    told = (found.get("created_at"), _id(mapping(found.get("user"))), found.get("text"))
    return digest(*told) if any(told) else digest(item)


def _sent_at(found: dict[str, Any], marks: list[str]) -> datetime | None:
    sent_at = parse_time(found.get("created_at"))
    if sent_at is None:
        marks.append("time.missing")
    return sent_at


def _url(post: dict[str, Any]) -> str | None:
    uid, mid = _id(mapping(post.get("user"))), native(post.get("mid")) or _id(post)
    return f"https://weibo.com/{uid}/{mid}" if uid and mid else None
