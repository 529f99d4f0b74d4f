"""The app behind the stand-in of a Facebook Page: its tokens, what they are good for, and its subscriptions."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aggregator.sandbox.facebook_gate import WHY, Gate, GraphError
from aggregator.sandbox.facebook_objects import Who
from aggregator.sandbox.wire import Request

DAY_S = 86_400
PAGE_FIELDS = [
    "feed",
    "mention",
    "ratings",
    "messages",
    "message_echoes",
    "message_edits",
    "message_deliveries",
    "message_reads",
    "messaging_postbacks",
    "messaging_handovers",
    "standby",
]
SCOPES = [
    "pages_show_list",
    "pages_messaging",
    "pages_read_engagement",
    "pages_read_user_content",
    "pages_manage_metadata",
    "pages_manage_engagement",
    "instagram_basic",
    "instagram_manage_messages",
    "instagram_manage_comments",
]


@dataclass(slots=True)
class Apps:
    """Knobs: `scopes`, `expires_in_s` (None: the Page token has no end), `data_days` (access to people's data),
    `page_fields` (None: the Page is not subscribed), `app_fields` (None: no callback in the dashboard), `active`.
    """

    page: Who
    gate: Gate
    now: Callable[[], datetime]
    user: Who
    scopes: list[str] = field(default_factory=lambda: list(SCOPES))
    expires_in_s: int | None = None
    data_days: float = 60.0
    page_fields: list[str] | None = field(default_factory=lambda: list(PAGE_FIELDS))
    app_fields: list[str] | None = field(default_factory=lambda: list(PAGE_FIELDS))
    active: bool = True
    callback_url: str = "https://inbox.example/callbacks/facebook"
    codes: dict[str, str] = field(default_factory=dict)  # code of the dialog → redirect_uri

    def about(self) -> dict[str, Any]:
        return {"name": "inboxd sandbox", "id": self.gate.app_id}

    def debug(self, asked: str | None) -> dict[str, Any]:
        """A token that is dead is told as such, with the subcode of its end."""
        kinds = {
            self.gate.page_token: "PAGE",
            self.gate.user_token: "USER",
            self.gate.long_token: "USER",
        }
        kind = kinds.get(asked or "")
        if kind is None:
            error = {"code": 190, "message": "The access token could not be decrypted"}
            return {"data": {"error": error, "is_valid": False, "scopes": []}}
        at = int(self.now().timestamp())
        trouble = self.gate.trouble if kind == "PAGE" else None
        ends = {"PAGE": self.expires_in_s, "USER": 60 * DAY_S}[kind]
        told: dict[str, Any] = {
            "app_id": self.gate.app_id,
            "type": kind,
            "application": "inboxd sandbox",
            "is_valid": trouble is None,
            "expires_at": 0 if ends is None else at + ends,
            "data_access_expires_at": int(at + self.data_days * DAY_S),
            "issued_at": at - 10 * DAY_S,
            "user_id": self.user.id,
            "scopes": self.scopes,
        }
        if kind == "PAGE":
            told["profile_id"] = self.page.id
        if trouble is not None:
            told["error"] = {"code": 190, "message": WHY.get(trouble, "Bad"), "subcode": trouble}
        return {"data": told}

    # --- subscriptions --------------------------------------------------------------------------

    def subscribed(self) -> dict[str, Any]:
        if self.page_fields is None:
            return {"data": []}
        return {"data": [{**self.about(), "subscribed_fields": self.page_fields}]}

    def subscribe(self, given: str) -> dict[str, Any]:
        fields = [one for one in given.split(",") if one]
        unknown = [one for one in fields if one not in PAGE_FIELDS]
        if unknown or not fields:
            raise GraphError(100, f"(#100) Param subscribed_fields[0] must be one of {PAGE_FIELDS}")
        self.page_fields = fields  # it succeeds whatever the dashboard says
        return {"success": True}

    def subscriptions(self) -> dict[str, Any]:
        if self.app_fields is None:
            return {"data": []}
        fields = [{"name": one, "version": "v26.0"} for one in self.app_fields]
        page = {"object": "page", "callback_url": self.callback_url, "active": self.active}
        return {"data": [{**page, "fields": fields}]}

    def sends(self, field_name: str) -> bool:
        """Whether an event of that field is pushed: both sides must want it."""
        both = (self.page_fields or [], self.app_fields or [])
        return self.active and all(field_name in fields for fields in both)

    # --- the way to a token ---------------------------------------------------------------------

    def agree(self, redirect_uri: str) -> str:
        """The person agrees in the dialog: the code that the browser is led back with."""
        code = f"AQ{secrets.token_urlsafe(40)}"
        self.codes[code] = redirect_uri
        return code

    def exchange(self, request: Request) -> dict[str, Any]:
        """A code for a short token; a short token for a long one. Codes are good once."""
        args = {**request.query, **request.form()}
        if (args.get("client_id"), args.get("client_secret")) != (
            self.gate.app_id,
            self.gate.app_secret,
        ):
            raise GraphError(1, "Error validating client secret.")
        if "code" in args:
            wanted = self.codes.pop(args["code"], None)
            if wanted is None:
                raise GraphError(100, "This authorization code has been used.", subcode=36009)
            if wanted != args.get("redirect_uri"):
                message = "Error validating verification code. The redirect_uri must be identical"
                raise GraphError(100, message, subcode=36008)
            token, lasts = self.gate.user_token, 5_000
        elif args.get("grant_type") == "fb_exchange_token":
            if args.get("fb_exchange_token") not in (self.gate.user_token, self.gate.long_token):
                raise GraphError(190, "Invalid OAuth access token - Cannot parse access token")
            token, lasts = self.gate.long_token, 60 * DAY_S
        else:
            raise GraphError(100, "Missing redirect_uri parameter.")
        return {"access_token": token, "token_type": "bearer", "expires_in": lasts}

    def accounts(self, token: str | None) -> dict[str, Any]:
        """The Pages of a person. From a long token comes one without an end, from a short one a short one."""
        long = token == self.gate.long_token
        page_token = self.gate.page_token if long else f"EAAshort{secrets.token_hex(16)}"
        page = {"access_token": page_token, "category": "Electronics", "name": self.page.name}
        other = {"access_token": "EAAother", "category": "Cafe", "name": "Elsewhere", "id": "1"}
        tasks = ["ADVERTISE", "ANALYZE", "CREATE_CONTENT", "MESSAGING", "MODERATE", "MANAGE"]
        return {"data": [other, {**page, "id": self.page.id, "tasks": tasks}]}
