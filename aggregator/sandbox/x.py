"""The stand-in of X (API v2): mentions, the brand's own posts, and direct messages, read by polling.

Its contract is X's published reference, https://docs.x.com/x-api, with what recordings show beside it. Signatures
are checked, only asked-for fields are told, and a page may hold less than was asked for.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from aggregator.sandbox.base import Answer, Line, Person, Request, Standin, Truth
from aggregator.sandbox.x_auth import Gate, Keys, Refused, Windows, problem
from aggregator.sandbox.x_objects import EPOCH_MS, Event, Link, Media, Post, User, created, shorten
from aggregator.sandbox.x_read import Reader

DEFAULT_LIMITS = {  # per window, for a user and for an app
    "me": (75, 0),
    "mentions": (300, 450),
    "tweets": (900, 10_000),
    "search": (300, 450),
    "lookup": (5_000, 3_500),
    "dm_events": (15, 0),
    "dm_with": (15, 0),
    "dm_conversation": (15, 0),
}
HANDLE_CHARS = re.compile(r"[^A-Za-z0-9_]")
MEDIA = {"image": "photo", "video": "video"}


class XStandin(Standin):
    """One brand account, and whoever writes to it.

    Knobs, to be turned at any time: `limits` (calls per window by endpoint; all times `rate_factor`),
    `windows.resets` (ok, past, missing), `trouble` (None, credits, usage_capped), `vocabulary` (tweet,
    post), `lag` (how late new things become visible), `since_max_age` (an older since_id is a 400),
    `short_pages`, `trailing_token` (the last page still has a next_token), `protected` (user ids whose
    posts are hidden), `forget_tokens()`. `billed` holds (UTC day, kind, id) of all that X would charge for.
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
        self.gate = Gate(self.keys)
        self.windows = Windows()
        self.limits = {
            name: (user * rate_factor, app * rate_factor)
            for name, (user, app) in DEFAULT_LIMITS.items()
        }
        self.trouble: str | None = None
        self.vocabulary = "tweet"
        self.lag = timedelta(0)
        self.since_max_age: timedelta | None = None
        self.short_pages = short_pages
        self.trailing_token = False
        self.protected: set[int] = set()
        self.billed: set[tuple[str, str, int]] = set()
        self.users: dict[int, User] = {self.brand.id: self.brand}
        self.posts: dict[int, Post] = {}
        self.events: dict[int, Event] = {}
        self._wall = wall
        self._sequence = 0
        self._names: list[tuple[re.Pattern[str], str]] = []
        reader = Reader(self)
        self.forget_tokens = reader.forget_tokens
        self._read("me", r"/2/users/me", reader.me)
        self._read("mentions", r"/2/users/(\d+)/mentions", reader.mentions)
        self._read("tweets", r"/2/users/(\d+)/tweets", reader.own_posts)
        self._read("search", r"/2/tweets/search/recent", reader.search)
        self._read("lookup", r"/2/tweets", reader.lookup)
        self._read("dm_events", r"/2/dm_events", reader.events)
        self._read("dm_with", r"/2/dm_conversations/with/(\d+)/dm_events", reader.events_with)
        self._read("dm_conversation", r"/2/dm_conversations/([\d-]+)/dm_events", reader.events_in)

    def options(self) -> dict[str, str]:
        return {
            "user_id": str(self.brand.id),
            "consumer_key": self.keys.consumer_key,
            "consumer_secret": self.keys.consumer_secret,
            "access_token": self.keys.access_token,
            "access_token_secret": self.keys.access_token_secret,
            "base_url": self.base_url,
        }

    # --- the wire -----------------------------------------------------------------------------------

    def handle(self, request: Request) -> Answer:
        name = self._endpoint(request.path)
        if name is None:
            return self.not_found(request)
        try:
            self._admit(request, name)
            return super().handle(request)
        except Refused as refused:
            return refused.given

    def not_found(self, request: Request) -> Answer:
        return Answer(b"Not Found", 404, {}, "text/plain")  # a gateway speaks, not the API

    def headers(self, request: Request, given: Answer) -> Mapping[str, str]:
        told = {
            "api-version": "2.159",
            "x-access-level": "read-write-directmessages",
            "x-transaction-id": secrets.token_hex(8),
        }
        name = self._endpoint(request.path)
        if name is None or given.status == 401:
            return told
        caller = "app" if _bearer(request) else "user"
        with self.lock:
            limit = self.limits[name][caller == "app"]
            now_s = self.now().timestamp()
            return {**told, **self.windows.headers(f"{name}:{caller}", limit, now_s)}

    def _read(self, name: str, pattern: str, handler: Callable[..., Answer]) -> None:
        self._names.append((re.compile(pattern + r"\Z"), name))
        self.route("GET", pattern, handler)

    def _endpoint(self, path: str) -> str | None:
        return next((name for pattern, name in self._names if pattern.match(path)), None)

    def _admit(self, request: Request, name: str) -> None:
        """1. Who calls? 2. May they, there? 3. Is it paid for? 4. Is there a call left?"""
        caller = self.gate.caller(request, self._wall())
        if caller is None:
            raise Refused(problem(401, "Unauthorized", "Unauthorized"))
        if caller == "app" and self.limits[name][1] == 0:
            raise Refused(
                problem(
                    403,
                    "Unsupported Authentication",
                    "Authenticating with OAuth 2.0 Application-Only is forbidden for this endpoint.",
                    "unsupported-authentication",
                )
            )
        if self.trouble == "credits":
            detail = "Your enrolled account does not have any credits to fulfill this request."
            raise Refused(problem(402, "CreditsDepleted", detail, "credits"))
        if self.trouble == "usage_capped":
            detail = "Usage cap exceeded: Monthly product cap"
            scope = {"account_id": self.brand.id, "period": "Monthly", "scope": "Product"}
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
        attachment: str | None = None,
        lag: timedelta | None = None,
    ) -> Post:
        """Somebody posts. Links are made short; a reply begins with whom it answers, as X's app has it."""
        with self.lock:
            if reply_to is not None and reply_to.author.id != author.id:
                text = self._addressed(text, reply_to.author)
            id_ = self._id(at)
            words = shorten(text, self._media(attachment), self._link, _page(author, id_))
            root = reply_to.root if reply_to is not None else id_
            seen = self.now() + (self.lag if lag is None else lag)
            self.posts[id_] = Post(id_, author, words, created(at), seen, root, reply_to, [id_])
            return self.posts[id_]

    def edit(self, post: Post, text: str, at: datetime) -> Post:
        """A new version under a new id; its history is shared with the older ones."""
        with self.lock:
            id_ = self._id(at)
            media = post.words.media
            page = _page(post.author, post.history[0])
            words = shorten(text, media, self._link, page)
            post.history.append(id_)
            seen = self.now() + self.lag
            self.posts[id_] = Post(
                id_, post.author, words, created(at), seen, post.root, post.reply_to, post.history
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

    def _addressed(self, text: str, to: User) -> str:
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
        with self.lock:
            if line.action != "say":
                return self._changed(line, at, told[line.to or ""])
            text = line.text
            if line.attachment == "link" and "http" not in (text or ""):
                text = f"{text or ''} https://lumo.example/help".strip()
            if line.kind == "direct_message":
                return self._direct(line, text, at, told)
            if line.kind not in ("mention", "comment", "own_post"):
                raise ValueError(f"there is no {line.kind} on X")
            return self._public(line, text, at, told)

    def _public(
        self, line: Line, text: str | None, at: datetime, told: Mapping[str, Truth]
    ) -> Truth:
        over = line.to or line.under
        parent = self.newest(int(told[over].native_id)) if over else None
        author = self.user(line.who) if line.who else self.brand
        if line.who and not (parent and parent.author.id == self.brand.id):
            text = self._addressed(text or "", self.brand)
        post = self.post(author, text or "", at, reply_to=parent, attachment=line.attachment)
        return self._public_truth(line.label, post, exported=line.kind != "own_post")

    def _public_truth(self, label: str, post: Post, *, exported: bool = True) -> Truth:
        first = self.posts[post.history[0]]
        inbound = post.author.id != self.brand.id
        parent = post.reply_to
        person = post.author if inbound or parent is None else parent.author
        return Truth(
            label=label,
            platform="x",
            kind="mention",
            direction="inbound" if inbound else "outbound",
            native_id=str(first.id),
            author=_author(post.author),
            text=post.words.text,
            url=_page(post.author, post.id),
            sent_at=first.at,
            reply_to=str(parent.history[0]) if parent else None,
            conversation=f"p:{post.root}:{person.id}",
            attachments=_kinds(post.words.links),
            root=str(post.root),
            exported=exported,
            edited_at=post.at if post.id != first.id else None,
            deleted=post.deleted,
        )

    def _direct(
        self, line: Line, text: str | None, at: datetime, told: Mapping[str, Truth]
    ) -> Truth:
        if line.who:
            customer = self.user(line.who)
            event = self.message(customer, self.brand, text, at, attachment=line.attachment)
        else:
            asked = self.events[int(told[line.to or ""].native_id)]
            customer = asked.customer or asked.sender
            event = self.message(self.brand, customer, text, at, attachment=line.attachment)
        assert event.words is not None
        return Truth(
            label=line.label,
            platform="x",
            kind="direct_message",
            direction="inbound" if line.who else "outbound",
            native_id=str(event.id),
            author=_author(event.sender),
            text=event.words.text or None,
            url=f"https://x.com/messages/{event.conversation}",
            sent_at=event.at,
            reply_to=None,
            conversation=f"d:{customer.id}",
            attachments=_kinds(event.words.links),
        )

    def _changed(self, line: Line, at: datetime, old: Truth) -> Truth:
        if old.kind == "direct_message":
            raise ValueError("a direct message on X can be neither edited nor withdrawn for both")
        post = self.newest(int(old.native_id))
        if line.action == "delete":
            self.delete(post)
        else:
            post = self.edit(post, line.text or "", at)
        return self._public_truth(old.label, post, exported=old.exported)

    def newest(self, id_: int) -> Post:
        return self.posts[self.posts[id_].history[-1]]


def _bearer(request: Request) -> bool:
    return request.headers.get("authorization", "").lower().startswith("bearer ")


def _page(author: User, id_: int) -> str:
    return f"https://x.com/{author.handle}/status/{id_}"


def _author(user: User) -> dict[str, str | None]:
    return {"native_id": str(user.id), "name": user.name, "handle": user.handle}


def _kinds(links: tuple[Link, ...]) -> tuple[str, ...]:
    """Media first, then each target once."""
    kinds = {"photo": "image", "video": "video", "animated_gif": "image"}
    targets = dict.fromkeys(link.target for link in links if link.media is None)
    return (*(kinds[link.media.kind] for link in links if link.media), *("link" for _ in targets))
