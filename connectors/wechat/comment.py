"""One comment under an article, and our answer inside it.

Page: https://developers.weixin.qq.com/doc/offiaccount/Comments_management/Image_Comments_Management_Interface.html
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aggregator.model import Author, Direction, Kind, Message
from connectors.fields import digest, parse_time, raw_json
from connectors.payload import integer, items, joined, mapping, native, words
from connectors.wechat.articles import Article


def read(item: Any, article: Article) -> list[Message]:
    """The comment, and what we answered to it."""
    found = mapping(item)
    marks: list[str] = []
    openid = native(found.get("openid"))  # none where the writer is no WeChat user
    number = found.get("user_comment_id")
    id = str(number) if type(number) is int else native(number)  # the first one is 0
    sent_at = parse_time(found.get("create_time"))
    if openid is None:
        marks.append("author.missing")
    if sent_at is None:
        marks.append("time.missing")
    comment = Message(
        native_id=f"{article}/{id if id is not None else digest(item)}",
        platform="wechat",
        kind=Kind.COMMENT,
        direction=Direction.INBOUND,
        author=Author(native_id=openid) if openid else None,
        text=words(found.get("content"), marks),
        sent_at=sent_at,
        root=str(article),
        person=openid,
        raw=raw_json(item),
        marks=tuple(marks),
    )
    told = found.get("reply")
    replies = [told] if isinstance(told, dict) else items(told)
    return [comment, *(_reply(mapping(one), comment) for one in replies if mapping(one))]


def _reply(found: dict[str, Any], comment: Message) -> Message:
    marks: list[str] = []
    text, sent_at = words(found.get("content"), marks), parse_time(found.get("create_time"))
    if sent_at is None:
        marks.append("time.missing")
    return answer(
        comment,
        text,
        sent_at,
        id=answer_id(comment, text or found.get("create_time")),
        raw=raw_json(found),
        marks=tuple(marks),
    )


def answer(
    comment: Message,
    text: str | None,
    sent_at: datetime | None,
    *,
    id: str,
    raw: bytes,
    marks: tuple[str, ...] = (),
) -> Message:
    """Our answer to a comment, whoever wrote it and wherever."""
    return Message(
        native_id=id,
        platform="wechat",
        kind=Kind.COMMENT,
        direction=Direction.OUTBOUND,
        author=None,
        text=text,
        sent_at=sent_at,
        root=comment.root,
        person=comment.person,
        reply_to=comment.native_id,
        raw=raw,
        marks=marks,
    )


def answer_id(comment: Message, words: Any) -> str:
    """Known by its words, which are all that both who sends an answer and who reads it know: an answer that
    was taken back and written otherwise is another one."""
    told = " ".join(words.split()) if isinstance(words, str) else words
    return f"{comment.native_id}/reply/{joined(told)[:16]}"


def withdrawn(article: Article, number: int, at: datetime) -> Message:
    """A tombstone for a comment that its article no longer shows."""
    return Message(
        native_id=f"{article}/{number}",
        platform="wechat",
        kind=Kind.COMMENT,
        direction=Direction.INBOUND,
        author=None,
        text=None,
        sent_at=None,
        root=str(article),
        deleted_at=at,
    )


def number_of(item: Any) -> int | None:
    """The comment's number under its article, where it has one to be followed by."""
    number = mapping(item).get("user_comment_id")
    if type(number) is not int and not isinstance(number, str):
        return None
    whole = integer(number)
    return whole if 0 <= whole < 2**63 and str(whole) == str(number) else None
