"""What X refuses, as the daemon's outcomes: a status and a `type`, read together."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import requests

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.http import place
from connectors.budget import date_of, until_reset
from connectors.fields import scrub
from connectors.payload import items, mapping

WINDOW_S = 15 * 60.0  # X counts in windows of 15 minutes
NO_RESET_S = 60.0  # a 429 that does not say until when
BILLING_S = 3600.0
SKEW = timedelta(minutes=5)  # OAuth 1.0a requests are refused when signed with a clock further off

RENEW = (
    "make a new Access Token and Secret in the X developer console (your app, Keys and tokens)"
    " and put them into access_token and access_token_secret"
)
AUTHORISE = "run inboxd auth for this account and agree again"
PERMISSION = (
    "give the app the permission 'Read and write and Direct message' in the X developer console"
    " (User authentication settings), then make a new Access Token and Secret"
)
SCOPES = (
    "give the app the permission 'Read and write and Direct message' in the X developer console"
    " (User authentication settings), then run inboxd auth for this account"
)
ENROL = (
    "the app has no access to API v2 (this is no permission of the token): attach it to a project or a"
    " pay-per-use package in the X developer console"
)
OFFICIAL = "these are the keys of an app of X's own: make an app in the X developer console"
LOCKED = "log in to x.com as this account and follow what it asks there, then start inboxd again"
USER_ID = "set user_id to your numeric id"
CLOCK = "set this machine's clock right: it is too far from X's for a signed request"


class Refused(Unavailable):
    """X answered 400: a bug of ours, or a cursor that it does not take (any more). `at`: X's clock."""

    def __init__(self, reason: str, at: datetime) -> None:
        super().__init__(reason)
        self.at = at


class Denied(Unauthorized):
    """X knows who asks, and does not allow this, or knows no such user."""


class Paused(RateLimited):
    """No credits, or a spending cap: every stream waits, and one of them looks again."""


@dataclass(frozen=True, slots=True)
class Said:
    """What an error body says. `kind`: the end of its `type`, which comes with either host."""

    kind: str
    period: str
    reason: str
    words: str


def judge(answer: requests.Response, now: datetime, *, oauth2: bool) -> None:
    """Raise what a refusal means; return for 2xx."""
    status = answer.status_code
    if 200 <= status < 300:
        return
    said = _said(answer)
    what = f"X answered {status} at {place(answer.url)}{said.words}"
    writes = answer.request.method != "GET"
    if status == 402 or (status == 429 and said.kind == "usage-capped"):
        raise Paused(
            f"{what}: no credits or a spending cap; see billing in the X developer console",
            retry_after_s=_until_billed(said, date_of(answer.headers) or now),
        )
    if status == 429:
        seconds = until_reset(answer.headers) or NO_RESET_S
        raise RateLimited(what, retry_after_s=min(max(seconds, 1.0), WINDOW_S))
    if status == 401:
        raise Unauthorized(what, remedy=_of_a_token(answer, now, oauth2=oauth2))
    if status == 403:
        if writes and (why := _of_a_write(said)):
            raise Rejected(f"{what}: {why}", status=status)
        raise Denied(what, remedy=_of_a_permission(said, oauth2=oauth2))
    if status in (400, 404, 409, 413, 422) and writes:
        raise Rejected(what, status=status)
    if status == 400:
        raise Refused(what, date_of(answer.headers) or now)
    if status == 404 and said.kind == "resource-not-found":
        raise Denied(what, remedy=USER_ID)
    raise Unavailable(what, maybe_done=status >= 500)


def _of_a_token(answer: requests.Response, now: datetime, *, oauth2: bool) -> str:
    at = date_of(answer.headers)
    if oauth2:
        return AUTHORISE
    return CLOCK if at is not None and abs(at - now) > SKEW else RENEW


def _of_a_permission(said: Said, *, oauth2: bool) -> str:
    if said.reason == "client-not-enrolled":
        return ENROL
    if said.reason == "official-client-forbidden":
        return OFFICIAL
    if any(word in said.words.lower() for word in ("suspended", "locked")):
        return LOCKED
    return SCOPES if oauth2 else PERMISSION


def _of_a_write(said: Said) -> str | None:
    """Why this one post or message is not to be; None where no write at all would be."""
    words = said.words.lower()
    if "mentioned or otherwise engaged" in words or "reply to this conversation" in words:
        return (
            "since 2026-02-23 X lets an app answer only who mentioned or quoted us in that very post;"
            " answer it in X's own app, inboxd will see it"
        )
    if "duplicate" in words:
        return "X takes the same words only once; look whether they arrived, or change them"
    if "permission to dm" in words:
        return "this person takes no direct messages from us any more"
    if said.kind in ("client-forbidden", "unsupported-authentication", "oauth1-permissions"):
        return None
    if any(word in words for word in ("suspended", "locked", "app permissions", "scope")):
        return None
    return "X does not allow this answer"


def _until_billed(said: Said, at: datetime) -> float:
    """A daily cap ends at 00:00 UTC. The others end when somebody pays, or the month does: look hourly."""
    if said.period != "daily":
        return BILLING_S
    midnight = datetime(at.year, at.month, at.day, tzinfo=UTC) + timedelta(days=1)
    return max((midnight - at).total_seconds(), 1.0)


def _said(answer: requests.Response) -> Said:
    """An error body in one line; gateways answer with HTML or plain text."""
    try:
        body = mapping(json.loads(answer.content))
    except (ValueError, RecursionError):
        body = {}
    lines = [
        body.get("title"),
        body.get("detail"),
        body.get("reason"),
        body.get("error_description"),
    ]
    for error in items(body.get("errors"))[:3]:
        lines.append(mapping(error).get("message") or mapping(error).get("detail"))
    words = "; ".join(dict.fromkeys(line for line in lines if isinstance(line, str) and line))
    return Said(
        kind=str(body.get("type") or "").rstrip("/").rpartition("/")[2],
        period=str(body.get("period") or "").lower(),
        reason=str(body.get("reason") or ""),
        words=f" ({scrub(words[:300])[0]})" if words else "",
    )
