"""What the stand-in of Facebook pushes: webhooks, signed over the raw body, in batches, late, twice, out of order."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aggregator.sandbox.caller import Caller, Outgoing
from aggregator.sandbox.facebook_apps import Apps
from aggregator.sandbox.facebook_objects import Comment, Letter, Post, Review, Who, attachment_url

ATTACHED = {
    "image": "image",
    "video": "video",
    "voice": "audio",
    "sticker": "image",
    "link": "fallback",
}


@dataclass(slots=True)
class Hooks:
    """Pushes to one callback, once it is attached. `batch`: so many entries wait for one another (`flush` sends).

    Knobs: `twice` (each push comes again), `backwards` (newest first within a batch), `standby` (another app holds
    the threads), `numeric_ids`, `old_authors` (as before version 2.11), `muted` (nothing comes, and nothing says so),
    `mail` (how late an entry goes out, with a later `flush`; None: never).
    """

    page: Who
    apps: Apps
    caller: Caller
    now: Callable[[], datetime]
    verify_token: str = field(default_factory=lambda: secrets.token_hex(8))
    batch: int = 1
    twice: bool = False
    backwards: bool = False
    standby: bool = False
    numeric_ids: bool = False
    old_authors: bool = False
    muted: bool = False
    mail: Callable[[Mapping[str, Any]], timedelta | None] = lambda _: timedelta()
    _late: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)
    _waiting: list[dict[str, Any]] = field(default_factory=list)
    _sent: int = 0

    def attach(self, url: str) -> None:
        """The handshake. Raises HandshakeFailed where the echo is wrong."""
        challenge = str(secrets.randbits(31))
        query = {
            "hub.mode": "subscribe",
            "hub.verify_token": self.verify_token,
            "hub.challenge": challenge,
        }
        self.caller.attach(url, query, challenge.encode())
        self.apps.callback_url = url

    def flush(self) -> None:
        """Send what waits, and what was to be late and is due."""
        now = self.now()
        self._waiting += [entry for due, entry in self._late if due <= now]
        self._late = [(due, entry) for due, entry in self._late if due > now]
        if not self._waiting:
            return
        entries = self._waiting[::-1] if self.backwards else list(self._waiting)
        self._waiting.clear()
        of_page = [one for one in entries if str(one["id"]) == self.page.id]
        others = [one for one in entries if str(one["id"]) != self.page.id]
        for kind, some in (("page", of_page), ("instagram", others)):
            if some:
                self._send({"object": kind, "entry": some})

    def _send(self, told: dict[str, Any]) -> None:
        body = json.dumps(told, ensure_ascii=False).encode()
        for _ in range(2 if self.twice else 1):
            self._sent += 1
            self.caller.post(f"push {self._sent}", lambda: self._signed(body), lambda _: None)

    def _signed(self, body: bytes) -> Outgoing:
        key = self.apps.gate.app_secret.encode()
        headers = {
            "X-Hub-Signature": "sha1=" + hmac.new(key, body, hashlib.sha1).hexdigest(),
            "X-Hub-Signature-256": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest(),
        }
        return Outgoing({}, body, "application/json", headers)

    # --- events ---------------------------------------------------------------------------------

    def post(self, post: Post, verb: str, at: datetime) -> None:
        """A post on the wall; what only tags the Page comes as a mention, and without its author."""
        told = {"item": "status", "verb": verb, "post_id": post.id, "created_time": _seconds(at)}
        if verb != "remove" and post.message is not None:
            told["message"] = post.message
        if post.tags_page:
            if verb == "add":
                self._change("mention", {**told, "item": "post"}, at)
            return
        if post.attachment and verb != "remove":
            item = {"video": "video", "link": "share"}.get(post.attachment, "photo")
            told |= {"item": item, "link": attachment_url(post)}
        self._change("feed", {**told, **self._author(post.author, post.anonymous)}, at)

    def comment(self, comment: Comment, verb: str, at: datetime) -> None:
        told: dict[str, Any] = {
            "item": "comment",
            "verb": verb,
            "comment_id": comment.spelt,
            "post_id": comment.post.id,
            "parent_id": comment.parent.spelt if comment.parent else comment.post.id,
            "created_time": _seconds(at),
            **self._author(comment.author, comment.anonymous),
        }
        if verb != "remove":
            told["message"] = comment.message or ""
            told["post"] = {"id": comment.post.id, "permalink_url": comment.post.url}
            if key := {"image": "photo", "video": "video"}.get(comment.attachment or ""):
                told[key] = attachment_url(comment)
        self._change("ratings" if "_" not in comment.post.id else "feed", told, at)

    def review(self, review: Review, verb: str, at: datetime) -> None:
        told = {
            "item": "rating",
            "verb": verb,
            "open_graph_story_id": review.id,
            "reviewer_id": review.author.id,
            "reviewer_name": review.author.name,
            "created_time": _seconds(at),
        }
        if verb != "remove":
            kind = "POSITIVE" if review.positive else "NEGATIVE"
            told |= {"recommendation_type": kind, "review_text": review.text}
        self._change("ratings", told, at)

    def letter(
        self,
        letter: Letter,
        at: datetime,
        *,
        what: str = "message",
        app_id: str | None = None,
        metadata: str | None = None,
    ) -> None:
        """`what`: message, edit or unsend. What the Page sent is an echo, with the app that sent it."""
        us = letter.thread.us or self.page
        ours = letter.author.id == us.id
        said: dict[str, Any] = {"mid": letter.id}
        if what == "message":
            said |= {"text": letter.message} if letter.message else {}
            if kind := ATTACHED.get(letter.attachment or ""):
                payload: dict[str, Any] = {"url": attachment_url(letter)}
                if letter.attachment == "sticker":
                    payload["sticker_id"] = 369239263222822
                said["attachments"] = [{"type": kind, "payload": payload}]
        elif what == "unsend":
            said["is_deleted"] = True
        if ours and what == "message":
            said |= {"is_echo": True, "app_id": app_id or "263902037430900"}
            said |= {"metadata": metadata} if metadata else {}
        event: dict[str, Any] = {"message": said}
        if what == "edit":
            event = {"message_edit": {"mid": letter.id, "text": letter.message, "num_edit": 1}}
        customer = letter.thread.customer.id
        sender, recipient = (us.id, customer) if ours else (customer, us.id)
        wanted = {"message": "message_echoes" if ours else "messages", "edit": "message_edits"}
        if not self.apps.sends(wanted.get(what, "messages")):
            return
        ms = int(at.timestamp() * 1000)
        told = {"sender": {"id": self._id(sender)}, "recipient": {"id": self._id(recipient)}}
        key = "standby" if self.standby else "messaging"
        self.entry({"time": ms + 200, key: [{**told, "timestamp": ms, **event}]}, us)

    def _change(self, name: str, value: Mapping[str, Any], at: datetime) -> None:
        if self.apps.sends(name):
            change = {"field": name, "value": value}
            self.entry({"time": _seconds(at) + 1, "changes": [change]})

    def entry(self, told: dict[str, Any], of: Who | None = None) -> None:
        if self.caller.url is None or self.muted:
            return
        entry = {"id": self._id((of or self.page).id), **told}
        late = self.mail(entry)
        if late is None:
            return
        if late:
            self._late.append((self.now() + late, entry))
            return
        self._waiting.append(entry)
        if len(self._waiting) >= self.batch:
            self.flush()

    def _author(self, who: Who, anonymous: bool) -> dict[str, Any]:
        if anonymous:
            return {}
        if self.old_authors:
            return {"sender_id": int(who.id), "sender_name": who.name}
        return {"from": {"id": self._id(who.id), "name": who.name}}

    def _id(self, id_: str) -> str | int:
        return int(id_) if self.numeric_ids else id_


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
