"""The activity stream on the stand-in of X: who subscribed to what, and a connection that tells it.

A subscription is made with a user's token, the list of them and the stream itself take the app's only.
"""

from __future__ import annotations

import json
import queue
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Protocol

from aggregator.sandbox.wire import Answer, Request, answer
from aggregator.sandbox.x_auth import Refused, invalid, problem
from aggregator.sandbox.x_objects import Event, Post, User, time_json

MOST = 2  # connections
TYPES = (
    *(
        "post.create",
        "post.delete",
        "post.mention.create",
        "post.reply.create",
        "post.quote.create",
    ),
    *("dm.received", "dm.sent", "chat.received", "oauth.revoke"),
)


class Place(Protocol):
    now: Callable[[], datetime]
    brand: User
    billed: set[tuple[str, str, int]]


class Activity:
    """`heartbeat_s`: real seconds between empty lines. `subscribed`: (event type, user id) each."""

    def __init__(self, place: Place) -> None:
        self.heartbeat_s = 0.05
        self.subscribed: list[tuple[str, str]] = []
        self._place = place
        self._open: list[queue.Queue[bytes | None]] = []
        self._number = 0

    def subscriptions(self, request: Request, match: re.Match[str]) -> Answer:
        now = time_json(self._place.now())
        data = [
            {
                "subscription_id": str(number),
                "event_type": kind,
                "filter": {"user_id": user},
                "created_at": now,
                "updated_at": now,
            }
            for number, (kind, user) in enumerate(self.subscribed, 1)
        ]
        told: dict[str, Any] = {"meta": {"result_count": len(data)}}
        return answer({"data": data, **told} if data else told)

    def subscribe(self, request: Request, match: re.Match[str]) -> Answer:
        try:
            given = request.json()
            wanted = (given["event_type"], given["filter"]["user_id"])
        except (ValueError, KeyError, TypeError):
            raise invalid("event_type and filter are needed") from None
        if wanted[0] not in TYPES or set(given) - {"event_type", "filter", "tag", "webhook_id"}:
            raise invalid("that is no event type", event_type=str(wanted[0]))
        if wanted in self.subscribed:
            raise Refused(problem(409, "Conflict", "DuplicateSubscription"))
        self.subscribed.append(wanted)
        return answer({"data": {"subscription": {"event_type": wanted[0]}}})

    def stream(self, request: Request, match: re.Match[str]) -> Answer:
        if len(self._open) >= MOST:
            detail = "This stream is at its maximum number of connections."
            raise Refused(problem(429, "ConnectionException", detail, "streaming-connection"))
        waiting: queue.Queue[bytes | None] = queue.Queue()
        return Answer(stream=lambda: self._pieces(waiting))

    @property
    def connected(self) -> int:
        return len(self._open)

    def hang_up(self) -> None:
        """Every connection ends, as X ends them now and then."""
        for waiting in list(self._open):
            waiting.put(None)

    def posted(self, post: Post, *, names_us: bool) -> None:
        if post.author.id == self._place.brand.id:
            self._tell("post.create", {"id": str(post.id)}, "post", post.id)
        elif names_us:
            self._tell("post.mention.create", {"id": str(post.id)}, "post", post.id)

    def messaged(self, event: Event) -> None:
        """In the shape of v1.1, and without the id of the conversation."""
        ours = event.sender.id == self._place.brand.id
        made = {"id": str(event.id), "type": "message_create"}
        payload = {"direct_message_events": [made]}
        self._tell("dm.sent" if ours else "dm.received", payload, "dm_event", event.id)

    def _tell(self, kind: str, payload: dict[str, Any], price: str, id_: int) -> None:
        user = str(self._place.brand.id)
        if (kind, user) not in self.subscribed or not self._open:
            return
        self._number += 1
        if kind != "dm.sent":
            self._place.billed.add((self._place.now().date().isoformat(), f"activity.{price}", id_))
        data = {
            "event_uuid": str(-self._number),  # a signed number, on X too
            "filter": {"user_id": user},
            "event_type": kind,
            "payload": payload,
        }
        for waiting in self._open:
            waiting.put(json.dumps({"data": data}, ensure_ascii=False).encode() + b"\r\n")

    def _pieces(self, waiting: queue.Queue[bytes | None]) -> Iterator[bytes]:
        self._open.append(waiting)
        try:
            while True:
                try:
                    piece = waiting.get(timeout=self.heartbeat_s)
                except queue.Empty:
                    piece = b"\r\n"
                if piece is None:
                    return
                yield piece
        finally:
            self._open.remove(waiting)
