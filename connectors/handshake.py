"""The signed query that WeChat, WeCom and Weibo put on every callback: checked on bytes, in constant time."""

from __future__ import annotations

import hashlib
import hmac
import re

from aggregator.errors import Rejected
from aggregator.model import Push

FRESH_S = 300  # either way: clocks differ, and a platform repeats an unanswered push for 15 s
_STAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_NONCE = re.compile(r"[!-~]{1,128}", re.ASCII)
_SHA1 = re.compile(r"[0-9a-f]{40}", re.ASCII)


def check_signature(
    secret: str, request: Push, *signed: str, field: str = "signature"
) -> tuple[str, str]:
    """The query's (timestamp, nonce), once `field` is the SHA-1 over them, `secret` and `signed`.

    Raises Rejected: 400 for a query that cannot be read, 401 for a wrong signature or a timestamp
    further than FRESH_S from `received_at`. Whoever lacks the secret learns nothing of the difference
    between a stale and a fresh timestamp, since the signature is judged first.
    """
    stamp, nonce = request.query.get("timestamp", ""), request.query.get("nonce", "")
    given = request.query.get(field, "")
    if not (_STAMP.fullmatch(stamp) and _NONCE.fullmatch(nonce) and _SHA1.fullmatch(given)):
        raise Rejected(f"no readable timestamp, nonce and {field} in the query")
    parts = sorted(one.encode("utf-8", "replace") for one in (secret, stamp, nonce, *signed))
    right = hashlib.sha1(b"".join(parts), usedforsecurity=False).hexdigest()
    if not hmac.compare_digest(right.encode(), given.encode()):
        raise Rejected("wrong signature", status=401)
    if abs(request.received_at.timestamp() - int(stamp)) > FRESH_S:
        raise Rejected("stale timestamp", status=401)
    return stamp, nonce
