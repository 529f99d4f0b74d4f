"""A Facebook Page: visitor posts and tags, comments, reviews and Messenger conversations, by polling.

The token is a **Page** access token, never a user token (with one, comments read as empty): exchange a short user
token for a long-lived one, then take the Page's own from `GET /me/accounts`. It needs pages_read_engagement,
pages_read_user_content and pages_messaging. https://developers.facebook.com/docs/pages-api; the app secret, if
given, signs every call: https://developers.facebook.com/docs/graph-api/guides/secure-requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, SecretStr

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Accepted, Direction, Identity, Message, Page, Push
from connectors.base import Keep, Now, Options
from connectors.facebook import webhook
from connectors.facebook.comments import FIELDS as COMMENT_FIELDS
from connectors.facebook.comments import poll_comments
from connectors.facebook.graph import PageGraph
from connectors.facebook.inbox import poll_inbox
from connectors.facebook.refusals import Forbidden, Missing
from connectors.facebook.shapes import post_message, review_message
from connectors.facebook.walks import DAY_MS, Edge, poll_edges, read_edges_cursor
from connectors.facebook.wanted import MOST, fetch, next_wanted, want
from connectors.fields import parse_time
from connectors.payload import mapping, name, native

STREAMS = ("posts", "comments", "reviews", "messages")
_PROBES = {"posts": "feed", "comments": "feed", "reviews": "ratings", "messages": "conversations"}

_POST_FIELDS = (
    "id,from,message,story,created_time,updated_time,permalink_url,parent_id,status_type,message_tags,"
    "attachments{type,media_type,title,description,url,unshimmed_url,media,target,subattachments}"
)
_POSTS = (
    Edge("feed", _POST_FIELDS),
    Edge("tagged", f"{_POST_FIELDS},tagged_time", ("tagged_time", "created_time"), optional=True),
)
_REVIEWS = (
    Edge(
        "ratings",
        "created_time,has_rating,has_review,rating,recommendation_type,review_text,reviewer,"
        "open_graph_story",
        overlap_ms=DAY_MS,  # few, and their order is nowhere promised
    ),
)
# https://developers.facebook.com/docs/graph-api/changelog/versions: the last day of each version
_LAST_DAYS = {
    "v21.0": date(2027, 1, 21),
    "v22.0": date(2027, 5, 20),
    "v23.0": date(2027, 10, 8),
    "v24.0": date(2028, 2, 18),
    "v25.0": date(2028, 7, 29),
}
_WARN = timedelta(days=60)


def _with_v(value: object) -> object:
    return f"v{value}" if isinstance(value, str) and value[:1].isdigit() else value


class FacebookOptions(Options):
    page_id: str = Field(pattern=r"^[0-9]{1,20}$")
    access_token: SecretStr
    app_secret: SecretStr | None = None
    verify_token: SecretStr | None = None  # with app_secret: webhooks are taken
    instagram: bool = False
    graph_version: Annotated[
        str, BeforeValidator(_with_v), Field(pattern=r"^v[0-9]{1,3}\.[0-9]$")
    ] = "v26.0"


class Facebook:
    """One Page. A poll makes one call; walks and the set of live posts are in the cursors.

    Webhooks come on top where `verify_token` and `app_secret` are given: they are quick, polling is what
    makes sure.
    """

    options: ClassVar[type[Options]] = FacebookOptions
    streams: tuple[str, ...] = STREAMS

    def __init__(self, options: FacebookOptions, *, keep: Keep, now: Now) -> None:
        self._page_id = options.page_id
        self._options = options
        self._keep = keep
        self._now = now
        takes = options.verify_token is not None and options.app_secret is not None
        self.pushed: tuple[str, ...] = (webhook.STREAM,) if takes else ()
        self.streams = (*STREAMS, *self.pushed)
        self._token = options.access_token.get_secret_value()
        secret = options.app_secret
        self._graph = PageGraph(
            token=self._token,
            app_secret=secret.get_secret_value() if secret else None,
            version=options.graph_version,
            base_url=options.base_url,
            now=now,
        )
        self._known = False

    def check(self) -> Identity:
        page_name = self._whose_token()
        told: dict[str, str] = {}
        for stream, edge in _PROBES.items():
            try:
                self._graph.edge(self._page_id, edge, None, fields="id", limit=1)
                told[stream] = "ok"
            except Forbidden as error:
                told[stream] = f"{error.reason}; {error.remedy}"
            except Missing as error:
                told[stream] = error.reason
        return Identity(
            native_id=self._page_id,
            name=page_name,
            streams=told,
            token_expires_at=self._expires_at(),
            note=self._version_note(),
        )

    # --- webhooks -------------------------------------------------------------------------------

    def verify(self, request: Push) -> Accepted:
        token, secret = self._options.verify_token, self._options.app_secret
        if token is None or secret is None:
            raise Rejected("no webhooks here: verify_token and app_secret are not set", status=404)
        return webhook.accepted(
            request,
            verify_token=token.get_secret_value(),
            app_secret=secret.get_secret_value(),
        )

    def read(self, raw: Sequence[bytes]) -> Page:
        """Messages; and the streams to be polled for what was only named."""
        found = webhook.read(
            raw,
            page_id=self._page_id,
            instagram_id=self._keep.get("instagram") if self._options.instagram else None,
            instagram=self._options.instagram,
        )
        untold = want(self._keep, found.wanted)
        return Page((*found.messages, *untold), None, wake=tuple(found.wake))

    # --- lists ----------------------------------------------------------------------------------

    def poll(self, stream: str, cursor: str | None) -> Page:
        if not self._known:
            self._whose_token()
        if stream == "posts":
            return self._posts(cursor)
        if stream == "comments":
            return poll_comments(self._graph, self._page_id, cursor, now=self._now())
        if stream == "reviews":
            raws, at, more = poll_edges(
                self._graph, self._page_id, _REVIEWS, cursor, now=self._now()
            )
            return _page((review_message(raw) for raw in raws), at.text(), more=more)
        if stream == "messages":
            page = poll_inbox(self._graph, self._page_id, cursor, now=self._now())
            return _page(page.messages, page.cursor, more=page.more)
        raise ValueError(f"Facebook has no stream {stream!r}")

    def _posts(self, cursor: str | None) -> Page:
        """What others posted. The Page's own posts are no messages: only their comments are."""
        before = read_edges_cursor(cursor)
        if before.walk is None and before.edge == 0:
            one = next_wanted(self._keep, before.asked)
            if one is not None:
                message = fetch(
                    self._graph,
                    one,
                    page_id=self._page_id,
                    post_fields=_POST_FIELDS,
                    comment_fields=COMMENT_FIELDS,
                )
                asked = replace(before, asked=(*before.asked, one["id"])[-MOST:])
                return Page((message,) if message else (), asked.text(), more=True)
        raws, at, more = poll_edges(self._graph, self._page_id, _POSTS, cursor, now=self._now())
        every = (post_message(raw, page_id=self._page_id) for raw in raws)
        others = (one for one in every if one.direction is Direction.INBOUND)
        return _page(others, at.text(), more=more)

    def _whose_token(self) -> str | None:
        """The Page's name. With a user's token, lists are empty and nothing says so."""
        me = mapping(self._graph.get_object("me", fields="id,name"))
        if native(me.get("id")) != self._page_id:
            raise Unauthorized(
                f"the token belongs to {native(me.get('id'))}, not to page_id {self._page_id}",
                remedy="take the Page's own token from GET /me/accounts",
            )
        self._known = True
        return name(me.get("name"))

    def _expires_at(self) -> datetime | None:
        """When the token ends, or the access to data with it; None where that is not told, or never."""
        try:
            told = self._graph.request(
                f"{self._graph.version}/debug_token", {"input_token": self._token}
            )
        except RateLimited:
            raise
        except (Unavailable, Unauthorized):
            return None  # not every token may look at itself
        data = mapping(told.get("data"))
        ends = (parse_time(data.get(one)) for one in ("expires_at", "data_access_expires_at"))
        return min((end for end in ends if end is not None), default=None)

    def _version_note(self) -> str | None:
        asked, answered = self._graph.version, self._graph.answered_by
        notes = []
        if answered is not None and answered != asked:
            notes.append(f"Graph {asked} was asked, {answered} answers: set graph_version")
        last = _LAST_DAYS.get(asked)
        if last is not None and self._now().date() >= last - _WARN:
            notes.append(f"Graph {asked} ends on {last}: set graph_version to a newer one")
        return "; ".join(notes) or None


def _page(messages: Iterable[Message], cursor: str | None, *, more: bool) -> Page:
    """In the order of writing: lists come newest first."""
    ordered = sorted(messages, key=lambda one: one.sent_at or datetime.min.replace(tzinfo=UTC))
    return Page(tuple(ordered), cursor, more=more)
