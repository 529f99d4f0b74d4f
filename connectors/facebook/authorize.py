"""The walk to a Page token that has no end of its own: code → short user token → long one → the Page's.

https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from aggregator.errors import Rejected, Unavailable
from aggregator.http import Http
from connectors.base import Keep, Now
from connectors.beginning import Beginning, begin, begun, ended
from connectors.facebook.refusals import Failed, judge
from connectors.payload import items, mapping, native

GRAPH = "https://graph.facebook.com"
WWW = "https://www.facebook.com"
TOKEN = "token"  # noqa: S105  the row of the Keep, which holds it sealed
SCOPES = (
    "pages_show_list",
    "pages_read_engagement",
    "pages_read_user_content",
    "pages_messaging",
    "pages_manage_engagement",
    "pages_manage_metadata",
)
INSTAGRAM_SCOPES = ("instagram_basic", "instagram_manage_messages", "instagram_manage_comments")
_RACES = 8
_PAGES = 10
_USER_TOKEN = re.compile(r"EAA[0-9A-Za-z]{20,}")


class Authorization:
    """`inboxd auth` for a Page (connectors/base.py, Authorizes). `finish` takes a short user token as well."""

    def __init__(
        self,
        *,
        page_id: str,
        app_id: str,
        app_secret: str,
        callback_url: str,
        version: str,
        base_url: str | None,
        instagram: bool,
        keep: Keep,
        now: Now,
    ) -> None:
        self._page_id = page_id
        self._app_id = app_id
        self._app_secret = app_secret
        self._callback_url = callback_url
        self._graph = f"{base_url or GRAPH}/{version}"
        self._dialog = f"{base_url or WWW}/{version}/dialog/oauth"
        self._scopes = (*SCOPES, *(INSTAGRAM_SCOPES if instagram else ()))
        self._http = Http()
        self._keep = keep
        self._now = now
        self._begun: Beginning | None = None

    def begin(self) -> tuple[str, str]:
        self._begun = begin(self._keep, self._now)
        asked = {
            "client_id": self._app_id,
            "redirect_uri": self._callback_url,
            "state": self._begun.state,
            "response_type": "code",
            "scope": ",".join(self._scopes),
        }
        return f"{self._dialog}?{urlencode(asked)}", self._begun.state

    def finish(self, answer: str) -> None:
        given = _given(answer, self._state)
        short = given if _USER_TOKEN.fullmatch(given) else self._short(given)
        app = {"client_id": self._app_id, "client_secret": self._app_secret}
        long = self._token(
            {"grant_type": "fb_exchange_token", "fb_exchange_token": short, **app}, short
        )
        row = kept(self._of_the_page(long), self._now())
        for _ in range(_RACES):
            if self._keep.swap(TOKEN, self._keep.get(TOKEN), row):
                return ended(self._keep)
        raise Unavailable("the token could not be kept: others change it at the same time")

    def _state(self) -> str:
        """Of this beginning, or of one in another process. Raises Rejected where there was none."""
        return (self._begun or begun(self._keep, self._now)).state

    def _short(self, code: str) -> str:
        app = {"client_id": self._app_id, "client_secret": self._app_secret}
        try:
            return self._token({"code": code, "redirect_uri": self._callback_url, **app}, code)
        except Failed as error:
            if error.code not in (1, 100):
                raise
            raise Rejected(
                f"Facebook refused the code, which is good once and for ten minutes: {error.reason}"
            ) from error

    def _token(self, args: dict[str, str], secret: str) -> str:
        told = self._ask("oauth/access_token", args, secret)
        token = told.get("access_token")
        if not isinstance(token, str) or not token:
            raise Unavailable("Facebook gave no token")
        return token

    def _of_the_page(self, token: str) -> str:
        args = {"fields": "id,access_token", "limit": "100"}
        for _ in range(_PAGES):
            told = self._ask("me/accounts", args, token, bearer=True)
            for page in map(mapping, items(told.get("data"))):
                found = page.get("access_token")
                if native(page.get("id")) == self._page_id and isinstance(found, str):
                    return found
            paging = mapping(told.get("paging"))
            after = mapping(paging.get("cursors")).get("after")
            if not paging.get("next") or not isinstance(after, str):
                break
            args = {**args, "after": after}
        raise Rejected(
            f"this person has no role on the Page {self._page_id}, or did not tick it in the dialog"
        )

    def _ask(
        self, path: str, args: dict[str, str], secret: str, *, bearer: bool = False
    ) -> dict[str, Any]:
        headers = {}
        if bearer:
            headers["Authorization"] = f"Bearer {secret}"
            args = {**args, "appsecret_proof": _proof(self._app_secret, secret)}
        response = self._http.get(f"{self._graph}/{path}", params=args, headers=headers)
        return judge(response, token=secret)


def kept(token: str, now: datetime) -> str:
    return json.dumps({"access_token": token, "made_at": now.isoformat(timespec="seconds")})


def read_token(raw: str | None) -> str | None:
    """The token in the row that `finish` left."""
    try:
        token = mapping(json.loads(raw)).get("access_token") if raw else None
    except ValueError:
        return None
    return token if isinstance(token, str) and token else None


def _given(answer: str, state: Callable[[], str]) -> str:
    """The code in the address that the browser was led to; or what was pasted alone."""
    text = answer.strip()
    if "://" not in text:
        if not text or len(text) > 4096 or not text.isascii() or not text.isprintable():
            raise Rejected("that is neither an address nor a code")
        return text
    try:
        parts = urlsplit(text)
    except ValueError:
        raise Rejected("that address cannot be read") from None
    told = {**parse_qs(parts.query), **parse_qs(parts.fragment)}
    if told.get("error"):
        why = (told.get("error_description") or told["error"])[0]
        raise Rejected(f"Facebook says: {why[:200]}")
    if told.get("state") != [state()]:
        raise Rejected("that is the answer to another beginning: open the address given here")
    code = told.get("code", [""])[0]
    if not code:
        raise Rejected("there is no code in that address")
    return code


def _proof(app_secret: str, token: str) -> str:
    return hmac.digest(app_secret.encode(), token.encode(), hashlib.sha256).hex()
