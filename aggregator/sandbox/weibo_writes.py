"""What Weibo lets an app write: comments, answers to comments, and direct messages inside the window."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from aggregator.sandbox import weibo_shapes as shapes
from aggregator.sandbox.base import Answer, Request, answer
from aggregator.sandbox.weibo_gate import Gate
from aggregator.sandbox.weibo_shapes import Comment, Member, Status

WINDOW = timedelta(hours=48)
LONGEST, LONGEST_DIRECT = 140, 300  # Chinese characters; ASCII counts half
WORDS = {
    20016: "update weibo too fast!",
    20017: "you have already sent a similar content recently!",
    20020: "contain advertising, illegal content.",
    20021: "content is illegal!",
    20031: "need you pass a captcha",
}


class Desk(Protocol):
    """What a stand-in lends: its objects, and where a new comment of ours goes."""

    us: Member
    statuses: dict[int, Status]
    comments: dict[int, Comment]

    def add_comment(self, post: Status, text: str, words: str, to: Comment | None) -> Comment: ...


class Writes:
    """Knobs: `refuse` holds codes for the next writes (20016, 20017, 20020, 20021, 20031), one each;
    `delay_next`: the next comment is taken with 20032 and listed after that many seconds; `needs_rip`:
    answers to comments must name an address. `wrote` and `sent` are what was taken; `heard` tells when a
    person last wrote to us, which opens the window for direct messages.
    """

    def __init__(self, now: Callable[[], datetime], gate: Gate, desk: Desk) -> None:
        self._now = now
        self._gate = gate
        self._desk = desk
        self.refuse: list[int] = []
        self.delay_next: float | None = None
        self.needs_rip = False
        self.unfollowed: set[int] = set()
        self.heard: dict[int, datetime] = {}
        self.wrote: list[Comment] = []
        self.sent: list[tuple[int, str]] = []
        self._last: str | None = None

    def reply(self, request: Request, match: re.Match[str]) -> Answer:
        """comments/reply: `cid` and `id`, the post that it stands under."""
        form = request.form()
        to = self._desk.comments.get(_number(form.get("cid")))
        if to is None or to.gone:
            return self._gate.error(request, 20201, "target weibo comment does not exist!")
        if to.status.gone or _number(form.get("id")) != to.status.id:
            return self._gate.error(request, 20101, "target weibo does not exist!")
        commercial = request.path.endswith("/biz.json")
        if (self.needs_rip or commercial) and not form.get("rip"):
            return self._gate.error(request, 10016, "Miss required parameter (rip)")
        words = form.get("comment", "")
        prefix = "" if form.get("without_mention") == "1" else f"回复@{to.author.name}:"
        return self._write(request, to.status, prefix + words, words, to)

    def create(self, request: Request, match: re.Match[str]) -> Answer:
        """comments/create: under the post `id`."""
        form = request.form()
        post = self._desk.statuses.get(_number(form.get("id")))
        if post is None or post.gone:
            return self._gate.error(request, 20101, "target weibo does not exist!")
        words = form.get("comment", "")
        return self._write(request, post, words, words, None)

    def direct(self, request: Request, match: re.Match[str]) -> Answer:
        """messages/reply of the fan service: `data` is JSON, encoded once by the form."""
        form = request.form()
        receiver = _number(form.get("receiver_id"))
        try:
            told = json.loads(form.get("data", ""))
            text = told["text"]
        except (ValueError, KeyError, TypeError):
            return self._gate.error(request, 10017, "Parameter (data)'s value invalid")
        if form.get("type") != "text" or not isinstance(text, str) or not text:
            return self._gate.error(request, 10017, "Parameter (type)'s value invalid")
        if _length(text) > LONGEST_DIRECT:
            return self._gate.error(request, 20012, "text too long")
        heard = self.heard.get(receiver)
        # Which codes it really answers is not documented; these stand for "never".
        if heard is None or self._now() - heard > WINDOW:
            return self._gate.error(request, 20033, "the reply window is closed")
        if receiver in self.unfollowed:
            return self._gate.error(request, 20034, "not a follower")
        self.sent.append((receiver, text))
        sender = self._desk.us.uid
        return answer({"result": True, "receiver_id": receiver, "sender_id": sender, **form})

    def _write(
        self, request: Request, post: Status, text: str, words: str, to: Comment | None
    ) -> Answer:
        if not words.strip():
            return self._gate.error(request, 10016, "Miss required parameter (comment)")
        if _length(words) > LONGEST:
            return self._gate.error(request, 20012, "text too long, at most 140 characters")
        if self.refuse:
            code = self.refuse.pop(0)
            return self._gate.error(request, code, WORDS.get(code, "refused"))
        if words == self._last:
            return self._gate.error(request, 20019, "repeat content!")
        self._last = words
        said = self._desk.add_comment(post, text, words, to)
        self.wrote.append(said)
        if self.delay_next is not None:
            self.delay_next = None
            return self._gate.error(request, 20032, "Update success, while server slow now")
        return answer(shapes.comment(said))


def _number(value: str | None) -> int:
    return int(value) if value and value.isdecimal() else 0


def _length(text: str) -> int:
    halves = sum(1 if ord(letter) < 128 else 2 for letter in text)
    return (halves + 1) // 2
