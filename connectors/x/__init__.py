"""X (api.x.com, v2): public mentions of us, direct messages, and what we posted and answered ourselves.

The four keys come from the X developer console (https://console.x.com): an app whose user authentication
settings say "Read and write and Direct message"; its API Key and Secret, and an Access Token and Secret made
*after* that setting, for the account itself. Such tokens (OAuth 1.0a) do not expire. Reads cost money by
what is returned: https://docs.x.com/x-api. Encrypted direct messages (XChat) are not in this API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, SecretStr

from aggregator.errors import Unauthorized
from aggregator.model import Identity, Message, Page
from connectors.base import Keep, Now, Options
from connectors.fields import parse_time
from connectors.payload import mapping, name, native
from connectors.x.client import PERMISSION, RENEW, Client, Found, Refused
from connectors.x.cursor import Cursor, Walk, read_cursor
from connectors.x.direct import direct_message
from connectors.x.ids import earlier, later, number, time_of
from connectors.x.posts import Includes, post_message

POSTS_OVERLAP = timedelta(minutes=2)  # posts show up a little out of order, and late
DIRECT_OVERLAP = timedelta(minutes=10)  # an empty answer right after a message is on record
NEAR = timedelta(seconds=2)  # ids rise with time only roughly
HISTORY = timedelta(days=30)
SEARCHABLE = timedelta(days=7)
MOST = 800  # more mentions X does not give; of the rest, more is not asked for at first
FUTURE = timedelta(minutes=1)  # an id from beyond is no watermark: nothing would be new any more

StreamName = Literal["mentions", "direct_messages", "own_posts"]
_STREAMS: tuple[StreamName, ...] = ("mentions", "direct_messages", "own_posts")


def _listed(value: object) -> object:
    return [one.strip() for one in value.split(",")] if isinstance(value, str) else value


class XOptions(Options):
    user_id: str = Field(pattern=r"^[0-9]{1,19}$")
    consumer_key: SecretStr
    consumer_secret: SecretStr
    access_token: SecretStr
    access_token_secret: SecretStr
    streams: Annotated[tuple[StreamName, ...], BeforeValidator(_listed)] = _STREAMS


class X:
    """One account of X. A poll fetches one page; a walk goes on over polls, restarts and refusals."""

    options: ClassVar[type[Options]] = XOptions
    streams: tuple[str, ...]

    def __init__(self, options: XOptions, *, keep: Keep, now: Now) -> None:
        self.streams = tuple(options.streams)
        self._me = options.user_id
        self._now = now
        self._client = Client(
            user_id=options.user_id,
            base_url=options.base_url,
            consumer_key=options.consumer_key.get_secret_value(),
            consumer_secret=options.consumer_secret.get_secret_value(),
            access_token=options.access_token.get_secret_value(),
            access_token_secret=options.access_token_secret.get_secret_value(),
            now=now,
        )

    def check(self) -> Identity:
        me, access = self._client.me()
        user_id = native(me.get("id"))
        if user_id != self._me:
            raise Unauthorized(
                f"the token belongs to user {user_id}, not to user_id {self._me}", remedy=RENEW
            )
        told = dict.fromkeys(self.streams, "ok")
        if access is not None and "directmessages" not in access and "direct_messages" in told:
            told["direct_messages"] = f"the token's access level is {access!r}: {PERMISSION}"
        return Identity(
            native_id=self._me,
            name=name(me.get("name")) or name(me.get("username")),
            streams=told,
            note="encrypted direct messages (XChat) cannot be read through this API",
        )

    def poll(self, stream: str, cursor: str | None) -> Page:
        if stream == "mentions":
            return self._posts(self._client.mentions, cursor, ours=False)
        if stream == "own_posts":
            return self._posts(self._client.own_posts, cursor, ours=True)
        if stream == "direct_messages":
            return self._direct(cursor)
        raise ValueError(f"X has no stream {stream!r}")

    def _posts(self, ask: Callable[..., Found], cursor: str | None, *, ours: bool) -> Page:
        """One page of a timeline. since_id stays the same for the whole walk, as X asks."""
        at = read_cursor(cursor) or Cursor(walk=Walk(first=True))
        walk = at.walk or Walk()
        if not (walk.since or walk.start):
            walk = _bounded(walk, at.high, self._now())
        try:
            found = ask(
                since_id=walk.since,
                start_time=walk.start,
                until_id=walk.until,
                pagination_token=walk.token,
            )
        except Refused as error:
            return Page((), replace(at, walk=_after(error, walk, self._now())).text(), more=True)

        includes = Includes(found.includes)
        messages = [
            post_message(raw, includes, me=self._me, ours=ours)
            for raw in map(mapping, found.data)
            if raw
        ]
        walk = _advanced(walk, found)
        done = found.token is None or (walk.first and walk.found >= MOST)
        if done and (walk.gap or (walk.since and walk.found >= MOST)):
            messages = _marked(messages)
        return _page(messages, at, walk, done=done)

    def _direct(self, cursor: str | None) -> Page:
        """One page of direct messages: newest first, until what was known before the last walk began.

        X takes no since_id here, bills what it returns again every day, and allows 15 calls in 15 minutes:
        the first page is small, and the rest of a burst comes in large ones.
        """
        at = read_cursor(cursor) or Cursor(walk=Walk(first=True))
        walk = at.walk or Walk()
        small = at.high is not None and walk.token is None
        try:
            found = self._client.direct_messages(max_results=20 if small else 100, token=walk.token)
        except Refused:
            if walk.token is None:
                raise
            return Page(
                (), replace(at, walk=Walk(first=walk.first)).text()
            )  # from the newest again

        includes = Includes(found.includes)
        read = (
            direct_message(raw, includes, me=self._me) for raw in map(mapping, found.data) if raw
        )
        walk = _advanced(walk, found)
        known = earlier(at.high, DIRECT_OVERLAP) if at.high is not None else 0
        below = sum(1 for value in _numbers(found) if value < known)
        done = (
            found.token is None
            or (below > 0 and below >= min(3, len(found.data)))  # one odd id ends no walk
            or (walk.first and walk.found >= MOST)
        )
        return _page([one for one in read if one is not None], at, walk, done=done)


def _bounded(walk: Walk, high: int | None, now: datetime) -> Walk:
    """Where a walk over posts ends: a little before what is known, or a month back."""
    if high is not None:
        return replace(walk, since=earlier(high, POSTS_OVERLAP))
    return replace(walk, start=_stamp(now - HISTORY))


def _after(error: Refused, walk: Walk, now: datetime) -> Walk:
    """How to go on after a 400: without the token that has died, or without the id that is too old."""
    if "since_id" in error.reason and walk.since is not None:
        _, _, told = error.reason.partition("created after")
        oldest = parse_time(told.strip(" [").split("]")[0].split(" ")[0].rstrip(".,;)"))
        start = (oldest or now - SEARCHABLE) + timedelta(minutes=1)
        return Walk(start=_stamp(max(start, time_of(walk.since) or start)), gap=True)
    if walk.token is not None:
        until = walk.floor and later(walk.floor, NEAR)
        return replace(walk, token=None, until=until)
    raise error


def _advanced(walk: Walk, found: Found) -> Walk:
    values = [
        value for value in _numbers(found) if (time_of(value) or found.at) <= found.at + FUTURE
    ]
    return replace(
        walk,
        token=found.token,
        top=walk.top or max(values, default=None),
        floor=min([*values, *([walk.floor] if walk.floor else [])], default=None),
        found=walk.found + len(found.data),
    )


def _page(messages: Iterable[Message], at: Cursor, walk: Walk, *, done: bool) -> Page:
    after = replace(at, walk=walk)
    if done:
        high = max((one for one in (at.high, walk.top) if one is not None), default=None)
        after = Cursor(high)
    return Page(tuple(sorted(messages, key=_order)), after.text(), more=not done)


def _order(message: Message) -> tuple[datetime, int]:
    """The order of writing; a page comes newest first, and direct messages in no promised order."""
    return message.sent_at or datetime.min.replace(tzinfo=UTC), number(message.native_id) or 0


def _marked(messages: list[Message]) -> list[Message]:
    """Something is missing before the oldest of these: X did not give all since the last walk."""
    if not messages:
        return messages
    oldest = min(messages, key=_order)
    return [
        replace(one, marks=(*one.marks, "gap.before")) if one is oldest else one for one in messages
    ]


def _numbers(found: Found) -> list[int]:
    every = (number(native(mapping(raw).get("id"))) for raw in found.data)
    return [value for value in every if value is not None]


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
