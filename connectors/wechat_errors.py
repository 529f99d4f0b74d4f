"""What an errcode of WeChat or WeCom means to the daemon. By the code alone: the words change.

Pages: https://developers.weixin.qq.com/doc/offiaccount/Getting_Started/Global_Return_Code.html and
https://developer.work.weixin.qq.com/document/path/90313
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable

BEIJING = ZoneInfo("Asia/Shanghai")

TOKEN_REFUSED = frozenset({40001, 40014, 41001, 42001})

_SECRET = frozenset({40013, 40056, 40125, 41002, 41004})
_ADDRESS = frozenset({40164, 60020})
_NOT_ALLOWED = frozenset(
    {40033, 47001, 48001, 48002, 48004, 60011, 65400, 65416, 65417, 88000, 88001, 88010}
)
_MANAGED = "the app that `secret` belongs to must stand under 微信客服 - 可调用接口的应用"
_ACCOUNT = f"set open_kfid to an account that WeCom lists; {_MANAGED}"
_REMEDIES = {
    40201: "WeCom has banned this customer-service account; see its notices in the admin console",
    95000: _ACCOUNT,
    95004: _ACCOUNT,
    95011: f"customer service is managed by hand there: hand it over to the API; {_MANAGED}",
    95012: f"customer service is managed by hand there: hand it over to the API; {_MANAGED}",
    95017: f"turn the API of customer service on in WeCom's admin console; {_MANAGED}",
}
_CREDENTIALS = "check the account's id and secret in the platform's console and in settings.yaml"


class Failed(Unavailable):
    """An answer with an errcode: retried with back-off, unless `explained` knows better."""

    def __init__(self, kind: str, code: int, text: Any) -> None:
        self.kind = kind
        self.code = code
        self.text = "".join(c for c in str(text) if c.isprintable())[:160]
        super().__init__(f"{kind} answers {code}: {self.text}")


class Refused(Rejected):
    """Not allowed, or not like this; `code` is the errcode."""

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason, status=403)
        self.code = code


def explained(failed: Failed, *, daily: bool, now: datetime) -> Exception:
    """The outcome to raise. `daily`: 45009 means that the day's quota, not a minute's, is used up."""
    code, kind = failed.code, failed.kind
    if code in _ADDRESS:
        return Unauthorized(
            f"{kind} does not know our IP address ({code})",
            remedy=f"add {_address(failed.text)} to the IP whitelist in the platform's console",
        )
    if code in TOKEN_REFUSED:
        return Unauthorized(f"{kind} refuses a fresh access token ({code})", remedy=_CREDENTIALS)
    if code in _SECRET:
        return Unauthorized(f"{kind} refuses the credentials ({code})", remedy=_CREDENTIALS)
    if code == 45011 or (code == 45009 and not daily):
        return RateLimited(failed.reason, retry_after_s=60)
    if code == 45009:
        return RateLimited(failed.reason, retry_after_s=until_midnight_s(now))
    if code in _REMEDIES:
        return Unauthorized(failed.reason, remedy=_REMEDIES[code])
    if code in _NOT_ALLOWED:
        return Refused(failed.reason, code)
    return failed


def _address(text: str) -> str:
    found = re.search(r"\d{1,3}(?:\.\d{1,3}){3}", text, re.ASCII)
    return found.group(0) if found else "this server's outgoing IP address"


def until_midnight_s(now: datetime) -> float:
    """Seconds to 00:00 in Beijing, when daily quotas start anew (China has no daylight saving)."""
    local = now.astimezone(BEIJING)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return max((midnight - local).total_seconds(), 1.0)
