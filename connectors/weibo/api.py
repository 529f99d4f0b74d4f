"""Weibo's API: addresses, the token, and what its error codes mean to the daemon.

Pages: https://open.weibo.com/wiki/Error_code and https://open.weibo.com/wiki/Rate-limiting
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn
from urllib.parse import quote

import requests

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.http import Http, outcome, place
from connectors.payload import integer, mapping, name

OPEN, COMMERCIAL = "api.weibo.com", "c.api.weibo.com"
COUNTERS, MESSAGES = "rm.api.weibo.com", "m.api.weibo.com"
HOSTS = (OPEN, COMMERCIAL, COUNTERS, MESSAGES)

# The paths that are documented to have a twin for commercial apps.
TWINS = frozenset(
    {"statuses/mentions", "comments/mentions", "comments/to_me", "comments/reply"}
    | {"messages/reply"}
)
_TWIN = "/biz.json"  # those are not counted among the user's calls
_IP_LIMIT, _BY_ADDRESS = 10004, 10022
_RATE = frozenset({10022, 10023, 10024})
_AUTH = frozenset({10006, 10013, 21301, 21327, 21332, *range(21314, 21320)})
_DENIED = frozenset({10005, 10014, 21337})
NO_USER, NO_STATUS, NO_COMMENT = 20003, 20101, 20201
GONE = frozenset({NO_USER, NO_STATUS, NO_COMMENT})
_MISTAKEN = frozenset({10008, 10016, 10017, 10020, 10021, *GONE})
_MAYBE = frozenset({10001, 10003, 10010, 10011})  # it broke inside: a write may have gone through
_TOO_FAST, _DELAYED = 20016, 20032
_REFUSED = {
    20012: "the text is too long",
    20017: "it is too like what was said before; say it in other words",
    20019: "the same words were sent just before; say it in other words",
    20020: "Weibo takes it for advertising",
    20021: "Weibo does not allow these words",
    20031: "Weibo asks for a captcha: answer in the app",
}
_WAIT_S = 3600.0  # where it does not say how long; the limits are counted by the hour and the day
_DAY_S = 86400.0
_TOO_FAST_S = 60.0


class Refused(Rejected):
    """Rejected, with Weibo's own code."""

    def __init__(self, code: int, reason: str, *, status: int = 400) -> None:
        super().__init__(reason, status=status)
        self.code = code


class Api:
    """Raises the outcomes of aggregator/errors.py, by the error code in the body before any status.

    `limited` is told the code of a refusal for too many calls.
    """

    def __init__(
        self,
        token: Callable[[], str],
        *,
        commercial: bool,
        base_url: str | None,
        link: Callable[[], str],
        limited: Callable[[int], None],
    ) -> None:
        self._token = token
        self._commercial = commercial
        self._link = link
        self._limited = limited
        self._http = Http(base_url=base_url, hosts=HOSTS)

    def get(self, path: str, params: Mapping[str, int | str]) -> Any:
        return self._judged(self._ask("GET", self._url(OPEN, path), params=dict(params)))

    def post(self, path: str, form: Mapping[str, int | str], *, host: str = OPEN) -> dict[str, Any]:
        """Write something. Unavailable has `maybe_done` where Weibo may have taken it all the same."""
        response = self._ask("POST", self._url(host, path), data=dict(form))
        found = self._judged(response, writing=True)
        if not isinstance(found, dict):
            raise Unavailable(f"no object in the answer of {path}", maybe_done=True)
        return found

    def token_info(self) -> dict[str, Any]:
        """Whose token it is and how long it lives; empty where the platform does not tell."""
        url = f"https://{OPEN}/oauth2/get_token_info"
        try:
            return mapping(
                self._judged(self._ask("POST", url, data={"access_token": self._token()}))
            )
        except Rejected:
            return {}

    def rate_limit_status(self) -> Any:
        """What is left of which limit; costs nothing."""
        url = self._url(OPEN, "account/rate_limit_status")
        return self._judged(self._ask("GET", url), free=True)

    def unread_count(self, uid: str) -> Any:
        """The counters that the app shows; costs nothing."""
        url = self._url(COUNTERS, "remind/unread_count")
        return self._judged(self._ask("GET", url, params={"uid": uid}), free=True)

    def _url(self, host: str, path: str) -> str:
        if self._commercial and path in TWINS:
            return f"https://{COMMERCIAL}/2/{path}{_TWIN}"
        return f"https://{host}/2/{path}.json"

    def _ask(self, method: str, url: str, **more: Any) -> requests.Response:
        # In a header, since a query would land in the logs of what stands between.
        return self._http.request(
            method, url, headers={"Authorization": f"OAuth2 {self._token()}"}, **more
        )

    def _judged(
        self, response: requests.Response, *, writing: bool = False, free: bool = False
    ) -> Any:
        found = _parsed(response)
        code = integer(mapping(found).get("error_code"))  # "10014" at times
        if code:
            reason = f"Weibo answers {code}: {_plain(mapping(found).get('error'))}"
            if free and code in _RATE:
                raise Unavailable(reason)
            twin = place(response.url).endswith(_TWIN)
            self._explain(
                code, reason, writing=writing, status=response.status_code, counted=not twin
            )
        outcome(response, remedy=self._link())
        if found is None:
            where = place(response.url)
            raise Unavailable(f"{response.status_code} without JSON from {where}", maybe_done=True)
        return found

    def _explain(
        self, code: int, reason: str, *, writing: bool, status: int, counted: bool
    ) -> NoReturn:
        if code in _RATE:
            if counted or code == _BY_ADDRESS:
                self._limited(code)
            wait_s = self._reset_s()
            by_hour = code == _BY_ADDRESS  # whatever the period of the user's calls is
            raise RateLimited(reason, retry_after_s=min(wait_s, _WAIT_S) if by_hour else wait_s)
        if code == _IP_LIMIT:
            raise RateLimited(f"{reason} (this address)", retry_after_s=_WAIT_S)
        if code in _AUTH:
            raise Unauthorized(reason, remedy=self._link())
        if code == 21321:
            raise Unauthorized(reason, remedy="have the app reviewed: it has too many test users")
        if code == 21335:
            raise Unauthorized(reason, remedy="set uid to the account that gave the token")
        if code in _DENIED:
            raise Refused(code, f"{reason} (the app lacks this permission)", status=403)
        if code in _MISTAKEN:
            raise Refused(code, reason)
        if code in _REFUSED:
            raise Refused(code, f"{reason} ({_REFUSED[code]})")
        if code == _TOO_FAST:
            raise RateLimited(reason, retry_after_s=_TOO_FAST_S)
        if code == _DELAYED:  # "succeeded, but it may take some time to be seen"
            raise Unavailable(f"{reason} (taken, and shown later)", maybe_done=True)
        if writing and code >= 20000 and status < 500:
            raise Refused(code, reason)
        raise Unavailable(reason, maybe_done=writing and code in _MAYBE)

    def _reset_s(self) -> float:
        """Seconds until the limits start anew, as the one call that is not limited says."""
        url = self._url(OPEN, "account/rate_limit_status")
        try:
            found = mapping(_parsed(self._ask("GET", url)))
        except Unavailable:
            return _WAIT_S
        seconds = integer(found.get("reset_time_in_seconds"))
        return min(float(seconds), _DAY_S) if seconds > 0 else _WAIT_S


def authorise(app_key: Any = None, *, key: str | None = None, back: str | None = None) -> str:
    """The remedy for a token that is no longer good; Weibo gives servers no way to refresh one.

    `key` and `back` are the app's key and page from the settings, `app_key` the one that Weibo told.
    """
    known = key or (name(str(app_key)) if app_key else None) or "APP_KEY"
    page = quote(back, safe="") if back else "YOUR_CALLBACK"
    return (
        f"authorise again at https://{OPEN}/oauth2/authorize?client_id={known}"
        f"&redirect_uri={page}&response_type=code and set access_token"
    )


def _parsed(response: requests.Response) -> Any:
    """The JSON in an answer, None where there is none; broken characters are no reason to refuse it all."""
    try:
        return json.loads(response.content.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def _plain(text: Any) -> str:
    return "".join(c for c in str(text) if c.isprintable())[:160]
