"""Zendesk: one ticket per conversation; what follows becomes internal comments on it.

The credential is an API token (Admin Center, Apps and integrations, Zendesk API) together with the e-mail
address of the agent who stands as the author. API: developer.zendesk.com/api-reference/ticketing.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import requests
from pydantic import SecretStr, field_validator

from aggregator.destinations.base import Options
from aggregator.destinations.escape import fit, one_line
from aggregator.destinations.render import person
from aggregator.destinations.render_text import full, inert, subject
from aggregator.errors import Rejected, Unauthorized, Unavailable
from aggregator.http import TIMEOUT_S, Http, body, outcome, place
from aggregator.model import Card, Notice, NoticeKind, Priority, Receipt

PRIORITIES: Final = {
    Priority.P1: "urgent",
    Priority.P2: "high",
    Priority.P3: "normal",
    Priority.P4: "low",
}
OUR_PRIORITY: Final = "inboxd_"  # our own tag for the priority that we last set: inboxd_p1
MAX_TAGS: Final = 20
MAX_PAGES: Final = 5
REMEDY: Final = (
    "check the agent's e-mail address and the API token, and that token access is enabled "
    "in Zendesk's Admin Center"
)
URL_REMEDY: Final = "check the destination's url: https://YOUR-NAME.zendesk.com"
COMMENTS = (NoticeKind.MESSAGE, NoticeKind.WARNING, NoticeKind.ESCALATION)  # on the card's ticket


class ZendeskOptions(Options):
    url: str
    email: str
    token: SecretStr
    webhook_secret: SecretStr | None = None

    @field_validator("url")
    @classmethod
    def _url_is_a_host(cls, value: str) -> str:
        parts = urlsplit(value.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise ValueError("must be the address of your Zendesk, https://YOUR-NAME.zendesk.com")
        return f"{parts.scheme}://{parts.netloc}"


class Zendesk:
    """Tickets by `external_id`, the conversation's id. No comment of ours is public: nothing reaches a customer."""

    options: ClassVar[type[Options]] = ZendeskOptions

    def __init__(
        self,
        options: ZendeskOptions,
        *,
        now: Callable[[], datetime] | None = None,
        timeout_s: tuple[float, float] = TIMEOUT_S,
    ) -> None:
        """`now` is taken as every destination's constructor takes it; tickets carry Zendesk's time."""
        self._url = options.url
        self._token = options.token
        self._http = Http(timeout_s=timeout_s)
        self._http.auth = (f"{options.email}/token", options.token.get_secret_value())
        self._http.headers["Accept"] = "application/json"

    def check(self) -> str:
        me = self._get("/api/v2/users/me", {}).get("user")
        if not isinstance(me, dict) or not me.get("id"):
            raise Unauthorized("Zendesk knows us as anonymous", remedy=REMEDY)
        return f"{one_line(str(me.get('name')))} ({one_line(str(me.get('role')))}) at {self._url}"

    def send(self, notice: Notice) -> Receipt:
        """Create the ticket, comment on it, or bring its priority and tags up to date.

        A ticket that is closed for good or deleted is followed by a new one, and the receipt changes.
        """
        ticket_id = notice.earlier.external_id if notice.earlier else None
        if notice.kind in COMMENTS and ticket_id:
            return self._comment(notice, ticket_id)
        if notice.kind is NoticeKind.CARD and notice.card is not None and ticket_id:
            return self._update(notice, notice.card, ticket_id)
        return self._create(notice)

    def find(self, notice: Notice) -> Receipt | None:
        """The receipt of this notice, by our mark in what it would have written. Raises as `send` does."""
        mark = _mark(notice.key)
        tickets = list(self._tickets(_external_id(notice)))
        for ticket in tickets:
            if mark in str(ticket.get("description") or ""):
                return self._receipt(ticket.get("id"))
        if notice.kind in COMMENTS and notice.earlier:
            # In the ticket itself, or in the one that followed it when it was closed.
            ids = [notice.earlier.external_id, *(str(ticket.get("id")) for ticket in tickets[:2])]
            for id in dict.fromkeys(ids):
                for comment in self._comments(id):
                    if mark in str(comment.get("body") or comment.get("plain_body") or ""):
                        return self._receipt(id)
        return None

    # -- writing ---------------------------------------------------------------------------------

    def _create(self, notice: Notice, after: str | None = None) -> Receipt:
        """A new ticket, once: the key makes Zendesk drop a repeat for two hours, `find` comes after that."""
        ticket = _ticket(notice)
        if after is not None:
            ticket["via_followup_source_id"] = int(after)
        key = _header_key(notice.key)
        response = self._post(ticket, key)
        if response.status_code == 400 and b"Idempotent" in response.content:
            # The key came before with other words: a card shows its newest state each time it is sent.
            found = self.find(notice)
            if found is not None:
                return found
            digest = hashlib.sha256(repr(ticket).encode("utf-8", "replace")).hexdigest()
            response = self._post(ticket, f"{key[:200]}-{digest[:12]}")
        created = self._answer(response).get("ticket")
        return self._receipt(created.get("id") if isinstance(created, dict) else None)

    def _post(self, ticket: Mapping[str, Any], key: str) -> requests.Response:
        return self._http.post(
            f"{self._url}/api/v2/tickets", json={"ticket": ticket}, headers={"Idempotency-Key": key}
        )

    def _comment(self, notice: Notice, ticket_id: str) -> Receipt:
        comment = {"body": _marked(notice), "public": False}
        response = self._put(ticket_id, {"comment": comment})
        if response.status_code == 404 or _is_closed(response):
            return self._follow(notice, ticket_id, closed=response.status_code != 404)
        self._answer(response)
        return self._receipt(ticket_id)

    def _update(self, notice: Notice, card: Card, ticket_id: str) -> Receipt:
        """Priority and tags, only where ours changed: an agent who set another priority keeps it."""
        response = self._http.get(f"{self._url}/api/v2/tickets/{ticket_id}")
        if response.status_code == 404:
            return self._follow(notice, ticket_id, closed=False)
        ticket = self._answer(response).get("ticket")
        if not isinstance(ticket, dict):
            raise Unavailable(f"no ticket in the answer from {place(response.url)}")
        if ticket.get("status") == "closed":
            running = card.clock is not None and card.clock.stopped_at is None
            if running:  # somebody waits, and nobody looks at a closed ticket
                return self._follow(notice, ticket_id, closed=True)
            return self._receipt(ticket_id)
        changes = _changes(ticket, card)
        if changes:
            if isinstance(ticket.get("updated_at"), str):  # refused if an agent was faster than we
                changes |= {"safe_update": True, "updated_stamp": ticket["updated_at"]}
            self._answer(self._put(ticket_id, changes))
        return self._receipt(ticket_id)

    def _follow(self, notice: Notice, ticket_id: str, *, closed: bool) -> Receipt:
        """The ticket takes nothing any more: go on in the one that followed it, or open one."""
        for ticket in self._tickets(_external_id(notice)):
            id = str(ticket.get("id"))
            if id != ticket_id and ticket.get("status") != "closed":
                if notice.kind in COMMENTS:
                    comment = {"body": _marked(notice), "public": False}
                    self._answer(self._put(id, {"comment": comment}))
                return self._receipt(id)
        return self._create(notice, after=ticket_id if closed and ticket_id.isdigit() else None)

    def _put(self, ticket_id: str, ticket: Mapping[str, Any]) -> requests.Response:
        return self._http.put(f"{self._url}/api/v2/tickets/{ticket_id}", json={"ticket": ticket})

    # -- reading ---------------------------------------------------------------------------------

    def _tickets(self, external_id: str | None) -> Iterator[dict[str, Any]]:
        """The tickets of a conversation, the newest first."""
        if external_id is None:
            return
        answer = self._get("/api/v2/tickets", {"external_id": external_id})
        tickets = [one for one in answer.get("tickets") or () if isinstance(one, dict)]
        tickets = [one for one in tickets if str(one.get("external_id")) == external_id]
        yield from sorted(tickets, key=lambda one: int(one.get("id") or 0), reverse=True)

    def _comments(self, ticket_id: str) -> Iterator[dict[str, Any]]:
        """The newest comments first, in bounded pages; nothing for a ticket that is gone."""
        for page in range(1, MAX_PAGES + 1):
            response = self._http.get(
                f"{self._url}/api/v2/tickets/{ticket_id}/comments",
                params={"sort_order": "desc", "per_page": "100", "page": str(page)},
            )
            if response.status_code == 404:
                return
            answer = self._answer(response)
            yield from (one for one in answer.get("comments") or () if isinstance(one, dict))
            if not answer.get("next_page"):
                return

    def _get(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        return self._answer(self._http.get(f"{self._url}{path}", params=dict(query)))

    def _answer(self, response: requests.Response) -> dict[str, Any]:
        """The object in a good answer; an outcome for any other."""
        where = place(response.url)
        if response.status_code == 422:
            raise Rejected(f"422 from {where}: {self._details(response)}", status=422)
        if response.status_code in (404, 405, 410):
            raise Unauthorized(f"{response.status_code} from {where}", remedy=URL_REMEDY)
        if 300 <= response.status_code < 400:
            raise Unauthorized(f"{response.status_code} from {where}", remedy=URL_REMEDY)
        outcome(response, remedy=REMEDY)
        answer = body(response)
        if not isinstance(answer, dict):
            raise Unavailable(f"no object in the answer from {where}", maybe_done=True)
        return answer

    def _details(self, response: requests.Response) -> str:
        """Zendesk's own words on what is wrong, without our secret should it echo it."""
        try:
            answer = body(response)
        except Unavailable:
            return "without details"
        words = []
        details = answer.get("details") if isinstance(answer, dict) else None
        for field, problems in details.items() if isinstance(details, dict) else ():
            for problem in problems if isinstance(problems, list) else ():
                said = problem.get("description") if isinstance(problem, dict) else problem
                words.append(f"{field}: {said}")
        if not words and isinstance(answer, dict):
            words = [str(answer.get("description") or answer.get("error") or "without details")]
        return fit(one_line("; ".join(words)).replace(self._token.get_secret_value(), "***"), 300)

    def _receipt(self, ticket_id: object) -> Receipt:
        if not isinstance(ticket_id, int | str) or not re.fullmatch(r"[0-9]{1,20}", str(ticket_id)):
            raise Unavailable("Zendesk answered without a ticket id", maybe_done=True)
        return Receipt(str(ticket_id), f"{self._url}/agent/tickets/{ticket_id}")


# --- what a ticket says ------------------------------------------------------------------------------


def _ticket(notice: Notice) -> dict[str, Any]:
    ticket: dict[str, Any] = {
        "subject": subject(notice),
        "comment": {"body": _marked(notice), "public": False},
    }
    external_id = _external_id(notice)
    if external_id is not None:
        ticket["external_id"] = external_id
    card = notice.card
    if card is None or notice.kind in (NoticeKind.OPS, NoticeKind.DIGEST):
        return ticket
    customer = card.latest.author or card.contact
    ticket["requester"] = {"name": inert(person(customer, notice.language))}
    ticket["priority"] = PRIORITIES[card.conversation.priority]
    ticket["tags"] = [*_tags(card), _priority_tag(card)]
    return ticket


def _changes(ticket: Mapping[str, Any], card: Card) -> dict[str, Any]:
    there = [tag for tag in ticket.get("tags") or () if isinstance(tag, str)]
    ours = _priority_tag(card)
    missing = [tag for tag in _tags(card) if tag not in there]
    if ours in there and not missing:
        return {}
    kept = [tag for tag in there if not re.fullmatch(OUR_PRIORITY + "p[1-4]", tag)]
    changes: dict[str, Any] = {"tags": [*kept, *missing, ours]}
    if ours not in there:
        changes["priority"] = PRIORITIES[card.conversation.priority]
    return changes


def _priority_tag(card: Card) -> str:
    return f"{OUR_PRIORITY}{card.conversation.priority.lower()}"


def _tags(card: Card) -> list[str]:
    """Labels and platform as Zendesk takes tags: lower case, no spaces, letters of any script."""
    words = [card.conversation.platform, *card.conversation.labels]
    folded = (unicodedata.normalize("NFKC", one_line(word)).casefold() for word in words)
    tags = (re.sub(r"[^\w/:-]+", "_", word).strip("_")[:60] for word in folded)
    return list(dict.fromkeys(tag for tag in tags if tag))[:MAX_TAGS]


def _external_id(notice: Notice) -> str | None:
    """The conversation's id; of an ops notice or a digest, its own key, so that it can be found."""
    if notice.kind in (NoticeKind.OPS, NoticeKind.DIGEST):
        return _header_key(notice.key)
    return str(notice.card.conversation.id) if notice.card else None


def _marked(notice: Notice) -> str:
    return f"{full(notice)}\n\n{_mark(notice.key)}"


def _mark(key: str) -> str:
    """How a notice is told again in a ticket; the words of a customer cannot forge it by chance."""
    return f"[inboxd {hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:16]}]"


def _header_key(key: str) -> str:
    if len(key) <= 200 and re.fullmatch(r"[!-~]+", key):
        return key
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _is_closed(response: requests.Response) -> bool:
    """A closed ticket refuses every change, with 422 and a word about its status."""
    return response.status_code == 422 and b"closed" in response.content.lower()
