"""What lives on the stand-in of X: people, posts and direct messages, and their JSON field by field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH_MS = 1_288_834_974_657
POST_WEIGHT = 280  # of a post outside Premium; a wide character weighs two, a link 23
LINK_WEIGHT = 23
LINK = re.compile(r"https?://[^\s，。！？、；：）】》」”]+")
HANDLE = re.compile(r"@([A-Za-z0-9_]{1,15})")

RENAMED = {
    "edit_history_tweet_ids": "edit_history_post_ids",
    "referenced_tweets": "referenced_posts",
    "note_tweet": "note_post",
}


@dataclass(frozen=True, slots=True)
class User:
    id: int
    name: str
    handle: str
    followers: int = 0
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Media:
    key: str
    kind: str  # photo video animated_gif
    url: str


@dataclass(frozen=True, slots=True)
class Link:
    """A t.co link in a text, and what it stands for; `media` where it stands for a photo or video."""

    short: str
    target: str
    media: Media | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """A text as X keeps it: every link shortened, media linked at the end."""

    text: str
    links: tuple[Link, ...] = ()

    @property
    def media(self) -> tuple[Media, ...]:
        return tuple(link.media for link in self.links if link.media)


@dataclass(slots=True)
class Post:
    """One version of a post. `history` is shared by all versions, oldest first. One that `reposts` another has
    no words of its own, whatever `text` says.
    """

    id: int
    author: User
    words: Words
    at: datetime
    seen_from: datetime
    root: int
    reply_to: Post | None
    history: list[int]
    deleted: bool = False
    quotes: Post | None = None
    reposts: Post | None = None

    @property
    def references(self) -> tuple[tuple[str, Post], ...]:
        """What it answers, quotes and repeats, each with X's word for that."""
        every = (
            ("replied_to", self.reply_to),
            ("quoted", self.quotes),
            ("retweeted", self.reposts),
        )
        return tuple((word, post) for word, post in every if post is not None)


@dataclass(frozen=True, slots=True)
class Event:
    """A direct message, or somebody joining or leaving. `customer`: the other side of one to one."""

    id: int
    kind: str
    sender: User
    conversation: str
    at: datetime
    seen_from: datetime
    words: Words | None = None
    participants: tuple[User, ...] = ()
    customer: User | None = None


def snowflake_time(id_: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=(id_ >> 22) + EPOCH_MS)


def created(at: datetime) -> datetime:
    """What `created_at` says of a moment: whole seconds."""
    return at.replace(microsecond=0)


def shorten(
    text: str, media: Sequence[Media], link: Callable[[str, Media | None], Link], page: str
) -> Words:
    """A text with its links made short; media hang at its end, linked to `page`."""
    links: list[Link] = []

    def made(match: re.Match[str]) -> str:
        links.append(link(match.group(), None))
        return links[-1].short

    text = LINK.sub(made, text)
    for number, one in enumerate(media, 1):
        what = "photo" if one.kind == "photo" else "video"
        links.append(link(f"{page}/{what}/{number}", one))
        text = f"{text} {links[-1].short}".strip()
    return Words(text, tuple(links))


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def time_json(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


# --- JSON -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Shape:
    """Which fields were asked for, in which vocabulary they go out, and who is known by handle."""

    post: frozenset[str]
    user: frozenset[str]
    media: frozenset[str]
    dm: frozenset[str]
    vocabulary: str
    handles: Mapping[str, User] = field(default_factory=dict)

    def post_json(self, post: Post) -> dict[str, Any]:
        cut = _cut(post.words)
        full: dict[str, Any] = {
            "id": str(post.id),
            "text": escaped(cut.text),
            "edit_history_tweet_ids": [str(one) for one in post.history],
            "author_id": str(post.author.id),
            "conversation_id": str(post.root),
            "created_at": time_json(post.at),
            "lang": _lang(post.words.text),
            "reply_settings": "everyone",
            "possibly_sensitive": False,
            "entities": self._entities(cut) or None,
            "edit_controls": self._edit_controls(post),
            "public_metrics": {"like_count": 0, "reply_count": 0, "quote_count": 0},
        }
        if post.reply_to is not None:
            full["in_reply_to_user_id"] = str(post.reply_to.author.id)
        if post.references:
            full["referenced_tweets"] = [
                {"type": word, "id": str(other.id)} for word, other in post.references
            ]
        if post.words.media:
            full["attachments"] = {"media_keys": [media.key for media in post.words.media]}
        if cut.text != post.words.text:
            note: dict[str, Any] = {"text": escaped(post.words.text)}
            if entities := self._entities(post.words):
                note["entities"] = entities
            full["note_tweet"] = note
        asked = self.post | {"id", "text", "edit_history_tweet_ids"}
        return self._chosen(full, asked)

    def user_json(self, user: User) -> dict[str, Any]:
        full = {
            "id": str(user.id),
            "name": user.name,
            "username": user.handle,
            "verified": user.verified,
            "protected": False,
            "public_metrics": {
                "followers_count": user.followers,
                "following_count": 80,
                "tweet_count": 400,
                "listed_count": 1,
            },
        }
        return self._chosen(full, self.user | {"id", "name", "username"})

    def media_json(self, media: Media) -> dict[str, Any]:
        full: dict[str, Any] = {
            "media_key": media.key,
            "type": media.kind,
            "width": 1200,
            "height": 800,
        }
        if media.kind == "photo":
            full["url"] = media.url
        else:
            full["preview_image_url"] = f"{media.url}.jpg"
            full["duration_ms"] = 9_000
            full["variants"] = [{"content_type": "video/mp4", "url": media.url, "bit_rate": 832000}]
        return self._chosen(full, self.media | {"media_key", "type"})

    def event_json(self, event: Event) -> dict[str, Any]:
        full: dict[str, Any] = {
            "id": str(event.id),
            "event_type": event.kind,
            "created_at": time_json(event.at),
            "dm_conversation_id": event.conversation,
            "sender_id": str(event.sender.id),
        }
        if event.words is not None:
            full["text"] = escaped(event.words.text)
            full["entities"] = self._entities(event.words) or None
            if event.words.media:
                full["attachments"] = {"media_keys": [media.key for media in event.words.media]}
        if event.participants:
            full["participant_ids"] = [str(user.id) for user in event.participants]
        return self._chosen(full, self.dm | {"id", "event_type", "text"})

    def _chosen(self, full: Mapping[str, Any], asked: frozenset[str]) -> dict[str, Any]:
        """What was asked for by either name, under the names of the vocabulary that is spoken."""
        chosen = {}
        for key, value in full.items():
            renamed = RENAMED.get(key, key)
            if value is not None and (key in asked or renamed in asked):
                chosen[renamed if self.vocabulary == "post" else key] = value
        return chosen

    def _edit_controls(self, post: Post) -> dict[str, Any]:
        until = snowflake_time(post.history[0]) + timedelta(hours=1)
        left = 5 - post.history.index(post.id)
        return {
            "edits_remaining": left,
            "is_edit_eligible": post.reply_to is None,
            "editable_until": time_json(until),
        }

    def _entities(self, words: Words) -> dict[str, Any]:
        """Offsets are into the text as it goes out, escaped; links and handles in order."""
        text = escaped(words.text)
        entities: dict[str, Any] = {}
        if urls := list(_urls(text, words.links)):
            entities["urls"] = urls
        mentions = []
        for match in HANDLE.finditer(text):
            mention = {"start": match.start(), "end": match.end(), "username": match.group(1)}
            if known := self.handles.get(match.group(1).lower()):
                mention["id"] = str(known.id)
            mentions.append(mention)
        if mentions:
            entities["mentions"] = mentions
        return entities


def _urls(text: str, links: Sequence[Link]) -> Iterator[dict[str, Any]]:
    for link in links:
        start = text.find(link.short)
        if start < 0:
            continue
        url: dict[str, Any] = {
            "start": start,
            "end": start + len(link.short),
            "url": link.short,
            "expanded_url": link.target,
            "display_url": link.target.partition("://")[2][:26],
        }
        if link.media:
            url["media_key"] = link.media.key
        yield url


def _cut(words: Words) -> Words:
    """A long post as its `text` shows it: what fits, an ellipsis, and the media's links."""
    media = "".join(f" {link.short}" for link in words.links if link.media)
    own = words.text.removesuffix(media.strip()).rstrip() if media else words.text
    if weight(own) <= POST_WEIGHT:
        return words
    kept, total = [], 0
    for piece in re.findall(r"https://t\.co/\w+|.", own, re.DOTALL):
        total += weight(piece)
        if total > POST_WEIGHT - 2:
            break
        kept.append(piece)
    return Words("".join(kept).rstrip() + "…" + media, words.links)


def weight(text: str) -> int:
    plain = LINK.sub("x" * LINK_WEIGHT, text)
    return sum(1 if ord(c) < 0x1100 or 0x2000 <= ord(c) <= 0x201F else 2 for c in plain)


def _lang(text: str) -> str:
    words = re.sub(r"https://t\.co/\w+|@\w+", "", text)
    if re.search(r"[぀-ヿ]", words):
        return "ja"
    if re.search(r"[一-鿿]", words):
        return "zh"
    return "en" if re.search(r"[A-Za-z]", words) else "zxx"


def page(author: User, id_: int) -> str:
    return f"https://x.com/{author.handle}/status/{id_}"
