"""Stand-in of Zendesk's ticket API, with its validation, idempotency keys and limits."""

from __future__ import annotations

import base64
import hmac
import json
import re
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape
from typing import Any

from aggregator.sandbox.base import Answer, Request, Route, Standin, answer
from aggregator.sandbox.zendesk_rules import problems

KEY_LIFE = timedelta(hours=2)
UPDATE_WINDOW = timedelta(minutes=10)
PER_PAGE = 100


@dataclass(frozen=True, slots=True)
class Comment:
    id: int
    body: str  # as it was sent; `html` says how it is meant
    html: bool
    public: bool
    created_at: datetime


@dataclass(slots=True)
class Ticket:
    """As it stands now; `comments` from the first (the description) on."""

    id: int
    subject: str | None
    priority: str | None
    status: str
    tags: list[str]
    external_id: str | None
    requester: Mapping[str, Any] | None
    created_at: datetime
    updated_at: datetime
    comments: list[Comment] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Once:
    at: datetime
    body: Any
    given: Answer


class ZendeskStandin(Standin):
    """`tickets` is the ledger, by id. Knobs: `per_minute` calls, `updates_per_10_min` of one ticket."""

    name = "zendesk"

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        per_minute: int = 700,
        updates_per_10_min: int = 30,
    ) -> None:
        super().__init__(now)
        self.per_minute = per_minute
        self.updates_per_10_min = updates_per_10_min
        self.email = "inboxd@brand.example"
        self.token = secrets.token_urlsafe(30)
        self.tickets: dict[int, Ticket] = {}
        self._keys: dict[str, _Once] = {}
        self._updates: dict[int, deque[datetime]] = {}
        self._minute = 0
        self._spent = 0
        self._next_comment = 900_000_000_000
        for method, path, handler in (
            ("GET", r"/api/v2/users/me(?:\.json)?", self._me),
            ("POST", r"/api/v2/tickets(?:\.json)?", self._create_once),
            ("GET", r"/api/v2/tickets(?:\.json)?", self._list),
            ("GET", r"/api/v2/tickets/(\d+)(?:\.json)?", self._show),
            ("PUT", r"/api/v2/tickets/(\d+)(?:\.json)?", self._update),
            ("GET", r"/api/v2/tickets/(\d+)/comments(?:\.json)?", self._comments),
        ):
            self.route(method, path, self._admitted(handler))

    def options(self) -> dict[str, str]:
        return {"url": self.base_url, "email": self.email, "token": self.token}

    def not_found(self, request: Request) -> Answer:
        return answer({"error": "InvalidEndpoint", "description": "Not found"}, 404)

    def headers(self, request: Request, given: Answer) -> Mapping[str, str]:
        left = str(max(0, self.per_minute - self._spent))
        return {
            "X-Rate-Limit": str(self.per_minute),
            "X-Rate-Limit-Remaining": left,
            "ratelimit-limit": str(self.per_minute),
            "ratelimit-remaining": left,
            "ratelimit-reset": str(self._to_next_minute()),
        }

    # --- before any handler -------------------------------------------------------------------------

    def _admitted(self, handler: Route) -> Route:
        """Who is it, is there any call left in this minute, and is a body JSON."""

        def checked(request: Request, match: re.Match[str]) -> Answer:
            minute = int(self.now().timestamp()) // 60
            if minute != self._minute:
                self._minute, self._spent = minute, 0
            if self._spent >= self.per_minute:
                return _too_many(
                    self._to_next_minute(), "Number of allowed API requests per minute"
                )
            self._spent += 1
            expected = base64.b64encode(f"{self.email}/token:{self.token}".encode()).decode()
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Basic {expected}".encode()):
                return answer({"error": "Couldn't authenticate you"}, 401)
            if request.method in ("POST", "PUT"):
                if not request.headers.get("content-type", "").startswith("application/json"):
                    return answer({"error": "UnsupportedMediaType"}, 415)
                try:
                    asked = request.json()
                except ValueError:
                    return answer({"error": "Unparseable", "message": "Body is not JSON"}, 400)
                if not isinstance(asked, dict) or not isinstance(asked.get("ticket"), dict):
                    return answer(
                        {"error": {"title": "Invalid attribute", "message": "ticket"}}, 400
                    )
            return handler(request, match)

        return checked

    def _to_next_minute(self) -> int:
        return 60 - int(self.now().timestamp()) % 60

    # --- tickets --------------------------------------------------------------------------------------

    def _create_once(self, request: Request, match: re.Match[str]) -> Answer:
        key = request.headers.get("idempotency-key")
        if key is None:
            return self._create(request.json()["ticket"])
        asked = request.json()
        earlier = self._keys.get(key)
        if earlier is not None and self.now() - earlier.at < KEY_LIFE:
            if earlier.body != asked:
                return answer(
                    {
                        "error": "IdempotentRequestError",
                        "description": "The key was used with other parameters",
                    },
                    400,
                )
            given = earlier.given
            lookup = {"x-idempotency-lookup": "hit"}
            return Answer(given.body, given.status, {**given.headers, **lookup})
        given = self._create(asked["ticket"])
        if given.status == 201:
            self._keys[key] = _Once(self.now(), asked, given)
        return Answer(given.body, given.status, {**given.headers, "x-idempotency-lookup": "miss"})

    def _create(self, asked: dict[str, Any]) -> Answer:
        wrong = problems(asked, new=True)
        if wrong:
            return _invalid(wrong)
        now = self.now()
        ticket = Ticket(
            id=len(self.tickets) + 1,
            subject=asked.get("subject"),
            priority=asked.get("priority"),
            status=asked.get("status", "new"),
            tags=sorted(set(asked.get("tags", ()))),
            external_id=asked.get("external_id"),
            requester=asked.get("requester"),
            created_at=now,
            updated_at=now,
        )
        self.tickets[ticket.id] = ticket
        events = self._say(ticket, asked["comment"])
        return answer(
            {"ticket": self._shown(ticket), "audit": self._audit(ticket, events)},
            201,
            {"Location": f"{self.base_url}/api/v2/tickets/{ticket.id}.json"},
        )

    def _update(self, request: Request, match: re.Match[str]) -> Answer:
        ticket = self.tickets.get(int(match[1]))
        if ticket is None:
            return _no_record()
        asked = request.json()["ticket"]
        now = self.now()
        times = self._updates.setdefault(ticket.id, deque())
        while times and now - times[0] >= UPDATE_WINDOW:
            times.popleft()
        if len(times) >= self.updates_per_10_min:
            wait = int((times[0] + UPDATE_WINDOW - now).total_seconds()) + 1
            return _too_many(wait, "Number of allowed updates of this ticket per 10 minutes")
        if ticket.status == "closed":
            closed = "Status: closed prevents ticket update"
            return _invalid({"status": [{"description": closed}]})
        wrong = problems(asked, new=False)
        if wrong:
            return _invalid(wrong)
        if asked.get("safe_update") and asked.get("updated_stamp") != _time(ticket.updated_at):
            return answer(
                {"error": "UpdateConflict", "description": "Safe Update prevented it"}, 409
            )
        times.append(now)
        ticket.subject = asked.get("subject", ticket.subject)
        ticket.priority = asked.get("priority", ticket.priority)
        ticket.status = asked.get("status", ticket.status)
        ticket.external_id = asked.get("external_id", ticket.external_id)
        tags = set(asked.get("tags", ticket.tags)) | set(asked.get("additional_tags", ()))
        ticket.tags = sorted(tags - set(asked.get("remove_tags", ())))
        ticket.updated_at = now
        events = self._say(ticket, asked["comment"]) if "comment" in asked else []
        return answer({"ticket": self._shown(ticket), "audit": self._audit(ticket, events)})

    def _list(self, request: Request, match: re.Match[str]) -> Answer:
        wanted = request.query.get("external_id")
        found = [
            self._shown(ticket)
            for ticket in self.tickets.values()
            if wanted is None or ticket.external_id == wanted
        ]
        return self._paged(request, "tickets", found)

    def _show(self, request: Request, match: re.Match[str]) -> Answer:
        ticket = self.tickets.get(int(match[1]))
        return answer({"ticket": self._shown(ticket)}) if ticket else _no_record()

    def _comments(self, request: Request, match: re.Match[str]) -> Answer:
        ticket = self.tickets.get(int(match[1]))
        if ticket is None:
            return _no_record()
        shown = [
            {
                "id": comment.id,
                "type": "Comment",
                "author_id": 1,
                "body": comment.body,
                "html_body": comment.body if comment.html else f"<p>{escape(comment.body)}</p>",
                "plain_body": comment.body,
                "public": comment.public,
                "created_at": _time(comment.created_at),
            }
            for comment in ticket.comments
        ]
        if request.query.get("sort_order") == "desc":
            shown.reverse()
        return self._paged(request, "comments", shown)

    def _me(self, request: Request, match: re.Match[str]) -> Answer:
        user = {"id": 1, "name": "inboxd", "email": self.email, "role": "agent", "active": True}
        return answer({"user": user})

    # --- shapes -------------------------------------------------------------------------------------

    def _say(self, ticket: Ticket, comment: Mapping[str, Any]) -> list[dict[str, Any]]:
        self._next_comment += 1
        html = "html_body" in comment
        said = Comment(
            self._next_comment,
            comment["html_body"] if html else comment["body"],
            html,
            bool(comment.get("public", True)),
            self.now(),
        )
        ticket.comments.append(said)
        return [{"id": said.id, "type": "Comment", "body": said.body, "public": said.public}]

    def _audit(self, ticket: Ticket, events: list[dict[str, Any]]) -> dict[str, Any]:
        at = _time(ticket.updated_at)
        return {
            "id": secrets.randbits(40),
            "ticket_id": ticket.id,
            "created_at": at,
            "events": events,
        }

    def _shown(self, ticket: Ticket) -> dict[str, Any]:
        return {
            "url": f"{self.base_url}/api/v2/tickets/{ticket.id}.json",
            "id": ticket.id,
            "external_id": ticket.external_id,
            "subject": ticket.subject,
            "raw_subject": ticket.subject,
            "description": ticket.comments[0].body if ticket.comments else None,
            "priority": ticket.priority,
            "status": ticket.status,
            "tags": ticket.tags,
            "requester_id": 2 if ticket.requester else 1,
            "submitter_id": 1,
            "created_at": _time(ticket.created_at),
            "updated_at": _time(ticket.updated_at),
            "via": {"channel": "api", "source": {"from": {}, "to": {}, "rel": None}},
        }

    def _paged(self, request: Request, name: str, found: list[dict[str, Any]]) -> Answer:
        try:
            page = max(1, int(request.query.get("page", "1")))
            size = min(PER_PAGE, max(1, int(request.query.get("per_page", str(PER_PAGE)))))
        except ValueError:
            return answer({"error": "InvalidPaginationParameter"}, 400)
        more = page * size < len(found)
        return answer(
            {
                name: found[(page - 1) * size : page * size],
                "count": len(found),
                "next_page": self._page_url(request, page + 1) if more else None,
                "previous_page": self._page_url(request, page - 1) if page > 1 else None,
            }
        )

    def _page_url(self, request: Request, page: int) -> str:
        kept = [piece for piece in request.raw_query.split("&") if piece]
        kept = [piece for piece in kept if not piece.startswith("page=")]
        return f"{self.base_url}{request.path}?{'&'.join([*kept, f'page={page}'])}"


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _no_record() -> Answer:
    return answer({"error": "RecordNotFound", "description": "Not found"}, 404)


def _invalid(details: Mapping[str, list[dict[str, str]]]) -> Answer:
    body = {
        "error": "RecordInvalid",
        "description": "Record validation errors",
        "details": details,
    }
    return answer(body, 422)


def _too_many(seconds: int, what: str) -> Answer:
    body = {"error": "TooManyRequests", "description": f"{what} exceeded"}
    return Answer(json.dumps(body).encode(), 429, {"Retry-After": str(seconds)})
