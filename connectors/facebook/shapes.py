"""Posts, comments, reviews and Messenger messages of a Page, as messages."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from aggregator.model import Attachment, Author, Direction, Kind, Message, ReplyWindow
from connectors.facebook.attached import (
    comment_attachments,
    message_attachments,
    post_attachments,
    quoted_words,
)
from connectors.fields import digest, parse_time, raw_json
from connectors.payload import items, mapping, name, native, words

WWW = "https://www.facebook.com"
WINDOW = timedelta(hours=24)


def author_of(raw: Any) -> Author | None:
    """`from` is missing where a permission is, or the person's settings hide it."""
    person = mapping(raw)
    native_id, told = native(person.get("id")), name(person.get("name"))
    handle = name(person.get("username"))
    if native_id is None and told is None and handle is None:
        return None
    return Author(native_id=native_id, name=told, handle=handle)


def post_message(raw: dict[str, Any], *, page_id: str) -> Message:
    """A post on the Page, or one that names it."""
    marks: list[str] = []
    native_id = _id(raw, marks)
    author = _author(raw.get("from"), marks)
    person = author.native_id if author else None
    return Message(
        native_id=native_id,
        platform="facebook",
        kind=Kind.MENTION,
        direction=Direction.OUTBOUND if person == page_id else Direction.INBOUND,
        author=author,
        text=words(raw.get("message"), marks),
        sent_at=_time(raw.get("created_time"), marks),
        root=native_id,
        person=None if person == page_id else person,
        url=name(raw.get("permalink_url")),
        attachments=post_attachments(raw),
        quoted=quoted_words(raw),
        raw=_raw(raw),
        marks=tuple(marks),
    )


def comment_message(
    raw: dict[str, Any], *, page_id: str, post_id: str, post_author: str | None
) -> Message:
    """A comment under a post, at any depth. Ours answers its parent comment, or else the post."""
    marks: list[str] = []
    author = _author(raw.get("from"), marks)
    writer = author.native_id if author else None
    ours = writer == page_id
    parent = mapping(raw.get("parent"))
    parent_id = native(parent.get("id"))
    addressee = native(mapping(parent.get("from")).get("id")) if parent_id else post_author
    return Message(
        native_id=comment_id(_id(raw, marks), post_id),
        platform="facebook",
        kind=Kind.COMMENT,
        direction=Direction.OUTBOUND if ours else Direction.INBOUND,
        author=author,
        text=words(raw.get("message"), marks),
        sent_at=_time(raw.get("created_time"), marks),
        root=post_id,
        person=(addressee if addressee != page_id else None) if ours else writer,
        reply_to=comment_id(parent_id, post_id) if parent_id else post_id,
        url=name(raw.get("permalink_url")),
        attachments=comment_attachments(raw),
        raw=_raw(raw),
        marks=tuple(marks),
    )


def remark_message(
    raw: dict[str, Any],
    *,
    us: str,
    media_id: str,
    url: str | None,
    over: dict[str, Any] | None,
) -> Message:
    """A comment on Instagram, under what `us` posted; `over`: the comment that it answers."""
    marks: list[str] = []
    person = mapping(raw.get("from")) or mapping(raw.get("user"))
    author = author_of({"username": raw.get("username"), **person})
    if author is None or author.native_id is None:
        marks.append("author.missing")
    writer = author.native_id if author else None
    ours = writer == us
    answered = mapping(over)
    addressee = native(mapping(answered.get("from")).get("id"))
    return Message(
        native_id=_id(raw, marks),
        platform="instagram",
        kind=Kind.COMMENT,
        direction=Direction.OUTBOUND if ours else Direction.INBOUND,
        author=author,
        text=words(raw.get("text"), marks),
        sent_at=_time(raw.get("timestamp"), marks),
        root=media_id,
        person=(addressee if addressee != us else None) if ours else writer,
        reply_to=native(raw.get("parent_id")) or native(answered.get("id")) or media_id,
        url=url,
        raw=_raw({key: value for key, value in raw.items() if key != "replies"}),
        marks=tuple(marks),
    )


def comment_id(native_id: str, post_id: str) -> str:
    """`{post}_{comment}`, also where Facebook gives the second half alone: it spells ids both ways."""
    if "_" in native_id or not native_id.isdigit():
        return native_id
    return f"{post_id.rsplit('_', 1)[-1]}_{native_id}"


def review_id(raw: dict[str, Any]) -> str:
    """The story that a review is told in; without one, a digest of who reviewed and when."""
    story = native(mapping(raw.get("open_graph_story")).get("id"))
    reviewer = mapping(raw.get("reviewer"))
    who = native(reviewer.get("id")) or name(reviewer.get("name")) or raw.get("review_text")
    return story or digest("review", who, raw.get("created_time"))


def review_message(raw: dict[str, Any]) -> Message:
    """A recommendation, or an older review with stars."""
    marks: list[str] = []
    author = _author(raw.get("reviewer"), marks)
    native_id = review_id(raw)
    stars, said = raw.get("rating"), name(raw.get("recommendation_type"))
    counted = isinstance(stars, int | float | str) and not isinstance(stars, bool)
    rating = name(str(stars)) if counted else said
    return Message(
        native_id=native_id,
        platform="facebook",
        kind=Kind.REVIEW,
        direction=Direction.INBOUND,
        author=author,
        text=words(raw.get("review_text"), marks),
        sent_at=_time(raw.get("created_time"), marks),
        root=native_id,
        person=author.native_id if author else None,
        attachments=(Attachment("rating", title=rating),) if rating else (),
        raw=_raw(raw),
        marks=tuple(marks),
    )


def direct_message(
    raw: dict[str, Any],
    *,
    page_id: str,
    person: str | None,
    link: str | None,
    platform: str = "facebook",
) -> Message:
    """A Messenger message; `person` is who the thread is with, `page_id` who we are in it."""
    marks: list[str] = []
    author = _author(raw.get("from"), marks)
    sender = author.native_id if author else None
    ours = sender == page_id
    if person is None:
        to = (native(mapping(one).get("id")) for one in items(mapping(raw.get("to")).get("data")))
        person = next((one for one in to if one and one != page_id), None) if ours else sender
    sent_at = _time(raw.get("created_time"), marks)
    return Message(
        native_id=_id(raw, marks).removeprefix("m_"),  # callbacks name the same message without it
        platform=platform,
        kind=Kind.DIRECT_MESSAGE,
        direction=Direction.OUTBOUND if ours else Direction.INBOUND,
        author=author,
        text=words(raw.get("message"), marks),
        sent_at=sent_at,
        person=person,
        url=link,
        reply_window=None if ours else window(sent_at),
        attachments=message_attachments(raw),
        raw=_raw(raw),
        marks=tuple(marks),
    )


def window(sent_at: datetime | None) -> ReplyWindow | None:
    """A day from the customer's message; what we send opens nothing.

    https://developers.facebook.com/docs/messenger-platform/policy/policy-overview
    """
    return ReplyWindow(sent_at + WINDOW) if sent_at is not None else None


def _id(raw: dict[str, Any], marks: list[str]) -> str:
    native_id = native(raw.get("id"))
    if native_id is None:
        marks.append("id.missing")
        return digest(raw)
    return native_id


def _author(raw: Any, marks: list[str]) -> Author | None:
    author = author_of(raw)
    if author is None or author.native_id is None:
        marks.append("author.missing")
    return author


def _time(value: Any, marks: list[str]) -> Any:
    found = parse_time(value)
    if found is None:
        marks.append("time.missing")
    return found


def _raw(raw: dict[str, Any]) -> bytes:
    """As it came, without `paging`: its URLs hold the access token."""
    return raw_json(_without_paging(raw))


def _without_paging(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_paging(v) for k, v in value.items() if k != "paging"}
    if isinstance(value, list):
        return [_without_paging(one) for one in value]
    return value
