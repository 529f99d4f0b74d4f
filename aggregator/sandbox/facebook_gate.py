"""Who may call the stand-in of Facebook, and how often: tokens, proofs, quotas and blocks."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aggregator.sandbox.wire import Answer, Request, answer

OLDEST, NEWEST = 21, 26  # Graph versions that live; an older one is served by the oldest
HOUR = timedelta(hours=1)
MESSENGER_CODES = (613, 80006)
WHY = {
    458: "The user has not authorized application",
    459: "The user is enrolled in a blocking, logged-in checkpoint",
    460: "The session has been invalidated because the user changed their password",
    463: "Session has expired",
    464: "Sessions for the user are not allowed because the user is not a confirmed user",
    467: "The session is invalid because the user logged out",
    492: "The user must be an administrator, editor, or moderator of the page",
}


class GraphError(Exception):
    """An error as Graph tells it. The HTTP status says little: decide by code."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        subcode: int | None = None,
        kind: str = "OAuthException",
        status: int = 400,
        transient: bool | None = None,
    ) -> None:
        super().__init__(message)
        told: dict[str, Any] = {"message": message, "type": kind, "code": code}
        if subcode is not None:
            told["error_subcode"] = subcode
        if transient is not None:
            told["is_transient"] = transient
        self.body = {"error": {**told, "fbtrace_id": secrets.token_urlsafe(9)}}
        self.status = status

    def answer(self) -> Answer:
        return answer(self.body, self.status)


@dataclass(slots=True)
class Gate:
    """The tokens that exist. `trouble`: a subcode of 190 that the page token is refused with; 0: without one."""

    page_token: str
    user_token: str
    app_id: str
    app_secret: str
    long_token: str = ""  # the same person's, for sixty days
    require_proof: bool = True
    trouble: int | None = None

    @property
    def app_token(self) -> str:
        return f"{self.app_id}|{self.app_secret}"

    def caller(self, request: Request) -> str:
        """`page`, `user` or `app`. Raises GraphError for anybody else."""
        token = token_of(request)
        if token is None:
            raise GraphError(
                104, "An access token is required to request this resource.", status=401
            )
        callers = {self.page_token: "page", self.user_token: "user", self.app_token: "app"}
        if self.long_token:
            callers[self.long_token] = "user"
        who = callers.get(token)
        if who is None:
            raise GraphError(190, "Invalid OAuth access token - Cannot parse access token")
        if who == "page" and self.trouble is not None:
            why = WHY.get(self.trouble, "The access token could not be decrypted")
            message = f"Error validating access token: {why}."
            raise GraphError(190, message, subcode=self.trouble or None)
        if who != "app":
            self._check_proof(request, token)
        return who

    def _check_proof(self, request: Request, token: str) -> None:
        given = request.query.get("appsecret_proof")
        if given is None and not self.require_proof:
            return
        wanted = hmac.new(self.app_secret.encode(), token.encode(), hashlib.sha256).hexdigest()
        if given is None:
            message = "API calls from the server require an appsecret_proof argument"
            raise GraphError(100, message, kind="GraphMethodException")
        if not hmac.compare_digest(given.encode(), wanted.encode()):
            message = "Invalid appsecret_proof provided in the API argument"
            raise GraphError(100, message, kind="GraphMethodException")


def token_of(request: Request) -> str | None:
    """From the header, else the query."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() in ("bearer", "oauth") and rest.strip():
        return rest.strip()
    return request.query.get("access_token") or None


def version_of(text: str) -> str:
    """What answers a call to that version. Raises GraphError for one that never was."""
    match = re.fullmatch(r"v(\d{1,3})\.(\d{1,2})", text, re.ASCII)
    if not match or int(match.group(1)) > NEWEST:
        raise GraphError(2500, f"Unknown path components: /{text}")
    return text if int(match.group(1)) >= OLDEST else f"v{OLDEST}.0"


# --- how often ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Usage:
    """Calls an hour against a quota, told in percent from call number `told_from` on; and a block, once there is
    one: above the quota too, until the hour is over. `told`: percent and minutes that the headers claim instead.

    A call while blocked counts, and makes the block longer by `grow`. Rates in seconds are by a monotonic clock.
    """

    page_id: str
    quota: int = 100_000
    told_from: int = 10
    conversations_per_second: float = 2.0
    conversations_burst: float = 20.0
    calls: int = 0
    code: int = 4
    until: datetime | None = None
    grow: timedelta = timedelta(minutes=1)
    told: tuple[int, int] | None = None
    _began: datetime | None = None
    _left: float | None = None
    _at: float = 0.0

    def count(self, now: datetime) -> None:
        """Raises GraphError while blocked."""
        if self._began is None:
            self._began = now
        elif now - self._began >= HOUR:
            self._began, self.calls = now, 0
        self.calls += 1
        if self.calls > self.quota and (self.until is None or now >= self.until):
            self.until = self._began + HOUR
        if self.until is not None and now < self.until:
            self.until += self.grow
            raise GraphError(self.code, f"(#{self.code}) Application request limit reached")

    def count_conversations(self, tick: float) -> None:
        """Raises GraphError above so many calls a second to the Conversations API."""
        left = self.conversations_burst if self._left is None else self._left
        left += (tick - self._at) * self.conversations_per_second if self._left is not None else 0
        self._left, self._at = min(left, self.conversations_burst), tick
        if self._left < 1:
            raise GraphError(613, "(#613) Calls to this api have exceeded the rate limit.")
        self._left -= 1

    def headers(self, now: datetime) -> Mapping[str, str]:
        if self.calls < self.told_from:
            return {}
        blocked = self.until is not None and now < self.until
        percent = 100 if blocked else min(100, self.calls * 100 // self.quota)
        used = {"call_count": percent, "total_cputime": percent // 3, "total_time": percent // 2}
        minutes = (
            math.ceil((self.until - now).total_seconds() / 60) if blocked and self.until else 0
        )
        if self.told is not None and not blocked:
            percent, minutes = self.told
            used = {"call_count": percent, "total_cputime": percent // 3, "total_time": 0}
        kind = "messenger" if blocked and self.code in MESSENGER_CODES else "pages"
        business = {"type": kind, **used, "estimated_time_to_regain_access": minutes}
        return {
            "X-App-Usage": json.dumps(used),
            "X-Business-Use-Case-Usage": json.dumps({self.page_id: [business]}),
        }
