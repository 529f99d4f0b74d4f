"""Tokens in the database, unreadable without a key that is not in it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from aggregator.errors import SettingsError, Unauthorized

PREFIX = "sealed:1:"
SECRET = "token"  # noqa: S105  what the keys of secret values begin with
SHORTEST = 16
NONCE = 12
SALT = b"inboxd keep 1"  # constant: the key must come out the same in every replica
_HEX = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_BASE64 = re.compile(r"[0-9A-Za-z+/_-]{43}=?", re.ASCII)
KEYLESS = (
    "set INBOXD_KEY (32 bytes in base64 or hex, or 16 characters or more) or INBOXD_KEY_FILE, "
    "the same in every replica"
)


class Seal:
    """AES-256-GCM. Of several keys the first seals and all open, so that a key can be changed."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._given = tuple(keys)

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Seal:
        """The keys of INBOXD_KEY (commas between several) and INBOXD_KEY_FILE (one a line).

        Raises SettingsError for a file that cannot be read and a key that is too short.
        """
        keys = [one.strip() for one in env.get("INBOXD_KEY", "").split(",") if one.strip()]
        if path := env.get("INBOXD_KEY_FILE", ""):
            try:
                lines = Path(path).read_text("utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"INBOXD_KEY_FILE: {path} cannot be read; {KEYLESS}") from error
            keys += [one.strip() for one in lines if one.strip()]
        if any(len(one) < SHORTEST for one in keys):
            raise SettingsError(
                f"INBOXD_KEY: a key is shorter than {SHORTEST} characters; {KEYLESS}"
            )
        return cls(keys)

    def __bool__(self) -> bool:
        return bool(self._given)

    def __repr__(self) -> str:
        return f"Seal({len(self._given)} keys)"

    def close(self, text: str, about: str) -> str:
        """`text`, readable only with the key and only as a value `about` that. Raises Unauthorized without a key."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not self._given:
            raise Unauthorized("there is no key to seal the token with", remedy=KEYLESS)
        nonce = os.urandom(NONCE)
        shut = AESGCM(self._keys[0]).encrypt(nonce, text.encode(), about.encode())
        return PREFIX + base64.b64encode(nonce + shut).decode()

    def open(self, text: str, about: str) -> str:
        """What `close` was given; a text that is not sealed as it stands. Raises Unauthorized where no key fits."""
        if not text.startswith(PREFIX):
            return text
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not self._given:
            raise Unauthorized("the token is sealed, and there is no key", remedy=KEYLESS)
        try:
            whole = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            whole = b""
        for key in self._keys if len(whole) > NONCE else ():
            try:
                return AESGCM(key).decrypt(whole[:NONCE], whole[NONCE:], about.encode()).decode()
            except InvalidTag:
                continue
        raise Unauthorized(
            "the token was sealed with another key",
            remedy="put that key behind the new one in INBOXD_KEY, or run inboxd auth for this account",
        )

    @cached_property
    def _keys(self) -> tuple[bytes, ...]:
        return tuple(_key(one) for one in self._given)


def secret(key: str) -> bool:
    """Whether a value of that key is kept sealed."""
    return key.startswith(SECRET)


def _key(given: str) -> bytes:
    """32 bytes: as they are in hex or base64, else derived from the passphrase."""
    raw = b""
    if _HEX.fullmatch(given):
        raw = bytes.fromhex(given)
    elif _BASE64.fullmatch(given):
        raw = base64.urlsafe_b64decode(given.replace("+", "-").replace("/", "_").rstrip("=") + "=")
    if len(raw) == 32:
        return raw
    return hashlib.scrypt(given.encode(), salt=SALT, n=2**15, r=8, p=1, maxmem=2**26, dklen=32)
