"""The HTTP side: callbacks in, health and metrics out. Bare ASGI routes; nothing is parsed before it is bounded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial, wraps
from typing import Any

import structlog
import uvicorn
from anyio import CapacityLimiter, move_on_after
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from aggregator.errors import Unavailable
from aggregator.web.callbacks import Callbacks
from aggregator.web.connection import Connection
from aggregator.web.receiving import Receive, Scope, Send, account_of, receive_callback

HEAD_LIMIT = 32 * 1024  # request line and headers
CONNECTIONS = 512
PROBE_S = 3.0
DATE_S = 0.5  # how old the Date of an answer may be

Endpoint = Callable[[Request], Awaitable[Response]]
Site = Callable[[Scope, Receive, Send], Awaitable[None]]

log = structlog.get_logger()


def site(
    *,
    callbacks: Callbacks,
    ready: Callable[[], str | None],
    metrics: Callable[[], bytes],
) -> Site:
    """The routes; callbacks go past all that Starlette does for a request. `ready` says why not, or None."""
    # Of their own: threads that wait for a slow database must not keep health from being told.
    probes = CapacityLimiter(8)

    async def healthz(_: Request) -> Response:
        return _text("ok")

    async def readyz(_: Request) -> Response:
        why: str | None = f"no answer from the database within {PROBE_S:.0f} s"
        with move_on_after(PROBE_S):
            why = await run_sync(ready, limiter=probes, abandon_on_cancel=True)
        return _text(why or "ready", 503 if why else 200)

    async def scrape(_: Request) -> Response:
        try:
            text = await run_sync(metrics, limiter=probes)
        except Unavailable as error:
            return _text(error.reason, 503)
        return Response(text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = Starlette(
        routes=[
            Route("/healthz", _boundary(healthz)),
            Route("/readyz", _boundary(readyz)),
            Route("/metrics", _boundary(scrape)),
        ],
    )
    app.router.redirect_slashes = False  # a redirect would repeat whatever Host a stranger wrote

    async def routed(scope: Scope, receive: Receive, send: Send) -> None:
        account = account_of(scope)
        if account is None:
            await app(scope, receive, send)
        else:
            await receive_callback(account, callbacks, scope, receive, send)

    return routed


def _boundary(endpoint: Endpoint) -> Endpoint:
    """What nobody foresaw is logged with its traceback, and answered with two words."""

    @wraps(endpoint)
    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Exception as error:
            log.error("http.failed", path=request.scope["path"], exc_info=error)
            return _text("internal error", 500)

    return answered


def _text(words: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{words}\n", status_code=status, headers=headers)


class Server:
    """uvicorn in a thread; signals stay with the daemon."""

    def __init__(self, app: Any, *, host: str, port: int) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # below it a line for each malformed request of any stranger
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
            limit_concurrency=CONNECTIONS,
            h11_max_incomplete_event_size=HEAD_LIMIT,
        )
        self._server = _Uvicorn(config)
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        """Listen. Raises Unavailable when the port cannot be had."""
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)
            if not self._thread.is_alive():
                config = self._server.config
                raise Unavailable(f"cannot listen on {config.host}:{config.port}")

    def _run(self) -> None:
        with suppress(SystemExit):  # how uvicorn says that it cannot listen
            self._server.run()

    @property
    def port(self) -> int:
        port: int = self._server.servers[0].sockets[0].getsockname()[1]
        return port

    def stop(self, within_s: float) -> None:
        self._server.leave()
        self._thread.join(within_s)


class _Uvicorn(uvicorn.Server):
    """Told when to stop, instead of looking ten times a second, which is most of what an idle daemon costs."""

    _leaving: Callable[[], object] | None = None

    async def main_loop(self) -> None:
        told = asyncio.Event()
        self._leaving = partial(asyncio.get_running_loop().call_soon_threadsafe, told.set)
        while not await self.on_tick(0):  # 0: it sets the Date of the answers, too
            with suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), DATE_S)

    def leave(self) -> None:
        """Stop soon. From any thread."""
        self.should_exit = True
        if self._leaving is not None:
            with suppress(RuntimeError):  # the loop has ended already
                self._leaving()
