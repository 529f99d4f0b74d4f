"""A real server on loopback, with the real connectors and a real database behind it, and a plain client."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import select

from aggregator.metrics import Metrics
from aggregator.sandbox.wechat_crypto import Envelope, xml
from aggregator.web.callbacks import Callbacks
from aggregator.web.server import Server, site
from connectors.wechat import WeChat, WeChatOptions
from connectors.wecom import WeCom, WeComOptions
from connectors.weibo import Weibo, WeiboOptions
from storage.engine import Database
from storage.schema import push
from tests.connectors.loopback import MemoryKeep

TOKEN = "lumoCallbackToken7"
AES_KEY = "LumoDesk0123456789abcdefghijklmnopqrstuvwxy"
APP, CORP, KF = "wx7d2f1c0b9a8e6f54", "ww4c1d9e8f7a6b5c30", "wkLumoDesk01"
APP_SECRET = "lumo-weibo-app-secret"
SECRETS = (TOKEN, AES_KEY, APP_SECRET, "lumo-wechat-secret", "lumo-corp-secret", "lumo-weibo-token")


@dataclass(frozen=True, slots=True)
class Answered:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(slots=True)
class Site:
    """`woken`: the accounts whose pollers were called, in order."""

    port: int
    db: Database
    metrics: Metrics
    connectors: Mapping[str, Any]
    woken: list[str] = field(default_factory=list)

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | list[tuple[str, str]] | str = "",
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        """One request on a connection of its own. A body that is an iterator is sent in chunks."""
        words = query if isinstance(query, str) else urlencode(query)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            target = f"{path}?{words}" if words else path
            chunked = body is not None and not isinstance(body, bytes)
            connection.request(
                method, target, body=body, headers=dict(headers or {}), encode_chunked=chunked
            )
            answer = connection.getresponse()
            return Answered(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def stored(self) -> list[tuple[str, str, bytes]]:
        """(account, stream, body) of everything that waits, oldest first."""
        with self.db.read() as connection:
            rows = connection.execute(select(push).order_by(push.c.id)).all()
        return [(row.account, row.stream, row.body) for row in rows]


@contextmanager
def serving(
    db: Database, now: Callable[[], datetime], ready: Callable[[], str | None] | None = None
) -> Iterator[Site]:
    connectors = accounts(now)
    metrics = Metrics("0.0.0")
    made = Site(0, db, metrics, connectors)
    callbacks = Callbacks(
        connectors=connectors, db=db, now=now, wake=made.woken.append, metrics=metrics
    )
    app = site(callbacks=callbacks, ready=ready or db.healthy, metrics=metrics.text)
    server = Server(app, host="127.0.0.1", port=0)
    server.start()
    made.port = server.port
    try:
        yield made
    finally:
        server.stop(5.0)


def accounts(now: Callable[[], datetime]) -> dict[str, Any]:
    official = {"app_id": APP, "app_secret": "lumo-wechat-secret", "token": TOKEN}
    sealed_official = {**official, "encoding_aes_key": AES_KEY}
    corp = {
        "corp_id": CORP,
        "secret": "lumo-corp-secret",
        "open_kfid": KF,
        "token": TOKEN,
        "encoding_aes_key": AES_KEY,
    }
    micro = {"uid": "1750070171", "access_token": "lumo-weibo-token", "app_secret": APP_SECRET}
    kinds: dict[str, tuple[Any, Any, dict[str, str]]] = {
        "wechat_plain": (WeChat, WeChatOptions, official),
        "wechat_sealed": (WeChat, WeChatOptions, sealed_official),
        "wecom": (WeCom, WeComOptions, corp),
        "weibo": (Weibo, WeiboOptions, micro),
    }
    return {
        name: kind(options.model_validate(words), keep=MemoryKeep(), now=now)
        for name, (kind, options, words) in kinds.items()
    }


# --- what platforms send ------------------------------------------------------------------------


def signature(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()


def signed(secret: str, at: datetime, nonce: str = "lumo1234") -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    return {"signature": signature(secret, stamp, nonce), "timestamp": stamp, "nonce": nonce}


def words(text: str, at: datetime, msg_id: str = "24560000000000017") -> str:
    """A customer's text as an official account is sent it."""
    return xml(
        {
            "ToUserName": "gh_5f1c0b7a93e2",
            "FromUserName": "oLumoCustomer0001",
            "CreateTime": int(at.timestamp()),
            "MsgType": "text",
            "Content": text,
            "MsgId": int(msg_id),
        }
    )


def kf_event(at: datetime) -> str:
    return xml(
        {
            "ToUserName": CORP,
            "CreateTime": int(at.timestamp()),
            "MsgType": "event",
            "Event": "kf_msg_or_event",
            "Token": "ENCLumoHint",
            "OpenKfId": KF,
        }
    )


def sealed(
    inner: str, at: datetime, receiver: str = APP, *, beside: str = ""
) -> tuple[dict[str, str], bytes]:
    """(query, body) of an encrypted push; `beside`: the readable fields of the compatible mode."""
    envelope = Envelope(TOKEN, AES_KEY, receiver)
    ciphertext = envelope.encrypt(inner)
    query = signed(TOKEN, at)
    query["msg_signature"] = envelope.sign(query["timestamp"], query["nonce"], ciphertext)
    query["encrypt_type"] = "aes"
    body = f"<xml>{beside}<ToUserName>gh_5f1c0b7a93e2</ToUserName><Encrypt>{ciphertext}</Encrypt></xml>"
    return query, body.encode()


def direct(text: str, at: datetime) -> bytes:
    """A direct message as Weibo's fan service pushes it."""
    stamp = at.strftime("%a %b %d %H:%M:%S +0000 %Y")
    told = {
        "type": "text",
        "receiver_id": 1750070171,
        "sender_id": 5204401238,
        "created_at": stamp,
        "text": text,
        "data": {},
    }
    return json.dumps(told, ensure_ascii=False).encode()
