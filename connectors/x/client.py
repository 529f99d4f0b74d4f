"""The calls to X, through tweepy and our session; what X refuses becomes an outcome here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import requests
import tweepy

from aggregator.errors import RateLimited, Unauthorized, Unavailable
from aggregator.http import Http, body, place
from connectors.base import Now
from connectors.fields import scrub
from connectors.payload import items, mapping

HOSTS = ("api.twitter.com", "api.x.com")  # tweepy has the first one built in
BASE_URL = "https://api.x.com"

WINDOW_S = 15 * 60.0  # X counts in windows of 15 minutes
NO_RESET_S = 60.0  # a 429 that does not say until when
BILLING_S = 3600.0
SKEW = timedelta(minutes=5)  # OAuth 1.0a requests are refused when signed with a clock further off

RENEW = (
    "make a new Access Token and Secret in the X developer console (your app, Keys and tokens)"
    " and put them into access_token and access_token_secret"
)
PERMISSION = (
    "give the app the permission 'Read and write and Direct message' in the X developer console"
    " (User authentication settings), then make a new Access Token and Secret"
)
POST_FIELDS = (
    "created_at,author_id,conversation_id,in_reply_to_user_id,referenced_tweets,"
    "edit_history_tweet_ids,note_tweet,entities,lang,attachments"
)
USER_FIELDS = "name,username,verified,public_metrics"
MEDIA_FIELDS = "media_key,type,url,preview_image_url,alt_text"


class Refused(Unavailable):
    """X answered 400: a bug of ours, or a cursor that it does not take (any more)."""


@dataclass(frozen=True, slots=True)
class Found:
    """One answered list. `at`: the platform's own clock. `token`: of the next page, if there is one."""

    data: list[Any]
    includes: dict[str, Any]
    token: str | None
    at: datetime


class Client:
    """X as the account sees it. Every call raises the outcomes of aggregator/errors.py, or Refused."""

    def __init__(
        self,
        *,
        user_id: str,
        base_url: str | None,
        consumer_key: str,
        consumer_secret: str,
        access_token: str,
        access_token_secret: str,
        now: Now,
    ) -> None:
        self._user_id = user_id
        self._now = now
        self._tweepy = tweepy.Client(
            consumer_key=consumer_key,
            consumer_secret=consumer_secret,
            access_token=access_token,
            access_token_secret=access_token_secret,
            return_type=requests.Response,
            wait_on_rate_limit=False,  # with it, a reset in the past is asked again without a pause
        )
        # The session judges each answer before tweepy does, which stumbles over odd error bodies.
        self._tweepy.session = Http(
            base_url=base_url or BASE_URL, hosts=HOSTS, on_response=self._judge
        )

    def me(self) -> tuple[dict[str, Any], str | None]:
        """The account that the token belongs to, and what the token may do (`x-access-level`)."""
        answer = self._tweepy.get_me(user_auth=True, user_fields=USER_FIELDS)
        return mapping(mapping(body(answer)).get("data")), answer.headers.get("x-access-level")

    def mentions(self, **where: Any) -> Found:
        return self._found(
            self._tweepy.get_users_mentions(self._user_id, **self._post_query(where))
        )

    def own_posts(self, **where: Any) -> Found:
        """Ours, replies included: they are the answers."""
        query = self._post_query(where)
        return self._found(
            self._tweepy.get_users_tweets(self._user_id, exclude="retweets", **query)
        )

    def direct_messages(self, *, max_results: int, token: str | None) -> Found:
        """Newest first. There is no since_id here, and a month is all there is."""
        answer = self._tweepy.get_direct_message_events(
            user_auth=True,
            max_results=max_results,
            event_types="MessageCreate",  # each event costs money, also who joined and left
            dm_event_fields=(
                "id,event_type,text,created_at,sender_id,dm_conversation_id,participant_ids,"
                "attachments,referenced_tweets,entities"
            ),
            expansions="sender_id,participant_ids,attachments.media_keys,referenced_tweets.id",
            tweet_fields=POST_FIELDS,
            user_fields=USER_FIELDS,
            media_fields=MEDIA_FIELDS,
            **({"pagination_token": token} if token else {}),
        )
        return self._found(answer)

    def _post_query(self, where: dict[str, Any]) -> dict[str, Any]:
        return {
            "user_auth": True,
            "max_results": 100,  # billed by what comes, not by what is asked for
            "expansions": "author_id,referenced_tweets.id,attachments.media_keys",
            "tweet_fields": POST_FIELDS,
            "user_fields": USER_FIELDS,
            "media_fields": MEDIA_FIELDS,
            **{name: value for name, value in where.items() if value is not None},
        }

    def _found(self, answer: requests.Response) -> Found:
        told = body(answer)
        meta = told.get("meta") if isinstance(told, dict) else None
        if not isinstance(meta, dict):
            # An empty list has its `meta` too. Taken for empty, this would end a walk half way.
            for problem in items(mapping(told).get("errors")):
                if mapping(problem).get("resource_type") == "user":
                    raise Unauthorized(
                        f"X knows no user {self._user_id}", remedy="set user_id to your numeric id"
                    )
            raise Unavailable(f"an answer without meta from {place(answer.url)}")
        token = meta.get("next_token")
        return Found(
            data=items(told.get("data")),
            includes=mapping(told.get("includes")),
            token=token if isinstance(token, str) and token else None,
            at=_date(answer) or self._now(),
        )

    def _judge(self, answer: requests.Response) -> None:
        status = answer.status_code
        if 200 <= status < 300:
            return
        said = _problem(answer)
        what = f"X answered {status} at {place(answer.url)}{said.words}"
        if status == 402 or (status == 429 and "usage-capped" in said.kind):
            raise RateLimited(
                f"{what}: no credits or a spending cap; see billing in the X developer console",
                retry_after_s=BILLING_S,
            )
        if status == 429:
            raise RateLimited(what, retry_after_s=_until_reset(answer))
        if status == 400:
            raise Refused(what)
        if status == 401:
            raise Unauthorized(what, remedy=self._remedy_401(answer))
        if status == 403:
            raise Unauthorized(what, remedy=PERMISSION)
        if status == 404 and said.kind.endswith("resource-not-found"):
            raise Unauthorized(what, remedy="set user_id to your numeric id")
        raise Unavailable(what, maybe_done=status >= 500)

    def _remedy_401(self, answer: requests.Response) -> str:
        at = _date(answer)
        if at is not None and abs(at - self._now()) > SKEW:
            return "set this machine's clock right: it is too far from X's for a signed request"
        return RENEW


@dataclass(frozen=True, slots=True)
class _Said:
    kind: str  # the `type` of the problem, which comes with both hosts: compare its end
    words: str


def _problem(answer: requests.Response) -> _Said:
    """What an error body says, in one line; gateways answer with HTML or plain text."""
    try:
        told = mapping(json.loads(answer.content))
    except (ValueError, RecursionError):
        told = {}
    kind = told.get("type")
    lines = [told.get("title"), told.get("detail"), told.get("reason")]
    for error in items(told.get("errors"))[:3]:
        lines.append(mapping(error).get("message") or mapping(error).get("detail"))
    words = "; ".join(dict.fromkeys(line for line in lines if isinstance(line, str) and line))
    return _Said(
        kind if isinstance(kind, str) else "", f" ({scrub(words[:300])[0]})" if words else ""
    )


def _date(answer: requests.Response) -> datetime | None:
    try:
        at = parsedate_to_datetime(answer.headers.get("Date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    return at if at.tzinfo else None


def _until_reset(answer: requests.Response) -> float:
    """Seconds to the end of the window, by X's own clock: ours may be off."""
    at = _date(answer)
    try:
        left = float(answer.headers["x-rate-limit-reset"]) - (at.timestamp() if at else 0.0)
    except (KeyError, ValueError):
        return NO_RESET_S
    if at is None or not left > 0:
        return NO_RESET_S
    return min(max(left, 1.0), WINDOW_S)
