"""The one HTTP session: every call that the daemon makes to a platform or a ticket system goes through it.

The SDKs bring no timeouts, print tokens and hide headers (facts in the tests); they are all handed this
session instead of their own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError, ConnectTimeout, ReadTimeout

from aggregator.errors import Rejected, RateLimited, Unauthorized, Unavailable

TIMEOUT_S = (5.0, 20.0)  # connect, and each read
DEADLINE_S = 30.0  # for a whole answer: a server that drips bytes is cut off
MAX_BODY = 16 * 1024 * 1024


class Http(requests.Session):
    """A requests.Session that rewrites hosts, bounds time and size, and raises our outcomes.

    `hosts`: the platform's hosts, which `base_url` (scheme and host) stands for. They are rewritten
    before auth is applied, since an OAuth 1.0a signature covers the host. `on_response` sees every
    answer (for rate-limit headers). Redirects are not followed: they would carry tokens elsewhere.

    Raises Unavailable (with `maybe_done` where the request may have been acted on) instead of any
    requests exception; the text names host and path, never a query.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        hosts: tuple[str, ...] = (),
        timeout_s: tuple[float, float] = TIMEOUT_S,
        on_response: Callable[[requests.Response], None] | None = None,
    ) -> None:
        super().__init__()
        self.trust_env = False
        self._base = urlsplit(base_url.rstrip("/")) if base_url else None
        self._hosts = frozenset(hosts)
        self._on_response = on_response
        adapter = _Adapter(timeout_s)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        if self._base is not None and request.url:
            url = urlsplit(request.url)
            if url.hostname in self._hosts:
                request.url = urlunsplit(
                    (self._base.scheme, self._base.netloc, url.path, url.query, "")
                )
        return super().prepare_request(request)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        kwargs["allow_redirects"] = False
        kwargs["stream"] = False
        try:
            response = super().send(request, **kwargs)
        except requests.RequestException as error:
            # `from None`: the text of these exceptions holds the URL, and a URL may hold a token.
            raise Unavailable(
                f"{type(error).__name__} at {place(request.url)}", maybe_done=_may_be_done(error)
            ) from None
        if self._on_response is not None:
            self._on_response(response)
        return response


class _Adapter(HTTPAdapter):
    """Timeouts where the caller gave none, a bound on the body, and on the time for all of it."""

    def __init__(self, timeout_s: tuple[float, float]) -> None:
        self._timeout_s = timeout_s
        super().__init__(max_retries=0)

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, timeout: Any = None, **kwargs: Any
    ) -> requests.Response:
        until = time.monotonic() + DEADLINE_S
        kwargs["stream"] = True
        response = super().send(request, timeout=timeout or self._timeout_s, **kwargs)
        body = bytearray()
        for chunk in response.iter_content(64 * 1024):
            body += chunk
            if len(body) > MAX_BODY:
                response.close()
                raise requests.exceptions.ContentDecodingError("body too large")
            if time.monotonic() > until:
                response.close()
                raise ReadTimeout("body too slow")
        response._content = bytes(body)
        return response


def _may_be_done(error: requests.RequestException) -> bool:
    if isinstance(error, ConnectTimeout):
        return False
    if isinstance(error, requests.ConnectionError) and not isinstance(error, ChunkedEncodingError):
        # NewConnectionError: refused, unreachable or unknown host; nothing was sent.
        return "NewConnectionError" not in repr(error) and "NameResolutionError" not in repr(error)
    return True


def place(url: str | bytes | None) -> str:
    """Host and path of a URL, for messages and logs: a query may hold a token."""
    text = url.decode("latin-1") if isinstance(url, bytes) else url or ""
    parts = urlsplit(text)
    return f"{parts.hostname or '?'}{parts.path}"


def body(response: requests.Response) -> Any:
    """The JSON in an answer. Raises Unavailable where there is HTML, nothing, or half of it."""
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        raise Unavailable(
            f"{response.status_code} without JSON from {place(response.url)}", maybe_done=True
        ) from None


def outcome(response: requests.Response, *, remedy: str) -> None:
    """Raise what an HTTP status means to the daemon; return for 2xx. For servers that use statuses plainly."""
    status = response.status_code
    where = place(response.url)
    if 200 <= status < 300:
        return
    if status == 429:
        raise RateLimited(f"429 from {where}", retry_after_s=retry_after_s(response.headers))
    if status in (401, 403):
        raise Unauthorized(f"{status} from {where}", remedy=remedy)
    if status >= 500 or status in (408, 409, 425) or status < 400:
        raise Unavailable(f"{status} from {where}", maybe_done=status >= 500)
    raise Rejected(f"{status} from {where}", status=status)


def retry_after_s(
    headers: Mapping[str, str], *, default: float = 30.0, cap: float = 3600.0
) -> float:
    """Seconds to wait by `Retry-After` (seconds or an HTTP date, read against the answer's own `Date`)."""
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            then = parsedate_to_datetime(value)
            seconds = (then - parsedate_to_datetime(headers["Date"])).total_seconds()
        except (KeyError, TypeError, ValueError):
            seconds = default
    if not seconds > 0:  # 0, negative and NaN: never a hot loop
        seconds = 1.0
    return min(seconds, cap)
