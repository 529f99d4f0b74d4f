"""`inboxd auth` for Weibo: the brand's account agrees in a browser, and a token comes for some weeks.

Weibo gives servers no refresh token: the walk is repeated before the token ends.
Page: https://open.weibo.com/wiki/Oauth2/access_token
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.http import Http, body, outcome
from connectors.base import Keep, Now
from connectors.beginning import Beginning, begin, begun, ended
from connectors.payload import integer, mapping, native
from connectors.weibo.api import HOSTS, OPEN

TOKEN = "token"  # noqa: S105  the row of the Keep, which holds it sealed
_RUN = "run inboxd auth for this account"
_CODES = {21322: "redirect_uri", 21324: "app_key and app_secret", 21323: "app_key"}
_RACES = 8


class Authorization:
    """The walk to a token (connectors/base.py, Authorizes)."""

    def __init__(
        self,
        *,
        uid: str,
        app_key: str,
        app_secret: str,
        redirect_uri: str,
        base_url: str | None,
        keep: Keep,
        now: Now,
    ) -> None:
        self._uid = uid
        self._app_key = app_key
        self._app_secret = app_secret
        self._redirect_uri = redirect_uri
        self._page = f"{(base_url or f'https://{OPEN}').rstrip('/')}/oauth2/authorize"
        self._http = Http(base_url=base_url, hosts=HOSTS)
        self._keep = keep
        self._now = now
        self._begun: Beginning | None = None

    def begin(self) -> tuple[str, str]:
        self._begun = begin(self._keep, self._now)
        asked = {
            "client_id": self._app_key,
            "redirect_uri": self._redirect_uri,
            "response_type": "code",
            "state": self._begun.state,
        }
        return f"{self._page}?{urlencode(asked)}", self._begun.state

    def finish(self, answer: str) -> None:
        given = self._exchanged(_code(answer, self._state))
        token, owner = given.get("access_token"), native(given.get("uid"))
        if not isinstance(token, str) or not token:
            raise Unavailable("no token in Weibo's answer", maybe_done=True)
        if owner not in (None, self._uid):
            raise Rejected(f"account {owner} agreed, not {self._uid}: log in as that one")
        now = self._now()
        lives = integer(given.get("expires_in")) or integer(given.get("remind_in"))
        row = {
            "access_token": token,
            "expires_at": int((now + timedelta(seconds=lives)).timestamp()) if lives else None,
            "made_at": int(now.timestamp()),
        }
        text = json.dumps(row, separators=(",", ":"))
        for _ in range(_RACES):
            if self._keep.swap(TOKEN, self._keep.get(TOKEN), text):
                return ended(self._keep)
        raise Unavailable("the token could not be kept: somebody else writes it at the same time")

    def _state(self) -> str:
        """Of this beginning, or of one in another process. Raises Rejected where there was none."""
        return (self._begun or begun(self._keep, self._now)).state

    def _exchanged(self, code: str) -> dict[str, Any]:
        response = self._http.post(
            f"https://{OPEN}/oauth2/access_token",
            data={
                "client_id": self._app_key,
                "client_secret": self._app_secret,
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self._redirect_uri,
            },
        )
        found = mapping(body(response))
        refused = integer(found.get("error_code"))
        if refused in _CODES:
            raise Unauthorized(
                f"Weibo answers {refused}",
                remedy=f"set {_CODES[refused]} as the app's page on open.weibo.com shows it",
            )
        if refused == 21325:
            raise Rejected("the code is used up or too old; open the page again")
        if refused in (10022, 10023, 10024):
            raise RateLimited(f"Weibo answers {refused}", retry_after_s=3600.0)
        if refused:
            raise Rejected(f"Weibo answers {refused}")
        outcome(response, remedy=_RUN)
        return found


class Token:
    """The token of the settings, else the one that the walk brought."""

    def __init__(self, given: str | None, keep: Keep) -> None:
        self._given = given
        self._keep = keep

    def __call__(self) -> str:
        """Raises Unauthorized while there is none."""
        if self._given is not None:
            return self._given
        try:
            row = mapping(json.loads(self._keep.get(TOKEN) or "{}"))
        except ValueError:
            row = {}
        token = row.get("access_token")
        if not isinstance(token, str) or not token:
            raise Unauthorized("there is no token yet", remedy=_RUN)
        return token


def _code(answer: str, state: Callable[[], str]) -> str:
    """The code in what the operator brought back, if it answers this beginning. Raises Rejected."""
    answer = answer.strip()
    if "=" not in answer:
        if not answer or not answer.isascii() or not answer.isalnum():
            raise Rejected("that is neither an address nor a code")
        return answer
    try:
        told = parse_qs(urlsplit(answer).query or answer.lstrip("?"))
    except ValueError:
        raise Rejected("that address cannot be read") from None
    if "error" in told or "error_code" in told:
        said = told.get("error_code") or told["error"]
        raise Rejected(f"Weibo says: {said[0][:80]}")
    if told.get("state") != [state()]:
        raise Rejected("that address answers another beginning; open the page again")
    if not told.get("code"):
        raise Rejected("there is no code in that address")
    return told["code"][0]
