"""Answering on the platform: a comment under what was said in public, a message where it came as one.

https://developers.facebook.com/docs/graph-api/reference/object/comments: answers go to `/{id}/comments`; a POST to
`/{comment-id}` itself would edit the comment. A write that was refused may have been done all the same, so nothing
here is tried twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from aggregator.errors import Rejected, Unavailable
from aggregator.model import Author, Direction, Kind, Message
from connectors.base import ReplyLimit
from connectors.facebook.graph import PageGraph
from connectors.facebook.refusals import Failed, Forbidden, Missing
from connectors.facebook.shapes import (
    comment_id,
    comment_message,
    direct_message,
    remark_message,
)
from connectors.facebook.usage import INSTAGRAM
from connectors.fields import raw_json
from connectors.payload import items, mapping, native

COMMENT = ReplyLimit(8000, len)
INSTAGRAM_COMMENT = ReplyLimit(2200, len)
LETTER = ReplyLimit(2000, len)
INSTAGRAM_LETTER = ReplyLimit(1000, lambda text: len(text.encode("utf-8", "replace")))
HUMAN_AGENT = timedelta(days=7)
SKEW = timedelta(minutes=2)  # between our clock and theirs, and to the second
_LOOKED_AT = 25
_COMMENT_FIELDS = "id,from,message,created_time,parent{id,from},permalink_url"
_LETTER_FIELDS = "id,created_time,from,to,message"
_DONE_ALL_THE_SAME = (20, 1772107)  # the comment is there, only the answer's format was refused
_NEVER = {
    551: "this person cannot be written to at the moment",
    (100, 2018001): "nobody of that id can be written to by this Page",
    (10, 2018278): "the window is closed: more than 24 hours since the customer's last message",
    (10, 1893063): "Facebook does not let this Page send messages for now",
    368: "Facebook has blocked this Page for a policy: see its Page quality tab",
}


class Answers:
    """`who` is the Page itself, `human_agent` whether the app may answer for seven days."""

    def __init__(
        self, graph: PageGraph, *, page_id: str, instagram_id: str | None, human_agent: bool
    ) -> None:
        self._graph = graph
        self._page_id = page_id
        self._instagram_id = instagram_id
        self._human_agent = human_agent

    def limit(self, to: Message) -> ReplyLimit:
        """Raises Rejected where there is nobody, or nothing, to answer to."""
        if "id.missing" in to.marks or "unreadable" in to.marks:
            raise Rejected("Facebook gave this no id that could be answered")
        instagram = to.platform == "instagram"
        if to.kind is Kind.DIRECT_MESSAGE:
            if to.person is None:
                raise Rejected("Facebook did not tell who wrote this")
            return INSTAGRAM_LETTER if instagram else LETTER
        if to.kind is Kind.REVIEW and not to.native_id.isdigit():
            raise Rejected("this review has no story that comments could stand under")
        if instagram and to.kind is Kind.MENTION:
            raise Rejected("Instagram has no answer to a mention but its own app")
        return INSTAGRAM_COMMENT if instagram else COMMENT

    def send(self, to: Message, text: str, key: str, *, now: datetime) -> Message:
        limit = self.limit(to)
        length = limit.count(text)
        if not text.strip():
            raise Rejected("an answer needs words")
        if length > limit.longest:
            raise Rejected(f"too long: {length} of {limit.longest}")
        try:
            if to.kind is Kind.DIRECT_MESSAGE:
                return self._letter(to, text, key, now)
            return self._comment(to, text)
        except Failed as error:
            if (error.code, error.subcode) == _DONE_ALL_THE_SAME:
                return self._look(to, text, now, error)
            _refuse(error.code, error.subcode, error)
            if isinstance(error, Missing):
                raise Rejected(f"it is gone, or closed to answers: {error.reason}") from error
            raise
        except Forbidden as error:
            _refuse(error.code, error.subcode, error)
            raise Rejected(f"not allowed: {error.reason}; {_remedy(to)}") from error

    def _look(self, to: Message, text: str, now: datetime, error: Failed) -> Message:
        try:
            found = self.find(to, text, now - SKEW)
        except Unavailable:
            found = None
        if found is None:
            raise Unavailable(error.reason, maybe_done=True) from error
        return found

    def _comment(self, to: Message, text: str) -> Message:
        edge = "replies" if to.platform == "instagram" and to.kind is Kind.COMMENT else "comments"
        told = self._graph.write(to.native_id, edge, {"message": text})
        native_id = native(told.get("id"))
        if native_id is None:
            raise Unavailable("Facebook took the answer and gave no id", maybe_done=True)
        root = to.root or to.native_id
        return Message(
            native_id=native_id if to.platform == "instagram" else comment_id(native_id, root),
            platform=to.platform,
            kind=Kind.COMMENT,
            direction=Direction.OUTBOUND,
            author=Author(native_id=self._us(to)),
            text=text,
            sent_at=self._graph.at,
            root=root,
            person=to.person,
            reply_to=to.native_id,
            raw=raw_json(told),
        )

    def _letter(self, to: Message, text: str, key: str, now: datetime) -> Message:
        sent = to.sent_at or now
        closes = to.reply_window.closes_at if to.reply_window else None
        late = closes is not None and now >= closes
        if late and not (self._human_agent and now < sent + HUMAN_AGENT):
            raise Rejected(f"the window closed at {closes:%Y-%m-%d %H:%M} UTC")
        args: dict[str, Any] = {
            "recipient": json.dumps({"id": to.person}),
            "message": json.dumps({"text": text, "metadata": key}),
            "messaging_type": "MESSAGE_TAG" if late else "RESPONSE",
        }
        if late:
            args["tag"] = "HUMAN_AGENT"
        told = self._graph.write(self._page_id, "messages", args)
        native_id = native(told.get("message_id"))
        if native_id is None:
            raise Unavailable("Facebook took the answer and gave no id", maybe_done=True)
        return Message(
            native_id=native_id.removeprefix("m_"),
            platform=to.platform,
            kind=Kind.DIRECT_MESSAGE,
            direction=Direction.OUTBOUND,
            author=Author(native_id=self._us(to)),
            text=text,
            sent_at=self._graph.at,
            person=to.person,
            raw=raw_json(told),
        )

    # --- did it arrive? -------------------------------------------------------------------------

    def find(self, to: Message, text: str, since: datetime) -> Message | None:
        """Our newest answer of these words, if it is there. Raises as a poll does."""
        direct = to.kind is Kind.DIRECT_MESSAGE
        found = self._letters(to) if direct else self._comments(to)
        wanted = _plain(text)
        for message in found:
            late_enough = message.sent_at is not None and message.sent_at >= since - SKEW
            ours = message.direction is Direction.OUTBOUND
            if ours and late_enough and _plain(message.text or "") == wanted:
                return message
        return None

    def _remarks(self, to: Message) -> Iterator[Message]:
        """Under a media, or beside what answers the same comment: Instagram has two levels."""
        top = to.kind is not Kind.COMMENT
        over = to.native_id if top or to.reply_to in (None, to.root) else to.reply_to or ""
        listed = self._graph.edge(
            over,
            "comments" if top else "replies",
            None,
            fields="id,text,timestamp,username,from,parent_id",
            limit=50,
            case=INSTAGRAM,
        )
        for raw in reversed(listed.data) if not top else listed.data:
            yield remark_message(
                raw, us=self._us(to), media_id=to.root or over, url=None, over={"id": over}
            )

    def _comments(self, to: Message) -> Iterator[Message]:
        if to.platform == "instagram":
            yield from self._remarks(to)
            return
        listed = self._graph.edge(
            to.native_id,
            "comments",
            None,
            fields=_COMMENT_FIELDS,
            order="reverse_chronological",
            limit=_LOOKED_AT,
        )
        for raw in listed.data:
            yield comment_message(
                raw, page_id=self._page_id, post_id=to.root or to.native_id, post_author=to.person
            )

    def _letters(self, to: Message) -> Iterator[Message]:
        more = {"platform": "instagram"} if to.platform == "instagram" else {}
        listed = self._graph.edge(
            self._page_id,
            "conversations",
            None,
            fields=f"id,link,messages.limit(20){{{_LETTER_FIELDS}}}",
            user_id=to.person,
            limit=1,
            **more,
        )
        for thread in listed.data:
            for raw in map(mapping, items(mapping(thread.get("messages")).get("data"))):
                yield direct_message(
                    raw,
                    page_id=self._us(to),
                    person=to.person,
                    link=None,
                    platform=to.platform,
                )

    def _us(self, to: Message) -> str:
        return self._instagram_id or "" if to.platform == "instagram" else self._page_id


def _refuse(code: int, subcode: int, error: Exception) -> None:
    why = _NEVER.get((code, subcode)) or _NEVER.get(code)
    if why is not None:
        raise Rejected(why) from error


def _remedy(to: Message) -> str:
    wanted = "pages_messaging" if to.kind is Kind.DIRECT_MESSAGE else "pages_manage_engagement"
    return f"grant {wanted} to the app and make a new Page access token"


def _plain(text: str) -> str:
    """Facebook trims, and folds what is blank."""
    return " ".join(text.split())
