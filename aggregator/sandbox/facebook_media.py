"""Instagram's side of the stand-in of a Facebook Page: the linked account's media, and the comments under them.

Its contract is https://developers.facebook.com/docs/instagram-platform: comments come newest first, at most fifty a
page, answers only inside what they answer or by an edge of their own; a webhook tells of new ones, and of nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aggregator.sandbox.facebook_gate import GraphError
from aggregator.sandbox.facebook_objects import Who, time_json

SITE = "https://www.instagram.com"
MOST = 50


@dataclass(slots=True, eq=False)
class Media:
    """Something that the account, or somebody else, posted there."""

    kind = "media"
    id: str
    owner: Who
    caption: str | None
    at: datetime
    remarks: list[Remark] = field(default_factory=list)
    deleted: bool = False

    @property
    def url(self) -> str:
        return f"{SITE}/p/{self.id}/"

    def full(self, page: Who) -> dict[str, Any]:
        return {
            "id": self.id,
            "caption": self.caption,
            "comments_count": sum(1 for one in self.remarks if not one.deleted),
            "timestamp": time_json(self.at),
            "permalink": self.url,
            "media_type": "IMAGE",
            "media_product_type": "FEED",
            "username": self.owner.name,
        }


@dataclass(slots=True, eq=False)
class Remark:
    """A comment under a media, or an answer to one: there are two levels."""

    kind = "remark"
    id: str
    media: Media
    parent: Remark | None
    author: Who
    text: str
    at: datetime
    hidden: bool = False
    deleted: bool = False

    def full(self, page: Who) -> dict[str, Any]:
        return {
            "id": self.id,
            "text": self.text,
            "timestamp": time_json(self.at),
            "username": self.author.name,
            "from": {"id": self.author.id, "username": self.author.name},
            "hidden": self.hidden,
            "like_count": 0,
            "parent_id": self.parent.id if self.parent else None,
            "media": {"id": self.media.id},
        }


@dataclass(slots=True, eq=False)
class Gram:
    """The account itself. `mentioned_media` and `mentioned_comment` tell what names it, wherever that stands.

    `push` takes the entries of its webhooks; `number` makes ids.
    """

    kind = "gram"
    who: Who
    number: Callable[[datetime], int]
    push: Callable[[dict[str, Any], Who], None]
    medias: list[Media] = field(default_factory=list)
    deleted: bool = False
    _nodes: dict[str, Media | Remark] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.who.id

    def node(self, id_: str) -> Gram | Media | Remark | None:
        return self if id_ == self.id else self._nodes.get(id_)

    def full(self, page: Who) -> dict[str, Any]:
        return {"id": self.who.id, "username": self.who.name, "media_count": len(self.medias)}

    def mentioned(self, name: str, args: Mapping[str, str]) -> Media | Remark | None:
        """What names the account, by the field that asks for it."""
        if name not in ("mentioned_media", "mentioned_comment"):
            return None
        found = self._nodes.get(args.get("media_id") or args.get("comment_id") or "")
        words = getattr(found, "caption", None) or getattr(found, "text", None) or ""
        if found is None or found.deleted or f"@{self.who.name}" not in words:
            raise GraphError(100, "(#100) The requested mention does not exist", subcode=33)
        return found

    def rows(self, node: Gram | Media | Remark, name: str) -> list[Any] | None:
        """All rows of an edge in its order; None for an edge that is not there."""
        if isinstance(node, Gram) and name == "media":
            mine = [one for one in self.medias if not one.deleted and one.owner is self.who]
            return sorted(mine, key=lambda one: (one.at, one.id), reverse=True)
        if isinstance(node, Media) and name == "comments":
            top = [one for one in node.remarks if not one.deleted and one.parent is None]
            return sorted(top, key=lambda one: (one.at, one.id), reverse=True)
        if isinstance(node, Remark) and name == "replies":
            below = [one for one in node.media.remarks if not one.deleted and one.parent is node]
            return sorted(below, key=lambda one: (one.at, one.id))
        return None

    # --- what happens there -----------------------------------------------------------------------

    def post(self, caption: str | None, at: datetime, *, by: Who | None = None) -> Media:
        at = at.replace(microsecond=0)
        media = Media(f"17{self.number(at)}", by or self.who, caption, at)
        self.medias.append(media)
        self._nodes[media.id] = media
        if by is not None and f"@{self.who.name}" in (caption or ""):
            self._told("mentions", {"media_id": media.id}, at)
        return media

    def remark(self, author: Who, text: str, at: datetime, *, under: Media | Remark) -> Remark:
        """An answer to an answer stands beside it."""
        at = at.replace(microsecond=0)
        media, parent = (under, None) if isinstance(under, Media) else (under.media, under)
        parent = parent.parent or parent if parent else None
        remark = Remark(f"18{self.number(at)}", media, parent, author, text, at)
        media.remarks.append(remark)
        self._nodes[remark.id] = remark
        if media.owner is self.who:
            value: dict[str, Any] = {
                "id": remark.id,
                "text": text,
                "from": {"id": author.id, "username": author.name},
                "media": {"id": media.id, "media_product_type": "FEED"},
            }
            self._told("comments", value | ({"parent_id": parent.id} if parent else {}), at)
        elif f"@{self.who.name}" in text:
            self._told("mentions", {"media_id": media.id, "comment_id": remark.id}, at)
        return remark

    def withdraw(self, remark: Remark) -> None:
        """With the answers to it; no webhook says so."""
        for one in remark.media.remarks:
            if one is remark or one.parent is remark:
                one.deleted = True

    def _told(self, name: str, value: Mapping[str, Any], at: datetime) -> None:
        changes = [{"field": name, "value": value}]
        self.push({"time": int(at.timestamp()), "changes": changes}, self.who)
