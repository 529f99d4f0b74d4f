"""The Graph API, through facebook-sdk and our session: one page of one edge at a time."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import facebook
import requests

from aggregator.errors import Unavailable
from aggregator.http import Http, body
from connectors.base import Now
from connectors.facebook.refusals import Heavy, Throttled, judge
from connectors.facebook.usage import INSTAGRAM, MESSENGER, PAGES, Usage
from connectors.payload import items, mapping

HOSTS = ("graph.facebook.com",)

MOST = 100  # entries of a page
LEAST = 1
EASED = 10  # so many pages without a complaint, and they may be longer again
_CASE = "_case"  # for us, not for Facebook

# What of a `next` URL says where to go on. The rest of it repeats the question, and holds the token.
_POSITION = ("after", "until", "since", "offset", "page", "__paging_token")


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of an edge. `next`: what to ask the following page with, None where there is none."""

    data: list[dict[str, Any]]
    next: dict[str, str] | None
    at: datetime


class PageGraph(facebook.GraphAPI):  # type: ignore[misc]
    """The SDK as a carrier. It knows no version above 3.1, no proof, no status: that is added here.

    `most`: by edge, the longest page that Facebook does not call too much data. It shrinks when it does, and
    grows again with the pages that it gives.

    Every call raises the outcomes of aggregator/errors.py, or their subclasses in refusals.
    """

    def __init__(
        self,
        *,
        token: str,
        app_secret: str | None,
        version: str,
        base_url: str | None,
        now: Now,
        usage: Usage,
    ) -> None:
        http = Http(base_url=base_url, hosts=HOSTS, on_response=self._judge)
        http.headers["Authorization"] = f"Bearer {token}"
        super().__init__(session=http)  # without a token: the SDK would put it into the URL
        self.version = version
        self.answered_by: str | None = None
        self.usage = usage
        self.token = token
        self._secret = app_secret
        self._proof = (
            hmac.digest(app_secret.encode(), token.encode(), hashlib.sha256).hex()
            if app_secret
            else None
        )
        self._now = now
        self._at = now()
        self._room: dict[str, tuple[int, int]] = {}  # edge → longest page, pages given since

    def request(
        self,
        path: str,
        args: dict[str, Any] | None = None,
        post_args: dict[str, Any] | None = None,
        files: Any = None,
        method: str | None = None,
    ) -> dict[str, Any]:
        args = dict(args or {})
        edge = path.rsplit("/", 1)[-1]
        case = args.pop(_CASE, PAGES)
        if edge in ("conversations", "messages"):
            case = INSTAGRAM if args.get("platform") == "instagram" else MESSENGER
            self.usage.admit(case, conversations=post_args is None)
        else:
            self.usage.admit(case, conversations=False)
        if self._proof is not None:
            args["appsecret_proof"] = self._proof
        told: dict[str, Any] = super().request(path, args, post_args, files, method)
        return told

    def edge(
        self,
        of: str,
        name: str,
        position: dict[str, str] | None,
        *,
        limit: int,
        case: str = PAGES,
        **query: Any,
    ) -> Listed:
        """One page of `/{of}/{name}`; `position` is the `next` of the page before. `case`: whose quota it is of."""
        longest = self.most(name)
        limit = min(limit, longest)
        query[_CASE] = case
        try:
            told = self.get_connections(of, name, **query, **(position or {}), limit=limit)
        except Heavy:
            self._room[name] = (
                max(limit // 2, LEAST),
                0,
            )  # for the next poll: nothing is retried here
            raise
        if name in self._room:
            given = self._room[name][1] + 1
            self._room[name] = (min(longest * 2, MOST), 0) if given >= EASED else (longest, given)
        if not isinstance(told.get("data"), list):
            raise Unavailable(f"a list without data from /{of}/{name}")
        return self.listed(told)

    def most(self, name: str) -> int:
        return self._room.get(name, (MOST, 0))[0]

    def write(self, of: str, name: str, args: dict[str, Any]) -> dict[str, Any]:
        """One POST to `/{of}/{name}`; no fields are asked for, or the answer may be refused after the deed."""
        return self.request(f"{self.version}/{of}/{name}", post_args=args, method="POST")

    @property
    def at(self) -> datetime:
        """The platform's clock, at the last answer."""
        return self._at

    def listed(self, told: dict[str, Any]) -> Listed:
        """A list as it came, also one inside another object."""
        return Listed(
            data=[one for one in map(mapping, items(told.get("data"))) if one],
            next=_position(mapping(told.get("paging"))),
            at=self._at,
        )

    @property
    def has_secret(self) -> bool:
        return self._secret is not None

    def debug_token(self, app_id: str | None) -> dict[str, Any]:
        """What Facebook says of our token: asked as the app, where that is possible."""
        args = {"input_token": self.token}
        if app_id is None or self._secret is None:
            return self.request(f"{self.version}/debug_token", args)
        return self.as_app(app_id, "debug_token", args)

    def as_app(self, app_id: str, path: str, args: dict[str, str] | None = None) -> dict[str, Any]:
        """A call in the name of the app itself; its token is made of its id and its secret."""
        assert self._secret is not None
        response = self.session.get(
            f"{facebook.FACEBOOK_GRAPH_URL}{self.version}/{path}",
            params=args,
            headers={"Authorization": f"Bearer {app_id}|{self._secret}"},
        )
        return mapping(body(response))

    def _judge(self, response: requests.Response) -> None:
        self.usage.learn(response.headers)
        try:
            judge(response, token=self.token)
        except Throttled as error:
            self.usage.refused(error.case, seconds=error.retry_after_s, why=error.reason)
            raise
        # The SDK goes by this header, and Graph has been seen to call its JSON text/javascript.
        response.headers["content-type"] = "application/json"
        self.answered_by = response.headers.get("facebook-api-version")
        self._at = _date(response) or self._now()


def _position(paging: dict[str, Any]) -> dict[str, str] | None:
    """A list ends where `next` is absent, and only there: pages may be short, and even empty."""
    url = paging.get("next")
    if not isinstance(url, str) or not url:
        return None
    try:
        query = dict(parse_qsl(urlsplit(url).query))
    except ValueError:
        query = {}
    position = {name: query[name] for name in _POSITION if name in query}
    after = mapping(paging.get("cursors")).get("after")
    if not position and isinstance(after, str):
        position = {"after": after}
    if not position:
        raise Unavailable("a list goes on, but its next page says not where")
    return position


def _date(response: requests.Response) -> datetime | None:
    try:
        at = parsedate_to_datetime(response.headers.get("Date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    return at if at.tzinfo else None
