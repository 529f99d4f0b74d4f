"""Weibo: mentions, comments and our own comments by polling, direct messages of the fan service by callback.

Credentials: open.weibo.com, 我的应用: an app's token for the brand's account (`uid`), from its authorise
page; the App Secret, if direct messages are wanted (粉丝服务平台 - 高级功能 - 开发者模式, format JSON or XML).
Pages: https://open.weibo.com/wiki/2/statuses/mentions and https://open.weibo.com/wiki/Messages_callback
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Literal

from pydantic import Field, IPvAnyAddress, SecretStr, model_validator

from aggregator.errors import Rejected
from aggregator.model import Accepted, Identity, Kind, Message, Page, Push, Quota
from connectors.base import Keep, Now, Options, ReplyLimit
from connectors.weibo.api import Api, authorise
from connectors.weibo.authorization import Authorization, Token
from connectors.weibo.direct import Mentioned, accepted, direct
from connectors.weibo.health import Health
from connectors.weibo.ledger import Ledger
from connectors.weibo.lists import LISTS, Lists, metered
from connectors.weibo.longtext import LongTexts
from connectors.weibo.planner import Planner
from connectors.weibo.profiles import Profiles
from connectors.weibo.replies import Answers
from connectors.weibo.share import Share
from connectors.weibo.windows import Windows
from connectors.weibo.withdrawn import Withdrawn

_DIRECT = "direct_messages"


class WeiboOptions(Options):
    """A token in `access_token`, or the three of the app and a token from `inboxd auth`."""

    uid: str = Field(pattern=r"^[1-9][0-9]{4,19}$")
    access_token: SecretStr | None = None
    app_secret: SecretStr | None = None
    tier: Literal["open", "commercial"] = "open"
    app_key: str | None = Field(None, pattern=r"^[0-9]{1,20}$")  # for links to the authorise page
    redirect_uri: str | None = None  # as the app's settings at Weibo name it
    rip: IPvAnyAddress | None = (
        None  # this machine's public address, which answers may have to name
    )

    @model_validator(mode="after")
    def _has_a_way_to_a_token(self) -> WeiboOptions:
        if self.access_token is None and not (
            self.app_key and self.app_secret and self.redirect_uri
        ):
            raise ValueError(
                "access_token missing; or give app_key, app_secret and redirect_uri and run inboxd auth"
            )
        return self


class Weibo:
    """The lists are polled by plan, since an open app has a hundred calls a day; messages are pushed."""

    options = WeiboOptions

    def __init__(self, options: WeiboOptions, *, keep: Keep, now: Now) -> None:
        self._options = options
        uid, commercial = options.uid, options.tier == "commercial"
        link = partial(authorise, key=options.app_key, back=options.redirect_uri)
        self._secret = _told(options.app_secret)
        self._ledger = ledger = Ledger(keep, now)
        api = Api(
            Token(_told(options.access_token), keep),
            commercial=commercial,
            base_url=options.base_url,
            link=link,
            limited=ledger.refused,
        )
        planned = metered(commercial=commercial)
        self._planner = Planner(api, ledger, uid=uid, now=now, streams=planned)
        withdrawn = Withdrawn(
            api,
            idle=self._planner.idle,
            share=Share(ledger, keep, now, name="withdrawn", part=20),
            allowed=self._planner.extra,
            keep=keep,
            now=now,
        )
        long = LongTexts(
            api,
            share=Share(ledger, keep, now, name="long", part=3),
            allowed=self._planner.extra,
        )
        self._lists = Lists(
            *(api, self._planner, withdrawn, long), uid=uid, commercial=commercial, now=now
        )
        self._profiles = Profiles(
            api,
            share=Share(ledger, keep, now, name="people", part=10),
            allowed=self._planner.extra,
            keep=keep,
            now=now,
        )
        self._windows = Windows(keep, now)
        self._health = Health(
            *(api, self._lists, self._planner),
            uid=uid,
            commercial=commercial,
            link=link,
            keep=keep,
            now=now,
        )
        self._answers = Answers(
            *(api, self._lists),
            uid=uid,
            address=str(options.rip) if options.rip else None,
            spend=self._planner.answer,
            gone=self._gone,
            now=now,
        )
        self.pushed: tuple[str, ...] = (_DIRECT,) if self._secret else ()
        self.streams: tuple[str, ...] = (*LISTS, *self.pushed)

    @staticmethod
    def authorization(options: WeiboOptions, *, keep: Keep, now: Now) -> Authorization:
        """Raises Rejected where the settings lack what the walk needs."""
        if not (options.app_key and options.app_secret and options.redirect_uri):
            raise Rejected("inboxd auth needs app_key, app_secret and redirect_uri in the settings")
        if options.access_token is not None:
            raise Rejected("access_token in the settings counts before any other: remove it first")
        return Authorization(
            uid=options.uid,
            app_key=options.app_key,
            app_secret=options.app_secret.get_secret_value(),
            redirect_uri=options.redirect_uri,
            base_url=options.base_url,
            keep=keep,
            now=now,
        )

    def check(self) -> Identity:
        """Asks each list for one item where nothing is known: an app is often allowed some and not others."""
        notes = [] if self._secret else ["no app_secret: direct messages are not received"]
        identity = self._health.check(notes)
        return replace(identity, streams={**identity.streams, **dict.fromkeys(self.pushed, "ok")})

    def quotas(self) -> tuple[Quota, ...]:
        return self._ledger.left()

    # --- lists ----------------------------------------------------------------------------------

    def poll(self, stream: str, cursor: str | None) -> Page:
        """One page of one list. While the plan says "not yet": an empty page, the cursor as it was."""
        if stream not in LISTS:
            return Page((), cursor)
        page = self._lists.poll(stream, cursor)
        if page.cursor != cursor:
            self._health.saw(stream)
        messages = self._windows.on(page.messages)
        if self.pushed:
            self._profiles.saw(messages)
            messages += self.read(self._profiles.asked()).messages
        return replace(page, messages=messages)

    def backfill(self, stream: str, cursor: str | None) -> Page:
        """One page of what a list still shows of the past. Raises RateLimited while that has to wait."""
        if stream not in LISTS:
            return Page((), cursor)  # no list shows what was pushed
        return self._lists.backfill(stream, cursor)

    # --- direct messages ------------------------------------------------------------------------

    def verify(self, request: Push) -> Accepted:
        if self._secret is None:
            raise Rejected(
                "this account receives no direct messages: it has no app_secret", status=404
            )
        return accepted(self._secret, request, stream=_DIRECT)

    def read(self, raw: Sequence[bytes]) -> Page:
        """A push that only tells of a mention wakes the list that holds it."""
        messages: list[tuple[Message, bytes]] = []
        calls: list[Mentioned] = []
        for one in raw:
            found = direct(one, uid=self._options.uid)
            if isinstance(found, Message):
                messages.append((found, one))
            elif found is not None:
                calls.append(found)
        self._windows.note(calls)
        wake = dict.fromkeys(one.stream for one in calls)
        for stream in wake:
            self._planner.wake(stream)
        return Page(tuple(self._profiles.named(messages)), None, wake=tuple(wake))

    # --- answers --------------------------------------------------------------------------------

    def reply_limit(self, to: Message) -> ReplyLimit:
        return self._answers.limit(to)

    def reply(self, to: Message, text: str, key: str) -> Message:
        return self._answers.send(to, text, key)

    def find_reply(self, to: Message, text: str, key: str, since: datetime) -> Message | None:
        """Raises Rejected for direct messages: Weibo lists none of ours, and a second one would be a guess."""
        return self._answers.find(to, text, since)

    def _gone(self, to: Message, code: int) -> None:
        """An answer came too late for what it answers: the next page of its list says so."""
        kind = self._lists.withdrawn.note(to, code)
        if kind is not None:
            self._planner.wake("comments" if kind is Kind.COMMENT else "mentions")


def _told(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None
