"""What happened without a word: who follows, who leaves, which articles went out.

The other events (locations, views, sessions of the official console) change nothing that is told here.
Page: https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Receiving_event_pushes.html
"""

from __future__ import annotations

from typing import Any

from connectors.fields import parse_time
from connectors.payload import integer, items, mapping, native
from connectors.wechat.articles import Article
from connectors.wechat_window import Event

# The second and third: what wechatpy calls following by a scanned code.
OPENING = frozenset(
    {
        *("subscribe", "subscribe_scan", "subscribe_scan_product"),
        *("scan", "click", "scancode_push", "scancode_waitmsg"),
    }
)
LEAVING = "unsubscribe"
FINISHED = frozenset({"masssendjobfinish", "freepublishjobfinish"})
MOST_ITEMS = 8  # articles in one push, as the platform bounds it


def matters(found: dict[str, Any]) -> bool:
    """Whether an event is worth storing until it is read."""
    return _name(found) in OPENING | FINISHED | {LEAVING}


def happened(found: dict[str, Any]) -> Event | None:
    """Whom a moment for answering opened for, or closed."""
    name, person = _name(found), native(found.get("FromUserName"))
    at = parse_time(found.get("CreateTime"))
    if person is None or at is None or name not in OPENING | {LEAVING}:
        return None
    return Event(person, at, follows=name != LEAVING)


def published(found: dict[str, Any]) -> list[Article]:
    """The articles that a finished job has put out; none where it failed."""
    name = _name(found)
    if name == "freepublishjobfinish":
        told = mapping(found.get("PublishEventInfo"))
        if integer(told.get("publish_status")) != 0:
            return []
        id, listed = told.get("publish_id"), mapping(told.get("article_detail")).get("item")
        key = "idx"
    elif name == "masssendjobfinish":
        if str(found.get("Status")).strip().lower() not in ("send success", "sendsuccess"):
            return []
        id = found.get("MsgID") or found.get("MsgId")
        result = mapping(mapping(found.get("ArticleUrlResult")).get("ResultList"))
        listed, key = result.get("item"), "ArticleIdx"
    else:
        return []
    number = native(id)
    if number is None or not number.isdigit():
        return []
    rows = items(listed) or [listed]  # one alone is no list in XML
    places = {max(integer(mapping(one).get(key)), 1) - 1 for one in rows}
    return [Article(number, place) for place in sorted(places) if place < MOST_ITEMS]


def _name(found: dict[str, Any]) -> str:
    return str(found.get("Event") or "").strip().lower()
