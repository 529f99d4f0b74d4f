"""WeChat's and WeCom's callback envelope, from the written contract: SHA-1 signatures over AES-256-CBC.

The plaintext is 16 random bytes, the length as a big-endian 32-bit number, the XML, and the receiver (the
appid, or the corpid), padded by PKCS#7 to blocks of 32 bytes; the IV is the first half of the key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK = 32  # not AES's own 16: the contract pads to 32
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)


class BadEnvelope(ValueError):
    """An envelope that is not ours: what is wrong with it, without its content."""


def signature(*parts: str) -> str:
    """SHA-1, in hex, over the parts sorted and joined: (token, timestamp, nonce), and the ciphertext if any."""
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()  # noqa: S324 - the contract's


def new_aes_key() -> str:
    """An EncodingAESKey as the admin page makes it: 43 letters and digits that stand for 32 bytes."""
    while True:
        key = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        if key.isalnum():
            return key


@dataclass(frozen=True, slots=True)
class Envelope:
    """Seals and opens for one receiver. `aes_key` is the EncodingAESKey, 43 characters."""

    token: str
    aes_key: str
    receiver: str

    def encrypt(self, text: str, salt: bytes | None = None) -> str:
        """The ciphertext in base64. `salt`: the 16 bytes at the front, for known answers."""
        words, receiver = text.encode(), self.receiver.encode()
        plain = (salt or secrets.token_bytes(16)) + len(words).to_bytes(4, "big") + words + receiver
        padding = BLOCK - len(plain) % BLOCK
        encryptor = self._cipher().encryptor()
        sealed = encryptor.update(plain + bytes([padding]) * padding) + encryptor.finalize()
        return base64.b64encode(sealed).decode()

    def decrypt(self, ciphertext: str) -> str:
        """The text inside. Raises BadEnvelope for anything that this receiver's peer would not have made."""
        try:
            sealed = base64.b64decode(ciphertext, validate=True)
        except (binascii.Error, ValueError):
            raise BadEnvelope("the ciphertext is not base64") from None
        if not sealed or len(sealed) % BLOCK:
            raise BadEnvelope("the ciphertext is not whole blocks of 32")
        decryptor = self._cipher().decryptor()
        plain = decryptor.update(sealed) + decryptor.finalize()
        padding = plain[-1]
        if not 1 <= padding <= BLOCK or plain[-padding:] != bytes([padding]) * padding:
            raise BadEnvelope("the padding is not PKCS#7 to 32")
        content = plain[16:-padding]
        length = int.from_bytes(content[:4], "big")
        if len(content) < 4 + length or content[4 + length :] != self.receiver.encode():
            raise BadEnvelope("the receiver is another")
        try:
            return content[4 : 4 + length].decode()
        except UnicodeDecodeError:
            raise BadEnvelope("the text is not UTF-8") from None

    def sign(self, timestamp: str, nonce: str, ciphertext: str) -> str:
        return signature(self.token, timestamp, nonce, ciphertext)

    def open_reply(self, body: str) -> str:
        """The XML in an encrypted passive reply (Encrypt, MsgSignature, TimeStamp, Nonce)."""
        ciphertext = field(body, "Encrypt")
        expected = self.sign(field(body, "TimeStamp"), field(body, "Nonce"), ciphertext)
        if not hmac.compare_digest(expected, field(body, "MsgSignature")):
            raise BadEnvelope("MsgSignature does not fit")
        return self.decrypt(ciphertext)

    def _cipher(self) -> Cipher[modes.CBC]:
        key = base64.b64decode(self.aes_key + "=")
        if len(self.aes_key) != 43 or len(key) != 32:
            raise BadEnvelope("an EncodingAESKey has 43 characters")
        return Cipher(algorithms.AES(key), modes.CBC(key[:16]))


def field(xml: str, name: str) -> str:
    """The text of the one element `name` of a flat message, CDATA undone. Raises BadEnvelope without it."""
    found = re.findall(rf"<{name}>(.*?)</{name}>", xml, re.DOTALL)
    if len(found) != 1:
        raise BadEnvelope(f"{name}: expected once, found {len(found)} times")
    inner = found[0].strip()
    pieces = _CDATA.findall(inner)
    return "".join(pieces) if pieces else inner


def xml(fields: Mapping[str, str | float]) -> str:
    """A flat message: numbers bare, words in CDATA, as the platform writes them."""
    lines = [f"<{name}>{_value(value)}</{name}>" for name, value in fields.items()]
    return "<xml>" + "\n".join(lines) + "</xml>"


def nested(fields: Mapping[str, Any]) -> str:
    """A message whose fields may hold further ones, and a list for a field that stands several times."""
    return f"<xml>{_inside(fields)}</xml>"


def _inside(fields: Mapping[str, Any]) -> str:
    lines = []
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            inner = _inside(one) if isinstance(one, Mapping) else _value(one)
            lines.append(f"<{name}>{inner}</{name}>")
    return "\n".join(lines)


def _value(value: str | float) -> str:
    if not isinstance(value, str):
        return escape(str(value))
    return "<![CDATA[" + value.replace("]]>", "]]]]><![CDATA[>") + "]]>"
