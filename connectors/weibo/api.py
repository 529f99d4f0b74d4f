"""Weibo's API: addresses, the token, and what its error codes mean to the daemon.

Pages: https://open.weibo.com/wiki/Error_code and https://open.weibo.com/wiki/Rate-limiting
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import requests

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.http import Http, outcome, place
from connectors.payload import integer, mapping, name

OPEN, COMMERCIAL = "api.weibo.com", "c.api.weibo.com"

# The paths that are documented to have a twin for commercial apps.
_TWINS = frozenset({"statuses/mentions", "comments/mentions", "comments/to_me"})
_IP_LIMIT = 10004
_RATE = frozenset({10022, 10023, 10024})
_AUTH = frozenset({10006, 10013, 21301, 21327, 21332, *range(21314, 21320)})
_DENIED = frozenset({10005, 10014, 21337})
_MISTAKEN = frozenset({10008, 10016, 10017, 10020, 10021, 20003, 20101, 20201})
_WAIT_S = 3600.0  # where it does not say how long; the limits are counted by the hour and the day
_DAY_S = 86400.0


class Api:
    """Raises the outcomes of aggregator/errors.py, by the error code in the body before any status."""

    def __init__(self, token: str, *, commercial: bool, base_url: str | None) -> None:
        self._token = token
        self._commercial = commercial
        self._http = Http(base_url=base_url, hosts=(OPEN, COMMERCIAL))

    def get(self, path: str, params: Mapping[str, int | str]) -> Any:
        if self._commercial and path in _TWINS:
            url = f"https://{COMMERCIAL}/2/{path}/biz.json"
        else:
            url = f"https://{OPEN}/2/{path}.json"
        return self._judged(self._ask("GET", url, params=dict(params)))

    def token_info(self) -> dict[str, Any]:
        """Whose token it is and how long it lives; empty where the platform does not tell."""
        url = f"https://{OPEN}/oauth2/get_token_info"
        try:
            return mapping(self._judged(self._ask("POST", url, data={"access_token": self._token})))
        except Rejected:
            return {}

    def _ask(self, method: str, url: str, **more: Any) -> requests.Response:
        # In a header, since a query would land in the logs of what stands between.
        return self._http.request(
            method, url, headers={"Authorization": f"OAuth2 {self._token}"}, **more
        )

    def _judged(self, response: requests.Response) -> Any:
        found = _parsed(response)
        code = integer(mapping(found).get("error_code"))  # "10014" at times
        if code:
            self._explain(code, f"Weibo answers {code}: {_plain(mapping(found).get('error'))}")
        outcome(response, remedy=authorise(None))
        if found is None:
            raise Unavailable(f"{response.status_code} without JSON from {place(response.url)}")
        return found

    def _explain(self, code: int, reason: str) -> NoReturn:
        if code in _RATE:
            raise RateLimited(reason, retry_after_s=self._reset_s())
        if code == _IP_LIMIT:
            raise RateLimited(reason, retry_after_s=_WAIT_S)
        if code in _AUTH:
            raise Unauthorized(reason, remedy=authorise(None))
        if code == 21321:
            raise Unauthorized(reason, remedy="have the app reviewed: it has too many test users")
        if code == 21335:
            raise Unauthorized(reason, remedy="set uid to the account that gave the token")
        if code in _DENIED:
            raise Rejected(f"{reason} (the app lacks this permission)", status=403)
        if code in _MISTAKEN:
            raise Rejected(reason)
        raise Unavailable(reason)

    def _reset_s(self) -> float:
        """Seconds until the limits start anew, as the one call that is not limited says."""
        url = f"https://{OPEN}/2/account/rate_limit_status.json"
        try:
            found = mapping(_parsed(self._ask("GET", url)))
        except Unavailable:
            return _WAIT_S
        seconds = integer(found.get("reset_time_in_seconds"))
        return min(float(seconds), _DAY_S) if seconds > 0 else _WAIT_S


def authorise(app_key: Any) -> str:
    """The remedy for a token that is no longer good; Weibo gives servers no way to refresh one."""
    key = name(str(app_key)) if app_key else "APP_KEY"
    return (
        f"authorise again at https://{OPEN}/oauth2/authorize?client_id={key}"
        "&redirect_uri=YOUR_CALLBACK&response_type=code and set access_token"
    )


def _parsed(response: requests.Response) -> Any:
    """The JSON in an answer, None where there is none; broken characters are no reason to refuse it all."""
    try:
        return json.loads(response.content.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def _plain(text: Any) -> str:
    return "".join(c for c in str(text) if c.isprintable())[:160]
