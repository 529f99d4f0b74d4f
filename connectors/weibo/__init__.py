"""Weibo: mentions, comments and our own comments by polling, direct messages of the fan service by callback.

Credentials: open.weibo.com, 我的应用: an app's token for the brand's account (`uid`), from its authorise
page; the App Secret, if direct messages are wanted (粉丝服务平台 - 高级功能 - 开发者模式, format JSON).
Pages: https://open.weibo.com/wiki/2/statuses/mentions and https://open.weibo.com/wiki/Messages_callback
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, SecretStr

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Accepted, Identity, Message, Page, Push
from connectors.base import Keep, Now, Options
from connectors.payload import integer, items, mapping, name, native
from connectors.weibo.api import Api, authorise
from connectors.weibo.direct import accepted, direct
from connectors.weibo.longtext import LongTexts
from connectors.weibo.messages import comment, status
from connectors.weibo.walk import Walk

# stream → (path, what the list is called, most that one page may hold)
_LISTS = {
    "mentions": ("statuses/mentions", "statuses", 200),
    "comments": ("comments/to_me", "comments", 50),
    "comment_mentions": ("comments/mentions", "comments", 50),
    "own_comments": ("comments/by_me", "comments", 50),
}
_DIRECT = "direct_messages"


class WeiboOptions(Options):
    uid: str = Field(pattern=r"^[1-9][0-9]{4,19}$")
    access_token: SecretStr
    app_secret: SecretStr | None = None
    tier: Literal["open", "commercial"] = "open"


class Weibo:
    """Every list is newest first; a walk goes down to where the last complete one began, less an overlap.

    A comment on our post that mentions us stands in two lists; kind and id are the same in both.
    """

    options = WeiboOptions

    def __init__(self, options: WeiboOptions, *, keep: Keep, now: Now) -> None:
        self._options = options
        self._now = now
        self._secret = options.app_secret.get_secret_value() if options.app_secret else None
        self._api = Api(
            options.access_token.get_secret_value(),
            commercial=options.tier == "commercial",
            base_url=options.base_url,
        )
        self._long = LongTexts(self._api)
        self.pushed: tuple[str, ...] = (_DIRECT,) if self._secret else ()
        self.streams: tuple[str, ...] = (*_LISTS, *self.pushed)

    def check(self) -> Identity:
        """Asks each list for one item: an app is often allowed some and not others."""
        uid = self._options.uid
        told = self._api.token_info()
        if native(told.get("uid")) not in (None, uid):
            raise Unauthorized(
                "the token belongs to another account than uid",
                remedy=f"set uid to {native(told.get('uid'))}, or {authorise(told.get('appkey'))}",
            )
        left = integer(told.get("expire_in"))
        streams = {stream: self._probe(stream) for stream in _LISTS}
        return Identity(
            native_id=uid,
            name=self._screen_name(),
            streams={**streams, **dict.fromkeys(self.pushed, "ok")},
            token_expires_at=self._now() + timedelta(seconds=left) if left > 0 else None,
            note=None if self._secret else "no app_secret: direct messages are not received",
        )

    def _probe(self, stream: str) -> str:
        try:
            self._list(stream, {"count": 1})
        except Rejected as error:
            return error.reason
        except RateLimited as error:
            return f"not asked: {error.reason}"
        return "ok"

    def _screen_name(self) -> str | None:
        try:
            found = mapping(self._api.get("users/show", {"uid": self._options.uid}))
        except (Rejected, Unavailable):
            return None
        return name(found.get("screen_name"))

    # --- lists ----------------------------------------------------------------------------------

    def poll(self, stream: str, cursor: str | None) -> Page:
        """One page of one list."""
        if stream not in _LISTS:
            return Page((), cursor)
        walk = Walk.resume(cursor, self._now())
        asked = {"since_id": walk.since, "count": _LISTS[stream][2]}
        if walk.below is not None:
            asked["max_id"] = walk.below
        found, next_cursor = self._list(stream, asked)
        ids = [
            integer(mapping(one).get("id")) or integer(mapping(one).get("idstr")) for one in found
        ]
        after = walk.after(ids, last=next_cursor == "0", now=self._now())
        messages = tuple(self._message(stream, one) for one in found if one is not None)
        return Page(messages, after.told(), more=after.going)

    def _list(self, stream: str, asked: dict[str, int]) -> tuple[list[Any], str | None]:
        """The items, and the platform's own word on what follows (`0`: nothing)."""
        path, key, _ = _LISTS[stream]
        answer = self._api.get(path, asked)
        if answer == []:  # how an empty object is written there
            return [], "0"
        found = mapping(answer).get(key)
        if not isinstance(found, list):
            raise Unavailable(f"no {key} in Weibo's answer")
        following = mapping(answer).get("next_cursor")
        return items(found), None if following is None else str(following)

    def _message(self, stream: str, item: Any) -> Message:
        now = self._now()
        if stream == "mentions":
            return status(item, uid=self._options.uid, now=now, long=self._long.whole)
        return comment(item, uid=self._options.uid, now=now, ours=stream == "own_comments")

    # --- direct messages ------------------------------------------------------------------------

    def verify(self, request: Push) -> Accepted:
        if self._secret is None:
            raise Rejected(
                "this account receives no direct messages: it has no app_secret", status=404
            )
        return accepted(self._secret, request, stream=_DIRECT)

    def read(self, raw: Sequence[bytes]) -> Page:
        """A push that only tells of a mention wakes the list that holds it."""
        messages: list[Message] = []
        wake: dict[str, None] = {}
        for one in raw:
            found = direct(one, uid=self._options.uid)
            if isinstance(found, Message):
                messages.append(found)
            elif found:
                wake[found] = None
        return Page(tuple(messages), None, wake=tuple(wake))
