"""Who may call Weibo, how often, and how a refusal reads."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from aggregator.sandbox.base import Answer, Request, Route, answer
from aggregator.sandbox.weibo_shapes import BEIJING

HTTP_OF = {21332: 403, 21327: 400, 10006: 403, 10023: 403, 10022: 403, 20101: 400, 20201: 400}


class Gate:
    """One app, one authorised user. `quota`: calls a Beijing day; `ip_quota`: calls an hour.

    `codes`: error_code as `int`, as `str`, or `both` in turn, as Weibo does it. `closed`: the start of a
    path → the code that answers it (10014: not allowed to this app; 10024: over this API's own rate).
    `denied`: whoever is at the authorise page says no.
    """

    def __init__(
        self, now: Callable[[], datetime], uid: int, *, quota: int, ip_quota: int, codes: str
    ) -> None:
        self.token = f"2.00{secrets.token_urlsafe(20)}"
        self.quota = quota
        self.ip_quota = ip_quota
        self.codes = codes
        self.expires_at = now() + timedelta(days=30)
        self.app_key, self.app_secret = "1234567890", secrets.token_hex(16)
        self.redirect_uri = "https://brand.example/weibo"
        self.closed: dict[str, int] = {}
        self.denied = False
        self._codes: set[str] = set()
        self._created_at = now()
        self._now = now
        self._uid = uid
        self._used: Counter[str] = Counter()
        self._refusals = 0

    def open(self, handler: Route, *, metered: bool = True) -> Route:
        """The token first, then the quota; unmetered calls cost nothing."""

        def checked(request: Request, match: re.Match[str]) -> Answer:
            refused = self._refuse(request) or self._shut(request)
            if refused is None and metered:
                refused = self._spend(request)
            return refused or handler(request, match)

        return checked

    def error(self, request: Request, code: int, words: str) -> Answer:
        """A refusal in Weibo's shape; the HTTP status goes with the code."""
        self._refusals += 1
        as_text = self.codes == "str" or (self.codes == "both" and self._refusals % 2 == 0)
        body = {
            "error": words,
            "error_code": str(code) if as_text else code,
            "request": request.path,
        }
        return answer(body, HTTP_OF.get(code, 400))

    def limits(self, request: Request, match: re.Match[str]) -> Answer:
        """account/rate_limit_status, in step with what was spent."""
        now = self._now().astimezone(BEIJING)
        midnight = datetime(now.year, now.month, now.day, tzinfo=BEIJING) + timedelta(days=1)
        return answer(
            {
                "api_rate_limits": [],
                "ip_limit": self.ip_quota,
                "limit_time_unit": "DAYS",
                "remaining_ip_hits": max(0, self.ip_quota - self._used[self._hour()]),
                "remaining_user_hits": max(0, self.quota - self._used[self._day()]),
                "reset_time": midnight.strftime("%Y-%m-%d %H:%M:%S"),
                "reset_time_in_seconds": int((midnight - now).total_seconds()),
                "user_limit": self.quota,
            }
        )

    def token_info(self, request: Request, match: re.Match[str]) -> Answer:
        """oauth2/get_token_info: POST, the token in the form or in the query."""
        if self._token_of(request) != self.token:
            return self.error(request, 21332, "invalid_access_token")
        left = int((self.expires_at - self._now()).total_seconds())
        info: dict[str, Any] = {
            "uid": self._uid,
            "appkey": self.app_key,
            "scope": None,
            "create_at": int(self._created_at.timestamp()),
            "expire_in": left,
        }
        return answer(info)

    def authorize(self, request: Request, match: re.Match[str]) -> Answer:
        """oauth2/authorize, as if somebody agreed at once: the redirect that brings a code, good once."""
        asked = request.query
        if asked.get("client_id") != self.app_key:
            return self.error(request, 21324, "invalid_client")
        if asked.get("redirect_uri") != self.redirect_uri:
            return self.error(request, 21322, "redirect_uri_mismatch")
        if asked.get("response_type") != "code":
            return self.error(request, 21323, "invalid_request")
        state = {"state": asked["state"]} if "state" in asked else {}
        if self.denied:
            told = {"error": "access_denied", "error_code": "21330", **state}
        else:
            code = secrets.token_hex(16)
            self._codes.add(code)
            told = {**state, "code": code}
        return Answer(b"", 302, {"Location": f"{self.redirect_uri}?{urlencode(told)}"})

    def access_token(self, request: Request, match: re.Match[str]) -> Answer:
        """oauth2/access_token: a code and the app's secret for a token; the former one goes on."""
        form = request.form()
        if (form.get("client_id"), form.get("client_secret")) != (self.app_key, self.app_secret):
            return self.error(request, 21324, "invalid_client")
        if form.get("redirect_uri") != self.redirect_uri:
            return self.error(request, 21322, "redirect_uri_mismatch")
        code = form.get("code", "")
        if form.get("grant_type") != "authorization_code" or code not in self._codes:
            return self.error(request, 21325, "invalid_grant")
        self._codes.discard(code)
        left = int((self.expires_at - self._now()).total_seconds())
        told = {"access_token": self.token, "expires_in": left, "remind_in": str(left)}
        return answer({**told, "uid": str(self._uid), "isRealName": "true"})

    def spend(self, calls: int) -> None:
        """Another program calls for the same user."""
        self._used[self._day()] += calls

    def used(self) -> int:
        """Calls of this user today, whoever made them."""
        return self._used[self._day()]

    def revoke(self) -> None:
        """The account's password was changed: the token is worth nothing from now on (21332)."""
        self.token = f"2.00{secrets.token_urlsafe(20)}"

    def _token_of(self, request: Request) -> str | None:
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if kind == "OAuth2" and value:
            return value
        if "access_token" in request.query:
            return request.query["access_token"]
        if request.method == "POST":
            return request.form().get("access_token")
        return None

    def _refuse(self, request: Request) -> Answer | None:
        token = self._token_of(request)
        if not token:
            return self.error(request, 10006, "Source paramter (appkey) is missing")
        if token != self.token:
            return self.error(request, 21332, "invalid_access_token")
        if self.expires_at <= self._now():
            return self.error(request, 21327, "expired_token")
        return None

    def _shut(self, request: Request) -> Answer | None:
        for path, code in self.closed.items():
            if request.path.startswith(path):
                return self.error(request, code, "Insufficient app permissions!")
        return None

    def _spend(self, request: Request) -> Answer | None:
        hour, day = self._hour(), self._day()
        if self._used[hour] >= self.ip_quota:
            return self.error(request, 10022, "IP requests out of rate limit")
        # The commercial twins (…/biz.json) are counted by address only.
        commercial = request.path.endswith("/biz.json")
        if not commercial and self._used[day] >= self.quota:
            return self.error(request, 10023, "User requests out of rate limit")
        self._used[hour] += 1
        self._used[day] += not commercial
        return None

    def _hour(self) -> str:
        return f"hour {self._now().astimezone(BEIJING):%Y-%m-%d %H}"

    def _day(self) -> str:
        return f"day {self._now().astimezone(BEIJING):%Y-%m-%d}"
