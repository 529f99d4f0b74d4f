"""What the stand-in of X takes: posts that answer, and direct messages."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from aggregator.sandbox.wire import Answer, Request, answer
from aggregator.sandbox.x_auth import Refused, invalid, problem
from aggregator.sandbox.x_objects import POST_WEIGHT, Event, Post, User, escaped, weight

REMEMBERED = timedelta(hours=24)  # so long the same words are refused
LONGEST_MESSAGE = 10_000
NOT_SUMMONED = (
    "Reply to this conversation is not allowed because you have not been mentioned or otherwise"
    " engaged by the author of the post you are replying to."
)
DUPLICATE = "You are not allowed to create a Tweet with duplicate content."
GONE = "You attempted to reply to a Tweet that is deleted or not visible to you."
NO_MESSAGES = "You do not have permission to DM one or more participants."
FIELDS = frozenset({"text", "reply", "media", "quote_tweet_id", "reply_settings", "poll"})


class Place(Protocol):
    """What writing needs of the stand-in."""

    now: Callable[[], datetime]
    brand: User
    users: dict[int, User]
    posts: dict[int, Post]
    events: dict[int, Event]
    protected: set[int]
    billed: set[tuple[str, str, int]]
    summoned_only: bool
    closed: set[int]

    def post(
        self, author: User, text: str, at: datetime, *, reply_to: Post | None = None
    ) -> Post: ...

    def message(self, sender: User, other: User, text: str | None, at: datetime) -> Event: ...


class Writer:
    """The write endpoints. Called under the stand-in's lock."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def post(self, request: Request, match: re.Match[str]) -> Answer:
        given = _json(request)
        if unknown := set(given) - FIELDS:
            raise invalid(f"$.{min(unknown)}: is not defined in the schema")
        text = given.get("text")
        if not isinstance(text, str) or not text.strip():
            raise invalid("$.text: is missing but it is required")
        if weight(text) > POST_WEIGHT:
            raise invalid(f"Your Tweet text is too long: {weight(text)} of {POST_WEIGHT}")
        now = self._place.now()
        self._not_twice(text, now)
        parent = self._parent(given.get("reply"))
        post = self._place.post(self._place.brand, text, now, reply_to=parent)
        self._bill("post.create", post.id)
        told = {
            "id": str(post.id),
            "text": escaped(post.words.text),
            "edit_history_tweet_ids": [""],
        }
        return answer({"data": told}, 201)

    def message_with(self, request: Request, match: re.Match[str]) -> Answer:
        return self._message(request, int(match.group(1)))

    def message_in(self, request: Request, match: re.Match[str]) -> Answer:
        ours = self._place.brand.id
        pair = [int(one) for one in match.group(1).split("-")]
        others = [one for one in pair if one != ours]
        if len(pair) != 2 or len(others) != 1:
            raise Refused(problem(404, "Not Found Error", "Not found.", "resource-not-found"))
        return self._message(request, others[0])

    def _message(self, request: Request, other: int) -> Answer:
        text = _json(request).get("text")
        if not isinstance(text, str) or not 1 <= len(text) <= LONGEST_MESSAGE:
            raise invalid("$.text: must be 1 to 10000 characters")
        user = self._place.users.get(other)
        if user is None or other in self._place.closed:
            raise Refused(problem(403, "Forbidden", NO_MESSAGES))
        event = self._place.message(self._place.brand, user, text, self._place.now())
        self._bill("dm.create", event.id)
        told = {"dm_conversation_id": event.conversation, "dm_event_id": str(event.id)}
        location = (
            f'https://api.twitter.com/2/dm_events/"{event.id}"'  # with the quotes, as recorded
        )
        return answer({"data": told}, 201, {"location": location})

    def _not_twice(self, text: str, now: datetime) -> None:
        for post in self._place.posts.values():
            same = post.author.id == self._place.brand.id and _words(post.words.text) == _words(
                text
            )
            if same and not post.deleted and post.at > now - REMEMBERED:
                raise Refused(problem(403, "Forbidden", DUPLICATE))

    def _parent(self, reply: Any) -> Post | None:
        if reply is None:
            return None
        wanted = reply.get("in_reply_to_tweet_id") if isinstance(reply, dict) else None
        if not isinstance(wanted, str) or not re.fullmatch(r"[0-9]{1,19}", wanted):
            raise invalid("$.reply.in_reply_to_tweet_id: does not match the regex pattern")
        parent = self._place.posts.get(int(wanted))
        if parent is None or parent.deleted or parent.author.id in self._place.protected:
            raise Refused(problem(403, "Forbidden", GONE))
        handle = f"@{self._place.brand.handle.lower()}"
        summoned = parent.author.id == self._place.brand.id or handle in parent.words.text.lower()
        if self._place.summoned_only and not summoned:
            raise Refused(problem(403, "Forbidden", NOT_SUMMONED))
        return parent

    def _bill(self, kind: str, id_: int) -> None:
        day = self._place.now().astimezone(UTC).date().isoformat()
        self._place.billed.add((day, kind, id_))


def _json(request: Request) -> dict[str, Any]:
    try:
        given = request.json()
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise invalid("The body is no JSON object")
    return given


def _words(text: str) -> str:
    """Without the handles that a reply begins with, and with links all alike."""
    bare = re.sub(r"^(\s*@\w{1,15})+\s*", "", text)
    return re.sub(r"https?://\S+", "·", bare).strip()
