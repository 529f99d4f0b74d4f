"""WeCom as a test has it: its pages, its callback, and the connector that asks it."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from aggregator.model import Push
from aggregator.sandbox.base import Answer, Request, answer
from connectors.wecom import WeCom, WeComOptions
from tests.connectors.loopback import T0, Clock, Loopback, MemoryKeep, platform

FIXTURES = Path(__file__).parents[1] / "fixtures"
VECTOR: dict[str, Any] = json.loads((FIXTURES / "wechat" / "crypto__vector.json").read_text())
KEY, TOKEN = VECTOR["encoding_aes_key"], VECTOR["token"]
STAMP, NONCE = VECTOR["timestamp"], VECTOR["nonce"]
CORP = VECTOR["wecom"]["receiver"]
KFID = "wkLumoAAAAq7HhCt7IFSvLKtMPxyJTw"
PERSON = "wmLumoBBBBcust0mer01"
SECRET = "corp-secret-never-told"
HINT = "ENCApHxnGDNAVNY4AaSJKj4Tb5mwsEMzxhFmHVGcra996NR"
SYNC, NAMES, GET_TOKEN, STATE, SEND = (
    "/cgi-bin/kf/sync_msg",
    "/cgi-bin/kf/customer/batchget",
    "/cgi-bin/gettoken",
    "/cgi-bin/kf/service_state/get",
    "/cgi-bin/kf/send_msg",
)
NOW = int(T0.timestamp())


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / "wecom" / f"{name}.json").read_text())


def raw(value: Any) -> Answer:
    return Answer(json.dumps(value).encode())


class Corp:
    """WeCom, with `pages` by cursor ("" for none)."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {"": fixture("sync_msg__every_type")}
        self.refused: dict[tuple[str | None, str | None], int] = {}
        self.names: Any = fixture("customer_batchget__page")
        self.codes: list[int] = []
        self.tokens = 0
        self.accounts: list[Any] = [{"open_kfid": KFID, "name": "Lumo 客服"}]
        self.state: dict[str, Any] = {"service_state": 0}
        self.sent: list[dict[str, Any]] = []

    def say(self, request: Request) -> Answer:
        if request.path == GET_TOKEN:
            if request.query["corpsecret"] != SECRET:
                return answer({"errcode": 40001, "errmsg": "invalid credential"})
            self.tokens += 1
            return answer({"errcode": 0, "access_token": f"corp-{self.tokens}", "expires_in": 7200})
        if self.codes:
            return answer({"errcode": self.codes.pop(0), "errmsg": "hint: [1]"})
        if request.path == NAMES:
            return answer(self.names)
        if request.path == "/cgi-bin/kf/account/list":
            return answer({"errcode": 0, "account_list": self.accounts[request.json()["offset"] :]})
        if request.path == STATE:
            return answer({"errcode": 0, **self.state})
        if request.path == SEND:
            self.sent.append(request.json())
            return answer({"errcode": 0, "errmsg": "ok", "msgid": request.json()["msgid"]})
        assert request.path == SYNC
        asked = request.json()
        assert asked["open_kfid"] == KFID
        assert asked["limit"] <= 1000
        code = self.refused.get((asked.get("cursor"), asked.get("token")))
        if code:
            return answer({"errcode": code, "errmsg": "invalid"})
        return raw(self.pages[asked.get("cursor", "")])


@contextmanager
def corp(keep: MemoryKeep | None = None) -> Iterator[tuple[Corp, Loopback, WeCom, Clock]]:
    told, clock = Corp(), Clock()
    with platform(told.say) as server:
        yield told, server, wecom(keep, clock, base_url=server.base_url), clock


def wecom(keep: MemoryKeep | None = None, clock: Clock | None = None, **more: Any) -> WeCom:
    given = {
        "corp_id": CORP,
        "secret": SECRET,
        "open_kfid": KFID,
        "token": TOKEN,
        "encoding_aes_key": KEY,
        **more,
    }
    return WeCom(WeComOptions(**given), keep=keep or MemoryKeep(), now=clock or Clock())


def message(id: str, text: str = "在吗") -> dict[str, Any]:
    return {
        "msgid": id,
        "open_kfid": KFID,
        "external_userid": PERSON,
        "send_time": 1795229400,
        "origin": 3,
        "msgtype": "text",
        "text": {"content": text},
    }


def page(*messages: Any, next_cursor: str, has_more: int = 0) -> dict[str, Any]:
    told = {"errcode": 0, "errmsg": "ok", "next_cursor": next_cursor, "has_more": has_more}
    return {**told, "msg_list": list(messages)}


def place(cursor: str | None) -> str:
    """The platform's own word in what the connector wants stored."""
    return str(json.loads(cursor or "{}")["cursor"])


def sign(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()


def seal(words: str, receiver: str = CORP) -> str:
    secret = base64.b64decode(KEY + "=")
    plain = b"0123456789abcdef" + struct.pack(">I", len(words.encode())) + words.encode()
    plain += receiver.encode()
    pad = 32 - len(plain) % 32
    encryptor = Cipher(algorithms.AES(secret), modes.CBC(secret[:16])).encryptor()
    return base64.b64encode(encryptor.update(plain + bytes([pad]) * pad)).decode()


def callback(words: str, **more: str) -> Push:
    sealed = seal(words, **more)
    query = {"timestamp": STAMP, "nonce": NONCE, "msg_signature": sign(TOKEN, STAMP, NONCE, sealed)}
    body = f"<xml><ToUserName>{CORP}</ToUserName><Encrypt>{sealed}</Encrypt></xml>"
    return Push("POST", query, {}, body.encode(), Clock()())


EVENT = fixture("callback__kf_msg_or_event")["xml"]


def event(kind: str, **more: Any) -> dict[str, Any]:
    inner = {"event_type": kind, "open_kfid": KFID, "external_userid": PERSON, **more}
    return {
        "msgid": f"e-{kind}",
        "send_time": NOW,
        "origin": 4,
        "msgtype": "event",
        "event": inner,
    }


def card(kind: str, **body: Any) -> dict[str, Any]:
    return {**message(f"m-{kind}"), "msgtype": kind, kind: body}
