"""A played Page for the tests of its stand-in, and how it is asked."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import facebook
import requests

from aggregator.sandbox.base import Person
from aggregator.sandbox.facebook import FacebookStandin

NOON = datetime(2026, 3, 4, 12, 0, 0, 250_000, tzinfo=UTC)
ANN = Person(1, "安妮", "ann")
BEN = Person(2, "Ben", "ben")


class Clock:
    def __init__(self) -> None:
        self.at = NOON
        self.tick = 0.0

    def __call__(self) -> datetime:
        return self.at

    def pass_(self, **span: float) -> datetime:
        self.at += timedelta(**span)
        self.tick += timedelta(**span).total_seconds()
        return self.at


@contextmanager
def page_of(clock: Clock) -> Iterator[FacebookStandin]:
    standin = FacebookStandin(clock, tick=lambda: clock.tick)
    standin.graph.short_pages = False
    standin.start()
    yield standin
    standin.stop()
    assert standin.errors == []


def proof(page: FacebookStandin, token: str) -> str:
    return hmac.new(page.gate.app_secret.encode(), token.encode(), hashlib.sha256).hexdigest()


def ask(page: FacebookStandin, path: str, token: str | None = None, **params: object) -> Any:
    token = token or page.gate.page_token
    asked: Any = {"appsecret_proof": proof(page, token), **params}
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(
        f"{page.base_url}/v26.0/{path}", params=asked, headers=headers, timeout=5
    ).json()


def code(told: Any) -> tuple[int, int | None]:
    return told["error"]["code"], told["error"].get("error_subcode")


def ids(told: Any) -> list[str]:
    return [one["id"] for one in told["data"]]


class Redirected(requests.Session):
    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._base_url = base_url

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        assert request.url is not None
        request.url = request.url.replace("https://graph.facebook.com", self._base_url)
        return super().prepare_request(request)


def graph(page: FacebookStandin) -> facebook.GraphAPI:
    made = facebook.GraphAPI(page.gate.page_token, session=Redirected(page.base_url))
    made.version = "v26.0"
    return made
