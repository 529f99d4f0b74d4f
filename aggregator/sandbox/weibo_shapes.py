"""Weibo's wire shapes: ids that hold the time, dates, users, statuses and comments as JSON."""

from __future__ import annotations

import html
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

BEIJING = timezone(timedelta(hours=8))
EPOCH = 515483463  # seconds; an id is (time - EPOCH) << 22 and 22 bits of its own
SHORT = 140  # characters that a list shows of a long status
ATTACHED = ("image", "video", "location", "link")  # what a post may have beside its words
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody on Weibo. The screen name is what one writes after the @."""

    uid: int
    name: str
    followers: int
    verified: bool


@dataclass(slots=True)
class Status:
    """A post; `text` is whole and unescaped. `gone`: withdrawn by its author; `hidden`: by the platform."""

    id: int
    at: datetime
    author: Member
    text: str
    attached: str | None = None  # one of ATTACHED
    repost_of: Status | None = None
    comments: int = 0
    reposts: int = 0
    gone: bool = False
    hidden: bool = False

    @property
    def listed(self) -> bool:
        return not self.gone and not self.hidden


@dataclass(slots=True)
class Comment:
    """Under a status, perhaps an answer to another comment; then `text` begins 回复@name: as on Weibo."""

    id: int
    at: datetime
    author: Member
    status: Status
    text: str
    words: str  # without that prefix
    answers: Comment | None = None
    floor: int = 1
    gone: bool = False
    hidden: bool = False

    @property
    def listed(self) -> bool:
        return not self.gone and not self.hidden


def date(at: datetime) -> str:
    """`Tue May 31 17:46:55 +0800 2011`, in English whatever the locale."""
    local = at.astimezone(BEIJING)
    day = f"{_DAYS[local.weekday()]} {_MONTHS[local.month - 1]} {local.day:02d}"
    return f"{day} {local:%H:%M:%S} +0800 {local.year}"


def user(member: Member) -> dict[str, Any]:
    return {
        "id": member.uid,
        "idstr": str(member.uid),
        "screen_name": member.name,
        "name": member.name,
        "province": "31",
        "city": "1",
        "location": "上海",
        "description": "",
        "profile_image_url": f"https://tvax1.sinaimg.cn/crop.0.0.1.1.50/{member.uid}.jpg",
        "profile_url": f"u/{member.uid}",
        "domain": "",
        "gender": "n",
        "followers_count": member.followers,
        "friends_count": 80,
        "statuses_count": 300,
        "created_at": "Fri Aug 28 00:00:00 +0800 2009",
        "verified": member.verified,
        "verified_type": 2 if member.verified else -1,
        "lang": "zh-cn",
    }


def status(post: Status, *, whole: bool = False) -> dict[str, Any]:
    """As lists show it; `whole`: statuses/show with isGetLongText=1."""
    long = len(post.text) > SHORT
    link = f"http://m.weibo.cn/{post.author.uid}/{post.id}"
    text = f"{post.text[: SHORT - 3]}...全文： {link}" if long and not whole else post.text
    shown: dict[str, Any] = {
        "created_at": date(post.at),
        "id": post.id,
        "idstr": str(post.id),
        "mid": str(post.id),
        "text": _escaped(text),
        "textLength": sum(2 if ord(letter) > 127 else 1 for letter in post.text),
        "source": '<a href="http://weibo.com/" rel="nofollow">微博 weibo.com</a>',
        "favorited": False,
        "truncated": False,
        "in_reply_to_status_id": "",
        "in_reply_to_user_id": "",
        "in_reply_to_screen_name": "",
        "pic_urls": [],
        "geo": None,
        "user": user(post.author),
        "reposts_count": post.reposts,
        "comments_count": post.comments,
        "attitudes_count": 0,
        "isLongText": long,
        "mlevel": 0,
        "visible": {"type": 0, "list_id": 0},
        "annotations": [{"mapi_request": True}],
    }
    shown |= _attached(post)
    if long and whole:
        shown["longText"] = {"longTextContent": _escaped(post.text)}
    if post.repost_of is not None:
        shown["retweeted_status"] = _original(post.repost_of)
    return shown


def _attached(post: Status) -> dict[str, Any]:
    """The fields that hold what a post has beside its words."""
    page = {"page_url": f"https://weibo.com/p/{post.id:x}", "page_title": "青山的一天"}
    if post.attached == "image":
        urls = {size: f"http://wx1.sinaimg.cn/{size}/{post.id:x}.jpg" for size in _SIZES}
        whole = {f"{name}_pic": urls[size] for size, name in _SIZES.items()}
        return {"pic_urls": [{"thumbnail_pic": urls["thumbnail"]}], **whole}
    if post.attached == "video":
        return {"page_info": {"type": "video", "object_type": 11, **page}}
    if post.attached == "location":
        return {"geo": {"type": "Point", "coordinates": [31.230416, 121.473701]}}
    if post.attached == "link":
        return {"page_info": {"type": "webpage", **page}}
    return {}


_SIZES = {"thumbnail": "thumbnail", "bmiddle": "bmiddle", "large": "original"}


def comment(said: Comment, *, within: bool = False) -> dict[str, Any]:
    """`within`: as `reply_comment` of another, without the status and what it answers itself."""
    shown: dict[str, Any] = {
        "created_at": date(said.at),
        "id": said.id,
        "idstr": str(said.id),
        "mid": str(said.id),
        "rootid": _root(said),
        "floor_number": said.floor,
        "text": _escaped(said.text),
        "disable_reply": 0,
        "source": '<a href="http://app.weibo.com/t/feed/6vtZb0" rel="nofollow">微博轻享版</a>',
        "user": user(said.author),
        "like_count": 0,
        "readtimetype": "comment",
    }
    if not within:
        shown["status"] = status(said.status)
        if said.answers is not None:
            shown["reply_comment"] = comment(said.answers, within=True)
            shown["reply_original_text"] = _escaped(said.words)
    return shown


def _original(post: Status) -> dict[str, Any]:
    shown = status(post)
    if post.gone:
        shown["deleted"] = "1"
        shown["text"] = "此微博已被原作者删除。"
    return shown


def _root(said: Comment) -> int:
    while said.answers is not None:
        said = said.answers
    return said.id


def _escaped(text: str) -> str:
    return html.escape(text, quote=False).replace('"', "&quot;")
