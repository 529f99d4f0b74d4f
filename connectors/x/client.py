"""The calls to X, through tweepy and our session: counted before, judged after."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import requests
import tweepy

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.http import Http, body, place
from aggregator.model import Quota
from connectors import budget
from connectors.base import Keep, Now
from connectors.payload import items, mapping, name, native
from connectors.x.refusals import USER_ID, WINDOW_S, Paused, judge
from connectors.x.tokens import Tokens

HOSTS = ("api.twitter.com", "api.x.com")  # tweepy has the first one built in
BASE_URL = "https://api.x.com"
BILLING = "x:billing"
US = "us"
CONFLICT = 409

POST_FIELDS = (
    "created_at,author_id,conversation_id,in_reply_to_user_id,referenced_tweets,"
    "edit_history_tweet_ids,note_tweet,entities,lang,attachments"
)
USER_FIELDS = "name,username,verified,public_metrics"
MEDIA_FIELDS = "media_key,type,url,preview_image_url,alt_text"
EXPANSIONS = "referenced_tweets.id,attachments.media_keys"  # no authors: see people.py
DM_FIELDS = (
    "id,event_type,text,created_at,sender_id,dm_conversation_id,participant_ids,"
    "attachments,referenced_tweets,entities"
)

_ENDPOINTS = tuple(  # each has a window of its own
    (method, re.compile(path + r"\Z"), endpoint)
    for method, path, endpoint in (
        ("GET", r"/2/users/me", "me"),
        ("GET", r"/2/users", "users"),
        ("GET", r"/2/users/\d+/mentions", "mentions"),
        ("GET", r"/2/users/\d+/tweets", "own_posts"),
        ("GET", r"/2/tweets/search/recent", "search"),
        ("GET", r"/2/tweets", "lookup"),
        ("GET", r"/2/dm_events", "direct_messages"),
        ("GET", r"/2/dm_conversations/.+/dm_events", "conversation"),
        ("POST", r"/2/tweets", "post"),
        ("POST", r"/2/activity/subscriptions", "subscribe"),
        ("POST", r"/2/dm_conversations/.+/messages", "message"),
    )
)


@dataclass(frozen=True, slots=True)
class Keys:
    """OAuth 1.0a: an app and a user of it. They do not expire."""

    consumer_key: str
    consumer_secret: str
    access_token: str
    access_token_secret: str


@dataclass(frozen=True, slots=True)
class Found:
    """One answered list. `at`: the platform's own clock. `token`: of the next page, if there is one."""

    data: list[Any]
    includes: dict[str, Any]
    token: str | None
    at: datetime
    errors: list[Any]


class Client:
    """X as the account sees it. Every call raises the outcomes of aggregator/errors.py, or Refused.

    A call that the window has no room for, or that nobody pays for, is not made. `spare`: the part of the
    window that is left to others.
    """

    def __init__(
        self,
        *,
        user_id: str,
        base_url: str | None,
        keys: Keys | None,
        tokens: Tokens | None,
        keep: Keep,
        now: Now,
    ) -> None:
        self.user_id = user_id
        self._keep = keep
        self._now = now
        self._tokens = tokens
        self._ahead = timedelta(0)  # how much X's clock is ahead of ours
        self._tweepy = tweepy.Client(
            consumer_key=keys and keys.consumer_key,
            consumer_secret=keys and keys.consumer_secret,
            access_token=keys and keys.access_token,
            access_token_secret=keys and keys.access_token_secret,
            return_type=requests.Response,
            wait_on_rate_limit=False,  # with it, a reset in the past is asked again without a pause
        )
        # The session judges each answer before tweepy does, which stumbles over odd error bodies.
        self._tweepy.session = Http(
            base_url=base_url or BASE_URL, hosts=HOSTS, on_response=self._judge
        )

    def me(self) -> tuple[dict[str, Any], str | None]:
        """The account that the token belongs to, and what the token may do (`x-access-level`)."""
        answer = self._call("me", self._tweepy.get_me, user_fields=USER_FIELDS)
        found = mapping(mapping(body(answer)).get("data"))
        self._remember(found)
        return found, answer.headers.get("x-access-level")

    def known(self) -> dict[str, str]:
        """Our own `name` and `handle`, as they were last seen; empty where nobody has yet."""
        try:
            told = mapping(json.loads(self._keep.get(US) or "{}"))
        except ValueError:
            return {}
        return {key: value for key, value in told.items() if isinstance(value, str)}

    def handle(self) -> str:
        """Our handle, asked for where it is not known."""
        handle = self.known().get("handle") or name(self.me()[0].get("username"))
        if handle is None:
            raise Unavailable("X does not say what our handle is")
        return handle

    def clock(self) -> datetime:
        """X's clock, as far as its last answer told it; else ours."""
        return self._now() + self._ahead

    def users(self, ids: list[str]) -> Found:
        """Profiles by id, up to 100; `errors` says who has none."""
        answer = self._call("users", self._tweepy.get_users, ids=ids, user_fields=USER_FIELDS)
        found = self._listed(answer, mapping(body(answer)), {})
        for user in map(mapping, found.data):
            self._remember(user)
        return found

    def mentions(self, *, spare: float = 0.0, **where: Any) -> Found:
        ask = self._tweepy.get_users_mentions
        return self._found(self._posts("mentions", ask, spare, self.user_id, where))

    def own_posts(self, *, spare: float = 0.0, **where: Any) -> Found:
        """Ours, replies included: they are the answers."""
        ask = self._tweepy.get_users_tweets
        where = {"exclude": "retweets", **where}
        return self._found(self._posts("own_posts", ask, spare, self.user_id, where))

    def search(self, query: str, *, spare: float = 0.0, **where: Any) -> Found:
        """The last seven days, but for the last half minute. The token of a page goes by another name here."""
        where["next_token"] = where.pop("pagination_token", None)
        ask = self._tweepy.search_recent_tweets
        return self._found(self._posts("search", ask, spare, query, where))

    def lookup(self, ids: list[str]) -> Found:
        """Posts by id, up to 100; `errors` says what became of the others."""
        answer = self._call(
            "lookup",
            self._tweepy.get_tweets,
            ids,
            tweet_fields=POST_FIELDS,
            user_fields=USER_FIELDS,
            media_fields=MEDIA_FIELDS,
            expansions=EXPANSIONS,
        )
        return self._listed(answer, mapping(body(answer)), {})

    def direct_messages(
        self,
        *,
        max_results: int,
        token: str | None = None,
        spare: float = 0.0,
        event_types: str = "MessageCreate",  # each event costs money, also who joined and left
        conversation: str | None = None,
        person: str | None = None,
    ) -> Found:
        """Newest first, of all conversations or of one. There is no since_id here, and a month is all there is."""
        answer = self._call(
            "conversation" if conversation or person else "direct_messages",
            self._tweepy.get_direct_message_events,
            spare=spare,
            max_results=max_results,
            event_types=event_types,
            dm_event_fields=DM_FIELDS,
            expansions="sender_id,participant_ids,attachments.media_keys,referenced_tweets.id",
            tweet_fields=POST_FIELDS,
            user_fields=USER_FIELDS,
            media_fields=MEDIA_FIELDS,
            pagination_token=token,
            dm_conversation_id=conversation,
            participant_id=person,
        )
        return self._found(answer)

    def post(self, text: str, *, in_reply_to: str) -> dict[str, Any]:
        answer = self._call(
            "post", self._tweepy.create_tweet, text=text, in_reply_to_tweet_id=in_reply_to
        )
        return mapping(mapping(body(answer)).get("data"))

    def message(self, text: str, *, conversation: str | None, person: str | None) -> dict[str, Any]:
        answer = self._call(
            "message",
            self._tweepy.create_direct_message,
            text=text,
            dm_conversation_id=conversation,
            participant_id=None if conversation else person,
        )
        return mapping(mapping(body(answer)).get("data"))

    def subscribe(self, event: str) -> None:
        """Have the activity stream tell of `event`s of ours; harmless where it does."""
        wanted = {"event_type": event, "filter": {"user_id": self.user_id}}

        def ask(*, user_auth: bool) -> requests.Response:
            path = "/2/activity/subscriptions"
            answer: requests.Response = self._tweepy.request(
                "POST", path, json=wanted, user_auth=user_auth
            )
            return answer

        try:
            self._call("subscribe", ask)
        except Rejected as error:
            if error.status != CONFLICT:
                raise

    # --- every call ---------------------------------------------------------------------------------

    def _posts(
        self, endpoint: str, ask: Callable[..., Any], spare: float, what: str, where: dict[str, Any]
    ) -> requests.Response:
        return self._call(
            endpoint,
            ask,
            what,
            spare=spare,
            expansions=EXPANSIONS,
            tweet_fields=POST_FIELDS,
            user_fields=USER_FIELDS,
            media_fields=MEDIA_FIELDS,
            **where,
        )

    def left(self) -> tuple[Quota, ...]:
        """Calls left in the windows that X has told, by endpoint; 0 while it is to be left alone."""
        names = {f"x:{one}": one for _, _, one in _ENDPOINTS}
        return budget.quotas(self._keep, {**names, BILLING: "billing"}, self._now())

    def _call(
        self,
        endpoint: str,
        ask: Callable[..., Any],
        /,
        *what: Any,
        spare: float = 0.0,
        **given: Any,
    ) -> requests.Response:
        """1. Is it paid for? 2. Is there a call left? 3. Who are we? Then ask."""
        now = self._now()
        budget.admit(self._keep, BILLING, now)
        budget.admit(self._keep, f"x:{endpoint}", now, spare=spare, window_s=WINDOW_S)
        if self._tokens is not None:
            self._tweepy.bearer_token = self._tokens.current()
        told = {key: value for key, value in given.items() if value is not None}
        answer: requests.Response = ask(*what, user_auth=self._tokens is None, **told)
        return answer

    def _judge(self, answer: requests.Response) -> None:
        """What an answer teaches, before what it means."""
        endpoint = _endpoint(answer)
        now = self._now()
        if at := budget.date_of(answer.headers):
            self._ahead = at - now
        self._learn(endpoint, answer, now)
        if answer.status_code == 401 and self._tokens is not None:
            used = str(answer.request.headers.get("Authorization", ""))
            self._tokens.refused(used.removeprefix("Bearer "))
        try:
            judge(answer, now, oauth2=self._tokens is not None)
        except RateLimited as error:
            shut = BILLING if isinstance(error, Paused) else f"x:{endpoint}"
            budget.shut(self._keep, shut, now, seconds=error.retry_after_s, why=error.reason)
            raise

    def _learn(self, endpoint: str | None, answer: requests.Response, now: datetime) -> None:
        """What an answer tells of its window. A keep that fails here undoes nothing that X has done."""
        window = budget.told(answer.headers)
        with suppress(Unavailable):
            if answer.ok:
                budget.reopen(self._keep, BILLING)
            if endpoint is not None and window is not None:
                window = replace(window, seconds=min(window.seconds, WINDOW_S))
                budget.learn(self._keep, f"x:{endpoint}", window, now)

    def _found(self, answer: requests.Response) -> Found:
        told = body(answer)
        meta = told.get("meta") if isinstance(told, dict) else None
        if not isinstance(meta, dict):
            # An empty list has its `meta` too. Taken for empty, this would end a walk half way.
            for problem in items(mapping(told).get("errors")):
                if mapping(problem).get("resource_type") == "user":
                    raise Unauthorized(f"X knows no user {self.user_id}", remedy=USER_ID)
            raise Unavailable(f"an answer without meta from {place(answer.url)}")
        return self._listed(answer, told, meta)

    def _listed(
        self, answer: requests.Response, told: dict[str, Any], meta: dict[str, Any]
    ) -> Found:
        token = meta.get("next_token")
        includes = mapping(told.get("includes"))
        for user in map(mapping, items(includes.get("users"))):
            self._remember(user)
        return Found(
            data=items(told.get("data")),
            includes=includes,
            token=token if isinstance(token, str) and token else None,
            at=budget.date_of(answer.headers) or self._now(),
            errors=items(told.get("errors")),
        )

    def _remember(self, user: dict[str, Any]) -> None:
        if native(user.get("id")) == self.user_id and isinstance(user.get("username"), str):
            told = {"name": name(user.get("name")), "handle": name(user.get("username"))}
            text = json.dumps(told, ensure_ascii=False, sort_keys=True)
            known = self._keep.get(US)
            if known != text:
                self._keep.swap(US, known, text)


def _endpoint(answer: requests.Response) -> str | None:
    path = urlsplit(answer.url).path
    method = answer.request.method
    return next((e for m, pattern, e in _ENDPOINTS if m == method and pattern.match(path)), None)
