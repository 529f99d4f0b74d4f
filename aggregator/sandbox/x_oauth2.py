"""OAuth 2.0 on the stand-in of X: a page that always agrees, and tokens whose renewal uses them up."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode

from aggregator.sandbox.wire import Answer, Request, answer


@dataclass(slots=True)
class OAuth2:
    """`client_secret` None: a public client. Knobs: `lifetime` of an access token; `agrees` False: the
    operator declines; `revoke()`: every token ends, as when the app is removed.
    """

    now: Callable[[], datetime]
    client_id: str
    client_secret: str | None = None
    lifetime: timedelta = timedelta(hours=2)
    agrees: bool = True
    renewals: int = 0
    _codes: dict[str, tuple[str, str]] = field(default_factory=dict)
    _access: dict[str, datetime] = field(default_factory=dict)
    _refresh: set[str] = field(default_factory=set)

    def page(self, request: Request, match: re.Match[str]) -> Answer:
        """Where a browser is led: back to the app, with a code."""
        asked = request.query
        right = asked.get("client_id") == self.client_id and asked.get("response_type") == "code"
        if not (
            right and asked.get("code_challenge_method") == "S256" and asked.get("redirect_uri")
        ):
            return answer({"error": "invalid_request"}, 400)
        told = {"state": asked.get("state", "")}
        if self.agrees:
            told["code"] = secrets.token_urlsafe(24)
            self._codes[told["code"]] = (asked.get("code_challenge", ""), asked["redirect_uri"])
        else:
            told["error"] = "access_denied"
        return Answer(b"", 302, {"Location": f"{asked['redirect_uri']}?{urlencode(told)}"})

    def token(self, request: Request, match: re.Match[str]) -> Answer:
        form = request.form()
        if not self._knows(request.headers, form):
            return _no(401, "unauthorized_client", "Missing valid authorization header")
        if form.get("grant_type") == "authorization_code":
            challenge, callback = self._codes.pop(form.get("code", ""), ("", ""))
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            made = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            if not challenge or challenge != made or callback != form.get("redirect_uri"):
                return _no(
                    400, "invalid_request", "Value passed for the authorization code was invalid."
                )
            return answer(self.issue())
        if form.get("grant_type") == "refresh_token":
            if form.get("refresh_token") not in self._refresh:
                return _no(400, "invalid_request", "Value passed for the token was invalid.")
            self._refresh.discard(form["refresh_token"])  # used up
            self.renewals += 1
            return answer(self.issue())
        return _no(400, "unsupported_grant_type", "grant_type is not supported")

    def issue(self) -> dict[str, object]:
        """A new pair, as the endpoint tells it."""
        access, refresh = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self._access[access] = self.now() + self.lifetime
        self._refresh.add(refresh)
        return {
            "token_type": "bearer",
            "expires_in": int(self.lifetime.total_seconds()),
            "access_token": access,
            "refresh_token": refresh,
            "scope": "tweet.read tweet.write users.read dm.read dm.write offline.access",
        }

    def takes(self, token: str) -> bool:
        ends = self._access.get(token)
        return ends is not None and ends > self.now()

    def revoke(self) -> None:
        self._access.clear()
        self._refresh.clear()

    def expire(self) -> None:
        """Access tokens end before their time; they can be renewed."""
        self._access.clear()

    def _knows(self, headers: Mapping[str, str], form: Mapping[str, str]) -> bool:
        if self.client_secret is None:
            return form.get("client_id") == self.client_id
        told = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        given = headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Basic {told}".encode())


def _no(status: int, error: str, words: str) -> Answer:
    return answer({"error": error, "error_description": words}, status)
