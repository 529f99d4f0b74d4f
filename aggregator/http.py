"""The one HTTP session: every call that the daemon makes to a platform or a ticket system goes through it.

The SDKs bring no timeouts, print tokens and hide headers (facts in the tests); they are all handed this
session instead of their own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.exceptions import (
    ChunkedEncodingError,
    ConnectTimeout,
    ContentDecodingError,
    InvalidSchema,
    InvalidURL,
    ReadTimeout,
)

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable

TIMEOUT_S = (5.0, 20.0)  # connect, and each read
DEADLINE_S = 30.0  # for a whole answer: a server that drips bytes is cut off
MAX_BODY = 16 * 1024 * 1024
MAX_LINE = 1024 * 1024  # of an answer that stays open


class Http(requests.Session):
    """A requests.Session that rewrites hosts, bounds time and size, and raises our outcomes.

    `hosts`: the platform's hosts, which `base_url` (scheme and host) stands for. They are rewritten
    before auth is applied, since an OAuth 1.0a signature covers the host. `on_response` sees every
    answer (rate-limit headers) and may raise an outcome, which comes out unchanged, past an SDK that would
    stumble over the answer. Redirects are not followed: they would carry tokens elsewhere.

    Raises Unavailable (with `maybe_done` where the request may have been acted on) instead of any
    requests exception; the text names host and path, never a query or a header.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        hosts: tuple[str, ...] = (),
        timeout_s: tuple[float, float] = TIMEOUT_S,
        deadline_s: float = DEADLINE_S,
        max_body: int = MAX_BODY,
        on_response: Callable[[requests.Response], None] | None = None,
    ) -> None:
        super().__init__()
        self.trust_env = False
        self._base = urlsplit(base_url.rstrip("/")) if base_url else None
        self._hosts = frozenset(hosts)
        self._on_response = on_response
        adapter = _Adapter(timeout_s, deadline_s, max_body)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        given = request.url
        try:
            if self._base is not None and given:
                url = urlsplit(given)
                if url.hostname in self._hosts:
                    request.url = urlunsplit(
                        (self._base.scheme, self._base.netloc, url.path, url.query, "")
                    )
            return super().prepare_request(request)
        except (requests.RequestException, ValueError) as error:
            failure = Unavailable(f"{type(error).__name__} before asking {place(given)}")
        raise failure  # outside the except: the first error holds the URL or the header, and both hold tokens

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        kwargs["allow_redirects"] = False
        kwargs["stream"] = False
        response = failure = None
        try:
            response = super().send(request, **kwargs)
        except (requests.RequestException, ValueError) as error:
            failure = Unavailable(
                f"{type(error).__name__} at {place(request.url)}", maybe_done=_may_be_done(error)
            )
        if response is None:
            assert failure is not None
            raise failure
        if self._on_response is not None:
            self._on_response(response)
        return response

    def lines(self, url: str, *, headers: Mapping[str, str], silence_s: float) -> Iterator[bytes]:
        """GET an answer that stays open: its lines as they come, the empty ones too, until the other side ends it.

        Raises as a request does, and Unavailable where nothing came for `silence_s` or a line is endless.
        """
        told = {**headers, "Accept-Encoding": "identity"}
        prepared = self.prepare_request(requests.Request("GET", url, headers=told))
        failure = None
        try:
            with HTTPAdapter(max_retries=0).send(
                prepared, stream=True, timeout=(TIMEOUT_S[0], silence_s)
            ) as response:
                if not response.ok:
                    response._content = response.raw.read(MAX_LINE, decode_content=True)
                if self._on_response is not None:
                    self._on_response(response)
                yield from _lines(response)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            failure = Unavailable(f"{type(error).__name__} at {place(prepared.url)}")
        if failure is not None:
            raise failure

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Never: requests would prepare the next request even where it may not send it."""
        return None


class _Adapter(HTTPAdapter):
    """Timeouts where the caller gave none, a bound on the body, and on the time for all of it."""

    def __init__(self, timeout_s: tuple[float, float], deadline_s: float, max_body: int) -> None:
        self._timeout_s = timeout_s
        self._deadline_s = deadline_s
        self._max_body = max_body
        super().__init__(max_retries=0)

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, timeout: Any = None, **kwargs: Any
    ) -> requests.Response:
        until = time.monotonic() + self._deadline_s
        kwargs["stream"] = True
        response = super().send(request, timeout=timeout or self._timeout_s, **kwargs)
        try:
            content = self._body(response, until)
        except BaseException as error:
            response.close()
            if isinstance(error, urllib3.exceptions.ReadTimeoutError):
                raise ReadTimeout("timed out in the body") from error
            if isinstance(error, urllib3.exceptions.HTTPError | OSError) and not isinstance(
                error, requests.RequestException
            ):
                raise ChunkedEncodingError("broken off in the body") from error
            raise
        response._content = content
        response._content_consumed = True  # type: ignore[attr-defined]
        return response

    def _body(self, response: requests.Response, until: float) -> bytes:
        """All of it. read1: one read of the socket at a time, or a dripping server outlasts the deadline."""
        content = bytearray()
        while chunk := response.raw.read1(64 * 1024, decode_content=True):
            content += chunk
            if len(content) > self._max_body:
                raise ContentDecodingError("body too large")
            if time.monotonic() > until:
                raise ReadTimeout("body too slow")
        return bytes(content)


def _lines(response: requests.Response) -> Iterator[bytes]:
    rest = bytearray()
    while chunk := response.raw.read1(64 * 1024):
        rest += chunk
        if len(rest) > MAX_LINE:
            raise ContentDecodingError("line too long")
        *whole, last = rest.split(b"\n")
        rest = last
        yield from (bytes(line.strip()) for line in whole)


def _may_be_done(error: Exception) -> bool:
    """False only where nothing can have been sent: no connection, or none that we trust."""
    if isinstance(error, ConnectTimeout):
        return False
    if isinstance(error, requests.ConnectionError) and error.args:
        reason = getattr(error.args[0], "reason", None)
        if isinstance(reason, urllib3.exceptions.NewConnectionError):
            return False  # refused, unreachable, or a host that does not resolve
        if isinstance(reason, urllib3.exceptions.SSLError):
            return "CERTIFICATE_VERIFY_FAILED" not in str(reason)
    never = (InvalidURL, InvalidSchema, urllib3.exceptions.LocationValueError)
    return not isinstance(error, never)


def place(url: str | bytes | None) -> str:
    """Host and path of a URL, for messages and logs: a query may hold a token."""
    text = url.decode("latin-1") if isinstance(url, bytes) else url or ""
    try:
        parts = urlsplit(text)
        return f"{parts.hostname or '?'}{parts.path}"
    except ValueError:
        return "a URL that cannot be read"


def body(response: requests.Response) -> Any:
    """The JSON in an answer. Raises Unavailable where there is HTML, nothing, or half of it.

    Bytes that are no UTF-8 become U+FFFD: one broken text is no reason to lose the page it stands on.
    """
    try:
        return json.loads(response.content.decode("utf-8-sig", "replace"))
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
        except (KeyError, TypeError, ValueError, OverflowError):
            seconds = default
    if not seconds > 0:  # 0, negative and NaN: never a hot loop
        seconds = 1.0
    return min(seconds, cap)
