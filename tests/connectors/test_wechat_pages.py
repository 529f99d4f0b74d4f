"""Whole pages of an official account's records and comments, as the platform lists them."""

from __future__ import annotations

import json
from typing import Any

from connectors.wechat.articles import Article
from connectors.wechat.comment import read
from connectors.wechat.records import sent
from tests.connectors.wechat_place import FIXTURES


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))


def test_of_the_records_only_what_a_servicer_sent_is_read() -> None:
    messages, _ = sent(fixture("getmsglist__page")["recordlist"], {})
    assert [(one.text, [a.kind for a in one.attachments]) for one in messages] == [
        ("您好，已为您催促仓库 🙏", []),
        (None, ["image"]),
        ("Your refund left us today.", []),
        (None, ["voice"]),
        (None, ["video"]),
    ]
    assert {one.author.native_id for one in messages if one.author} == {
        "kf2001@lumo",
        "kf2002@lumo",
    }


def test_comments_bring_our_answers_inside_them_as_an_object_or_a_list() -> None:
    listed = fixture("comment_list__page")["comment"]
    found = [one for item in listed for one in read(item, Article("9"))]
    assert [(one.direction.value, one.text, one.marks) for one in found] == [
        ("inbound", "Do you ship to Penang?", ("author.missing",)),
        ("inbound", "The new lamp runs hot. Is that safe?", ()),
        ("outbound", "Up to 40 °C is fine.", ()),
        ("inbound", "客服电话打不通[旺柴]", ()),
        ("outbound", "已私信您", ()),
        ("inbound", "等了九天了 😡", ()),
    ]
    assert found[-1].native_id == "9/0/0"
