"""X (api.x.com, v2): public mentions of us, direct messages, what we posted and answered ourselves, and
posts that name us without the @ (`search`).

The four keys come from the X developer console (https://console.x.com): an app whose user authentication
settings say "Read and write and Direct message"; its API Key and Secret, and an Access Token and Secret made
*after* that setting, for the account itself. Such tokens (OAuth 1.0a) do not expire. Or a `client_id` from
there (OAuth 2.0) and `inboxd auth`. Reads cost money by what is returned: https://docs.x.com/x-api.
Encrypted direct messages (XChat) are not in this API.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar

from pydantic import SecretStr

from aggregator.errors import Rejected
from aggregator.model import Identity, Message, Page, Quota
from connectors.base import Authorizes, Keep, Now, Options, ReplyLimit
from connectors.x import activity, deletions
from connectors.x.activity import Activity
from connectors.x.checking import identity
from connectors.x.client import Client, Keys
from connectors.x.deletions import Deletions
from connectors.x.inbox import Inbox
from connectors.x.options import XOptions, query
from connectors.x.people import People
from connectors.x.prices import Ledger
from connectors.x.replies import Answers
from connectors.x.timeline import Listing, Timeline
from connectors.x.tokens import Authorization, Tokens

__all__ = ["X", "XOptions"]


class X:
    """One account of X. A poll fetches one page; a walk goes on over polls, restarts and refusals."""

    options: ClassVar[type[Options]] = XOptions
    streams: tuple[str, ...]

    def __init__(self, options: XOptions, *, keep: Keep, now: Now) -> None:
        self._options = options
        self._me = options.user_id
        self._query = f"{query(options.search)} -from:{self._me}" if options.search else ""
        sweeps = (deletions.NAME,) if options.deletions == "daily" else ()
        polled = (one for one in options.streams if one != activity.NAME)
        self.streams = (*polled, *sweeps)
        self._client = Client(
            user_id=options.user_id,
            base_url=options.base_url,
            keys=_keys(options),
            tokens=_tokens(options, keep, now),
            keep=keep,
            now=now,
        )
        budget = options.budget
        self._ledger = Ledger(
            keep,
            now,
            per_day=budget.per_day if budget else None,
            owned=budget.owned if budget else True,
            streams=options.streams,
        )
        parts = {"client": self._client, "ledger": self._ledger, "me": self._me, "now": now}
        people = People(client=self._client, ledger=self._ledger, keep=keep, now=now)
        self._inbox = Inbox(people=people, **parts)  # type: ignore[arg-type]
        self._answers = Answers(**parts)  # type: ignore[arg-type]
        self._deletions = Deletions(keep=keep, **parts) if sweeps else None  # type: ignore[arg-type]
        self.listens = options.bearer_token is not None and activity.NAME in options.streams
        self._activity = Activity(
            client=self._client,
            ledger=self._ledger,
            streams=self.streams,
            bearer=_open(options.bearer_token),
            base_url=options.base_url,
            now=now,
        )
        self._timelines = {
            listing.stream: Timeline(listing, people=people, **parts)  # type: ignore[arg-type]
            for listing in self._listings()
        }

    @staticmethod
    def authorization(options: XOptions, *, keep: Keep, now: Now) -> Authorizes:
        """The walk to a token for an account with a `client_id`."""
        if options.client_id is None:
            raise Rejected(
                "this account has keys that do not expire; inboxd auth is for a client_id"
            )
        return Authorization(
            client_id=options.client_id,
            client_secret=_open(options.client_secret) or None,
            callback_url=options.callback_url,
            base_url=options.base_url,
            keep=keep,
            now=now,
        )

    def check(self) -> Identity:
        return identity(
            self._client,
            self._ledger,
            me=self._me,
            streams=self.streams,
            query=self._query,
            oauth2=self._options.client_id is not None,
        )

    def quotas(self) -> tuple[Quota, ...]:
        return (*self._client.left(), *self._ledger.left())

    def poll(self, stream: str, cursor: str | None) -> Page:
        if self._deletions is not None and stream == deletions.NAME:
            return self._deletions.poll(cursor)
        page = self._lane(stream).poll(cursor)
        if self._deletions is not None:
            self._deletions.note(page.messages)
        return page

    def backfill(self, stream: str, cursor: str | None) -> Page:
        if stream == deletions.NAME:
            return Page((), None)
        return self._lane(stream).backfill(cursor)

    def listen(self) -> Iterator[str | None]:
        return self._activity.listen()

    def reply_limit(self, to: Message) -> ReplyLimit:
        return self._answers.limit(to)

    def reply(self, to: Message, text: str, key: str) -> Message:
        return self._answers.send(to, text)

    def find_reply(self, to: Message, text: str, key: str, since: datetime) -> Message | None:
        return self._answers.find(to, text, since)

    def _lane(self, stream: str) -> Inbox | Timeline:
        if stream == "direct_messages":
            return self._inbox
        if stream in self._timelines:
            return self._timelines[stream]
        raise ValueError(f"X has no stream {stream!r}")

    def _listings(self) -> tuple[Listing, ...]:
        client, owned = self._client, self._ledger.owned
        return (
            Listing("mentions", client.mentions, owned, 5, 800, again=self._of_us),
            Listing("own_posts", client.own_posts, owned, 5, 3_200, ours=True, again=self._by_us),
            Listing(
                "search",
                lambda **where: client.search(self._query, **where),
                "post",
                least=10,
                most=None,
            ),
        )

    def _of_us(self) -> str:
        return f"@{self._client.handle()} -from:{self._me}"

    def _by_us(self) -> str:
        return f"from:{self._me}"


def _keys(options: XOptions) -> Keys | None:
    if options.client_id is not None:
        return None
    return Keys(
        consumer_key=_open(options.consumer_key),
        consumer_secret=_open(options.consumer_secret),
        access_token=_open(options.access_token),
        access_token_secret=_open(options.access_token_secret),
    )


def _tokens(options: XOptions, keep: Keep, now: Now) -> Tokens | None:
    if options.client_id is None:
        return None
    return Tokens(
        client_id=options.client_id,
        client_secret=_open(options.client_secret) or None,
        base_url=options.base_url,
        keep=keep,
        now=now,
    )


def _open(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret is not None else ""
