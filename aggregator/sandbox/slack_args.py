"""The arguments of a call to the stand-in of Slack: read from JSON or a form, each within its limits."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from aggregator.sandbox.slack_blocks import refusal, size
from aggregator.sandbox.wire import Answer, Request, answer

MAX_TEXT = 40_000
MAX_METADATA = 8_000
TS = re.compile(r"\d{10}\.\d{6}", re.ASCII)

Blocks = list[dict[str, Any]]


class NotOk(Exception):
    """The answer that a call is refused with: a word of Slack's."""

    def __init__(self, error: str, *, instead: Answer | None = None, **more: Any) -> None:
        super().__init__(error)
        self.given = instead or no(error, **more)


def no(error: str, **more: Any) -> Answer:
    return answer({"ok": False, "error": error, **more})


def arguments(request: Request) -> dict[str, Any]:
    """From JSON, a form, or the query; nested ones are JSON texts in the latter two."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" and request.body:
        try:
            given = request.json()
        except (ValueError, RecursionError):
            raise NotOk("invalid_json") from None
        if not isinstance(given, dict):
            raise NotOk("json_not_object")
        return given
    flat: dict[str, Any] = dict(request.query)
    if request.body:
        if kind != "application/x-www-form-urlencoded":
            raise NotOk("invalid_post_type")
        try:
            flat |= request.form()
        except ValueError:
            raise NotOk("invalid_form_data") from None
    for name, error in (
        ("blocks", "invalid_blocks_format"),
        ("metadata", "invalid_metadata_format"),
    ):
        if name in flat:
            try:
                flat[name] = json.loads(flat[name])
            except (ValueError, RecursionError):
                raise NotOk(error) from None
    return flat


def content(given: Mapping[str, Any]) -> tuple[str, Blocks | None, dict[str, Any] | None]:
    """Text, blocks and metadata, each within its limits. The text is what notifications show: always there."""
    text = given.get("text")
    if not isinstance(text, str) or not text.strip():
        raise NotOk("no_text")
    if size(text) > MAX_TEXT:
        raise NotOk("msg_too_long")
    blocks = given.get("blocks")
    if blocks is not None and (refused := refusal(blocks)):
        error, problems = refused
        said = [f"[ERROR] {problem}" for problem in problems]
        raise NotOk(error, errors=list(problems), response_metadata={"messages": said})
    metadata = given.get("metadata")
    if metadata is not None:
        payload = metadata.get("event_payload") if isinstance(metadata, dict) else None
        if not isinstance(payload, dict) or not isinstance(metadata.get("event_type"), str):
            raise NotOk("invalid_metadata_format")
        if len(json.dumps(metadata)) > MAX_METADATA:
            raise NotOk("metadata_too_large")
    return text, blocks, metadata


def bound(given: Mapping[str, Any], name: str, default: str) -> str:
    """A ts as fixed-width text, which sorts as it should."""
    value = str(given.get(name, ""))
    if not value:
        return default
    seconds, _, fraction = value.partition(".")
    if not re.fullmatch(r"\d{1,10}", seconds, re.ASCII) or not re.fullmatch(r"\d{0,6}", fraction):
        raise NotOk(f"invalid_ts_{name}")
    return f"{seconds:0>10}.{fraction:0<6}"


def cursor_of(given: Mapping[str, Any]) -> str | None:
    value = given.get("cursor")
    if not value:
        return None
    try:
        text = base64.b64decode(str(value), validate=True).decode()
    except ValueError:
        raise NotOk("invalid_cursor") from None
    ts = text.removeprefix("next_ts:")
    if not text.startswith("next_ts:") or not TS.fullmatch(ts):
        raise NotOk("invalid_cursor")
    return ts


def limit_of(given: Mapping[str, Any]) -> int:
    value = str(given.get("limit", "100"))
    if not re.fullmatch(r"\d{1,4}", value, re.ASCII) or not 1 <= int(value) <= 999:
        raise NotOk("invalid_limit")
    return int(value)


def true(value: Any) -> bool:
    return str(value).lower() in ("1", "true")
