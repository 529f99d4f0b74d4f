"""A small Zendesk with memory: tickets, comments, idempotency keys, closed tickets."""

from __future__ import annotations

import base64
from typing import Any

from aggregator.destinations.example import NOW
from aggregator.sandbox.base import Answer, Request, Standin, answer

EMAIL = "desk@acme.example"
KEY = "CANARY-zendesk-5b1e"


class Desk(Standin):
    name = "desk"

    def __init__(self) -> None:
        super().__init__(lambda: NOW)
        self.tickets: dict[int, dict[str, Any]] = {}
        self.comments: dict[int, list[dict[str, Any]]] = {}
        self.keys: dict[str, tuple[Any, int]] = {}
        self.puts: list[dict[str, Any]] = []
        self.deleted: set[int] = set()
        self.route("GET", r"/api/v2/users/me", self._me)
        self.route("POST", r"/api/v2/tickets", self._create)
        self.route("GET", r"/api/v2/tickets", self._list)
        self.route("GET", r"/api/v2/tickets/(\d+)", self._show)
        self.route("PUT", r"/api/v2/tickets/(\d+)", self._put)
        self.route("GET", r"/api/v2/tickets/(\d+)/comments", self._said)

    def handle(self, request: Request) -> Answer:
        given = base64.b64encode(f"{EMAIL}/token:{KEY}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {given}":
            return answer({"error": "Couldn't authenticate you"}, 401)
        return super().handle(request)

    def _me(self, request: Request, match: Any) -> Answer:
        return answer({"user": {"id": 7, "name": "客服台", "role": "agent"}})

    def _create(self, request: Request, match: Any) -> Answer:
        asked = request.json()["ticket"]
        key = request.headers["idempotency-key"]
        if key in self.keys:
            before, id = self.keys[key]
            if before != asked:
                return answer({"error": "IdempotentRequestError"}, 400)
            return answer({"ticket": self.tickets[id]}, 201, {"x-idempotency-lookup": "hit"})
        id = len(self.tickets) + 1
        self.keys[key] = (asked, id)
        ticket = {key: value for key, value in asked.items() if key != "comment"}
        ticket |= {"id": id, "status": "new", "updated_at": f"v{id}.0"}
        self.tickets[id] = {**ticket, "description": asked["comment"]["body"]}
        self.comments[id] = [asked["comment"]]
        return answer({"ticket": self.tickets[id]}, 201)

    def _list(self, request: Request, match: Any) -> Answer:
        wanted = request.query["external_id"]
        found = [one for one in self.tickets.values() if one.get("external_id") == wanted]
        return answer({"tickets": [one for one in found if one["id"] not in self.deleted]})

    def _ticket(self, match: Any) -> dict[str, Any] | None:
        id = int(match[1])
        return None if id in self.deleted else self.tickets.get(id)

    def _show(self, request: Request, match: Any) -> Answer:
        ticket = self._ticket(match)
        return answer({"ticket": ticket}) if ticket else answer({"error": "RecordNotFound"}, 404)

    def _put(self, request: Request, match: Any) -> Answer:
        ticket = self._ticket(match)
        if ticket is None:
            return answer({"error": "RecordNotFound"}, 404)
        if ticket["status"] == "closed":
            closed = [{"description": "Status: closed prevents ticket update"}]
            return answer({"error": "RecordInvalid", "details": {"status": closed}}, 422)
        asked = request.json()["ticket"]
        if asked.get("safe_update") and asked["updated_stamp"] != ticket["updated_at"]:
            return answer({"error": "UpdateConflict"}, 409)
        self.puts.append(asked)
        if "comment" in asked:
            self.comments[ticket["id"]].append(asked["comment"])
        ticket.update({key: asked[key] for key in ("priority", "tags") if key in asked})
        return answer({"ticket": ticket})

    def _said(self, request: Request, match: Any) -> Answer:
        ticket = self._ticket(match)
        if ticket is None:
            return answer({"error": "RecordNotFound"}, 404)
        assert request.query["sort_order"] == "desc"
        said = self.comments[ticket["id"]][::-1]
        page = int(request.query["page"])
        more = "there" if len(said) > page * 2 else None  # pages of two, so that there are several
        return answer({"comments": said[(page - 1) * 2 : page * 2], "next_page": more})
