"""An official account as a test has it: its signed pushes, in the clear and sealed, and the connector."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from aggregator.errors import Rejected
from aggregator.model import Accepted, Message, Push
from connectors.wechat import WeChat, WeChatOptions
from tests.connectors.loopback import Clock, MemoryKeep

FIXTURES = Path(__file__).parents[1] / "fixtures" / "wechat"
VECTOR: dict[str, Any] = json.loads((FIXTURES / "crypto__vector.json").read_text())
TOKEN, KEY = VECTOR["token"], VECTOR["encoding_aes_key"]
APP = VECTOR["wechat"]["receiver"]
STAMP, NONCE = VECTOR["timestamp"], VECTOR["nonce"]
RECEIVED = datetime.fromtimestamp(int(STAMP) + 2, UTC)


def wechat(**more: Any) -> WeChat:
    given = {"app_id": APP, "app_secret": "lumo-secret", "token": TOKEN, **more}
    return WeChat(WeChatOptions(**given), keep=MemoryKeep(), now=Clock())


def sealed_wechat(**more: Any) -> WeChat:
    return wechat(encoding_aes_key=KEY, **more)


def xml(name: str) -> str:
    return (FIXTURES / f"{name}.xml").read_text(encoding="utf-8")


def sign(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()


def push(
    body: bytes | str = b"",
    query: Mapping[str, str] | None = None,
    *,
    method: str = "POST",
    received_at: datetime = RECEIVED,
) -> Push:
    told = {"timestamp": STAMP, "nonce": NONCE, "signature": sign(TOKEN, STAMP, NONCE)}
    raw = body.encode() if isinstance(body, str) else body
    return Push(method, {**told, **(query or {})}, {}, raw, received_at)


def seal(words: str, *, receiver: str = APP, key: str = KEY) -> str:
    """The envelope's encryption, written here once more."""
    secret = base64.b64decode(key + "=")
    plain = b"fedcba9876543210" + struct.pack(">I", len(words.encode())) + words.encode()
    plain += receiver.encode()
    pad = 32 - len(plain) % 32
    encryptor = Cipher(algorithms.AES(secret), modes.CBC(secret[:16])).encryptor()
    return base64.b64encode(encryptor.update(plain + bytes([pad]) * pad)).decode()


def unseal(sealed: str) -> tuple[str, str]:
    secret = base64.b64decode(KEY + "=")
    decryptor = Cipher(algorithms.AES(secret), modes.CBC(secret[:16])).decryptor()
    plain = decryptor.update(base64.b64decode(sealed))
    plain = plain[: -plain[-1]]
    (size,) = struct.unpack(">I", plain[16:20])
    return plain[20 : 20 + size].decode(), plain[20 + size :].decode()


def envelope(sealed: str, beside: str = "") -> str:
    return f"<xml>{beside}<ToUserName>gh_5f1c0b7a93e2</ToUserName><Encrypt>{sealed}</Encrypt></xml>"


def sealed_push(sealed: str, **more: Any) -> Push:
    query = {"encrypt_type": "aes", "msg_signature": sign(TOKEN, STAMP, NONCE, sealed)}
    return push(envelope(sealed), query, **more)


def refused(account: WeChat, request: Push) -> Rejected:
    with pytest.raises(Rejected) as caught:
        account.verify(request)
    told = f"{caught.value} {caught.value.__cause__}"
    assert TOKEN not in told
    assert KEY not in told
    assert "lumo-secret" not in told
    assert 400 <= caught.value.status < 500
    return caught.value


def only(account: WeChat, accepted: Accepted) -> Message:
    assert accepted.stream == "messages"
    (message,) = account.read(accepted.store).messages
    return message


def read(name: str) -> Message:
    account = wechat()
    return only(account, account.verify(push(xml(name))))
