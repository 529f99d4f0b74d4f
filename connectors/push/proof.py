"""Who may push: a bearer token, or a Standard Webhooks signature; compared on bytes, in constant time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from aggregator.errors import Rejected
from aggregator.model import Push

FRESH_S = 300
SHORTEST_KEY = 16
_PREFIX = "whsec_"
_STAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


def signing_key(secret: str) -> bytes:
    """The key in `whsec_…`. Raises ValueError, in words that do not show it."""
    text = secret.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        key = b""
    if text == secret or len(key) < SHORTEST_KEY:
        raise ValueError(
            f"must be whsec_ and {SHORTEST_KEY} bytes or more in Base64; "
            'make one with: echo "whsec_$(openssl rand -base64 32)"'
        )
    return key


def check(request: Push, *, token: bytes | None, key: bytes | None) -> None:
    """Return for whoever has one of the two; raise Rejected (401) for everybody else, whatever they send."""
    if token is not None and _bears(request, token):
        return
    if key is not None and _signed(request, key):
        stamp = int(request.headers["webhook-timestamp"])
        if abs(request.received_at.timestamp() - stamp) > FRESH_S:
            raise Rejected("webhook-timestamp is more than five minutes off", status=401)
        return
    wanted = ["Authorization: Bearer …"] * (token is not None) + ["webhook-signature"] * bool(key)
    raise Rejected(f"needs the right {' or '.join(wanted)}", status=401)


def _bears(request: Push, token: bytes) -> bool:
    scheme, _, given = request.headers.get("authorization", "").strip().partition(" ")
    right = hmac.compare_digest(_octets(given.strip()), token)
    return right and scheme.lower() == "bearer"


def _signed(request: Push, key: bytes) -> bool:
    """Whether one of the signatures fits: there are several while a key is being replaced."""
    name, stamp, given = (
        request.headers.get(f"webhook-{one}", "") for one in ("id", "timestamp", "signature")
    )
    if not (name and _STAMP.fullmatch(stamp) and given):
        return False
    signed = b".".join((_octets(name), stamp.encode(), request.body))
    right = b"v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
    return any(hmac.compare_digest(_octets(one), right) for one in given.split())


def _octets(value: str) -> bytes:
    """A header as it came: the server reads its bytes as Latin-1."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace")
