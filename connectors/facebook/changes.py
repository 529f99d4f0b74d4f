"""Changes on a Page as webhooks tell them: posts, comments, reviews and mentions.

https://developers.facebook.com/docs/graph-api/webhooks/reference/page: `created_time` is the time of the event, so
of an edit or a deletion it is not when the comment was written. Before version 2.11 authors were `sender_id`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aggregator.model import Attachment, Author, Direction, Kind, Message
from connectors.facebook.shapes import comment_id, review_id
from connectors.fields import parse_time, raw_json
from connectors.payload import mapping, name, native, words

_POSTS = frozenset(
    {"post", "status", "photo", "video", "share", "link", "album", "event", "note", "offer"}
)
_ADDED, _EDITED = frozenset({"add"}), frozenset({"edit", "edited"})
_REMOVED = frozenset({"remove", "delete", "deleted"})


@dataclass(frozen=True, slots=True)
class Told:
    """What one event says. `wanted`: what it only names, to be asked for by the next poll of `wake`."""

    messages: tuple[Message, ...] = ()
    wake: tuple[str, ...] = ()
    wanted: tuple[dict[str, Any], ...] = ()


def change(raw: dict[str, Any], *, of: str, at: datetime | None, platform: str) -> Told:
    """`of`: the Page (or Instagram account); `at`: when the platform says it told."""
    value, field = mapping(raw.get("value")), raw.get("field")
    if platform == "instagram":
        if field in ("comments", "live_comments"):
            return _instagram_comment(raw, value, of, at)
        if field == "mentions" and (media := native(value.get("media_id"))):
            one = {"id": native(value.get("comment_id")) or media, "root": media, "kind": "ig"}
            return Told(wake=("posts",), wanted=(one,))
        return Told()
    if field == "mention":
        return _mention(value, at)
    if field not in ("feed", "ratings"):
        return Told()
    item = value.get("item")
    if item == "comment":
        return _comment(raw, value, of, at)
    if item == "rating":
        return _review(raw, value, at)
    return _post(raw, value, of, at) if item in _POSTS else Told()


def _post(raw: dict[str, Any], value: dict[str, Any], of: str, at: datetime | None) -> Told:
    """What others posted. The Page's own are no messages."""
    native_id, author = native(value.get("post_id")), _author(value)
    verb = value.get("verb")
    if author is not None and author.native_id == of and verb in _ADDED | _EDITED:
        return Told()
    if native_id is None or (author is None and verb in _ADDED | _EDITED):
        return Told(wake=("posts",))  # whose it is, only the list tells
    person = author.native_id if author else None
    message = _versioned(
        raw,
        value,
        at,
        native_id=native_id,
        kind=Kind.MENTION,
        author=author,
        direction=Direction.OUTBOUND if person == of else Direction.INBOUND,
        root=native_id,
        person=None if person == of else person,
        url=name(mapping(value.get("post")).get("permalink_url")),
    )
    return Told((message,)) if message else Told(wake=("posts",))


def _comment(raw: dict[str, Any], value: dict[str, Any], of: str, at: datetime | None) -> Told:
    given, post_id = native(value.get("comment_id")), native(value.get("post_id"))
    if given is None or post_id is None:
        return Told(wake=("comments",))
    if raw.get("field") == "ratings":  # lists name a review's story without its owner
        post_id = post_id.rpartition("_")[2]
    author = _author(value)
    writer = author.native_id if author else None
    parent = native(value.get("parent_id"))
    top = parent is None or parent.rpartition("_")[2] == post_id.rpartition("_")[2]
    native_id = comment_id(given, post_id)
    message = _versioned(
        raw,
        value,
        at,
        native_id=native_id,
        kind=Kind.COMMENT,
        author=author,
        direction=Direction.OUTBOUND if writer == of else Direction.INBOUND,
        root=post_id,
        person=None if writer == of else writer,
        reply_to=post_id if top or parent is None else comment_id(parent, post_id),
        url=_comment_url(value, native_id),
    )
    return Told((message,)) if message else Told(wake=("comments",))


def _comment_url(value: dict[str, Any], native_id: str) -> str | None:
    post = name(mapping(value.get("post")).get("permalink_url"))
    if post is None:
        return None
    return f"{post}{'&' if '?' in post else '?'}comment_id={native_id.rpartition('_')[2]}"


def _review(raw: dict[str, Any], value: dict[str, Any], at: datetime | None) -> Told:
    story = native(value.get("open_graph_story_id"))
    if story is None:
        return Told(wake=("reviews",))
    author = _author(value, "reviewer_id", "reviewer_name")
    stars, said = value.get("rating"), name(value.get("recommendation_type"))
    counted = isinstance(stars, int | float | str) and not isinstance(stars, bool)
    rating = name(str(stars)) if counted else said
    native_id = review_id({"open_graph_story": {"id": story}})
    said_now = {"message": value["review_text"]} if "review_text" in value else {}
    message = _versioned(
        raw,
        {**value, **said_now},
        at,
        native_id=native_id,
        kind=Kind.REVIEW,
        author=author,
        direction=Direction.INBOUND,
        root=native_id,
        person=author.native_id if author else None,
        attachments=(Attachment("rating", title=rating),) if rating else (),
    )
    return Told((message,)) if message else Told(wake=("reviews",))


def _mention(value: dict[str, Any], at: datetime | None) -> Told:
    """Without an author, in most cases: it is asked for by its id."""
    post_id, comment = native(value.get("post_id")), native(value.get("comment_id"))
    if value.get("verb") not in _ADDED | _EDITED or post_id is None:
        return Told(wake=("posts",))
    when = parse_time(value.get("created_time")) or at
    one = {
        "id": comment or post_id,
        "root": post_id,
        "kind": "comment" if comment else "post",
        "text": name(value.get("message")),
        "at": when.isoformat() if when else None,
    }
    return Told(wake=("posts",), wanted=(one,))


def _instagram_comment(
    raw: dict[str, Any], value: dict[str, Any], of: str, at: datetime | None
) -> Told:
    native_id = native(value.get("id"))
    if native_id is None:
        return Told()
    author = _author(value)
    writer = author.native_id if author else None
    media = native(mapping(value.get("media")).get("id"))
    message = _versioned(
        raw,
        {**value, "message": value.get("text"), "verb": "add"},
        at,
        platform="instagram",
        native_id=native_id,
        kind=Kind.COMMENT,
        author=author,
        direction=Direction.OUTBOUND if writer == of else Direction.INBOUND,
        root=media,
        person=None if writer == of else writer,
        reply_to=native(value.get("parent_id")) or media,
    )
    return Told((message,) if message else ())


def _versioned(
    raw: dict[str, Any],
    value: dict[str, Any],
    at: datetime | None,
    *,
    platform: str = "facebook",
    author: Author | None,
    attachments: tuple[Attachment, ...] = (),
    **told: Any,
) -> Message | None:
    """The message as this verb leaves it; None for a verb that says nothing of it."""
    verb = value.get("verb")
    event_at = parse_time(value.get("created_time")) or at
    marks: list[str] = []
    if author is None or author.native_id is None:
        marks.append("author.missing")
    text, sent_at = words(value.get("message"), marks), event_at
    edited_at = deleted_at = restored_at = None
    if verb in _REMOVED or verb == "hide":
        text, attachments, sent_at = None, (), None
        deleted_at = event_at or at
        if deleted_at is None:
            return None
        if verb == "hide":
            marks.append("hidden")
    elif verb in _EDITED and "message" not in value and not _attachments(value):
        return None  # that it was edited, not to what
    elif verb in _EDITED:
        edited_at = event_at
        marks.append("time.edit")  # when it was written is not told
    elif verb == "unhide":
        restored_at = event_at
        marks.append("time.edit")
    elif verb not in _ADDED:
        return None
    if sent_at is None and deleted_at is None:
        marks.append("time.missing")
    return Message(
        platform=platform,
        author=author,
        text=text,
        sent_at=sent_at,
        edited_at=edited_at,
        deleted_at=deleted_at,
        restored_at=restored_at,
        attachments=attachments or (_attachments(value) if deleted_at is None else ()),
        raw=raw_json(raw),
        marks=tuple(marks),
        **told,
    )


def _attachments(value: dict[str, Any]) -> tuple[Attachment, ...]:
    found = []
    for key, kind in (("photo", "image"), ("video", "video")):
        if url := name(value.get(key)):
            found.append(Attachment(kind, url=url))
    photos = value.get("photos")
    for url in photos if isinstance(photos, list) else ():
        if named := name(url):
            found.append(Attachment("image", url=named))
    link = name(value.get("link"))
    if link and not found:
        kind = {"photo": "image", "video": "video"}.get(str(value.get("item")), "link")
        media = native(value.get("photo_id")) or native(value.get("video_id"))
        found.append(Attachment(kind, url=link, media_id=media))
    event = native(value.get("event_id"))
    story = name(value.get("story"))
    if not found and (event or (story and not value.get("message"))):
        found.append(Attachment("card", title=story or "event", media_id=event))
    return tuple(found)


def _author(
    value: dict[str, Any], id_key: str = "sender_id", name_key: str = "sender_name"
) -> Author | None:
    told = mapping(value.get("from"))
    native_id = (
        native(told.get("id")) or native(value.get(id_key)) or native(value.get("sender_id"))
    )
    called = name(told.get("name")) or name(value.get(name_key)) or name(value.get("sender_name"))
    if native_id is None and called is None and not told.get("username"):
        return None
    return Author(native_id=native_id, name=called, handle=name(told.get("username")))
