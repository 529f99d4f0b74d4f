"""The one file that imports wechatpy: its clients with a token of our own, its cipher, its parser.

wechatpy asks for tokens without bound when one is refused, keeps them by the wall clock and lets URLs
with secrets into its exceptions; here a token is asked for at most twice a call, and what goes wrong is
told in our outcomes. Pages: https://developers.weixin.qq.com/doc/offiaccount/ (official accounts),
https://developer.work.weixin.qq.com/document/ (WeCom).
"""

from __future__ import annotations

import json
import struct
import threading
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from xml.parsers.expat import ExpatError

import requests
import xmltodict
from wechatpy import WeChatClient, parse_message
from wechatpy.crypto import PrpCrypto
from wechatpy.crypto import WeChatCrypto as _Envelope
from wechatpy.enterprise import WeChatClient as EnterpriseClient
from wechatpy.exceptions import WeChatClientException, WeChatException
from wechatpy.replies import TransferCustomerServiceReply

from aggregator.errors import Rejected, Unavailable
from aggregator.http import Http, body, outcome
from connectors.base import Now
from connectors.payload import mapping
from connectors.wechat_errors import TOKEN_REFUSED, Failed, Refused, explained

OFFICIAL_HOST = "api.weixin.qq.com"
WORK_HOST = "qyapi.weixin.qq.com"

# What xmltodict and wechatpy raise on hostile input, as measured.
_UNREADABLE = (ExpatError, KeyError, ValueError, TypeError, AttributeError, RecursionError)
_EARLY_S = 120  # ask for a new token this long before the old one ends


class _Careful:
    """What both clients share: a token in memory, one refresh and one retry, and outcomes."""

    kind = ""
    daily = True  # what 45009 means: the day's quota is used up, or a minute's
    forces = False  # whether a token may be forced, where the platform gives the refused one again

    def __init__(self, id: str, secret: str, *, http: Http, now: Now) -> None:
        super().__init__(id, secret, auto_retry=False)  # type: ignore[call-arg]
        self._http = http
        self._now = now
        self._lock = threading.Lock()
        self._token: str | None = None
        self._good_until: datetime | None = None

    @property
    def access_token(self) -> str:
        """The token, asked for anew when it is about to end."""
        with self._lock:
            if self._token and self._good_until and self._now() < self._good_until:
                return self._token
            return self._fetch(force=False)

    def fetch_access_token(self) -> None:
        """wechatpy's own hook; nothing of ours calls it."""
        with self._lock:
            self._fetch(force=False)

    def call(
        self,
        path: str,
        data: dict[str, Any] | None = None,
        *,
        words: Mapping[int, str] = MappingProxyType({}),
    ) -> dict[str, Any]:
        """POST `data` (GET where there is none) and return the answer.

        Raises our outcomes; Failed is the one of an errcode that wechat_errors does not know. `words`: what
        a person is told of an errcode that is a Rejected here.
        """
        token = self.access_token
        try:
            return self._once(path, data)
        except Failed as failed:
            if failed.code not in TOKEN_REFUSED:
                raise self._explained(failed, words) from None
        self._renew(token)
        try:
            return self._once(path, data)
        except Failed as failed:
            raise self._explained(failed, words) from None

    def _once(self, path: str, data: dict[str, Any] | None) -> dict[str, Any]:
        found: Any = None
        failed: WeChatClientException | None = None
        try:
            found = self.get(path) if data is None else self.post(path, data=data)  # type: ignore[attr-defined]
        except WeChatClientException as error:
            failed = error
        except (TypeError, ValueError, KeyError, RecursionError):
            raise Unavailable(f"an unreadable answer from {path}", maybe_done=True) from None
        # Raised out here, so that no exception with a token in its URL hangs on ours as its context.
        if failed is not None:
            if failed.errcode is not None:
                raise Failed(self.kind, failed.errcode, failed.errmsg)
            outcome(failed.response, remedy=f"look at {self.kind}'s status page")
        if not isinstance(found, dict):  # wechatpy hands back the whole response if it is no JSON
            raise Unavailable(f"no JSON object from {path}", maybe_done=True)
        return found

    def _explained(
        self, failed: Failed, words: Mapping[int, str] = MappingProxyType({})
    ) -> Exception:
        if failed.code in words:
            return Refused(f"{words[failed.code]} ({failed.code})", failed.code)
        return explained(failed, daily=self.daily, now=self._now())

    def _renew(self, refused: str) -> None:
        """Put another token in the place of `refused`, unless another thread has done it already."""
        with self._lock:
            if self._token != refused:
                return
            if self._fetch(force=False) == refused and self.forces:
                self._fetch(force=True)

    def _fetch(self, *, force: bool) -> str:
        try:
            answer = self._ask(force=force)
            told = mapping(body(answer))
        except Unavailable as error:  # whatever became of the token, nothing was said to a customer
            error.maybe_done = False
            raise
        if told.get("errcode"):
            raise self._explained(Failed(self.kind, _int(told["errcode"]), told.get("errmsg")))
        try:
            outcome(answer, remedy=f"look at {self.kind}'s status page")
        except Unavailable as error:
            error.maybe_done = False
            raise
        token = told.get("access_token")
        if not isinstance(token, str) or not token:
            raise Unavailable(f"no access_token in the answer of {self.kind}")
        lives = max(_int(told.get("expires_in", 7200)) - _EARLY_S, 30)
        self._token = token
        self._good_until = self._now() + timedelta(seconds=lives)
        return token

    def _ask(self, *, force: bool) -> requests.Response:
        raise NotImplementedError


class OfficialClient(_Careful, WeChatClient):  # type: ignore[misc]
    """An official account's API. Its token is the stable one, which no other client of it can end."""

    kind = "WeChat"
    forces = True

    def _ask(self, *, force: bool) -> requests.Response:
        asked = {
            "grant_type": "client_credential",
            "appid": self.appid,
            "secret": self.secret,
            "force_refresh": force,
        }
        return self._http.post(
            f"https://{OFFICIAL_HOST}/cgi-bin/stable_token",
            data=json.dumps(asked).encode(),
            headers={"Content-Type": "application/json"},
        )


class WorkClient(_Careful, EnterpriseClient):  # type: ignore[misc]
    """WeCom's API, with the secret of the app that may manage the customer-service account."""

    kind = "WeCom"
    daily = False

    def _ask(self, *, force: bool) -> requests.Response:
        return self._http.get(
            f"https://{WORK_HOST}/cgi-bin/gettoken",
            params={"corpid": self.corp_id, "corpsecret": self.secret},
        )


# --- callbacks ----------------------------------------------------------------------------------


def elements(body: str, *, whole: bool = False) -> dict[str, Any]:
    """The elements under `<xml>`, or the members of a JSON push; `whole` keeps the white space around
    words. Raises Rejected for anything else, and for declarations of entities.
    """
    if is_json(body):
        return _members(body)
    lowered = body.lower()
    if "<!doctype" in lowered or "<!entity" in lowered:
        raise Rejected("a DOCTYPE or an ENTITY in the body")
    try:
        found = xmltodict.parse(body, strip_whitespace=not whole)["xml"]
    except _UNREADABLE:
        raise Rejected("the body is no XML of the platform's") from None
    if not isinstance(found, dict):
        raise Rejected("the body is no XML of the platform's")
    return found


def is_json(body: str) -> bool:
    """Whether this is a push in JSON, which an account may choose in the platform's console."""
    return body.lstrip("\ufeff \t\r\n").startswith("{")


def pushed(body: str) -> tuple[str, dict[str, Any]]:
    """(message type in lower case, elements) as wechatpy reads a push; `event` for every event.

    Raises Rejected where there is no MsgType, or wechatpy cannot read it.
    """
    try:
        if is_json(body):
            found = _members(body)  # wechatpy reads XML only
        else:
            # wechatpy strips the text; ours stays as written
            written = elements(body, whole=True).get("Content")
            found = {**parse_message(body)._data, "Content": written}
        kind = found["MsgType"].strip().lower()
    except _UNREADABLE:
        raise Rejected("the body has no readable MsgType") from None
    return "event" if kind == "event" or kind.startswith("device_") else kind, found


def _members(body: str) -> dict[str, Any]:
    try:
        found = json.loads(body.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        raise Rejected("the body is no JSON of the platform's") from None
    if not isinstance(found, dict):
        raise Rejected("the body is no JSON of the platform's")
    return found


def transfer_reply(to: str, sender: str, at: datetime, *, as_json: bool = False) -> str:
    """The passive reply that hands a message to the platform's own customer-service console."""
    made = TransferCustomerServiceReply(source=sender, target=to, time=int(at.timestamp()))
    if not as_json:
        return str(made.render())
    told = {
        "ToUserName": to,
        "FromUserName": sender,
        "CreateTime": int(at.timestamp()),
        "MsgType": made.type,
    }
    return json.dumps(told, ensure_ascii=False)


class Cipher:
    """The envelope's AES: `key` is the 43-character EncodingAESKey, `receiver` the app or corp id."""

    def __init__(self, *, token: str, key: str, receiver: str) -> None:
        self._key = b64decode(key + "=")
        self._receiver = receiver
        self._envelope = _Envelope(token, key, receiver)

    def open(self, sealed: str) -> str:
        """The words inside. Raises Rejected for what was cut, garbled or meant for another receiver.

        The caller has checked the signature over `sealed`.
        """
        try:
            return str(PrpCrypto(self._key).decrypt(sealed, self._receiver))
        except (WeChatException, ValueError, IndexError, TypeError, struct.error):
            raise Rejected("the body cannot be decrypted") from None

    def seal(self, words: str, *, nonce: str, timestamp: str, as_json: bool = False) -> str:
        sealed = str(self._envelope.encrypt_message(words, nonce, timestamp))
        return json.dumps(elements(sealed)) if as_json else sealed


def _int(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0
