"""Slack: one card per conversation, edited in place; what follows goes into its thread.

The credential is the bot token (xoxb-…) of a Slack app with the scopes chat:write and channels:history
(groups:history for a private room), from api.slack.com/apps, "OAuth & Permissions"; the app is invited to
the room. Methods: docs.slack.dev/reference/methods.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator

from aggregator.destinations.base import Options
from aggregator.destinations.render_slack import Shown, shown_in_slack, simpler
from aggregator.destinations.slack_web import (
    CARD_GONE,
    METADATA,
    ROOM,
    SINK,
    THREAD_GONE,
    TIMEOUT_S,
    Answered,
    Web,
    is_about_the_message,
    meaning,
)
from aggregator.errors import Rejected, Unavailable
from aggregator.model import Notice, NoticeKind, Receipt

EVENT_TYPE: Final = "inboxd_notice"
LOOK_BACK: Final = timedelta(seconds=30)  # our clock and Slack's may differ by so much
PAGE: Final = 200
MAX_PAGES: Final = 5
CANNOT_READ: Final = frozenset(
    [
        "missing_scope",
        "no_permission",
        "not_in_channel",
        "not_allowed_token_type",
        "access_denied",
        "channel_is_limited_access",
    ]
)
UNDER = (NoticeKind.MESSAGE, NoticeKind.WARNING, NoticeKind.ESCALATION)  # the card, in its thread


class SlackOptions(Options):
    token: SecretStr
    room: str
    signing_secret: SecretStr | None = None
    app_token: SecretStr | None = None
    base_url: str = "https://slack.com/api/"

    @field_validator("room")
    @classmethod
    def _room_is_an_id(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Z][A-Z0-9_]+", value):
            raise ValueError(
                "must be the room's id (C…), at the end of the room's details in Slack"
            )
        return value

    @field_validator("base_url")
    @classmethod
    def _base_url_is_one(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError("must be a web address that ends in /api/")
        return value.rstrip("/") + "/"


class Slack:
    """One room. `find` needs to read the room's history; where it may not, it finds nothing."""

    options: ClassVar[type[Options]] = SlackOptions

    def __init__(
        self,
        options: SlackOptions,
        *,
        now: Callable[[], datetime],
        timeout_s: tuple[float, float] = TIMEOUT_S,
    ) -> None:
        self._room = options.room
        self._now = now
        self._web = Web(options.token.get_secret_value(), options.base_url, timeout_s)
        self._workspace: str | None = None

    def check(self) -> str:
        """The app, the workspace and the room; and whether a repeat can be told from a loss."""
        identity = self._web.ask("auth_test")
        if identity.error:
            raise meaning(identity, self._room)
        url = identity.data.get("url")
        self._workspace = url if isinstance(url, str) else None
        line = f"{identity.data.get('user')} in {identity.data.get('team')}, room {self._room}"
        history = self._web.ask("conversations_history", channel=self._room, limit=1)
        if history.error in CANNOT_READ:
            return (
                f"{line}; its history cannot be read ({history.error}), so after a lost answer a notice "
                "may come twice: add channels:history (groups:history) and invite the app"
            )
        if history.error:
            raise meaning(history, self._room)
        return line

    def send(self, notice: Notice) -> Receipt:
        """Post, edit or thread. A card or thread that is gone is posted anew, and the receipt changes."""
        message = shown_in_slack(notice)
        place = _place(notice.earlier)
        if notice.kind is NoticeKind.CARD and place is not None:
            channel, ts = place
            edited = self._try(message, "chat_update", channel=channel, ts=ts, parse="none")
            if not edited.error:
                assert notice.earlier is not None
                return notice.earlier
            if not self._is_gone(edited.error, channel, CARD_GONE):
                raise meaning(edited, channel)
        if notice.kind in UNDER and place is not None:
            channel, ts = place
            threaded = self._post(message, notice, channel=channel, thread_ts=ts)
            if not threaded.error:
                return self._receipt(threaded)
            if not self._is_gone(threaded.error, channel, THREAD_GONE):
                raise meaning(threaded, channel)
        posted = self._post(message, notice, channel=self._room)
        if posted.error:
            raise meaning(posted, self._room)
        return self._receipt(posted)

    def find(self, notice: Notice) -> Receipt | None:
        """The receipt of this notice if it is in the room or in the card's thread. Raises as `send` does."""
        place = _place(notice.earlier)
        if notice.kind in UNDER and place is not None:
            channel, ts = place
            found = self._look(notice, "conversations_replies", channel=channel, ts=ts)
            if found is not None:
                return found
        # An edit needs no looking for, but the card may have been posted anew.
        return self._look(notice, "conversations_history", channel=self._room)

    # -- sending ---------------------------------------------------------------------------------

    def _post(self, message: Shown, notice: Notice, **where: Any) -> Answered:
        return self._try(
            message,
            "chat_postMessage",
            unfurl_links=False,
            unfurl_media=False,
            metadata={"event_type": EVENT_TYPE, "event_payload": {"delivery_id": notice.key}},
            **where,
        )

    def _try(self, message: Shown, method: str, **arguments: Any) -> Answered:
        """Call with the whole message, then with simpler ones while Slack refuses the content."""
        answered = Answered()
        for shape in simpler(message):
            content: dict[str, Any] = {"text": shape.text, "blocks": list(shape.blocks)}
            if not shape.blocks and method == "chat_postMessage":
                del content["blocks"]  # an edit needs the empty list, or the old blocks stay
            answered = self._web.ask(method, **content, **arguments)
            if answered.error in METADATA and arguments.pop("metadata", None):
                answered = self._web.ask(method, **content, **arguments)
            if not is_about_the_message(answered.error):
                break
        return answered

    def _is_gone(self, error: str | None, channel: str, gone: frozenset[str]) -> bool:
        """The card or its thread is no more; or it stands in a former room that is closed to us."""
        return error in gone or (channel != self._room and error in ROOM)

    def _receipt(self, posted: Answered) -> Receipt:
        channel, ts = posted.data.get("channel"), posted.data.get("ts")
        if not isinstance(channel, str) or not isinstance(ts, str):
            raise Unavailable("slack: an answer without channel and ts", maybe_done=True)
        return self._named(channel, ts)

    def _named(self, channel: str, ts: str) -> Receipt:
        if self._workspace is None:
            return Receipt(f"{channel}:{ts}")
        # The form of Slack's permalinks (chat.getPermalink), without a call for each.
        return Receipt(
            f"{channel}:{ts}",
            f"{self._workspace.rstrip('/')}/archives/{channel}/p{ts.replace('.', '')}",
        )

    # -- looking ---------------------------------------------------------------------------------

    def _look(self, notice: Notice, method: str, **where: Any) -> Receipt | None:
        for message in self._messages(notice, method, **where):
            metadata = message.get("metadata")
            payload = metadata.get("event_payload") if isinstance(metadata, dict) else None
            ts = message.get("ts")
            if (
                isinstance(payload, dict)
                and payload.get("delivery_id") == notice.key
                and isinstance(ts, str)
            ):
                return self._named(where["channel"], ts)
        return None

    def _messages(self, notice: Notice, method: str, **where: Any) -> Iterator[dict[str, Any]]:
        since = (notice.since or self._now() - timedelta(hours=1)) - LOOK_BACK
        cursor = None
        for _ in range(MAX_PAGES):
            page = self._web.ask(
                method,
                include_all_metadata=True,
                oldest=f"{since.astimezone(UTC).timestamp():.6f}",
                inclusive=True,
                limit=PAGE,
                **({"cursor": cursor} if cursor else {}),
                **where,
            )
            if page.error in CANNOT_READ or page.error in THREAD_GONE or page.error in CARD_GONE:
                return
            if page.error in ROOM and page.error not in SINK and where["channel"] != self._room:
                return
            if page.error:
                failure = meaning(page, where["channel"])
                if isinstance(failure, Rejected):  # the question is refused, not the notice
                    return
                raise failure
            messages = page.data.get("messages")
            yield from (one for one in messages or () if isinstance(one, dict))
            more = page.data.get("response_metadata")
            cursor = more.get("next_cursor") if isinstance(more, dict) else None
            if not cursor:
                return


def _place(receipt: Receipt | None) -> tuple[str, str] | None:
    """Channel and ts of an earlier receipt."""
    if receipt is None:
        return None
    channel, _, ts = receipt.external_id.partition(":")
    if not channel or not ts:
        raise Rejected(f"slack: the receipt {receipt.external_id!r} is none of Slack's")
    return channel, ts
