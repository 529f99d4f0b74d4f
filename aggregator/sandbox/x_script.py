"""A script's lines on the stand-in of X, and what the export must say of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from aggregator.sandbox.base import Line, Truth
from aggregator.sandbox.x_objects import Link, Post, User, page

if TYPE_CHECKING:
    from aggregator.sandbox.x import XStandin


class Script:
    """Lets lines happen on X."""

    def __init__(self, place: XStandin) -> None:
        self._place = place

    def play(self, line: Line, at: datetime, told: Mapping[str, Truth]) -> Truth:
        with self._place.lock:
            if line.action != "say":
                return self._changed(line, at, told[line.to or ""])
            text = line.text
            if line.attachment == "link" and "http" not in (text or ""):
                text = f"{text or ''} https://lumo.example/help".strip()
            if line.kind == "direct_message":
                return self._direct(line, text, at, told)
            if line.kind not in ("mention", "comment", "own_post"):
                raise ValueError(f"there is no {line.kind} on X")
            return self._public(line, text, at, told)

    def _public(
        self, line: Line, text: str | None, at: datetime, told: Mapping[str, Truth]
    ) -> Truth:
        over = line.to or line.under
        parent = self._place.newest(int(told[over].native_id)) if over else None
        author = self._place.user(line.who) if line.who else self._place.brand
        if line.who and not (parent and parent.author.id == self._place.brand.id):
            text = self._place.addressed(text or "", self._place.brand)
        post = self._place.post(author, text or "", at, reply_to=parent, attachment=line.attachment)
        return self.truth(line.label, post, exported=line.kind != "own_post")

    def truth(self, label: str, post: Post, *, exported: bool = True) -> Truth:
        """What the export must say of the newest version of a post."""
        first = self._place.posts[post.history[0]]
        inbound = post.author.id != self._place.brand.id
        parent = post.reply_to
        person = post.author if inbound or parent is None else parent.author
        return Truth(
            label=label,
            platform="x",
            kind="mention",
            direction="inbound" if inbound else "outbound",
            native_id=str(first.id),
            author=_author(post.author),
            text=None if post.reposts else post.words.text,
            url=page(post.author, post.id),
            sent_at=first.at,
            reply_to=str(parent.history[0]) if parent else None,
            conversation=f"p:{post.root}:{person.id}",
            attachments=_kinds(post.words.links),
            root=str(post.root),
            exported=exported,
            edited_at=post.at if post.id != first.id else None,
            deleted=post.deleted,
        )

    def _direct(
        self, line: Line, text: str | None, at: datetime, told: Mapping[str, Truth]
    ) -> Truth:
        if line.who:
            customer = self._place.user(line.who)
            event = self._place.message(
                customer, self._place.brand, text, at, attachment=line.attachment
            )
        else:
            asked = self._place.events[int(told[line.to or ""].native_id)]
            customer = asked.customer or asked.sender
            event = self._place.message(
                self._place.brand, customer, text, at, attachment=line.attachment
            )
        assert event.words is not None
        return Truth(
            label=line.label,
            platform="x",
            kind="direct_message",
            direction="inbound" if line.who else "outbound",
            native_id=str(event.id),
            author=_author(event.sender),
            text=event.words.text or None,
            url=f"https://x.com/messages/{event.conversation}",
            sent_at=event.at,
            reply_to=None,
            conversation=f"d:{customer.id}",
            attachments=_kinds(event.words.links),
        )

    def _changed(self, line: Line, at: datetime, old: Truth) -> Truth:
        if old.kind == "direct_message":
            raise ValueError("a direct message on X can be neither edited nor withdrawn for both")
        post = self._place.newest(int(old.native_id))
        if line.action == "delete":
            self._place.delete(post)
        else:
            post = self._place.edit(post, line.text or "", at)
        return self.truth(old.label, post, exported=old.exported)


def _author(user: User) -> dict[str, str | None]:
    return {"native_id": str(user.id), "name": user.name, "handle": user.handle}


def _kinds(links: tuple[Link, ...]) -> tuple[str, ...]:
    """Media first, then each target once."""
    kinds = {"photo": "image", "video": "video", "animated_gif": "image"}
    targets = dict.fromkeys(link.target for link in links if link.media is None)
    return (*(kinds[link.media.kind] for link in links if link.media), *("link" for _ in targets))
