"""A Facebook Page: visitor posts and tags, comments, reviews and Messenger conversations, by polling.

The token is a **Page** access token, never a user token (with one, comments read as empty): exchange a short user
token for a long-lived one, then take the Page's own from `GET /me/accounts`. It needs pages_read_engagement,
pages_read_user_content and pages_messaging. https://developers.facebook.com/docs/pages-api; the app secret, if
given, signs every call: https://developers.facebook.com/docs/graph-api/guides/secure-requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Accepted, Direction, Identity, Kind, Message, Page, Push, Quota
from connectors.base import Authorizes, Keep, Now, Options, ReplyLimit
from connectors.facebook import fates, wanted, watch, webhook
from connectors.facebook.answers import Answers
from connectors.facebook.authorize import TOKEN, Authorization, read_token
from connectors.facebook.comments import FIELDS as COMMENT_FIELDS
from connectors.facebook.comments import poll_comments
from connectors.facebook.graph import PageGraph
from connectors.facebook.inbox import poll_inbox
from connectors.facebook.media import poll_media
from connectors.facebook.options import FacebookOptions
from connectors.facebook.refusals import Forbidden, Missing
from connectors.facebook.shapes import post_message, review_message
from connectors.facebook.tokens import inspect, subscription, token_notes, version_note
from connectors.facebook.usage import INSTAGRAM, MESSENGER, PAGES, Usage
from connectors.facebook.walks import DAY_MS, Edge, EdgesCursor, poll_edges, read_edges_cursor
from connectors.payload import mapping, name, native

STREAMS = ("posts", "comments", "reviews", "messages")
INSTAGRAM_STREAM = "instagram"
REMARKS_STREAM = "instagram_comments"
_NOT_LINKED = "no Instagram business account is linked to the Page"
_PROBES = {"posts": "feed", "comments": "feed", "reviews": "ratings", "messages": "conversations"}

_CASES = {"messages": MESSENGER, INSTAGRAM_STREAM: INSTAGRAM, REMARKS_STREAM: INSTAGRAM}

_POST_FIELDS = (
    "id,from,message,story,created_time,updated_time,permalink_url,parent_id,status_type,is_hidden,"
    "message_tags,"
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
        self._probes = dict(_PROBES) | (
            {INSTAGRAM_STREAM: "conversations", REMARKS_STREAM: "media"}
            if options.instagram
            else {}
        )
        self.streams = (*self._probes, *self.pushed)
        self._usage = Usage(keep, now)
        self._made: tuple[str, PageGraph] | None = None
        self._known: str | None = None  # the token that is known to be the Page's

    @staticmethod
    def authorization(options: FacebookOptions, *, keep: Keep, now: Now) -> Authorizes:
        if options.app_id is None or options.app_secret is None:
            raise Rejected("inboxd auth for a Page needs app_id and app_secret")
        return Authorization(
            page_id=options.page_id,
            app_id=options.app_id,
            app_secret=options.app_secret.get_secret_value(),
            callback_url=options.callback_url,
            version=options.graph_version,
            base_url=options.base_url,
            instagram=options.instagram,
            keep=keep,
            now=now,
        )

    @property
    def _graph(self) -> PageGraph:
        """With the token of the settings, or the one that `inboxd auth` left, whichever day it did."""
        given = self._options.access_token
        token = given.get_secret_value() if given else read_token(self._keep.get(TOKEN))
        if token is None:
            raise Unauthorized("there is no token yet", remedy="run inboxd auth for this account")
        if self._made is None or self._made[0] != token:
            secret = self._options.app_secret
            graph = PageGraph(
                token=token,
                app_secret=secret.get_secret_value() if secret else None,
                version=self._options.graph_version,
                base_url=self._options.base_url,
                now=self._now,
                usage=self._usage,
            )
            self._made = (token, graph)
        return self._made[1]

    def check(self) -> Identity:
        page_name = self._whose_token()
        token = inspect(self._graph)
        told = {stream: self._probe(stream, edge) for stream, edge in self._probes.items()}
        done = None
        if self.pushed:
            told[webhook.STREAM], done = self._subscribed(token.app_id)
        today = self._now().date()
        notes = token_notes(
            token,
            webhooks=bool(self.pushed),
            instagram=self._options.instagram,
            today=today,
        )
        notes += [done] if done else []
        version = version_note(self._graph.version, self._graph.answered_by, today)
        return Identity(
            native_id=self._page_id,
            name=page_name,
            streams=told,
            token_expires_at=token.ends,
            note="; ".join([*notes, *([version] if version else [])]) or None,
        )

    def quotas(self) -> tuple[Quota, ...]:
        return self._usage.left()

    def _probe(self, stream: str, edge: str) -> str:
        """`ok`, or why a stream cannot be read. What is wrong with the token itself is raised."""
        more = {"platform": "instagram"} if stream == INSTAGRAM_STREAM else {}
        case = _CASES.get(stream, PAGES)
        try:
            of = self._instagram() if case == INSTAGRAM else self._page_id
            if of is None:
                return f"denied: {_NOT_LINKED}"
            of = of if stream == REMARKS_STREAM else self._page_id
            self._graph.edge(of, edge, None, fields="id", limit=1, case=case, **more)
        except Forbidden as error:
            return f"denied: {error.reason}; {error.remedy}"
        except Missing as error:
            return f"denied: {error.reason}"
        except RateLimited as error:
            return f"quota: {error.reason}; again in {round(error.retry_after_s / 60)} min"
        except Unavailable as error:
            return f"unavailable: {error.reason}"
        return "ok"

    def _subscribed(self, app_id: str | None) -> tuple[str, str | None]:
        try:
            return subscription(self._graph, self._page_id, app_id)
        except Unavailable as error:
            return f"not told: {error.reason}", None

    # --- answers --------------------------------------------------------------------------------

    def reply_limit(self, to: Message) -> ReplyLimit:
        return self._answers().limit(to)

    def reply(self, to: Message, text: str, key: str) -> Message:
        return self._answers().send(to, text, key, now=self._now())

    def find_reply(self, to: Message, text: str, key: str, since: datetime) -> Message | None:
        return self._answers().find(to, text, since)

    def _answers(self) -> Answers:
        return Answers(
            self._graph,
            page_id=self._page_id,
            instagram_id=self._keep.get(INSTAGRAM_STREAM),
            human_agent=self._options.human_agent,
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
            instagram_id=self._keep.get(INSTAGRAM_STREAM) if self._options.instagram else None,
            instagram=self._options.instagram,
        )
        untold = wanted.want(self._keep, found.wanted)
        wanted.stir(self._keep, found.messages)
        wanted.tell(self._keep, found.messages)
        messages = fates.remembered(self._keep, found.messages)
        return Page((*messages, *untold), None, wake=tuple(found.wake))

    # --- lists ----------------------------------------------------------------------------------

    def poll(self, stream: str, cursor: str | None) -> Page:
        """One call. Near the end of the quota a walk goes on at the next poll, not at once."""
        self._ours()
        page = self._poll(stream, cursor)
        case = _CASES.get(stream, PAGES)
        return replace(page, more=False) if page.more and self._usage.slow(case) else page

    def backfill(self, stream: str, cursor: str | None) -> Page:
        """A month, newest first; of a list no more than a few hundred entries."""
        self._ours()
        if stream in self.pushed:
            return Page((), cursor)
        return self._poll(stream, cursor, history=True)

    def _poll(self, stream: str, cursor: str | None, *, history: bool = False) -> Page:
        if stream == "posts":
            return self._posts(cursor, history)
        if stream == "comments":
            return poll_comments(
                self._graph,
                self._page_id,
                cursor,
                now=self._now(),
                history=history,
                pushed=bool(self.pushed),
                stirred=None if history else wanted.stirred(self._keep),
            )
        if stream == "reviews":
            return self._edges(_REVIEWS, read_edges_cursor(cursor), review_message, history)
        if stream in ("messages", INSTAGRAM_STREAM):
            there = stream == INSTAGRAM_STREAM
            page = poll_inbox(
                self._graph,
                self._page_id,
                cursor,
                now=self._now(),
                history=history,
                platform="instagram" if there else "facebook",
                us=self._instagram() if there else None,
                told=wanted.told(self._keep) if there else frozenset(),
            )
            messages = fates.unsent(self._keep, page.messages) if self.pushed else page.messages
            ordered = _page(messages, page.cursor, more=page.more)
            return replace(ordered, gaps=page.gaps)
        if stream == REMARKS_STREAM:
            us = self._instagram()
            if us is None:
                raise Rejected(_NOT_LINKED)
            return poll_media(self._graph, us, cursor, history=history, pushed=bool(self.pushed))
        raise ValueError(f"Facebook has no stream {stream!r}")

    def _posts(self, cursor: str | None, history: bool) -> Page:
        """What others posted. The Page's own posts are no messages: only their comments are."""
        before = read_edges_cursor(cursor)
        if before.walk is None and before.edge == 0 and not history:
            one = wanted.next_wanted(self._keep, before.asked)
            if one is not None:
                message = wanted.fetch(
                    self._graph,
                    one,
                    page_id=self._page_id,
                    instagram_id=self._keep.get(INSTAGRAM_STREAM),
                    post_fields=_POST_FIELDS,
                    comment_fields=COMMENT_FIELDS,
                )
                asked = replace(before, asked=(*before.asked, one["id"])[-wanted.MOST :])
                return Page((message,) if message else (), asked.text(), more=True)
        return self._edges(_POSTS, before, partial(post_message, page_id=self._page_id), history)

    def _edges(
        self,
        edges: Sequence[Edge],
        before: EdgesCursor,
        message_of: Callable[[dict[str, Any]], Message],
        history: bool,
    ) -> Page:
        """One page of a list, what changed on it since, and what is gone from it."""
        kind = Kind.REVIEW if edges is _REVIEWS else Kind.MENTION
        if before.doubted and before.walk is None and before.edge == 0:
            (edge, native_id), *rest = before.doubted
            known = {one: entry for one, entry in before.known[edge].items() if one != native_id}
            gone = watch.verify(self._graph, native_id, kind=kind, root=native_id)
            after = replace(before, doubted=tuple(rest), known={**before.known, edge: known})
            return _page([gone] if gone else [], after.text(), more=True)
        polled = poll_edges(
            self._graph, self._page_id, edges, before, now=self._now(), history=history
        )
        read = [(message_of(raw), raw.get("is_hidden") is True) for raw in polled.raws]
        found = [one for one in read if one[0].direction is Direction.INBOUND]
        at = polled.cursor
        if not polled.newest or polled.at is None:
            return _page((message for message, _ in found), at.text(), more=polled.more)
        name = polled.edge.name
        told = watch.compare(
            at.known.get(name, {}),
            found,
            whole=polled.whole,
            at=polled.at,
            pushed=bool(self.pushed),
        )
        at = replace(
            at,
            known={**at.known, name: told.known},
            doubted=watch.doubted(at.doubted, name, told.missing),
        )
        return _page(told.messages, at.text(), more=polled.more)

    def _instagram(self) -> str | None:
        """The id of the account that is linked to the Page; asked once, and kept."""
        kept = self._keep.get(INSTAGRAM_STREAM)
        if kept is None:
            told = self._graph.get_object(self._page_id, fields="instagram_business_account{id}")
            kept = native(mapping(mapping(told).get("instagram_business_account")).get("id"))
            if kept is not None:
                self._keep.swap(INSTAGRAM_STREAM, None, kept)
        return kept

    def _ours(self) -> None:
        """Asked once of each token."""
        if self._graph.token != self._known:
            self._whose_token()

    def _whose_token(self) -> str | None:
        """The Page's name. With a user's token, lists are empty and nothing says so."""
        graph = self._graph
        me = mapping(graph.get_object("me", fields="id,name"))
        if native(me.get("id")) != self._page_id:
            raise Unauthorized(
                f"the token belongs to {native(me.get('id'))}, not to page_id {self._page_id}",
                remedy="take the Page's own token from GET /me/accounts",
            )
        self._known = graph.token
        return name(me.get("name"))


def _page(messages: Iterable[Message], cursor: str | None, *, more: bool) -> Page:
    """In the order of writing: lists come newest first."""
    ordered = sorted(messages, key=lambda one: one.sent_at or datetime.min.replace(tzinfo=UTC))
    return Page(tuple(ordered), cursor, more=more)
