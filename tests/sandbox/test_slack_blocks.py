"""Every limit of Slack's blocks, one below and one above."""

from __future__ import annotations

from typing import Any

import pytest

from aggregator.sandbox.slack_blocks import refusal

Block = dict[str, Any]


def mrkdwn(length: int, char: str = "字") -> Block:
    return {"type": "mrkdwn", "text": char * length}


def plain(length: int) -> Block:
    return {"type": "plain_text", "text": "x" * length}


def section(**more: Any) -> Block:
    return {"type": "section", **more}


def button(**more: Any) -> Block:
    return {"type": "button", "action_id": "reply", "text": plain(5), **more}


def actions(*elements: Block) -> Block:
    return {"type": "actions", "elements": list(elements)}


def numbered(count: int) -> list[Block]:
    return [button(action_id=f"a{number}") for number in range(count)]


def options(count: int, text: int = 5, value: int = 5) -> list[Block]:
    return [{"text": plain(text), "value": "v" * value} for _ in range(count)]


def select(**more: Any) -> Block:
    return {"type": "static_select", "action_id": "s", "options": options(2), **more}


DIVIDER: Block = {"type": "divider"}
IMAGE: Block = {"type": "image", "image_url": "https://x.example/a.png", "alt_text": "图"}


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ([DIVIDER] * 50, [DIVIDER] * 51),
        ([section(text=mrkdwn(3000))], [section(text=mrkdwn(3001))]),
        ([section(text=mrkdwn(1500, "😡"))], [section(text=mrkdwn(1501, "😡"))]),
        ([section(text=mrkdwn(1))], [section(text=mrkdwn(0))]),
        ([section(fields=[mrkdwn(5)] * 10)], [section(fields=[mrkdwn(5)] * 11)]),
        ([section(fields=[mrkdwn(2000)])], [section(fields=[mrkdwn(2001)])]),
        ([section(fields=[mrkdwn(1)])], [section(fields=[])]),
        ([section(text=mrkdwn(1))], [section()]),
        (
            [section(text=mrkdwn(1), block_id="b" * 255)],
            [section(text=mrkdwn(1), block_id="b" * 256)],
        ),
        (
            [section(text=mrkdwn(1), block_id=name) for name in "ab"],
            [section(text=mrkdwn(1), block_id=name) for name in "aa"],
        ),
        (
            [section(text=mrkdwn(1), accessory=button())],
            [section(text=mrkdwn(1), accessory=DIVIDER)],
        ),
        ([{"type": "header", "text": plain(150)}], [{"type": "header", "text": plain(151)}]),
        ([{"type": "header", "text": plain(5)}], [{"type": "header", "text": mrkdwn(5)}]),
        (
            [{"type": "context", "elements": [mrkdwn(5)] * 10}],
            [{"type": "context", "elements": [mrkdwn(5)] * 11}],
        ),
        (
            [{"type": "context", "elements": [IMAGE, mrkdwn(5)]}],
            [{"type": "context", "elements": []}],
        ),
        ([actions(*numbered(25))], [actions(*numbered(26))]),
        ([actions(*numbered(2))], [actions(button(), button())]),
        ([actions(button(text=plain(75)))], [actions(button(text=plain(76)))]),
        ([actions(button())], [actions(button(text=mrkdwn(5)))]),
        ([actions(button(value="v" * 2000))], [actions(button(value="v" * 2001))]),
        ([actions(button(url="u" * 3000))], [actions(button(url="u" * 3001))]),
        ([actions(button(action_id="a" * 255))], [actions(button(action_id="a" * 256))]),
        ([actions(button(style="danger"))], [actions(button(style="loud"))]),
        (
            [actions(button(confirm={"title": plain(100), "confirm": plain(30)}))],
            [actions(button(confirm={"title": plain(101), "confirm": plain(30)}))],
        ),
        ([actions(select(options=options(100)))], [actions(select(options=options(101)))]),
        (
            [actions(select(options=options(1, 75, 150)))],
            [actions(select(options=options(1, 75, 151)))],
        ),
        ([actions(select(placeholder=plain(150)))], [actions(select(placeholder=plain(151)))]),
        (
            [actions({"type": "overflow", "action_id": "o", "options": options(5)})],
            [actions({"type": "overflow", "action_id": "o", "options": options(6)})],
        ),
        ([IMAGE], [{**IMAGE, "alt_text": ""}]),
        ([{**IMAGE, "image_url": "u" * 3000}], [{**IMAGE, "image_url": "u" * 3001}]),
        (
            [{"type": "markdown", "text": "x" * 12_000}],
            [{"type": "markdown", "text": "x" * 12_001}],
        ),
        (
            [{"type": "markdown", "text": "x" * 6_000}] * 2,
            [{"type": "markdown", "text": "x" * 6_001}] * 2,
        ),
        ([DIVIDER], [{"type": "carousel"}]),
        ([DIVIDER], [{**DIVIDER, "colour": "red"}]),
        ([section(text=mrkdwn(1))], [section(text={**mrkdwn(1), "emoji": True})]),
        ([], ["*text*"]),
    ],
)
def test_a_limit_is_exact(good: list[Any], bad: list[Any]) -> None:
    assert refusal(good) is None
    refused = refusal(bad)
    assert refused is not None
    assert refused[0] == "invalid_blocks"
    assert refused[1]


def test_blocks_that_are_legal_one_by_one_can_be_too_long_in_all() -> None:
    assert refusal([section(text=mrkdwn(2600))] * 5) is None
    assert refusal([section(text=mrkdwn(2601))] * 5) == ("msg_blocks_too_long", ())


def test_blocks_that_are_no_list_have_the_wrong_format() -> None:
    assert refusal({"type": "section"}) == ("invalid_blocks_format", ())
    assert refusal("[]") == ("invalid_blocks_format", ())
