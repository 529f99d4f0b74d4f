"""What the stand-in of X answers to a read: parameters checked, pages cut, includes gathered."""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Any, Protocol, TypeVar

from aggregator.sandbox.wire import Answer, Request, answer
from aggregator.sandbox.x_auth import invalid
from aggregator.sandbox.x_include import Includes, include_post, may_be_seen, missing
from aggregator.sandbox.x_objects import (
    Event,
    Post,
    Shape,
    User,
    snowflake_time,
    time_json,
)
from aggregator.sandbox.x_query import (
    DM_FIELDS,
    EVENT_EXPANSIONS,
    EVENT_TYPES,
    FIELD_LISTS,
    POST_EXPANSIONS,
    Asked,
    asked_of,
    known,
    listed,
    matches,
    size_of,
    within,
)

TOKENS = 10_000
MENTIONS_KEPT = 800
POSTS_KEPT = 3_200
MESSAGES_KEPT = timedelta(days=30)
SEARCH_KEPT = timedelta(days=7)
SEARCH_DELAY = timedelta(seconds=30)
WINDOW = ("since_id", "until_id", "start_time", "end_time", "max_results", "pagination_token")


class Place(Protocol):
    """What reading needs of the stand-in."""

    now: Callable[[], datetime]
    lock: RLock
    brand: User
    users: dict[int, User]
    posts: dict[int, Post]
    events: dict[int, Event]
    protected: set[int]
    nameless: set[int]
    billed: set[tuple[str, str, int]]
    vocabulary: str
    since_max_age: timedelta | None
    short_pages: bool
    trailing_token: bool
    empty_first: bool
    repeated_last: bool
    token_age: timedelta | None
    dm_lag: timedelta


Numbered = TypeVar("Numbered", Post, Event)


class Reader:
    """The read endpoints. Called under the stand-in's lock."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._tokens: OrderedDict[str, tuple[str, int, datetime]] = OrderedDict()

    def forget_tokens(self) -> None:
        """Every next_token that is out expires."""
        with self._place.lock:
            self._tokens.clear()

    def me(self, request: Request, match: re.Match[str]) -> Answer:
        known(request, ("user.fields", "tweet.fields", "post.fields", "expansions"))
        self._bill("user", self._place.brand.id)
        return answer({"data": self._shape(request).user_json(self._place.brand)})

    def people(self, request: Request, match: re.Match[str]) -> Answer:
        """Profiles by id; who is `nameless` has none."""
        known(request, ("ids", "user.fields", "tweet.fields", "post.fields", "expansions"))
        ids = request.query.get("ids", "").split(",")
        if not 1 <= len(ids) <= 100 or not all(re.fullmatch(r"[0-9]{1,19}", id_) for id_ in ids):
            raise invalid("The `ids` query parameter must be 1 to 100 ids", ids=",".join(ids))
        shape = self._shape(request)
        users = [self._place.users.get(int(id_)) for id_ in dict.fromkeys(ids)]
        found = [one for one in users if one is not None and one.id not in self._place.nameless]
        seen = {str(one.id) for one in found}
        errors = [missing(self._place, id_, "ids", "user") for id_ in ids if id_ not in seen]
        for user in found:
            self._bill("user", user.id)
        told = {"data": [shape.user_json(user) for user in found], "errors": errors}
        return answer({key: value for key, value in told.items() if value})

    def mentions(self, request: Request, match: re.Match[str]) -> Answer:
        return self._timeline(request, match, MENTIONS_KEPT, self._mentions_brand)

    def own_posts(self, request: Request, match: re.Match[str]) -> Answer:
        exclude = listed(request, "exclude", frozenset({"replies", "retweets"}))
        kept = MENTIONS_KEPT if "replies" in exclude else POSTS_KEPT

        def ours(post: Post) -> bool:
            return post.author.id == self._place.brand.id and not (
                "replies" in exclude and post.reply_to
            )

        return self._timeline(request, match, kept, ours)

    def search(self, request: Request, match: re.Match[str]) -> Answer:
        token = request.query.get("next_token") or request.query.get("pagination_token")
        known(request, (*WINDOW, *FIELD_LISTS, "expansions", "query", "next_token", "sort_order"))
        if "next_token" in request.query and "pagination_token" in request.query:
            raise invalid("Ambiguous token parameters", next_token=request.query["next_token"])
        query = request.query.get("query", "")
        if not 1 <= len(query) <= 512:
            raise invalid("The `query` query parameter must be 1 to 512 characters", query=query)
        asked = self._asked(request, 10, 100, 10, token)
        if asked.until_id and asked.end:
            raise invalid("'until_id' and 'end_time' exclude each other", until_id="")
        now = self._place.now()
        self._not_too_old(asked, SEARCH_KEPT)
        if asked.start and asked.start < now - SEARCH_KEPT:
            message = (
                f"Invalid 'start_time':'{time_json(asked.start)}'. 'start_time' must be on or after"
                f" {time_json(now - SEARCH_KEPT)}."
            )
            raise invalid(message, start_time=time_json(asked.start))
        end = asked.end or now - SEARCH_DELAY
        found = [
            post
            for post in self._visible_posts()
            if now - SEARCH_KEPT <= post.at < end and matches(post, query)
        ]
        return self._posts_page(asked, within(asked, found), f"search:{query}", "post")

    def lookup(self, request: Request, match: re.Match[str]) -> Answer:
        known(request, (*FIELD_LISTS, "expansions", "ids"))
        ids = request.query.get("ids", "").split(",")
        if not 1 <= len(ids) <= 100 or not all(re.fullmatch(r"[0-9]{1,19}", id_) for id_ in ids):
            raise invalid("The `ids` query parameter must be 1 to 100 ids", ids=",".join(ids))
        asked = self._asked(request, 1, 100, 100, None)
        found, errors = [], []
        for id_ in ids:
            post = self._place.posts.get(int(id_))
            if post is not None and self._seen(post):
                found.append(post)
            else:
                errors.append(missing(self._place, id_, "ids"))
        return answer(self._told(asked, found, errors, "post"))

    def events(self, request: Request, match: re.Match[str]) -> Answer:
        """Behind what each conversation shows, by `dm_lag`."""
        shown = self._place.now() - self._place.dm_lag
        return self._events(request, lambda event: event.seen_from <= shown, "dm")

    def usage(self, request: Request, match: re.Match[str]) -> Answer:
        """What the project has read this month, by the platform's own count."""
        known(request, ("days", "usage.fields"))
        used = sum(1 for _, kind, _ in self._place.billed if kind in ("post", "owned_read"))
        cap = {"project_cap": "3000000", "cap_reset_day": 1, "project_id": "1"}
        return answer({"data": {"project_usage": str(used), **cap}})

    def events_with(self, request: Request, match: re.Match[str]) -> Answer:
        pair = sorted((int(match.group(1)), self._place.brand.id))
        return self._events_of(request, f"{pair[0]}-{pair[1]}")

    def events_in(self, request: Request, match: re.Match[str]) -> Answer:
        return self._events_of(request, match.group(1))

    # --- posts --------------------------------------------------------------------------------------

    def _timeline(
        self, request: Request, match: re.Match[str], kept: int, wanted: Callable[[Post], bool]
    ) -> Answer:
        extra = ("exclude",) if request.path.endswith("/tweets") else ()
        known(request, (*WINDOW, *FIELD_LISTS, "expansions", *extra))
        asked = self._asked(request, 5, 100, 10, request.query.get("pagination_token"))
        if int(match.group(1)) != self._place.brand.id:
            return answer({"errors": [missing(self._place, match.group(1), "id", "user")]})
        if self._place.since_max_age is not None:
            self._not_too_old(asked, self._place.since_max_age)
        posts = [post for post in self._visible_posts() if wanted(post)][:kept]
        return self._posts_page(asked, within(asked, posts), request.path, "owned_read")

    def _mentions_brand(self, post: Post) -> bool:
        brand = self._place.brand
        if post.author.id == brand.id:
            return False
        handle = f"@{brand.handle}".lower()
        return bool(re.search(re.escape(handle) + r"(?!\w)", post.words.text.lower(), re.ASCII))

    def _visible_posts(self) -> list[Post]:
        """The newest visible version of each post, newest first."""
        newest: dict[int, Post] = {}
        for post in self._place.posts.values():
            first = post.history[0]
            if self._seen(post) and (first not in newest or newest[first].id < post.id):
                newest[first] = post
        return sorted(newest.values(), key=lambda post: -post.id)

    def _seen(self, post: Post) -> bool:
        return may_be_seen(self._place, post)

    def _posts_page(self, asked: Asked, posts: list[Post], scope: str, price: str) -> Answer:
        page, next_token = self._page(posts, asked, scope, lambda: secrets.token_hex(23)[:45])
        return answer({**self._told(asked, page, [], price), "meta": _meta(page, next_token)})

    def _told(
        self, asked: Asked, page: Sequence[Post], errors: list[dict[str, Any]], price: str
    ) -> dict[str, Any]:
        """Data, includes and errors; each is absent where it would be empty."""
        includes = Includes()
        for post in page:
            self._bill(price, post.id)
            include_post(self._place, post, asked.expansions, includes, errors)
        told: dict[str, Any] = {}
        if page:
            told["data"] = [asked.shape.post_json(post) for post in page]
        self._tell_includes(told, includes, asked.shape)
        if errors:
            told["errors"] = errors
        return told

    # --- direct messages ----------------------------------------------------------------------------

    def _events_of(self, request: Request, conversation: str) -> Answer:
        return self._events(request, lambda event: event.conversation == conversation, conversation)

    def _events(self, request: Request, wanted: Callable[[Event], bool], scope: str) -> Answer:
        own = ("max_results", "pagination_token", "event_types", "dm_event.fields")
        known(request, (*own, *FIELD_LISTS, "expansions"))
        types = listed(request, "event_types", EVENT_TYPES) or EVENT_TYPES
        token = request.query.get("pagination_token")
        if token is not None and len(token) < 16:
            raise invalid("The `pagination_token` query parameter value is not valid")
        asked = self._asked(request, 1, 100, 100, token, EVENT_EXPANSIONS)
        now = self._place.now()
        found = [
            event
            for event in sorted(self._place.events.values(), key=lambda event: -event.id)
            if event.kind in types
            and wanted(event)
            and event.seen_from <= now
            and event.at >= now - MESSAGES_KEPT
        ]
        page, next_token = self._page(
            found, asked, scope, lambda: secrets.token_hex(12).upper()[:20] + "ZZZZ"
        )
        includes = Includes()
        for event in page:
            self._bill("dm_event", event.id)
            if "sender_id" in asked.expansions:
                includes.users.setdefault(event.sender.id, event.sender)
            if "participant_ids" in asked.expansions:
                includes.users.update((user.id, user) for user in event.participants)
            if "attachments.media_keys" in asked.expansions and event.words:
                includes.media.update((media.key, media) for media in event.words.media)
        told: dict[str, Any] = {}
        if page:
            told["data"] = [asked.shape.event_json(event) for event in page]
        self._tell_includes(told, includes, asked.shape)
        told["meta"] = _meta((), next_token, len(page))
        return answer(told)

    # --- shared -------------------------------------------------------------------------------------

    def _asked(
        self,
        request: Request,
        least: int,
        most: int,
        default: int,
        token: str | None,
        expansions: frozenset[str] = POST_EXPANSIONS,
    ) -> Asked:
        chosen = listed(request, "expansions", expansions)
        size = size_of(request, least, most, default)
        return asked_of(request, self._shape(request, chosen), chosen, size, token)

    def _shape(self, request: Request, expansions: frozenset[str] = frozenset()) -> Shape:
        lists = {name: listed(request, name, words) for name, words in FIELD_LISTS.items()}
        post = lists["tweet.fields"] | lists["post.fields"]
        dm = listed(request, "dm_event.fields", DM_FIELDS)
        # an expansion shows the field that it expands
        shown = frozenset(name.partition(".")[0] for name in expansions)
        handles = {user.handle.lower(): user for user in self._place.users.values()}
        return Shape(
            post | shown,
            lists["user.fields"],
            lists["media.fields"],
            dm | shown,
            self._place.vocabulary,
            handles,
        )

    def _not_too_old(self, asked: Asked, age: timedelta) -> None:
        oldest = self._place.now() - age
        if asked.since_id and snowflake_time(asked.since_id) < oldest:
            message = (
                f"'since_id' must be a tweet id created after [{time_json(oldest)}]."
                " Please use a 'since_id' that is larger."
            )
            raise invalid(message, since_id=str(asked.since_id))

    def _page(
        self, found: Sequence[Numbered], asked: Asked, scope: str, made: Callable[[], str]
    ) -> tuple[Sequence[Numbered], str | None]:
        """A page of what is below the token's id: what comes in meanwhile moves nothing."""
        if asked.token is not None:
            place = self._tokens.get(asked.token)
            age = self._place.token_age
            old = place is not None and age is not None and self._place.now() - place[2] > age
            if place is None or place[0] != scope or old:
                raise invalid(
                    "The `pagination_token` query parameter value is not valid",
                    pagination_token=asked.token,
                )
            found = [one for one in found if one.id < place[1]]
        size = asked.max_results
        if self._place.short_pages and size > 1:
            size = size * 2 // 3
        page = found[:size]
        more = len(found) > len(page) or (self._place.trailing_token and page)
        if self._place.empty_first and asked.token is None and found:
            page, below = (), found[0].id + 1
        elif more:
            below = page[-1].id + (self._place.repeated_last and len(page) > 1)
        else:
            return page, None
        token = made()
        self._tokens[token] = (scope, below, self._place.now())
        if len(self._tokens) > TOKENS:
            self._tokens.popitem(last=False)
        return page, token

    def _tell_includes(self, told: dict[str, Any], includes: Includes, shape: Shape) -> None:
        for id_ in self._place.nameless:
            includes.users.pop(id_, None)
        for user in includes.users.values():
            self._bill("user", user.id)
        for post in includes.posts.values():
            self._bill("post", post.id)
        parts = {
            "users": [shape.user_json(user) for user in includes.users.values()],
            "posts" if shape.vocabulary == "post" else "tweets": [
                shape.post_json(post) for post in includes.posts.values()
            ],
            "media": [shape.media_json(media) for media in includes.media.values()],
        }
        if present := {name: part for name, part in parts.items() if part}:
            told["includes"] = present

    def _bill(self, kind: str, id_: int) -> None:
        day = self._place.now().astimezone(UTC).date().isoformat()
        self._place.billed.add((day, kind, id_))


def _meta(
    page: Sequence[Post], next_token: str | None, count: int | None = None
) -> Mapping[str, Any]:
    meta: dict[str, Any] = {"result_count": len(page) if count is None else count}
    if page:
        meta["newest_id"] = str(page[0].id)
        meta["oldest_id"] = str(page[-1].id)
    if next_token:
        meta["next_token"] = next_token
    return meta
