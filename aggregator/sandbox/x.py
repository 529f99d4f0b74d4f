"""The stand-in of X (API v2): mentions, the brand's own posts, and direct messages, read by polling.

Its contract is X's published reference, https://docs.x.com/x-api, with what recordings show beside it. Signatures
are checked, only asked-for fields are told, and a page may hold less than was asked for.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from aggregator.sandbox.base import Answer, Line, Person, Request, Standin, Truth
from aggregator.sandbox.x_activity import Activity
from aggregator.sandbox.x_auth import Gate, Keys, Refused, Windows, problem
from aggregator.sandbox.x_oauth2 import OAuth2
from aggregator.sandbox.x_objects import (
    EPOCH_MS,
    Event,
    Link,
    Media,
    Post,
    User,
    created,
    page,
    shorten,
)
from aggregator.sandbox.x_read import Reader
from aggregator.sandbox.x_script import Script
from aggregator.sandbox.x_write import Writer

DEFAULT_LIMITS = {  # per window, for a user and for an app
    "me": (75, 0),
    "users": (900, 300),
    "mentions": (300, 450),
    "tweets": (900, 10_000),
    "search": (300, 450),
    "lookup": (5_000, 3_500),
    "dm_events": (15, 0),
    "dm_with": (15, 0),
    "dm_conversation": (15, 0),
    "post": (100, 0),
    "dm_send": (15, 0),
    "usage": (0, 50),
    "activity": (0, 50),
    "subscriptions": (0, 500),
    "subscribe": (500, 500),
}
PRICES = {  # micro-dollars, once a UTC day for each
    "owned_read": 1_000,
    "post": 5_000,
    "user": 10_000,
    "dm_event": 10_000,
    "activity.post": 5_000,
    "activity.dm_event": 10_000,
    "post.create": 15_000,
    "dm.create": 15_000,
}
HANDLE_CHARS = re.compile(r"[^A-Za-z0-9_]")
MEDIA = {"image": "photo", "video": "video"}


class XStandin(Standin):
    """One brand account, and whoever writes to it.

    Knobs, to be turned at any time: `limits` (calls per window by endpoint; all times `rate_factor`),
    `windows.resets` (ok, past, missing), `access` (what the token may do), `trouble` (None, credits, usage_capped; `period` of the cap), `vocabulary` (tweet,
    post), `lag` (how late new things become visible), `since_max_age` (an older since_id is a 400),
    `dm_lag` (how much later the list of all direct messages shows one than its conversation does),
    `short_pages`, `trailing_token` (the last page still has a next_token), `empty_first` (a list begins with a
    page of nothing), `repeated_last` (a page begins with what the one before ended with), `token_age` (an older next_token
    is a 400), `forget_tokens()`, `protected` (user ids whose posts are hidden), `nameless`
    (user ids whose profile is not given), `closed` (user ids who take
    no direct messages), `summoned_only` (answers only to who named us), `oauth2` and `activity` (their own knobs). `billed`
    holds (UTC day, kind, id) of all that X would charge for, `spent_usd` what that comes to; `refused` the statuses of refusals, the newest of them.
    `wall` is the clock that signatures are made by, in epoch seconds.
    """

    name = "x"

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        brand: str = "Lumo",
        handle: str = "lumo",
        salt: int | None = None,
        rate_factor: int = 1,
        short_pages: bool = True,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(now)
        self.salt = secrets.randbits(20) if salt is None else salt
        self.brand = User(2_200_000_000 + self.salt, brand, handle, 52_000, True)
        self.keys = Keys(
            consumer_key=f"sandbox-consumer-{self.salt}",
            consumer_secret=secrets.token_urlsafe(24),
            access_token=f"{self.brand.id}-sandbox",
            access_token_secret=secrets.token_urlsafe(24),
            bearer=secrets.token_urlsafe(24),
        )
        self.oauth2 = OAuth2(now, f"sandbox-client-{self.salt}")
        self.gate = Gate(self.keys, takes=self.oauth2.takes)
        self.windows = Windows()
        self.limits = {
            name: (user * rate_factor, app * rate_factor)
            for name, (user, app) in DEFAULT_LIMITS.items()
        }
        self.access = "read-write-directmessages"
        self.trouble: str | None = None
        self.period = "Monthly"
        self.vocabulary = "tweet"
        self.lag = timedelta(0)
        self.since_max_age: timedelta | None = None
        self.short_pages = short_pages
        self.trailing_token = False
        self.empty_first = False
        self.repeated_last = False
        self.token_age: timedelta | None = None
        self.dm_lag = timedelta(0)
        self.summoned_only = True
        self.closed: set[int] = set()
        self.protected: set[int] = set()
        self.nameless: set[int] = set()
        self.billed: set[tuple[str, str, int]] = set()
        self.refused: deque[int] = deque(maxlen=1_000)
        self.users: dict[int, User] = {self.brand.id: self.brand}
        self.posts: dict[int, Post] = {}
        self.events: dict[int, Event] = {}
        self._wall = wall
        self._sequence = 0
        self._names: list[tuple[str, re.Pattern[str], str]] = []
        self.script = Script(self)
        reader = Reader(self)
        self.forget_tokens = reader.forget_tokens
        self._serve("me", r"/2/users/me", reader.me)
        self._serve("users", r"/2/users", reader.people)
        self._serve("mentions", r"/2/users/(\d+)/mentions", reader.mentions)
        self._serve("tweets", r"/2/users/(\d+)/tweets", reader.own_posts)
        self._serve("search", r"/2/tweets/search/recent", reader.search)
        self._serve("lookup", r"/2/tweets", reader.lookup)
        self._serve("dm_events", r"/2/dm_events", reader.events)
        self._serve("dm_with", r"/2/dm_conversations/with/(\d+)/dm_events", reader.events_with)
        self._serve("dm_conversation", r"/2/dm_conversations/([\d-]+)/dm_events", reader.events_in)
        self._serve("usage", r"/2/usage/tweets", reader.usage)
        writer = Writer(self)
        self._serve("post", r"/2/tweets", writer.post, "POST")
        self._serve(
            "dm_send", r"/2/dm_conversations/with/(\d+)/messages", writer.message_with, "POST"
        )
        self._serve("dm_send", r"/2/dm_conversations/([\d-]+)/messages", writer.message_in, "POST")
        self.activity = Activity(self)
        self._serve("activity", r"/2/activity/stream", self.activity.stream)
        self._serve("subscriptions", r"/2/activity/subscriptions", self.activity.subscriptions)
        self._serve("subscribe", r"/2/activity/subscriptions", self.activity.subscribe, "POST")
        self.route("GET", r"/i/oauth2/authorize", self.oauth2.page)
        self.route("POST", r"/2/oauth2/token", self.oauth2.token)

    def options(self) -> dict[str, str]:
        return {
            "user_id": str(self.brand.id),
            "consumer_key": self.keys.consumer_key,
            "consumer_secret": self.keys.consumer_secret,
            "access_token": self.keys.access_token,
            "access_token_secret": self.keys.access_token_secret,
            "base_url": self.base_url,
        }

    def oauth2_options(self) -> dict[str, str]:
        """The same account by a client_id; its token comes from the walk through the page, or `oauth2.issue`."""
        told = {"user_id": str(self.brand.id), "client_id": self.oauth2.client_id}
        secret = self.oauth2.client_secret
        return {**told, "base_url": self.base_url, **({"client_secret": secret} if secret else {})}

    def spent_usd(self) -> float:
        with self.lock:
            return sum(PRICES[kind] for _, kind, _ in self.billed) / 1e6

    # --- the wire -----------------------------------------------------------------------------------

    def handle(self, request: Request) -> Answer:
        if request.path in ("/i/oauth2/authorize", "/2/oauth2/token"):
            return super().handle(request)
        name = self._endpoint(request)
        if name is None:
            return self.not_found(request)
        try:
            self._admit(request, name)
            return super().handle(request)
        except Refused as refused:
            self.refused.append(refused.given.status)
            return refused.given

    def not_found(self, request: Request) -> Answer:
        return Answer(b"Not Found", 404, {}, "text/plain")  # a gateway speaks, not the API

    def headers(self, request: Request, given: Answer) -> Mapping[str, str]:
        told = {
            "api-version": "2.159",
            "x-access-level": self.access,
            "x-transaction-id": secrets.token_hex(8),
        }
        name = self._endpoint(request)
        if name is None or given.status == 401:
            return told
        caller = "app" if self.gate.is_app(request) else "user"
        with self.lock:
            limit = self.limits[name][caller == "app"]
            now_s = self.now().timestamp()
            return {**told, **self.windows.headers(f"{name}:{caller}", limit, now_s)}

    def _serve(
        self, name: str, pattern: str, handler: Callable[..., Answer], method: str = "GET"
    ) -> None:
        self._names.append((method, re.compile(pattern + r"\Z"), name))
        self.route(method, pattern, handler)

    def _endpoint(self, request: Request) -> str | None:
        method = "GET" if request.method == "HEAD" else request.method
        return next((n for m, p, n in self._names if m == method and p.match(request.path)), None)

    def _admit(self, request: Request, name: str) -> None:
        """1. Who calls? 2. May they, there? 3. Is it paid for? 4. Is there a call left?"""
        caller = self.gate.caller(request, self._wall())
        if caller is None:
            raise Refused(problem(401, "Unauthorized", "Unauthorized"))
        if DEFAULT_LIMITS[name][caller == "app"] == 0:
            raise Refused(
                problem(
                    403,
                    "Unsupported Authentication",
                    "Authenticating with OAuth 2.0 Application-Only is forbidden for this endpoint.",
                    "unsupported-authentication",
                )
            )
        if name.startswith("dm_") and "directmessages" not in self.access:
            detail = "Your client app is not configured with the appropriate oauth1 app permissions for this endpoint."
            raise Refused(problem(403, "Forbidden", detail, "oauth1-permissions"))
        if self.trouble == "credits":
            detail = "Your enrolled account does not have any credits to fulfill this request."
            raise Refused(problem(402, "CreditsDepleted", detail, "credits"))
        if self.trouble == "usage_capped":
            detail = f"Usage cap exceeded: {self.period} product cap"
            scope = {"account_id": self.brand.id, "period": self.period, "scope": "Product"}
            raise Refused(problem(429, "UsageCapExceeded", detail, "usage-capped", **scope))
        limit = self.limits[name][caller == "app"]
        if not self.windows.take(f"{name}:{caller}", limit, self.now().timestamp()):
            raise Refused(problem(429, "Too Many Requests", "Too Many Requests"))

    # --- what happens on X --------------------------------------------------------------------------

    def user(self, person: Person) -> User:
        id_ = 1_400_000_000_000_000_000 + self.salt * 1_000_000 + person.number
        handle = HANDLE_CHARS.sub("_", person.handle)[:15]
        user = User(id_, person.name, handle, person.followers, person.verified)
        with self.lock:
            return self.users.setdefault(id_, user)

    def post(
        self,
        author: User,
        text: str,
        at: datetime,
        *,
        reply_to: Post | None = None,
        quotes: Post | None = None,
        reposts: Post | None = None,
        attachment: str | None = None,
        lag: timedelta | None = None,
    ) -> Post:
        """Somebody posts. Links are made short; a reply begins with whom it answers, as X's app has it.

        A quote ends with the address of what it quotes; a repost repeats the words, cut.
        """
        with self.lock:
            if quotes is not None:
                text = f"{text} {page(quotes.author, quotes.history[0])}"
            if reposts is not None:
                text = f"RT @{reposts.author.handle}: {reposts.words.text}"[:139]
            if reply_to is not None and reply_to.author.id != author.id:
                text = self.addressed(text, reply_to.author)
            id_ = self._id(at)
            words = shorten(text, self._media(attachment), self._link, page(author, id_))
            root = reply_to.root if reply_to is not None else id_
            seen = self.now() + (self.lag if lag is None else lag)
            self.posts[id_] = Post(
                id=id_,
                author=author,
                words=words,
                at=created(at),
                seen_from=seen,
                root=root,
                reply_to=reply_to,
                history=[id_],
                quotes=quotes,
                reposts=reposts,
            )
            names_us = f"@{self.brand.handle}" in words.text
            self.activity.posted(self.posts[id_], names_us=names_us)
            return self.posts[id_]

    def edit(self, post: Post, text: str, at: datetime) -> Post:
        """A new version under a new id; its history is shared with the older ones."""
        with self.lock:
            id_ = self._id(at)
            media = post.words.media
            words = shorten(text, media, self._link, page(post.author, post.history[0]))
            post.history.append(id_)
            self.posts[id_] = replace(
                post, id=id_, words=words, at=created(at), seen_from=self.now() + self.lag
            )
            return self.posts[id_]

    def delete(self, post: Post) -> None:
        """Every version goes."""
        with self.lock:
            for id_ in post.history:
                self.posts[id_].deleted = True

    def message(
        self,
        sender: User,
        other: User,
        text: str | None,
        at: datetime,
        *,
        attachment: str | None = None,
        lag: timedelta | None = None,
    ) -> Event:
        """A direct message from `sender` to `other`, one to one."""
        with self.lock:
            id_ = self._id(at)
            pair = sorted((sender.id, other.id))
            conversation = f"{pair[0]}-{pair[1]}"
            page = f"https://x.com/messages/media/{id_}"
            words = shorten(text or "", self._media(attachment), self._link, page)
            seen = self.now() + (self.lag if lag is None else lag)
            customer = other if sender.id == self.brand.id else sender
            event = Event(
                id_, "MessageCreate", sender, conversation, created(at), seen, words, (), customer
            )
            self.events[id_] = event
            self.activity.messaged(event)
            return event

    def join(self, user: User, conversation: str, at: datetime) -> Event:
        """Somebody joins a group conversation: an event that is no message."""
        with self.lock:
            id_ = self._id(at)
            seen = self.now() + self.lag
            event = Event(
                id_, "ParticipantsJoin", user, conversation, created(at), seen, None, (user,)
            )
            self.events[id_] = event
            return event

    def addressed(self, text: str, to: User) -> str:
        handle = f"@{to.handle}"
        return text if handle.lower() in text.lower() else f"{handle} {text}"

    def _id(self, at: datetime) -> int:
        self._sequence += 1
        ms = int(at.timestamp() * 1000) - EPOCH_MS
        return (ms << 22) | ((self.salt & 1023) << 12) | (self._sequence & 4095)

    def _media(self, attachment: str | None) -> tuple[Media, ...]:
        if attachment is None or attachment == "link":
            return ()
        if attachment not in MEDIA:
            raise ValueError(f"there is no {attachment} on X")
        kind = MEDIA[attachment]
        self._sequence += 1
        number = self.salt * 100_000 + self._sequence
        key = f"{3 if kind == 'photo' else 7}_{number}"
        suffix = "jpg" if kind == "photo" else "mp4"
        return (Media(key, kind, f"https://pbs.twimg.com/media/sandbox{number}.{suffix}"),)

    def _link(self, target: str, media: Media | None) -> Link:
        return Link(f"https://t.co/{secrets.token_hex(5)}", target, media)

    # --- a script -----------------------------------------------------------------------------------

    def play(self, line: Line, at: datetime, told: Mapping[str, Truth]) -> Truth:
        return self.script.play(line, at, told)

    def newest(self, id_: int) -> Post:
        return self.posts[self.posts[id_].history[-1]]
