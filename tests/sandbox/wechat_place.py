"""The stand-in of an Official Account as a test has it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests

from aggregator.sandbox.base import Line
from aggregator.sandbox.wechat import WeChatStandin
from tests.sandbox.receiver import LI, Clock, Receiver


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door() -> Iterator[Receiver]:
    door = Receiver()
    door.start()
    yield door
    door.stop()
    assert door.errors == []


@pytest.fixture
def wechat(clock: Clock) -> Iterator[WeChatStandin]:
    yield from running(WeChatStandin(clock, retry_s=0.0))


def running(standin: WeChatStandin) -> Iterator[WeChatStandin]:
    standin.start()
    yield standin
    standin.stop()
    assert standin.errors == []


def stable(wechat: WeChatStandin, **more: object) -> dict[str, object]:
    body = {
        "grant_type": "client_credential",
        "appid": wechat.app_id,
        "secret": wechat.app_secret,
        **more,
    }
    url = f"{wechat.base_url}/cgi-bin/stable_token"
    return requests.post(url, json=body, timeout=5).json()  # type: ignore[no-any-return]


def classic(wechat: WeChatStandin, **more: str) -> dict[str, object]:
    query = {"grant_type": "client_credential", "appid": wechat.app_id, "secret": wechat.app_secret}
    url = f"{wechat.base_url}/cgi-bin/token"
    return requests.get(url, params={**query, **more}, timeout=5).json()  # type: ignore[no-any-return]


def call(wechat: WeChatStandin, path: str, body: object = None, token: object = None) -> dict:
    query = {"access_token": token or stable(wechat)["access_token"]}
    url = wechat.base_url + path
    if body is None:
        return requests.get(url, params=query, timeout=5).json()
    raw = json.dumps(body, ensure_ascii=False).encode()
    return requests.post(url, params=query, data=raw, timeout=5).json()


def say(label: str, text: str | None, who=LI, **more) -> Line:
    return Line(0, "wechat", "direct_message", label, who, text, **more)
