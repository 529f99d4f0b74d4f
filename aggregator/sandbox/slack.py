"""The stand-in of Slack's Web API, as far as a bot that posts into channels uses it.

Its contract is https://docs.slack.dev/reference/methods: nearly every failure is a 200 with `ok: false` and a word;
only the rate limit is a 429.
"""

from __future__ import annotations

import base64
import json
import math
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aggregator.sandbox.base import Answer, Request, Standin, answer
from aggregator.sandbox.slack_args import (
    Blocks,
    NotOk,
    arguments,
    bound,
    content,
    cursor_of,
    limit_of,
    no,
    true,
)

ROOMS = {
    "C0SOCIAL": None,
    "C0LEADS": None,
    "C_ARCHIVED": "is_archived",
    "C_NOT_IN": "not_in_channel",
    "C_RESTRICTED": "restricted_action",
}
SCOPES = {
    "chat.postMessage": "chat:write",
    "chat.update": "chat:write",
    "conversations.history": "channels:history",
    "conversations.replies": "channels:history",
}
TEAM, BOT_USER, BOT, APP = "T0LUMO", "U0INBOXD", "B0INBOXD", "A0INBOXD"
URL = "https://lumo-sandbox.slack.com/"


@dataclass(slots=True)
class Post:
    """One accepted message. `edits`: the earlier texts and blocks, oldest first."""

    channel: str
    ts: str
    text: str
    blocks: Blocks
    metadata: dict[str, Any] | None
    thread_ts: str | None
    broadcast: bool = False
    edits: list[tuple[str, Blocks]] = field(default_factory=list)
    edited_ts: str | None = None
    deleted: bool = False


class SlackStandin(Standin):
    """A workspace with our bot in it. `posts` is the ledger of all that was accepted, in order.

    `on_post` is called after each accepted post and update, in their order and under the stand-in's lock: be
    quick. Knobs: `rooms` (id → None, or the error that its posts get), `token_error` (what a right token is
    answered with), `scopes`, `limits` (method → calls a second and burst; chat.postMessage counts per channel),
    `retry_after` (what the 429 says instead of the truth; an empty text: no header), `ok_false(...)`.
    `tick` is a monotonic clock in seconds.
    """

    name = "slack"

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        rooms: Mapping[str, str | None] = ROOMS,
        per_second: float = 5.0,
        burst: float = 20.0,
        on_post: Callable[[Post], None] | None = None,
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(now)
        self.token = f"xoxb-sandbox-{secrets.token_urlsafe(18)}"
        self.rooms = dict(rooms)
        self.token_error: str | None = None
        self.scopes = set(SCOPES.values())
        self.limits = {
            "chat.postMessage": (per_second, burst),
            "chat.update": (2 * per_second, 2 * burst),
            "conversations.history": (per_second, 2 * burst),
            "conversations.replies": (per_second, 2 * burst),
        }
        self.retry_after: str | None = None
        self.on_post = on_post
        self.posts: list[Post] = []
        self._tick = tick
        self._buckets: dict[str, tuple[float, float]] = {}
        self._last_us: dict[str, int] = {}
        self._methods: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post_message,
            "chat.update": self._update,
            "chat.getPermalink": self._permalink,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
        }
        for verb in ("GET", "POST"):
            self.route(verb, r"/api/([A-Za-z.]+)", self._call)

    def options(self, room: str) -> dict[str, str]:
        """The destination's options for a room, which is there from now on."""
        with self.lock:
            self.rooms.setdefault(room, None)
        return {"token": self.token, "room": room, "base_url": f"{self.base_url}/api/"}

    def ok_false(self, error: str, *, method: str = "", times: int = 1, after: int = 0) -> None:
        """The next calls of that method are refused with that word, and nothing is done."""
        body = json.dumps({"ok": False, "error": error}).encode()
        path = f"/api/{method}"
        self.fault("status", status=200, body=body, path=path, times=times, after=after)

    # --- the wire -----------------------------------------------------------------------------------

    def headers(self, request: Request, given: Answer) -> Mapping[str, str]:
        return {
            "x-slack-req-id": secrets.token_hex(16),
            "x-oauth-scopes": ",".join(sorted(self.scopes)),
        }

    def not_found(self, request: Request) -> Answer:
        return Answer(b"<html><body>Not found</body></html>", 404, {}, "text/html; charset=utf-8")

    def _call(self, request: Request, match: re.Match[str]) -> Answer:
        """1. Is there such a method? 2. Whose token? 3. The arguments. 4. The rate. 5. Do it."""
        name = match.group(1)
        method = self._methods.get(name)
        if method is None:
            return no("unknown_method", req_method=name)
        try:
            given = arguments(request)
            self._admit(request, name, given)
            return method(given)
        except NotOk as refused:
            return refused.given

    def _admit(self, request: Request, name: str, given: Mapping[str, Any]) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token if scheme.lower() == "bearer" else str(given.get("token") or "")
        if not token:
            raise NotOk("not_authed")
        if token != self.token:
            raise NotOk("invalid_auth")
        if self.token_error:
            raise NotOk(self.token_error)
        needed = SCOPES.get(name)
        if needed and needed not in self.scopes:
            raise NotOk("missing_scope", needed=needed, provided=",".join(sorted(self.scopes)))
        key = f"{name}:{given.get('channel')}" if name == "chat.postMessage" else name
        if name in self.limits and (wait := self._wait_s(key, *self.limits[name])) > 0:
            told = str(math.ceil(wait)) if self.retry_after is None else self.retry_after
            headers = {"Retry-After": told} if told else {}
            body = json.dumps({"ok": False, "error": "ratelimited"}).encode()
            raise NotOk("ratelimited", instead=Answer(body, 429, headers))

    def _wait_s(self, key: str, rate: float, burst: float) -> float:
        """Seconds until there is a token in the bucket; 0 takes one."""
        tick = self._tick()
        left, at = self._buckets.get(key, (burst, tick))
        left = min(burst, left + (tick - at) * rate)
        if left < 1:
            self._buckets[key] = (left, tick)
            return (1 - left) / rate
        self._buckets[key] = (left - 1, tick)
        return 0.0

    # --- the methods --------------------------------------------------------------------------------

    def _auth_test(self, given: dict[str, Any]) -> Answer:
        who = {"team": "Lumo sandbox", "user": "inboxd", "team_id": TEAM, "user_id": BOT_USER}
        return answer(
            {"ok": True, "url": URL, **who, "bot_id": BOT, "is_enterprise_install": False}
        )

    def _post_message(self, given: dict[str, Any]) -> Answer:
        channel = self._room(given)
        text, blocks, metadata = content(given)
        thread = given.get("thread_ts")
        if thread is not None:
            root = self.find(channel, str(thread))
            if root is None or root.thread_ts is not None:
                raise NotOk("thread_not_found")
        post = Post(
            channel,
            self._ts(channel),
            text,
            blocks or [],
            metadata,
            None if thread is None else str(thread),
            true(given.get("reply_broadcast")),
        )
        self.posts.append(post)
        self._tell(post)
        return answer(
            {"ok": True, "channel": channel, "ts": post.ts, "message": self._json(post, True)}
        )

    def _update(self, given: dict[str, Any]) -> Answer:
        channel = self._room(given)
        post = self.find(channel, str(given.get("ts", "")))
        if post is None:
            raise NotOk("message_not_found")
        text, blocks, metadata = content(given)
        post.edits.append((post.text, post.blocks))
        post.text = text
        post.blocks = post.blocks if blocks is None else blocks
        post.metadata = post.metadata if metadata is None else metadata
        post.edited_ts = self._ts(channel)
        self._tell(post)
        told = {"ok": True, "channel": channel, "ts": post.ts, "text": text}
        return answer({**told, "message": self._json(post, True)})

    def _permalink(self, given: dict[str, Any]) -> Answer:
        channel = self._room(given, posting=False)
        post = self.find(channel, str(given.get("message_ts", "")))
        if post is None:
            raise NotOk("message_not_found")
        link = f"{URL}archives/{channel}/p{post.ts.replace('.', '')}"
        if post.thread_ts:
            link += f"?thread_ts={post.thread_ts}&cid={channel}"
        return answer({"ok": True, "channel": channel, "permalink": link})

    def _history(self, given: dict[str, Any]) -> Answer:
        channel = self._room(given, posting=False)
        shown = [
            post
            for post in reversed(self.posts)
            if post.channel == channel
            and not post.deleted
            and (post.thread_ts is None or post.broadcast)
        ]
        return self._listing(given, shown, newest_first=True)

    def _replies(self, given: dict[str, Any]) -> Answer:
        channel = self._room(given, posting=False)
        asked = self.find(channel, str(given.get("ts", "")))
        if asked is None:
            raise NotOk("thread_not_found")
        root = asked.thread_ts or asked.ts
        shown = [
            post
            for post in self.posts
            if post.channel == channel and not post.deleted and root in (post.ts, post.thread_ts)
        ]
        return self._listing(given, shown, newest_first=False, always=root)

    def _listing(
        self,
        given: dict[str, Any],
        posts: Iterable[Post],
        *,
        newest_first: bool,
        always: str | None = None,
    ) -> Answer:
        """A page between oldest and latest; `always`: the ts of a thread's root, which is told on its first page."""
        oldest, latest = bound(given, "oldest", "0"), bound(given, "latest", "9")
        inclusive = true(given.get("inclusive"))
        found = [
            post
            for post in posts
            if post.ts == always
            or oldest < post.ts < latest
            or (inclusive and post.ts in (oldest, latest))
        ]
        if after := cursor_of(given):
            found = [p for p in found if (p.ts < after if newest_first else p.ts > after)]
        limit = limit_of(given)
        page, more = found[:limit], len(found) > limit
        whole = true(given.get("include_all_metadata"))
        told: dict[str, Any] = {
            "ok": True,
            "messages": [self._json(post, whole) for post in page],
            "has_more": more,
        }
        if more:
            cursor = base64.b64encode(f"next_ts:{page[-1].ts}".encode()).decode()
            told["response_metadata"] = {"next_cursor": cursor}
        return answer(told)

    # --- what is there ------------------------------------------------------------------------------

    def find(self, channel: str, ts: str) -> Post | None:
        with self.lock:
            there = (post for post in self.posts if post.ts == ts and post.channel == channel)
            return next((post for post in there if not post.deleted), None)

    def delete(self, channel: str, ts: str) -> None:
        """Somebody deletes a message; it stays in the ledger."""
        with self.lock:
            post = self.find(channel, ts)
            assert post is not None, "no such message"
            post.deleted = True

    def _room(self, given: Mapping[str, Any], *, posting: bool = True) -> str:
        channel = str(given.get("channel") or "")
        if not channel:
            raise NotOk("invalid_arguments")
        if channel not in self.rooms:
            raise NotOk("channel_not_found")
        error = self.rooms[channel]
        if error and (posting or error == "not_in_channel"):
            raise NotOk(error)
        return channel

    def _ts(self, channel: str) -> str:
        """The clock's time in microseconds, made unique in the channel."""
        us = int(self.now().timestamp() * 1_000_000)
        us = max(us, self._last_us.get(channel, 0) + 1)
        self._last_us[channel] = us
        return f"{us // 1_000_000:010d}.{us % 1_000_000:06d}"

    def _tell(self, post: Post) -> None:
        if self.on_post is not None:
            self.on_post(post)

    def _json(self, post: Post, with_metadata: bool) -> dict[str, Any]:
        told: dict[str, Any] = {
            "type": "message",
            "user": BOT_USER,
            "bot_id": BOT,
            "app_id": APP,
            "team": TEAM,
            "ts": post.ts,
            "text": post.text,
        }
        if post.blocks:
            told["blocks"] = [
                {"block_id": f"b{index}", **block} for index, block in enumerate(post.blocks)
            ]
        if post.thread_ts:
            told |= {"thread_ts": post.thread_ts, "parent_user_id": BOT_USER}
        elif replies := sum(
            1 for one in self.posts if one.thread_ts == post.ts and one.channel == post.channel
        ):
            told |= {"thread_ts": post.ts, "reply_count": replies}
        if post.edited_ts:
            told["edited"] = {"user": BOT_USER, "ts": post.edited_ts}
        if post.metadata and with_metadata:
            told["metadata"] = post.metadata
        return told
