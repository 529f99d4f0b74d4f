"""Who may call the stand-in of X, and how often: OAuth 1.0a signatures and windows of fifteen minutes."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from aggregator.sandbox.wire import Answer, Request, answer

NONCES = 10_000
PROBLEM = "application/problem+json"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Keys:
    """One app and one user of it. `bearer` is the app's own token: no user stands behind it."""

    consumer_key: str
    consumer_secret: str
    access_token: str
    access_token_secret: str
    bearer: str


@dataclass(slots=True)
class Gate:
    """Tells who calls. `skew_s`: how far a signature's time may be from the clock; None: any. `takes`: whether
    an OAuth 2.0 token is a user's.
    """

    keys: Keys
    takes: Callable[[str], bool]
    skew_s: float | None = 300.0
    _nonces: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=NONCES))

    def caller(self, request: Request, now_s: float) -> str | None:
        """`user` by a valid signature or token, `app` by the app's bearer token, None for anybody else."""
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return "app" if self.is_app(request) else ("user" if self.takes(rest) else None)
        if scheme.lower() != "oauth":
            return None
        oauth = _oauth(rest)
        if not self._plausible(oauth, now_s):
            return None
        wanted = signature(request, oauth, self.keys)
        if not hmac.compare_digest(oauth.get("oauth_signature", "").encode(), wanted.encode()):
            return None
        nonce = (oauth["oauth_timestamp"], oauth["oauth_nonce"])
        if nonce in self._nonces:
            return None
        self._nonces.append(nonce)
        return "user"

    def is_app(self, request: Request) -> bool:
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self.keys.bearer}".encode())

    def _plausible(self, oauth: Mapping[str, str], now_s: float) -> bool:
        stamp = oauth.get("oauth_timestamp", "")
        return (
            oauth.get("oauth_consumer_key") == self.keys.consumer_key
            and oauth.get("oauth_token") == self.keys.access_token
            and oauth.get("oauth_signature_method") == "HMAC-SHA1"
            and oauth.get("oauth_version", "1.0") == "1.0"
            and bool(oauth.get("oauth_nonce"))
            and stamp.isascii()
            and stamp.isdigit()
            and (self.skew_s is None or abs(int(stamp) - now_s) <= self.skew_s)
        )


def signature(request: Request, oauth: Mapping[str, str], keys: Keys) -> str:
    """RFC 5849 §3.4: HMAC-SHA1 over the method, the URL as the client called it, and every parameter."""
    pairs = parse_qsl(request.raw_query, keep_blank_values=True)
    if request.headers.get("content-type", "").split(";")[0].strip() == FORM:
        pairs += parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
    pairs += [
        (key, value) for key, value in oauth.items() if key not in ("oauth_signature", "realm")
    ]
    encoded = sorted((_encode(key), _encode(value)) for key, value in pairs)
    parameters = "&".join(f"{key}={value}" for key, value in encoded)
    base = "&".join(_encode(part) for part in (request.method, _base_url(request.url), parameters))
    key = f"{_encode(keys.consumer_secret)}&{_encode(keys.access_token_secret)}"
    digest = hmac.new(key.encode(), base.encode(), hashlib.sha1)
    return base64.b64encode(digest.digest()).decode()


def _oauth(header: str) -> dict[str, str]:
    parts = (part.strip().partition("=") for part in header.split(","))
    return {unquote(key): unquote(value.strip('"')) for key, _, value in parts if key}


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.lower()
    default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return f"{parts.scheme.lower()}://{host.removesuffix(default)}{parts.path}"


def _encode(text: str) -> str:
    return quote(text, safe="")


# --- how often ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Windows:
    """Calls per endpoint and caller in windows of `length_s`, as the x-rate-limit headers tell them.

    `resets`: ok, past (a reset that has been, as broken gateways send), or missing (no such headers).
    `over`: calls that were one too many.
    """

    length_s: float = 900.0
    resets: str = "ok"
    over: int = 0
    _open: dict[str, tuple[float, int]] = field(default_factory=dict)

    def take(self, name: str, limit: int, now_s: float) -> bool:
        """Count a call; False if the window has no call left."""
        start, used = self._window(name, now_s)
        if used >= limit:
            self.over += 1
            return False
        self._open[name] = (start, used + 1)
        return True

    def headers(self, name: str, limit: int, now_s: float) -> dict[str, str]:
        if self.resets == "missing":
            return {}
        start, used = self._window(name, now_s)
        reset = now_s - 30 if self.resets == "past" else start + self.length_s
        return {
            "x-rate-limit-limit": str(limit),
            "x-rate-limit-remaining": str(max(0, limit - used)),
            "x-rate-limit-reset": str(int(reset)),
        }

    def _window(self, name: str, now_s: float) -> tuple[float, int]:
        start, used = self._open.get(name, (now_s, 0))
        return (start, used) if now_s < start + self.length_s else (now_s, 0)


# --- what is answered instead ---------------------------------------------------------------------


class Refused(Exception):
    """The answer that a handler gives up with."""

    def __init__(self, given: Answer) -> None:
        super().__init__(given.status)
        self.given = given


def problem(
    status: int, title: str, detail: str, tail: str | None = None, /, **more: Any
) -> Answer:
    """A problem body as X writes it; `tail` is the last segment of its type."""
    kind = f"https://api.twitter.com/2/problems/{tail}" if tail else "about:blank"
    value = {"title": title, "detail": detail, "type": kind, "status": status, **more}
    given = answer(value, status)
    return Answer(given.body, status, {}, PROBLEM)


def invalid(message: str, /, **parameters: str) -> Refused:
    """A 400 that names the parameters with the values that were sent."""
    error = {"message": message, "parameters": {key: [value] for key, value in parameters.items()}}
    return Refused(
        problem(
            400,
            "Invalid Request",
            "One or more parameters to your request was invalid.",
            "invalid-request",
            errors=[error],
        )
    )
