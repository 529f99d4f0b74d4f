"""What Slack takes as blocks: the whole table of limits, also the ones that its SDKs do not check.

Limits: https://docs.slack.dev/reference/block-kit/blocks. The sum of all text is not documented; blocks of about
13,200 characters, each legal, were refused with msg_blocks_too_long (slackapi/bolt-js issue 2509).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

MAX_BLOCKS = 50
MAX_TOTAL = 13_000
MAX_MARKDOWN = 12_000
MAX_ID = 255
TEXT = {"plain_text": {"type", "text", "emoji"}, "mrkdwn": {"type", "text", "verbatim"}}
KEYS = {
    "section": {"type", "block_id", "text", "fields", "accessory", "expand"},
    "header": {"type", "block_id", "text", "level"},
    "context": {"type", "block_id", "elements"},
    "actions": {"type", "block_id", "elements"},
    "divider": {"type", "block_id"},
    "image": {"type", "block_id", "image_url", "alt_text", "title", "slack_file"},
    "markdown": {"type", "block_id", "text"},
}
ELEMENTS = {
    "button": {
        "type", "action_id", "text", "value", "url", "style", "confirm", "accessibility_label",
    },
    "static_select": {
        "type", "action_id", "placeholder", "options", "initial_option", "confirm",
        "focus_on_load",
    },
    "users_select": {
        "type", "action_id", "placeholder", "initial_user", "confirm", "focus_on_load",
    },
    "overflow": {"type", "action_id", "options", "confirm"},
    "image": {"type", "image_url", "alt_text", "slack_file"},
}  # fmt: skip


def refusal(blocks: object) -> tuple[str, tuple[str, ...]] | None:
    """The error that Slack answers with, and where; None for blocks that it takes."""
    if not isinstance(blocks, list):
        return "invalid_blocks_format", ()
    problems = tuple(_problems(blocks))
    if problems:
        return "invalid_blocks", problems
    if sum(_text_size(block) for block in blocks) > MAX_TOTAL:
        return "msg_blocks_too_long", ()
    return None


def size(text: str) -> int:
    """Characters as Slack counts them: an emoji outside the basic plane is two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _text_size(value: Any) -> int:
    if isinstance(value, Mapping):
        own = size(value["text"]) if isinstance(value.get("text"), str) else 0
        return own + sum(_text_size(part) for part in value.values() if not isinstance(part, str))
    return sum(_text_size(part) for part in value) if isinstance(value, list) else 0


def _problems(blocks: list[Any]) -> Iterator[str]:
    if len(blocks) > MAX_BLOCKS:
        yield f"no more than {MAX_BLOCKS} items allowed [json-pointer:/blocks]"
    ids = [block.get("block_id") for block in blocks if isinstance(block, Mapping)]
    for block_id in _repeated(ids):
        yield f"block_id {block_id} appears more than once [json-pointer:/blocks]"
    markdown = 0
    for index, block in enumerate(blocks):
        at = f"/blocks/{index}"
        if not isinstance(block, Mapping):
            yield _said("must be an object", at)
            continue
        yield from _block(block, at)
        if block.get("type") == "markdown" and isinstance(block.get("text"), str):
            markdown += size(block["text"])
    if markdown > MAX_MARKDOWN:
        yield f"markdown of more than {MAX_MARKDOWN} characters [json-pointer:/blocks]"


def _block(block: Mapping[str, Any], at: str) -> Iterator[str]:
    kind = block.get("type")
    if not isinstance(kind, str) or kind not in KEYS:
        yield _said(f"unsupported type: {kind}", at)
        return
    yield from _keys(block, KEYS[kind], at)
    if "block_id" in block:
        yield from _string(block["block_id"], MAX_ID, f"{at}/block_id")
    if kind == "section":
        yield from _section(block, at)
    elif kind == "header":
        yield from _text(block.get("text"), 150, f"{at}/text", plain=True)
    elif kind == "context":
        for where, element in _listed(block.get("elements"), f"{at}/elements"):
            if isinstance(element, Mapping) and element.get("type") == "image":
                yield from _element(element, where)
            else:
                yield from _text(element, 3000, where)
        yield from _count(block.get("elements"), 1, 10, f"{at}/elements")
    elif kind == "actions":
        elements = block.get("elements")
        yield from _count(elements, 1, 25, f"{at}/elements")
        for where, element in _listed(elements, f"{at}/elements"):
            yield from _element(element, where)
        known = elements if isinstance(elements, list) else []
        ids = [one.get("action_id") for one in known if isinstance(one, Mapping)]
        for action_id in _repeated(ids):
            yield _said(f"action_id {action_id} appears more than once", f"{at}/elements")
    elif kind == "image":
        yield from _image(block, at)
        if "title" in block:
            yield from _text(block["title"], 2000, f"{at}/title", plain=True)
    elif kind == "markdown":
        yield from _string(block.get("text"), MAX_MARKDOWN, f"{at}/text")


def _section(block: Mapping[str, Any], at: str) -> Iterator[str]:
    if "text" not in block and "fields" not in block:
        yield _said("must have text or fields", at)
    if "text" in block:
        yield from _text(block["text"], 3000, f"{at}/text")
    if "fields" in block:
        yield from _count(block["fields"], 1, 10, f"{at}/fields")
        for where, one in _listed(block["fields"], f"{at}/fields"):
            yield from _text(one, 2000, where)
    if "accessory" in block:
        yield from _element(block["accessory"], f"{at}/accessory")


def _element(element: Any, at: str) -> Iterator[str]:
    kind = element.get("type") if isinstance(element, Mapping) else None
    if not isinstance(kind, str) or kind not in ELEMENTS:
        yield _said(f"unsupported type: {kind}", at)
        return
    yield from _keys(element, ELEMENTS[kind], at)
    if "action_id" in element:
        yield from _string(element["action_id"], MAX_ID, f"{at}/action_id")
    if kind == "button":
        yield from _text(element.get("text"), 75, f"{at}/text", plain=True)
        if "value" in element:
            yield from _string(element["value"], 2000, f"{at}/value")
        if "url" in element:
            yield from _string(element["url"], 3000, f"{at}/url")
        if element.get("style", "primary") not in ("primary", "danger"):
            yield _said("must be primary or danger", f"{at}/style")
    elif kind == "image":
        yield from _image(element, at)
    elif kind == "overflow":
        yield from _options(element.get("options"), 5, f"{at}/options")
    else:
        if "placeholder" in element:
            yield from _text(element["placeholder"], 150, f"{at}/placeholder", plain=True)
        if kind == "static_select":
            yield from _options(element.get("options"), 100, f"{at}/options")
    if "confirm" in element:
        yield from _confirm(element["confirm"], f"{at}/confirm")


def _options(options: Any, most: int, at: str) -> Iterator[str]:
    yield from _count(options, 1, most, at)
    for where, option in _listed(options, at):
        if not isinstance(option, Mapping):
            yield _said("must be an object", where)
            continue
        yield from _text(option.get("text"), 75, f"{where}/text")
        yield from _string(option.get("value"), 150, f"{where}/value")


def _confirm(confirm: Any, at: str) -> Iterator[str]:
    if not isinstance(confirm, Mapping):
        yield _said("must be an object", at)
        return
    for key, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
        if key in confirm:
            yield from _text(confirm[key], most, f"{at}/{key}", plain=key != "text")


def _image(image: Mapping[str, Any], at: str) -> Iterator[str]:
    if "slack_file" not in image:
        yield from _string(image.get("image_url"), 3000, f"{at}/image_url")
    yield from _string(image.get("alt_text"), 2000, f"{at}/alt_text")


def _text(value: Any, most: int, at: str, *, plain: bool = False) -> Iterator[str]:
    kind = value.get("type") if isinstance(value, Mapping) else None
    if not isinstance(kind, str) or kind not in TEXT or (plain and kind != "plain_text"):
        yield _said("must be a text object of a type that may stand here", at)
        return
    yield from _keys(value, TEXT[kind], at)
    yield from _string(value.get("text"), most, f"{at}/text")


def _string(value: Any, most: int, at: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield _said("must be a string", at)
    elif not value:
        yield _said("must be more than 0 characters", at)
    elif size(value) > most:
        yield _said(f"must be less than {most + 1} characters", at)


def _count(value: Any, least: int, most: int, at: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield _said("must be a list", at)
    elif len(value) < least:
        yield _said(f"no fewer than {least} items allowed", at)
    elif len(value) > most:
        yield _said(f"no more than {most} items allowed", at)


def _listed(value: Any, at: str) -> Iterator[tuple[str, Any]]:
    for index, one in enumerate(value if isinstance(value, list) else ()):
        yield f"{at}/{index}", one


def _keys(value: Mapping[str, Any], allowed: set[str], at: str) -> Iterator[str]:
    for key in value:
        if key not in allowed:
            yield _said(f"invalid additional property: {key}", at)


def _repeated(ids: list[Any]) -> list[str]:
    counted = Counter(id_ for id_ in ids if isinstance(id_, str))
    return [id_ for id_, count in counted.items() if count > 1]


def _said(what: str, at: str) -> str:
    return f"{what} [json-pointer:{at}]"
