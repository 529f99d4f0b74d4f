"""The HTTP side: callbacks in, health and metrics out. Bare ASGI routes; nothing is parsed before it is bounded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from aggregator.errors import Rejected, Unavailable
from aggregator.web.callbacks import Callbacks

XML_LIMIT = 64 * 1024
JSON_LIMIT = 1024 * 1024

log = structlog.get_logger()


def site(
    *,
    callbacks: Callbacks,
    ready: Callable[[], str | None],
    metrics: Callable[[], bytes],
) -> Starlette:
    """The routes. `ready` says why not, or None."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        why = await run_in_threadpool(ready)
        return PlainTextResponse(f"{why or 'ready'}\n", status_code=503 if why else 200)

    async def scrape(_: Request) -> Response:
        text = await run_in_threadpool(metrics)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def callback(request: Request) -> Response:
        account = request.path_params["account"]
        try:
            limit = JSON_LIMIT if _says_json(request.headers) else XML_LIMIT
            body = await _body(request, limit)
            accepted = await run_in_threadpool(
                callbacks.take,
                account,
                request.method,
                dict(request.query_params),
                {name.lower(): value for name, value in request.headers.items()},
                body,
            )
        except Rejected as error:
            callbacks.count(account, error.status)
            return PlainTextResponse(f"{error.reason}\n", status_code=error.status)
        except Unavailable:
            callbacks.count(account, 503)
            return PlainTextResponse("busy\n", status_code=503, headers={"Retry-After": "5"})
        except ClientDisconnect:
            return Response(status_code=400)
        callbacks.count(account, 200)
        return Response(accepted.answer, headers={"Content-Type": accepted.content_type})

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", scrape),
            Route("/callbacks/{account}", callback, methods=["GET", "POST"]),
        ],
        exception_handlers={Exception: _failed},
    )


async def _body(request: Request, limit: int) -> bytes:
    """The raw body; more than `limit` bytes are refused before they are read."""
    length = request.headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and len(length) < 20 and int(length) > limit:
        raise Rejected(f"more than {limit} bytes", status=413)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise Rejected(f"more than {limit} bytes", status=413)
    return bytes(body)


def _says_json(headers: Mapping[str, str]) -> bool:
    return "json" in headers.get("content-type", "").lower()


async def _failed(request: Request, error: Exception) -> Response:
    log.error("http.failed", path=request.url.path, exc_info=error)
    return JSONResponse({"error": "internal error"}, status_code=500)


class Server:
    """uvicorn in a thread; signals stay with the daemon."""

    def __init__(self, app: Any, *, host: str, port: int) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=5,
            limit_concurrency=512,
            h11_max_incomplete_event_size=32 * 1024,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="http", daemon=True)

    def start(self) -> None:
        """Listen. Raises Unavailable when the port cannot be had."""
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)
            if not self._thread.is_alive():
                config = self._server.config
                raise Unavailable(f"cannot listen on {config.host}:{config.port}")

    @property
    def port(self) -> int:
        port: int = self._server.servers[0].sockets[0].getsockname()[1]
        return port

    def stop(self, within_s: float) -> None:
        self._server.should_exit = True
        self._thread.join(within_s)
