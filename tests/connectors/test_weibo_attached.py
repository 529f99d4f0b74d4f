"""Each kind of thing that Weibo brings, in Chinese and in English: what hangs on posts, comments and messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aggregator.model import Accepted, Attachment, Message
from connectors.weibo.attached import attached
from tests.connectors.test_weibo import FIXTURES, comments, push, statuses, weibo

VIDEO = "https://video.weibo.com/show?fid=1034:"
ARTICLE = "https://weibo.com/ttarticle/p/show?id=230940"


def test_a_post_tells_what_is_beside_its_words() -> None:
    found = statuses("mentions__every_kind")
    assert [one.attachments for one in found] == [
        (Attachment("video", f"{VIDEO}5367643", "小满的微博视频", "1034:5367643"),),
        (Attachment("video", f"{VIDEO}99", "Tom's video"),),
        (
            Attachment("location", "https://weibo.com/p/100101B2", "上海·南京东路"),
            Attachment("location", title="31.230416,121.473701"),
        ),
        (Attachment("location", title="31.2,121.4"),),
        (Attachment("link", ARTICLE, "Lumo Air 七日实测"),),
        (Attachment("link", "https://lumo.example/returns?a=1&b=2", "Returns"),),
        (
            Attachment("image", "https://wx3.sinaimg.cn/large/e8a1x2k3.jpg", media_id="e8a1x2k3"),
            Attachment("image", "https://wx1.sinaimg.cn/large/e8a1x2k4.jpg", media_id="e8a1x2k4"),
            Attachment("image", media_id="../odd"),
        ),
        (),
        (),
        (),
    ]
    assert all(one.marks == () for one in found)


def test_emoticons_and_short_links_stay_as_they_were_written() -> None:
    texts = [one.text for one in statuses("mentions__every_kind")]
    assert "@Lumo官方 [微笑][微笑] great “service” 😡 [no such face]" in texts
    assert "@Lumo官方 这篇测评说的是真的吗 http://t.cn/A6xLumo" in texts


def test_a_repost_quotes_what_it_shares() -> None:
    repost = statuses("mentions__every_kind")[8]
    assert (repost.text, repost.quoted) == ("Repost", "新品 Lumo Air 今天开售")


def test_a_comment_may_have_a_picture_or_a_link() -> None:
    english, chinese, link = comments("comments_to_me__every_kind")
    assert english.attachments == (
        Attachment("image", "https://wx1.sinaimg.cn/large/c9b1.jpg", media_id="c9b1"),
    )
    assert chinese.attachments[0].media_id == "c9b2"
    assert link.attachments == (Attachment("link", "https://lumo.example/how", "怎么用"),)
    assert english.text == "same here, look [怒]"


@pytest.mark.parametrize(
    "odd",
    [
        {"page_info": 7, "geo": [], "pic_ids": {}, "url_struct": "x", "pic": []},
        {"page_info": {"type": None, "page_url": 5}, "geo": {"coordinates": ["a", None]}},
        {"geo": {"coordinates": [1]}, "pic_ids": [None, 5, {}], "pic_infos": []},
        {"pic_urls": [None, {"thumbnail_pic": "javascript:alert(1)"}], "url_struct": [None, {}]},
        {"page_info": {"type": "video"}, "url_struct": [{"long_url": "file:///etc/passwd"}]},
        {"page_info": {"type": ["video"], "page_url": "ftp://x"}, "pic_ids": ["a"] * 500},
    ],
)
def test_whatever_stands_there_nothing_breaks_and_no_strange_address_comes_out(
    odd: dict[str, Any],
) -> None:
    found = attached(odd)
    assert len(found) <= 50
    assert all((one.url or "http://").startswith(("http://", "https://")) for one in found)


# --- direct messages, in both forms ---------------------------------------------------------------


def pushed(path: Path) -> Message | None:
    account = weibo()
    body = path.read_bytes()
    accepted = account.verify(push(body))
    messages = account.read([body]).messages
    assert accepted == Accepted(b"", stream="direct_messages", store=(body,)) or not messages
    return messages[0] if messages else None


@pytest.mark.parametrize(
    ("file", "text", "kinds"),
    [
        ("direct__text.json", "订单 8812 & 退款", []),
        ("direct__emoticon.json", "[怒][怒] 还不退款😡", []),
        ("direct__image.json", None, ["image"]),
        ("direct__voice.json", None, ["voice"]),
        ("direct__position.json", None, ["location"]),
        ("direct__unknown.json", None, ["unknown"]),
        ("push__text.xml", "订单 8812 什么时候退款", []),
        ("push__text_en.xml", "Any news on order 8812?", []),
        ("push__image.xml", None, ["image"]),
        ("push__voice.xml", None, ["voice"]),
        ("push__location.xml", None, ["location"]),
    ],
)
def test_each_kind_of_message_is_read(file: str, text: str | None, kinds: list[str]) -> None:
    message = pushed(FIXTURES / file)
    assert message is not None
    assert message.text == text
    assert [one.kind for one in message.attachments] == kinds
    assert message.person == "3900112233"
    assert message.marks == ()


@pytest.mark.parametrize(
    "file",
    [
        "direct__event_follow.json",
        "direct__event_subscribe.json",
        "direct__subscribe_word.json",
        "push__event_follow.xml",
    ],
)
def test_events_and_the_two_words_that_subscribe_are_no_messages(file: str) -> None:
    assert pushed(FIXTURES / file) is None


def test_a_longer_text_that_begins_with_those_words_is_a_message() -> None:
    account = weibo()
    body = (FIXTURES / "direct__subscribe_word.json").read_bytes()
    (message,) = account.read([body.replace(b'"DY"', '"td 怎么退订"'.encode())]).messages
    assert message.text == "td 怎么退订"
