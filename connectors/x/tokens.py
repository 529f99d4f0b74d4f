"""OAuth 2.0 for X: a user's token that lives two hours, renewed by one replica and kept for all.

https://docs.x.com/fundamentals/authentication/oauth-2-0/authorization-code: PKCE; a refresh token comes only
with the scope `offline.access` and is used up by being used.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import requests

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.http import Http, body, place
from connectors.base import Keep, Now
from connectors.beginning import Beginning, begin, begun, ended
from connectors.fields import parse_time
from connectors.payload import mapping
from connectors.x.refusals import AUTHORISE

HOST = "https://api.x.com"
PAGE = "https://x.com/i/oauth2/authorize"
SCOPE = "tweet.read tweet.write users.read dm.read dm.write offline.access"
TOKEN = "token"  # noqa: S105  the row of the Keep, which holds it sealed
BUSY = "token.renewing"
MARGIN = timedelta(minutes=5)  # renewed this much before its end
PATIENCE = timedelta(seconds=40)  # so long a renewal may take, before another replica tries
YOUNG = timedelta(minutes=10)  # a token refused at this age is not mended by another one


class Tokens:
    """The access token of an account, good for some minutes. Raises Unauthorized where only a person can help."""

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str | None,
        base_url: str | None,
        keep: Keep,
        now: Now,
    ) -> None:
        self._endpoint = _Endpoint(client_id, client_secret, base_url)
        self._keep = keep
        self._now = now

    def current(self) -> str:
        raw = self._keep.get(TOKEN)
        row = _row(raw)
        if raw is None or row is None:
            raise Unauthorized("there is no token yet", remedy=AUTHORISE)
        left = _ends(row) - self._now()
        if left > MARGIN:
            return str(row["access_token"])
        try:
            return self._renewed(raw, row)
        except Unavailable:
            if left > timedelta(seconds=30):
                return str(row["access_token"])  # still good; the next call tries again
            raise

    def refused(self, token: str) -> None:
        """X did not take this one. It is renewed once, before a person is asked: raises Unavailable then."""
        raw = self._keep.get(TOKEN)
        row = _row(raw)
        if row is None or row["access_token"] != token:
            raise Unavailable("X refused a token that has been renewed meanwhile")
        made = parse_time(row.get("made_at"))
        if row.get("refused") and made is not None and self._now() - made < YOUNG:
            return
        stale = {**row, "expires_at": 0, "refused": True}
        if self._keep.swap(TOKEN, raw, _text(stale)):
            raise Unavailable("X refused the token; it is renewed before the next call")
        raise Unavailable("X refused a token that is being renewed")

    def _renewed(self, raw: str, row: dict[str, Any]) -> str:
        """1. Be the only one. 2. Ask. 3. Keep the new pair. 4. Only then use it."""
        now = self._now()
        busy = self._keep.get(BUSY)
        until = parse_time(busy.partition(" ")[0]) if busy else None
        mine = f"{(now + PATIENCE).isoformat()} {secrets.token_hex(4)}"
        if (until is not None and until > now) or not self._keep.swap(BUSY, busy, mine):
            raise RateLimited("another replica is renewing the token", retry_after_s=3.0)
        try:
            return self._asked(raw, row)
        finally:
            self._keep.swap(BUSY, mine, None)

    def _asked(self, raw: str, row: dict[str, Any]) -> str:
        before = self._keep.get(TOKEN)
        if before == raw:
            if not row.get("refresh_token"):
                raise Unauthorized(
                    "the token has ended, and came without a way to renew it", remedy=AUTHORISE
                )
            answer = self._endpoint.ask(
                grant_type="refresh_token", refresh_token=str(row["refresh_token"])
            )
            if answer.status_code >= 400:
                now_there = self._keep.get(TOKEN)
                if now_there == raw:
                    _refuse(answer)
                before = now_there
            else:
                new = _pair(answer, self._now(), before=row)
                if self._keep.swap(TOKEN, raw, _text(new)):
                    return str(new["access_token"])
                before = self._keep.get(TOKEN)
        found = _row(before)  # somebody was quicker: theirs is the one that counts
        if found is None:
            raise Unauthorized("the token is gone", remedy=AUTHORISE)
        return str(found["access_token"])


class Authorization:
    """`inboxd auth` for X (connectors/base.py, Authorizes)."""

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str | None,
        callback_url: str,
        base_url: str | None,
        keep: Keep,
        now: Now,
    ) -> None:
        self._endpoint = _Endpoint(client_id, client_secret, base_url)
        self._client_id = client_id
        self._callback_url = callback_url
        self._page = f"{base_url.rstrip('/')}/i/oauth2/authorize" if base_url else PAGE
        self._keep = keep
        self._now = now
        self._begun: Beginning | None = None

    def begin(self) -> tuple[str, str]:
        self._begun = made = begin(self._keep, self._now)
        page = authorize_url(
            self._page, self._client_id, self._callback_url, made.state, made.verifier
        )
        return page, made.state

    def finish(self, answer: str) -> None:
        made = self._begun or begun(self._keep, self._now)
        code = _code(answer, made.state)
        given = self._endpoint.ask(
            grant_type="authorization_code",
            code=code,
            redirect_uri=self._callback_url,
            code_verifier=made.verifier,
        )
        if given.status_code >= 400:
            _refuse(given)
        new = _text(_pair(given, self._now(), before={}))
        for _ in range(8):
            if self._keep.swap(TOKEN, self._keep.get(TOKEN), new):
                return ended(self._keep)
        raise Unavailable("the token could not be kept; it is being renewed by a daemon")


def authorize_url(page: str, client_id: str, callback_url: str, state: str, verifier: str) -> str:
    """Where the operator agrees. PKCE: X gets a digest of the verifier now, and the verifier with the code."""
    digest = hashlib.sha256(verifier.encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": callback_url,
        "scope": SCOPE,
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    return f"{page}?{urlencode(asked)}"


class _Endpoint:
    def __init__(self, client_id: str, client_secret: str | None, base_url: str | None) -> None:
        self._client_id = client_id
        told = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
        self._headers = {"Authorization": f"Basic {told}"} if client_secret else {}
        self._session = Http()
        self._url = f"{(base_url or HOST).rstrip('/')}/2/oauth2/token"

    def ask(self, **form: str) -> requests.Response:
        """The answer, also a refusal by 4xx. Raises Unavailable for anything that may pass."""
        if not self._headers:
            form["client_id"] = self._client_id
        answer = self._session.post(self._url, data=form, headers=self._headers)
        if answer.status_code == 429:
            raise RateLimited("X answered 429 at the token's endpoint", retry_after_s=60.0)
        if answer.status_code >= 500 or 300 <= answer.status_code < 400:
            raise Unavailable(f"{answer.status_code} from {place(answer.url)}", maybe_done=True)
        return answer


def _refuse(answer: requests.Response) -> None:
    try:
        said = mapping(json.loads(answer.content))
    except (ValueError, RecursionError):
        raise Unavailable(f"{answer.status_code} from {place(answer.url)}") from None
    what = str(said.get("error") or said.get("title") or answer.status_code)[:80]
    if what in ("unauthorized_client", "invalid_client"):
        raise Unauthorized(
            f"X refused the app ({what})",
            remedy="set client_id and client_secret as the X developer console shows them",
        )
    raise Unauthorized(f"X refused to give a token ({what})", remedy=AUTHORISE)


def _pair(answer: requests.Response, now: datetime, *, before: dict[str, Any]) -> dict[str, Any]:
    told = mapping(body(answer))
    access, refresh = told.get("access_token"), told.get("refresh_token")
    if not isinstance(access, str) or not access:
        raise Unavailable(f"no token in the answer of {place(answer.url)}", maybe_done=True)
    seconds = told.get("expires_in")
    lives = seconds if isinstance(seconds, int) and 60 <= seconds <= 10**8 else 7200
    return {
        "access_token": access,
        "refresh_token": refresh if isinstance(refresh, str) else before.get("refresh_token"),
        "expires_at": int((now + timedelta(seconds=lives)).timestamp()),
        "made_at": int(now.timestamp()),
        **({"refused": True} if before.get("refused") else {}),
    }


def _code(answer: str, state: str) -> str:
    """The code in what the operator brought back, if it answers this beginning."""
    answer = answer.strip()
    if "://" not in answer and "code=" not in answer:
        if not answer or any(letter.isspace() for letter in answer):
            raise Rejected("that is neither an address nor a code")
        return answer
    told = parse_qs(urlsplit(answer).query or answer.partition("?")[2] or answer)
    if "error" in told:
        raise Rejected(f"X says: {told['error'][0][:80]}")
    if told.get("state") != [state]:
        raise Rejected("that address answers another beginning; open the page again")
    if not told.get("code"):
        raise Rejected("there is no code in that address")
    return told["code"][0]


def _row(raw: str | None) -> dict[str, Any] | None:
    try:
        row = mapping(json.loads(raw)) if raw else {}
    except ValueError:
        return None
    return row if isinstance(row.get("access_token"), str) else None


def _ends(row: dict[str, Any]) -> datetime:
    return parse_time(row.get("expires_at")) or datetime.min.replace(tzinfo=UTC)


def _text(row: dict[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":"))
