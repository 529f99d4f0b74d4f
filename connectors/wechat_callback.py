"""The callbacks of official accounts and WeCom: from a signed request to the XML that it carries."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, SecretStr

from aggregator.errors import Rejected
from aggregator.model import Push
from connectors.handshake import check_signature
from connectors.payload import name
from connectors.wechat_sdk import Cipher, elements

MAX_BODY = 64 * 1024


def _aes_key(given: SecretStr) -> SecretStr:
    text = given.get_secret_value()
    if len(text) != 43 or not text.isascii() or not text.isalnum():
        raise ValueError("must be the 43 letters and digits of the EncodingAESKey")
    return given


AesKey = Annotated[SecretStr, AfterValidator(_aes_key)]


def plain(token: str, request: Push) -> str:
    """The XML of a plain push. Raises Rejected as `check_signature` does, and for what is no text."""
    check_signature(token, request)
    return _text(request)


def sealed(token: str, cipher: Cipher, request: Push) -> str:
    """The XML inside an encrypted push; in the compatible mode the readable fields beside it are not
    trusted, since nothing signs them. Raises Rejected."""
    envelope = elements(_text(request)).get("Encrypt")
    if not isinstance(envelope, str):
        raise Rejected(
            "no Encrypt in the body: an account with encoding_aes_key takes encrypted callbacks only"
        )
    check_signature(token, request, envelope, field="msg_signature")
    return cipher.open(envelope)


def echo(request: Push) -> str:
    """The handshake's `echostr`, which the caller has yet to check. Raises Rejected."""
    found = request.query.get("echostr", "")
    if not found or len(found) > 4096 or name(found) != found:
        raise Rejected("no echostr in the query")
    return found


def _text(request: Push) -> str:
    if len(request.body) > MAX_BODY:
        raise Rejected("the body is too large", status=413)
    try:
        return request.body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Rejected("the body is no UTF-8") from None
