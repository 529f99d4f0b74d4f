"""Access tokens of the WeChat stand-in: stable and classic, apart from each other, and the check of both."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from aggregator.sandbox.base import Answer, Request, answer

LIFE = timedelta(seconds=7200)
RENEWAL = timedelta(minutes=5)  # before the end: a new one is given, and both are good
FORCED_APART = timedelta(seconds=30)
FORCED_A_DAY = 20


def errcode(code: int, message: str) -> Answer:
    """The shape of every refusal (and of a bare ok): the HTTP status is 200 all the same."""
    rid = f" rid: {secrets.token_hex(4)}-{secrets.token_hex(4)}-{secrets.token_hex(4)}"
    return answer({"errcode": code, "errmsg": message + (rid if code else "")})


class Tokens:
    """Issues and checks; the stand-in's lock is held by whoever calls."""

    def __init__(self, now: Callable[[], datetime], app_id: str, app_secret: str) -> None:
        self.ip_refused: str | None = None
        self.issued = 0
        self._now = now
        self._app_id = app_id
        self._app_secret = app_secret
        self._ends: dict[str, datetime] = {}
        self._stable: str | None = None
        self._classic: str | None = None
        self._forced: list[datetime] = []

    def stable(self, request: Request, match: re.Match[str]) -> Answer:
        """The same token while it is good; in its last five minutes a new one, and both are good."""
        try:
            asked = request.json()
            given = (asked["grant_type"], asked["appid"], asked["secret"])
        except (KeyError, TypeError, ValueError):
            return errcode(47001, "data format error")
        refused = self._refuse_app(*given)
        if refused is not None:
            return refused
        now = self._now()
        if asked.get("force_refresh") is True:
            self._forced = [at for at in self._forced if now - at < timedelta(days=1)]
            if self._forced and now - self._forced[-1] < FORCED_APART:
                return errcode(
                    45011, "api minute-quota reach limit, must slower, retry next minute"
                )
            if len(self._forced) >= FORCED_A_DAY:
                return errcode(45009, "reach max api daily quota limit")
            self._forced.append(now)
            self._forget(self._stable)
            self._stable = None
        if self._stable is None or self._ends[self._stable] - now <= RENEWAL:
            self._stable = self._issue()
        left = int((self._ends[self._stable] - now).total_seconds())
        return answer({"access_token": self._stable, "expires_in": left})

    def classic(self, request: Request, match: re.Match[str]) -> Answer:
        """A new token with every call, and the one before it is dead."""
        refused = self._refuse_app(
            request.query.get("grant_type"), request.query.get("appid"), request.query.get("secret")
        )
        if refused is not None:
            return refused
        self._forget(self._classic)
        self._classic = self._issue()
        return answer({"access_token": self._classic, "expires_in": int(LIFE.total_seconds())})

    def refuse(self, request: Request) -> Answer | None:
        """The answer to a call whose token is missing, unknown or over; None if it is good."""
        token = request.query.get("access_token")
        if not token:
            return errcode(41001, "access_token missing")
        ends = self._ends.get(token)
        if ends is None:
            return errcode(
                40001,
                "invalid credential, access_token is invalid or not latest, could get access_token",
            )
        if ends <= self._now():
            return errcode(42001, "access_token expired")
        return None

    def revoke(self) -> None:
        """Every token is dead from now on (somebody reset the secret's tokens): 40001."""
        self._ends.clear()
        self._stable = self._classic = None

    def _issue(self) -> str:
        self.issued += 1
        token = f"{len(self._ends)}_{secrets.token_urlsafe(120)}"
        self._ends[token] = self._now() + LIFE
        return token

    def _forget(self, token: str | None) -> None:
        if token is not None:
            self._ends.pop(token, None)

    def _refuse_app(self, grant: object, app_id: object, secret: object) -> Answer | None:
        if self.ip_refused is not None:
            told = f"invalid ip {self.ip_refused} ipv6 ::ffff:{self.ip_refused}, not in whitelist"
            return errcode(40164, told)
        if grant != "client_credential":
            return errcode(40002, "invalid grant_type")
        if app_id != self._app_id:
            return errcode(40013, "invalid appid")
        if secret != self._app_secret:
            return errcode(40125, "invalid appsecret")
        return None
