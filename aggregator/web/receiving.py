"""What is asked of `/callbacks/{account}`, bare: bounded, checked, stored, answered. A flood must cost next to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import structlog
from starlette.concurrency import run_in_threadpool

from aggregator.errors import Rejected, Unavailable
from aggregator.model import Accepted
from aggregator.web.callbacks import Callbacks

PATH = "/callbacks/"
XML_LIMIT = 64 * 1024
JSON_LIMIT = 1024 * 1024
MOST_NAMES = 100  # in a query

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

log = structlog.get_logger()


def account_of(scope: Scope) -> str | None:
    """The account that a request is for; None where it is for something else."""
    path = scope.get("path", "")
    if scope["type"] != "http" or not path.startswith(PATH):
        return None
    name = path[len(PATH) :]
    return name if name and "/" not in name else None


async def receive_callback(
    account: str, callbacks: Callbacks, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer one request. What nobody foresaw is logged with its traceback, and answered with two words."""
    more: tuple[tuple[bytes, bytes], ...] = ()
    try:
        accepted = await _taken(account, callbacks, scope, receive)
    except Rejected as error:
        accepted = _words(error.reason, error.status)
    except Unavailable:
        accepted, more = _words("busy", 503), ((b"retry-after", b"5"),)
    except _CutOff:
        accepted = _words("the request was cut off", 400)
    except Exception as error:
        log.error("http.failed", path=scope["path"], exc_info=error)
        accepted = _words("internal error", 500)
    callbacks.count(account, accepted.status)
    headers = [
        (b"content-length", str(len(accepted.answer)).encode()),
        (b"content-type", accepted.content_type.encode("latin-1")),
        *more,
    ]
    await send({"type": "http.response.start", "status": accepted.status, "headers": headers})
    await send({"type": "http.response.body", "body": accepted.answer})


class _CutOff(Exception):
    """Whoever asked is gone."""


async def _taken(account: str, callbacks: Callbacks, scope: Scope, receive: Receive) -> Accepted:
    method = scope["method"]
    if method not in ("GET", "POST"):
        raise Rejected("GET and POST only", status=405)
    callbacks.refuse_unknown(account)
    query = _query(scope.get("query_string", b""))
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    body = await _body(headers, receive)
    verify = partial(callbacks.verified, account, method, query, headers, body)
    # No thread for what is over in microseconds; a large body is parsed beside the others' answers.
    accepted = verify() if len(body) <= XML_LIMIT else await run_in_threadpool(verify)
    future = callbacks.stored(account, accepted)
    if future is not None:
        await asyncio.wrap_future(future)
    return accepted


def _words(words: str, status: int) -> Accepted:
    return Accepted(f"{words}\n".encode(), status=status)


def _query(raw: bytes) -> dict[str, str]:
    """The query, where each name comes once: of two signatures nobody could say which one counts."""
    try:
        pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_NAMES)
    except ValueError:
        raise Rejected("too many names in the query") from None
    query = dict(pairs)
    if len(query) != len(pairs):
        raise Rejected("a name comes twice in the query")
    return query


async def _body(headers: dict[str, str], receive: Receive) -> bytes:
    """The raw body. What is over the limit is refused with 413 before it is read any further.

    JSON may be larger than XML; what says JSON and begins like XML is held to the limit of XML.
    """
    limit = JSON_LIMIT if "json" in headers.get("content-type", "").lower() else XML_LIMIT
    length = headers.get("content-length", "0")
    if len(length) > 18 or int(length) > limit:  # h11 lets nothing but digits through
        raise _too_large(limit)
    body = bytearray()
    while True:
        part = await receive()
        if part["type"] == "http.disconnect":
            raise _CutOff
        body += part.get("body", b"")
        if len(body) > XML_LIMIT and bytes(body[:64]).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
            limit = XML_LIMIT
        if len(body) > limit:
            raise _too_large(limit)
        if not part.get("more_body", False):
            return bytes(body)


def _too_large(limit: int) -> Rejected:
    return Rejected(f"more than {limit // 1024} KiB", status=413)
