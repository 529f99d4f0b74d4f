"""One pushed item as a message, or what is wrong with it. docs/push.md has the shape."""

from __future__ import annotations

from typing import Any

from aggregator.model import Attachment, Author, Direction, Kind, Message
from connectors.push.reading import Problem, Reading

FIELDS = (
    *("native_id", "kind", "direction", "author", "text", "sent_at", "url", "reply_to", "root"),
    *("person", "lang", "edited_at", "deleted_at", "attachments"),
)
AUTHOR = ("native_id", "name", "handle", "followers", "verified")
ATTACHMENT = ("kind", "url", "title", "media_id")
ATTACHMENTS = (
    *("image", "video", "voice", "file", "location", "link", "sticker", "card", "rating"),
    "unknown",
)
MAX_TEXT = 100_000  # longer than any platform's longest post; refused, since half a text misleads
MAX_NAME = 200
MAX_TITLE = 1000
MAX_ATTACHMENTS = 50


def message(told: Any, *, platform: str, raw: bytes) -> Message | tuple[Problem, ...]:
    """Never raises, whatever JSON holds. `raw` is kept with the message."""
    if not isinstance(told, dict):
        return (Problem(None, "is no object", "send each message as an object"),)
    problems: list[Problem] = []
    marks: list[str] = []
    given = Reading(told, FIELDS, problems, marks)
    native_id = given.id("native_id")
    if told.get("native_id") is None:
        given.wrong("native_id", "is missing", "send the id that the source gives the message")
    kind = given.word("kind", tuple(Kind))
    direction = given.word("direction", tuple(Direction), Direction.INBOUND)
    author = _author(given, problems, marks)
    sent_at = given.time("sent_at")
    root, person, reply_to = given.id("root"), given.id("person"), given.id("reply_to")
    text, lang, url = given.text("text", MAX_TEXT), given.text("lang", 35), given.url("url")
    edited_at, deleted_at = given.time("edited_at"), given.time("deleted_at")
    attachments = _attachments(given, problems, marks)
    if problems or native_id is None or kind is None or direction is None:
        return tuple(problems)

    ours = direction == Direction.OUTBOUND
    direct = kind == Kind.DIRECT_MESSAGE
    if not ours and person is None and author is not None:
        person = author.native_id
    if direct:
        root = None
    elif ours:
        root = None if root == native_id else root  # it is an answer, whatever else it begins
    else:
        root = root or native_id
    if deleted_at is None:  # that alone needs no more than an id
        if direct and person is None and not (ours and reply_to):
            given.wrong("person", "is missing", _WHOSE[ours])
        elif ours and not direct and root is None and reply_to is None:
            given.wrong("reply_to", "is missing", _ANSWERS)
    if problems:
        return tuple(problems)
    if author is None:
        marks.append("author.missing")
        author = Author(native_id=platform) if ours else None  # as check() names the account
    if sent_at is None:
        marks.append("time.missing")
    return Message(
        native_id=native_id,
        platform=platform,
        kind=Kind(kind),
        direction=Direction(direction),
        author=author,
        text=text,
        sent_at=sent_at,
        root=root,
        person=person,
        reply_to=reply_to,
        lang=lang,
        url=url,
        edited_at=edited_at,
        deleted_at=deleted_at,
        attachments=attachments,
        raw=raw,
        marks=tuple(marks),
    )


_WHOSE = (
    "send the customer's id in person, or in author.native_id",
    "send the customer's id in person, or the message that it answers in reply_to",
)
_ANSWERS = (
    "send the message that it answers in reply_to, or its post in root; "
    "a post of your own that answers nothing is left out"
)


def _author(given: Reading, problems: list[Problem], marks: list[str]) -> Author | None:
    told = given.get("author")
    if told is None:
        return None
    if not isinstance(told, dict):
        given.wrong("author", "is no object", 'send {"native_id": "…", "name": "…"}')
        return None
    reading = Reading(told, AUTHOR, problems, marks, "author.")
    found = Author(
        native_id=reading.id("native_id"),
        name=reading.text("name", MAX_NAME),
        handle=reading.text("handle", MAX_NAME),
        followers=reading.count("followers"),
        verified=reading.flag("verified"),
    )
    return None if found == Author() else found


def _attachments(
    given: Reading, problems: list[Problem], marks: list[str]
) -> tuple[Attachment, ...]:
    told = given.get("attachments")
    if told is None:
        return ()
    if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
        given.wrong("attachments", "is no list of objects", 'send [{"kind": "image", "url": "…"}]')
        return ()
    if len(told) > MAX_ATTACHMENTS:
        given.wrong("attachments", f"has more than {MAX_ATTACHMENTS}", "send fewer")
        return ()
    found = []
    for number, one in enumerate(told):
        if one.get("kind") == "rating" and type(one.get("title")) in (int, float):
            one = {**one, "title": str(one["title"])}  # noqa: PLW2901  stars are often a number
        reading = Reading(one, ATTACHMENT, problems, marks, f"attachments.{number}.")
        found.append(
            Attachment(
                kind=reading.word("kind", ATTACHMENTS) or "unknown",
                url=reading.url("url"),
                title=reading.text("title", MAX_TITLE),
                media_id=reading.id("media_id"),
            )
        )
    return tuple(found)
