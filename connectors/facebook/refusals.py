"""What the Graph API refuses, by code and subcode, as an outcome.

https://developers.facebook.com/docs/graph-api/guides/error-handling: the HTTP status is 400 for most.
"""

from __future__ import annotations

import json
import re
from typing import Any

import requests

from aggregator.errors import RateLimited, Unauthorized, Unavailable
from aggregator.http import body, place
from connectors.fields import scrub
from connectors.payload import integer, items, mapping

_TOKEN_CODES = frozenset({102, 190, 1705, 2500})
_RATE_CODES = frozenset({4, 17, 32, 341, 613, *range(80000, 80015)})
_PERMISSION_CODES = frozenset({3, 10, *range(200, 300)})
_MISSING_CODES = frozenset({100, 803})
_WAIT_S = 60.0
_CASES = {4: "app", 17: "app", 341: "app", 613: "messenger", 80002: "instagram", 80006: "messenger"}
_BURST_S = 5.0  # 613: more than two calls a second to the conversations of a Page
_LONGEST_S = 24 * 3600.0

_NEW = "make a new Page access token (GET /me/accounts with a long-lived user token)"
_BY_SUBCODE = {
    458: f"the person who gave the token removed the app: let them add it again, then {_NEW}",
    459: f"that person must log in at facebook.com once (a checkpoint), then {_NEW}",
    460: f"that person's password was changed: {_NEW}",
    463: f"the token has expired: {_NEW}",
    464: f"that person's account is not confirmed: confirm it at facebook.com, then {_NEW}",
    467: f"the token is no longer valid: {_NEW}",
    492: "that person lost the role on the Page, and a new token will not help: restore the role, or take"
    " the token of someone who has one",
}
_PERMISSIONS = {
    "conversations": "pages_messaging",
    "messages": "pages_messaging",
    "ratings": "pages_read_user_content",
    "comments": "pages_read_engagement and pages_read_user_content",
}
_READ_POSTS = "pages_read_engagement and pages_read_user_content"


class Throttled(RateLimited):
    """`case`: whose quota it is, in the words of the usage headers."""

    def __init__(self, reason: str, *, retry_after_s: float, case: str) -> None:
        super().__init__(reason, retry_after_s=retry_after_s)
        self.case = case


class Failed(Unavailable):
    """Any other error of Graph's: `code` and `subcode` as it told them."""

    def __init__(self, reason: str, *, code: int, subcode: int, maybe_done: bool = False) -> None:
        super().__init__(reason, maybe_done=maybe_done)
        self.code = code
        self.subcode = subcode


class Missing(Failed):
    """Code 100: the object is gone, the paging cursor is dead, or a parameter is wrong."""


class Heavy(Failed):
    """Code 1 with the advice to ask for less."""


class Forbidden(Unauthorized):
    """A permission for this one thing is missing; the token itself is good."""

    def __init__(self, reason: str, *, remedy: str, code: int = 10, subcode: int = 0) -> None:
        super().__init__(reason, remedy=remedy)
        self.code = code
        self.subcode = subcode


def judge(response: requests.Response, *, token: str) -> dict[str, Any]:
    """The object in a good answer; raises for any other. `token` is cut out of what the API says."""
    status, where = response.status_code, place(response.url)
    if 300 <= status < 400:
        raise Unavailable(f"{status} from {where}")
    if status == 429:
        raise Throttled(
            f"429 from {where}", retry_after_s=regain_s(response) or _WAIT_S, case="app"
        )
    told = body(response)
    error = told.get("error") if isinstance(told, dict) else None
    if isinstance(told, dict) and not error and 200 <= status < 300:
        return told
    error = mapping(error)
    code, subcode = integer(error.get("code")), integer(error.get("error_subcode"))
    what = f"Facebook answered {status} at {where}{_words(error, code, subcode, token)}"
    if code in _RATE_CODES:
        wait_s = _BURST_S if code == 613 else _WAIT_S
        case = _CASES.get(code, "pages")
        raise Throttled(what, retry_after_s=regain_s(response) or wait_s, case=case)
    if code in _TOKEN_CODES or (status == 401 and code not in _PERMISSION_CODES):
        raise Unauthorized(what, remedy=remedy_for(subcode))
    if code in _PERMISSION_CODES:
        edge = where.rsplit("/", 1)[-1]
        wanted = _PERMISSIONS.get(edge, _READ_POSTS)
        raise Forbidden(
            what,
            remedy=f"grant {wanted} to the app and {_NEW}"
            " (a permission unused for 90 days is withdrawn)",
            code=code,
            subcode=subcode,
        )
    if code == 368:
        raise Forbidden(
            what,
            remedy="the Page is blocked for a policy: see its Page quality tab",
            code=code,
            subcode=subcode,
        )
    if "appsecret_proof" in str(error.get("message")):
        raise Unauthorized(
            what, remedy="set app_secret to the secret of the app that the token was made for"
        )
    if code in _MISSING_CODES:
        raise Missing(what, code=code, subcode=subcode)
    if code == 1 and "reduce the amount" in str(error.get("message")):
        raise Heavy(what, code=code, subcode=subcode)
    # 1 and 2 too: passing trouble, and a write may have been done
    maybe_done = status >= 500 or code in (0, 1, 2)
    raise Failed(what, code=code, subcode=subcode, maybe_done=maybe_done)


def remedy_for(subcode: int) -> str:
    """What to do about a token that died of this subcode of 190."""
    return _BY_SUBCODE.get(subcode, _NEW)


def regain_s(response: requests.Response) -> float:
    """How long a throttled Page must wait, 0 if it is not told. The header counts minutes, not seconds."""
    try:
        used = mapping(json.loads(response.headers.get("X-Business-Use-Case-Usage", "")))
    except (ValueError, RecursionError):
        used = {}
    minutes = [
        integer(mapping(one).get("estimated_time_to_regain_access"))
        for uses in used.values()
        for one in items(uses)
    ]
    return min(max(minutes, default=0) * 60.0, _LONGEST_S)


def _words(error: dict[str, Any], code: int, subcode: int, token: str) -> str:
    said = error.get("message")
    text = said[:2000] if isinstance(said, str) else ""
    # "Malformed access token EAAB…" quotes it, whole or cut.
    text = re.sub(r"[A-Za-z0-9_-]{24,}", "…", text.replace(token, "…"))[:300]
    number = f"{code}/{subcode}" if subcode else f"{code}"
    return f" ({number}: {scrub(text)[0]})" if error else ""
