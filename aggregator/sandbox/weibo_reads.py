"""What Weibo tells of one post, one person, or a handful of comments, asked for by their numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from aggregator.sandbox import weibo_shapes as shapes
from aggregator.sandbox.base import Answer, Request, answer
from aggregator.sandbox.weibo_gate import Gate
from aggregator.sandbox.weibo_lists import BadParameter, Entry, by_id, page
from aggregator.sandbox.weibo_shapes import Comment, Member, Status


class Shelves(Protocol):
    """What a stand-in lends: its objects by their numbers."""

    uid: int
    members: dict[int, Member]
    statuses: dict[int, Status]
    comments: dict[int, Comment]


class Reads:
    def __init__(self, now: Callable[[], datetime], gate: Gate, shelves: Shelves) -> None:
        self._now = now
        self._gate = gate
        self._of = shelves

    def comments_of(self, request: Request, match: re.Match[str]) -> Answer:
        post = self._asked(request)
        if post is None:
            return self._gate.error(request, 20101, "target weibo does not exist!")
        entries = [
            Entry(said.id, None, said) for said in self._of.comments.values() if said.status is post
        ]
        try:
            shown = page(request.query, sorted(entries, key=by_id), "comments", 50, self._now())
        except BadParameter as bad:
            return self._gate.error(request, bad.code, bad.words)
        return answer(shown)

    def comments(self, request: Request, match: re.Match[str]) -> Answer:
        """comments/show_batch: those that there are and that everybody may see, in no promised order."""
        asked = request.query.get("cids", "").split(",")
        if not 0 < len(asked) <= 20 or not all(one.isdecimal() for one in asked):
            return self._gate.error(request, 10017, "Parameter (cids)'s value invalid")
        found = (self._of.comments.get(int(one)) for one in asked)
        shown = [one for one in found if one is not None and not one.gone and not one.hidden]
        return answer([shapes.comment(one) for one in shown])

    def status(self, request: Request, match: re.Match[str]) -> Answer:
        post = self._asked(request)
        if post is None:
            return self._gate.error(request, 20101, "target weibo does not exist!")
        return answer(shapes.status(post, whole=request.query.get("isGetLongText") == "1"))

    def _asked(self, request: Request) -> Status | None:
        number = request.query.get("id", "")
        post = self._of.statuses.get(int(number)) if number.isdecimal() else None
        return None if post is None or post.gone else post

    def user(self, request: Request, match: re.Match[str]) -> Answer:
        uid, name = request.query.get("uid"), request.query.get("screen_name")
        for member in self._of.members.values():
            if uid == str(member.uid) or (uid is None and name == member.name):
                return answer(shapes.user(member))
        return self._gate.error(request, 20003, "User does not exists!")

    def get_uid(self, request: Request, match: re.Match[str]) -> Answer:
        return answer({"uid": self._of.uid})
