"""Anything else: any script hands in messages, in one documented JSON shape (docs/push.md).

Credentials are the operator's own: a token that the script sends, or a Standard Webhooks secret that it
signs with. Page: https://www.standardwebhooks.com
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Self

from pydantic import AfterValidator, SecretStr, model_validator

from aggregator.errors import Rejected
from aggregator.model import Accepted, Attachment, Direction, Identity, Kind, Message, Page, Push
from connectors.base import Keep, Now, Options
from connectors.fields import raw_json
from connectors.payload import joined
from connectors.push.item import message
from connectors.push.proof import check, signing_key
from connectors.push.reading import Problem

STREAM = "messages"
MAX_BODY = 1024 * 1024
MAX_ITEMS = 500
_PLATFORM = re.compile(r"[\w.-]{1,40}")


def _token(given: SecretStr) -> SecretStr:
    text = given.get_secret_value()
    if not text.isprintable() or text != text.strip() or not text:
        raise ValueError("must be one line that begins and ends without a blank")
    return given


def _secret(given: SecretStr) -> SecretStr:
    signing_key(given.get_secret_value())
    return given


def _platform(given: str) -> str:
    if not _PLATFORM.fullmatch(given):
        raise ValueError("must be a name of letters, digits, _ . and -, of 40 at most")
    return given


class PushOptions(Options):
    token: Annotated[SecretStr, AfterValidator(_token)] | None = None
    secret: Annotated[SecretStr, AfterValidator(_secret)] | None = None
    platform: Annotated[str, AfterValidator(_platform)] = "push"

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.token is None and self.secret is None:
            raise ValueError(
                "who may push? Give token, which the script sends, or secret (whsec_…), which it signs with"
            )
        return self


class PushAccount:
    """`messages` is pushed, and nothing is polled. What is wrong is told to the caller, item by item."""

    options = PushOptions
    streams = (STREAM,)
    pushed = (STREAM,)

    def __init__(self, options: PushOptions, *, keep: Keep, now: Now) -> None:
        self._platform = options.platform
        self._token = options.token.get_secret_value().encode() if options.token else None
        self._key = signing_key(options.secret.get_secret_value()) if options.secret else None

    def check(self) -> Identity:
        """Nobody is asked: there is no other side that could be."""
        return Identity(
            native_id=self._platform,
            name=None,
            streams={STREAM: "ok"},
            note="messages come to this account's /callbacks/ address; docs/push.md has their shape",
        )

    def poll(self, stream: str, cursor: str | None) -> Page:
        return Page((), cursor)

    def verify(self, request: Push) -> Accepted:
        """Items that are right are stored, each for itself, although others are wrong."""
        if request.method != "POST":
            raise Rejected("POST only", status=405)
        check(request, token=self._token, key=self._key)
        if len(request.body) > MAX_BODY:
            raise Rejected("the body is too large", status=413)
        given = _given(request.body)
        if isinstance(given, Problem):
            return _answer((), [{"index": None, **asdict(given)}])
        right, wrong = [], []
        for index, one in enumerate(given):
            found = message(one, platform=self._platform, raw=b"")
            if isinstance(found, Message):
                right.append(raw_json(one))
            else:
                wrong += [{"index": index, **asdict(problem)} for problem in found]
        return _answer(tuple(right), wrong)

    def read(self, raw: Sequence[bytes]) -> Page:
        return Page(tuple(self._messages(raw)), None)

    def _messages(self, raw: Sequence[bytes]) -> Iterator[Message]:
        for body in raw:
            try:
                found = message(json.loads(body), platform=self._platform, raw=body)
            except (ValueError, RecursionError):
                found = ()
            yield found if isinstance(found, Message) else self._unreadable(body)

    def _unreadable(self, body: bytes) -> Message:
        """What another version of inboxd let in, and this one would not."""
        return Message(
            native_id=joined(body.hex()),
            platform=self._platform,
            kind=Kind.DIRECT_MESSAGE,
            direction=Direction.INBOUND,
            author=None,
            text=None,
            sent_at=None,
            attachments=(Attachment("unknown", title="unreadable"),),
            raw=body,
            marks=("unreadable", "author.missing", "time.missing"),
        )


def _given(body: bytes) -> list[Any] | Problem:
    """The items in the body, one alone or a list of them."""
    try:
        told = json.loads(body.decode("utf-8-sig"), parse_constant=_no_number)
    except UnicodeDecodeError:
        return Problem(None, "the body is no UTF-8", "send JSON in UTF-8")
    except RecursionError:
        return Problem(None, "the JSON is nested too deeply", "docs/push.md has the shape")
    except ValueError:
        return Problem(None, "the body is no JSON", "send one message or a list of them, as JSON")
    if isinstance(told, dict):
        return [told]
    if not isinstance(told, list):
        return Problem(None, "the body is no message", "send an object, or a list of objects")
    if len(told) > MAX_ITEMS:
        problem = f"{len(told)} messages are too many at once"
        return Problem(None, problem, f"send {MAX_ITEMS} at most, and the rest after them")
    return told


def _no_number(word: str) -> Any:
    raise ValueError(word)  # NaN and Infinity, which JSON does not have


def _answer(right: tuple[bytes, ...], wrong: list[dict[str, Any]]) -> Accepted:
    """202 stands for the commit too: what is stored here is answered only after it."""
    told = {"accepted": len(right), "errors": wrong}
    return Accepted(
        json.dumps(told).encode() + b"\n",
        content_type="application/json",
        stream=STREAM,
        store=right,
        status=400 if wrong and not right else 202,
    )
