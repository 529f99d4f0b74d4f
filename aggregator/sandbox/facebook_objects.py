"""What lives on the stand-in of Facebook: a Page's posts, comments, reviews and threads, as Graph names them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

SITE = "https://www.facebook.com"
MEDIA = "https://scontent.example/sandbox"
INSTAGRAM_NEWEST = 20  # messages of a conversation that Instagram gives the details of

# field names by node, and those that come when nobody asks
KNOWN = {
    "page": """id name username category link about fan_count followers_count is_published tasks
        verification_status instagram_business_account""",
    "post": """id from message story created_time updated_time permalink_url parent_id status_type
        is_hidden is_published is_expired message_tags story_tags to attachments comments shares
        full_picture icon actions privacy place reactions likes via target tagged_time""",
    "comment": """id from message created_time parent object permalink_url attachment message_tags
        is_hidden is_private can_comment can_hide can_remove can_like can_reply_privately
        private_reply_conversation comment_count like_count user_likes comments reactions likes
        application""",
    "thread": """id snippet updated_time message_count unread_count can_reply participants senders
        is_owner is_subscribed link folder scoped_thread_key subject name messages""",
    "message": """id created_time from to message attachments sticker shares tags reactions
        is_unsupported story""",
    "gram": "id username name biography followers_count media_count media",
    "media": """id caption comments_count timestamp permalink media_type media_product_type media_url
        username like_count comments owner""",
    "remark": "id text timestamp username from hidden like_count parent_id media replies user",
    "review": """created_time has_rating has_review rating recommendation_type review_text reviewer
        open_graph_story""",
}
FIELDS = {kind: frozenset(names.split()) for kind, names in KNOWN.items()}
DEFAULTS = {
    "page": "id name",
    "post": "id created_time message story",
    "comment": "id created_time from message",
    "thread": "id link updated_time",
    "message": "id created_time",
    "gram": "id",
    "media": "id",
    "remark": "id text timestamp",
    "review": "created_time recommendation_type review_text reviewer",
}


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody under one namespace: in public an app-scoped id, in Messenger a page-scoped one."""

    id: str
    name: str


@dataclass(slots=True, eq=False)
class Post:
    kind = "post"
    id: str
    author: Who
    message: str | None
    at: datetime
    on_page: bool  # on the Page's own wall, by whomever
    tags_page: bool = False
    story: str | None = None
    attachment: str | None = None
    edited_at: datetime | None = None
    anonymous: bool = False
    deleted: bool = False

    @property
    def url(self) -> str:
        owner, _, number = self.id.rpartition("_")
        return f"{SITE}/{owner}/posts/{number}" if owner else f"{SITE}/{number}"

    def full(self, page: Who) -> dict[str, Any]:
        changed = self.edited_at or self.at
        return {
            "id": self.id,
            "from": None if self.anonymous else _person(self.author),
            "message": self.message,
            "story": self.story,
            "created_time": time_json(self.at),
            "updated_time": time_json(changed),  # a comment does not move it
            "permalink_url": self.url,
            "status_type": "added_photos" if self.attachment == "image" else "mobile_status_update",
            "is_hidden": False,
            "is_published": True,
            "to": {"data": [_person(page)]} if self.author.id != page.id else None,
            "message_tags": _tags(self.message, page) if self.tags_page else None,
            "tagged_time": time_json(self.at) if self.tags_page else None,
            "attachments": {"data": [_post_attachment(self)]} if self.attachment else None,
        }


@dataclass(slots=True, eq=False)
class Comment:
    kind = "comment"
    id: str
    post: Post
    parent: Comment | None
    author: Who
    message: str | None
    at: datetime
    attachment: str | None = None
    anonymous: bool = False
    hidden: bool = False
    bare: bool = False  # spelt without the post before it
    deleted: bool = False

    @property
    def url(self) -> str:
        return f"{self.post.url}?comment_id={self.id.rpartition('_')[2]}"

    @property
    def spelt(self) -> str:
        return self.id.rpartition("_")[2] if self.bare else self.id

    def full(self, page: Who) -> dict[str, Any]:
        parent = self.parent
        return {
            "id": self.spelt,
            "from": None if self.anonymous else _person(self.author),
            "message": self.message or "",
            "created_time": time_json(self.at),
            "parent": None
            if parent is None
            else {
                "id": parent.spelt,
                "from": None if parent.anonymous else _person(parent.author),
                "message": parent.message or "",
                "created_time": time_json(parent.at),
            },
            "object": {"id": self.post.id, "created_time": time_json(self.post.at)},
            "permalink_url": self.url,
            "attachment": _comment_attachment(self) if self.attachment else None,
            "is_hidden": self.hidden,
            "is_private": False,
            "can_comment": True,
            "can_hide": self.author.id != page.id,
            "can_remove": True,
            "can_reply_privately": self.author.id != page.id,
            "like_count": 0,
            "user_likes": False,
        }


@dataclass(slots=True, eq=False)
class Review:
    """A recommendation. It has no id of its own; the story that it made has, and takes the comments."""

    kind = "review"
    story: Post
    author: Who
    positive: bool
    text: str | None

    @property
    def id(self) -> str:
        return self.story.id

    @property
    def deleted(self) -> bool:
        return self.story.deleted

    def full(self, page: Who) -> dict[str, Any]:
        return {
            "created_time": time_json(self.story.at),
            "has_rating": False,
            "has_review": self.text is not None,
            "recommendation_type": "positive" if self.positive else "negative",
            "review_text": self.text,
            "reviewer": _person(self.author),
            "open_graph_story": {
                "id": self.story.id,
                "start_time": time_json(self.story.at),
                "type": "og.recommends",
            },
        }


@dataclass(slots=True, eq=False)
class Letter:
    """One message of a thread."""

    kind = "message"
    id: str
    thread: Thread
    author: Who
    message: str | None
    at: datetime
    attachment: str | None = None
    deleted: bool = False

    @property
    def told(self) -> bool:
        """Instagram gives the details of the newest messages only."""
        newest = self.thread.letters[-INSTAGRAM_NEWEST:]
        return self.thread.us is None or any(one is self for one in newest)

    def full(self, page: Who) -> dict[str, Any]:
        if not self.told:
            return {"id": self.id, "created_time": time_json(self.at)}
        page = self.thread.us or page
        other = page if self.author.id != page.id else self.thread.customer
        attached = _letter_attachment(self)
        return {
            "id": self.id,
            "created_time": time_json(self.at),
            "from": _mailbox(self.author),
            "to": {"data": [_mailbox(other)]},
            "message": self.message or "",
            "attachments": {"data": [attached]} if attached else None,
            "sticker": f"{MEDIA}/sticker.png" if self.attachment == "sticker" else None,
            "shares": {"data": [{"link": f"{SITE}/lumo/help", "name": "Help"}]}
            if self.attachment == "link"
            else None,
            "tags": {"data": [{"name": "inbox"}, {"name": "source:mobile"}]},
            "is_unsupported": False,
        }


@dataclass(slots=True, eq=False)
class Thread:
    """The page's conversation with one customer; `us` is its Instagram account, if it is held there."""

    kind = "thread"
    id: str
    customer: Who
    us: Who | None = None
    letters: list[Letter] = field(default_factory=list)
    deleted: bool = False

    def full(self, page: Who) -> dict[str, Any]:
        page = self.us or page
        last = self.letters[-1]
        return {
            "id": self.id,
            "snippet": last.message or "",
            "updated_time": time_json(last.at),
            "message_count": len(self.letters),
            "unread_count": 0 if last.author.id == page.id else 1,
            "can_reply": True,
            "participants": {"data": [_mailbox(self.customer), _mailbox(page)]},
            "senders": {"data": [_mailbox(self.customer), _mailbox(page)]},
            "is_owner": True,
            "is_subscribed": True,
            "link": self.link(page),
            "folder": "inbox",
            "scoped_thread_key": self.id,
        }

    def link(self, page: Who) -> str:
        return f"/{page.id}/inbox/{self.id.removeprefix('t_')}/?section=messages"


@dataclass(frozen=True, slots=True)
class Page:
    kind = "page"
    who: Who
    username: str
    instagram: Who | None = None
    deleted: bool = False

    @property
    def id(self) -> str:
        return self.who.id

    def full(self, page: Who) -> dict[str, Any]:
        return {
            "id": self.who.id,
            "name": self.who.name,
            "username": self.username,
            "category": "Electronics",
            "link": f"{SITE}/{self.who.id}",
            "followers_count": 48_000,
            "is_published": True,
            "instagram_business_account": {"id": self.instagram.id} if self.instagram else None,
        }


def time_json(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


def attachment_url(node: Post | Comment | Letter) -> str:
    """Where what hangs on it lies, for a webhook."""
    number = (
        zlib.crc32(node.id.encode()) if isinstance(node, Letter) else node.id.rpartition("_")[2]
    )
    endings = {"video": "mp4", "voice": "aac", "sticker": "png"}
    return f"{MEDIA}/{number}.{endings.get(node.attachment or '', 'jpg')}"


def _person(who: Who) -> dict[str, str]:
    return {"name": who.name, "id": who.id}


def _mailbox(who: Who) -> dict[str, str]:
    return {"name": who.name, "email": f"{who.id}@facebook.com", "id": who.id}


def _tags(message: str | None, page: Who) -> list[Mapping[str, Any]] | None:
    at = (message or "").find(page.name)
    if at < 0:
        return None
    tag = {"id": page.id, "name": page.name, "type": "page"}
    return [{**tag, "offset": at, "length": len(page.name)}]


def _post_attachment(post: Post) -> dict[str, Any]:
    number = post.id.rpartition("_")[2]
    kind = {"image": "photo", "video": "video", "link": "link"}[post.attachment or ""]
    told: dict[str, Any] = {"media_type": kind, "type": "share" if kind == "link" else kind}
    if kind == "link":
        return {**told, "title": "Help", "url": f"{SITE}/lumo/help"}
    picture = {"src": f"{MEDIA}/{number}.jpg", "width": 1200, "height": 800}
    media: dict[str, Any] = {"image": picture}
    if kind == "video":
        media["source"] = f"{MEDIA}/{number}.mp4"
    url = f"{SITE}/photo.php?fbid={number}"
    return {**told, "media": media, "target": {"id": number, "url": url}, "url": url}


def _comment_attachment(comment: Comment) -> dict[str, Any]:
    number = comment.id.rpartition("_")[2]
    kind = {
        "image": "photo",
        "video": "video_inline",
        "sticker": "sticker",
        "link": "share",
    }[comment.attachment or ""]
    if kind == "share":
        return {"type": kind, "title": "Help", "url": f"{SITE}/lumo/help"}
    picture = {"src": f"{MEDIA}/{number}.jpg", "width": 720, "height": 480}
    url = f"{SITE}/photo.php?fbid={number}"
    return {
        "type": kind,
        "media": {"image": picture},
        "target": {"id": number, "url": url},
        "url": url,
    }


def _letter_attachment(letter: Letter) -> dict[str, Any] | None:
    number = str(zlib.crc32(letter.id.encode()))
    if letter.attachment == "image":
        data = {"width": 1200, "height": 800, "url": f"{MEDIA}/{number}.jpg"}
        told: dict[str, Any] = {"mime_type": "image/jpeg", "name": "photo.jpg", "image_data": data}
    elif letter.attachment == "video":
        data = {"width": 640, "height": 360, "url": f"{MEDIA}/{number}.mp4"}
        told = {"mime_type": "video/mp4", "name": "clip.mp4", "video_data": data}
    elif letter.attachment == "voice":
        url = f"{MEDIA}/{number}.aac"
        told = {"mime_type": "audio/aac", "name": "audioclip.aac", "file_url": url}
    else:
        return None
    return {"id": number, "size": 20_480, **told}
