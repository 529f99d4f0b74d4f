"""Comments under the articles of a WeChat Official Account, and the one answer that each may have."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from aggregator.sandbox.base import Answer, Request, answer
from aggregator.sandbox.wechat_tokens import errcode

MOST = 49  # 50 and more are refused
LONGEST_REPLY = 600  # characters


class Comments:
    """Articles by (msg_data_id, index), each comment at the place of its number. Knobs: `allowed` (else 88000), `short_every` (from 2 on: each
    so-many-th page comes one comment short; 0: never)."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.allowed = True
        self.short_every = 0
        self.articles: dict[tuple[int, int], list[dict[str, Any]]] = {}
        self.withdrawn: set[tuple[int, int, int]] = set()  # msg_data_id, index, user_comment_id
        self._now = now
        self._pages = 0

    def publish(self, msg_data_id: int, index: int = 0) -> None:
        self.articles.setdefault((msg_data_id, index), [])

    def write(
        self, article: tuple[int, int], openid: str | None, at: datetime, content: str
    ) -> int:
        """A reader's comment (`openid` None: no WeChat user); its user_comment_id, from 0."""
        under = self.articles[article]
        comment: dict[str, Any] = {
            "user_comment_id": len(under),
            "create_time": int(at.timestamp()),
            "content": content,
            "comment_type": 0,
        }
        if openid is not None:
            comment["openid"] = openid
        under.append(comment)
        return len(under) - 1

    def withdraw(self, article: tuple[int, int], user_comment_id: int) -> None:
        """Its writer, or we in the console, took it away: the list is shorter by it."""
        self.withdrawn.add((*article, user_comment_id))

    def restore(self, article: tuple[int, int], user_comment_id: int) -> None:
        self.withdrawn.discard((*article, user_comment_id))

    def answered(
        self, article: tuple[int, int], user_comment_id: int, at: datetime, content: str
    ) -> None:
        """Our answer, in the console or by the API: it stands inside the comment."""
        comment = self.articles[article][user_comment_id]
        comment["reply"] = {"content": content, "create_time": int(at.timestamp())}

    def list(self, request: Request, match: re.Match[str]) -> Answer:
        """Newest first."""
        refused, article, asked = self._article(request)
        if refused is not None:
            return refused
        begin, count, kind = asked.get("begin"), asked.get("count"), asked.get("type")
        if type(begin) is not int or type(count) is not int or kind not in (0, 1, 2):
            return errcode(47001, "data format error")
        if not 0 < count <= MOST or begin < 0:
            return errcode(88010, "count range error. cout <= 0 or count > 50")
        standing = [
            one
            for one in self.articles[article]
            if (*article, one["user_comment_id"]) not in self.withdrawn
        ]
        listed = standing[::-1]
        self._pages += 1
        page = listed[begin : begin + count]
        if self.short_every and len(page) > 1 and self._pages % self.short_every == 0:
            page = page[:-1]
        return answer({"errcode": 0, "errmsg": "ok", "total": len(listed), "comment": page})

    def reply(self, request: Request, match: re.Match[str]) -> Answer:
        refused, article, asked = self._article(request)
        if refused is not None:
            return refused
        under, number = self.articles[article], asked.get("user_comment_id")
        if type(number) is not int or not 0 <= number < len(under):
            return errcode(88008, "comment is not exists")
        if (*article, number) in self.withdrawn:
            return errcode(88004, "comment was deleted by user")
        if "reply" in under[number]:
            return errcode(88005, "already reply")
        content = asked.get("content")
        if not isinstance(content, str) or not 0 < len(content) <= LONGEST_REPLY:
            return errcode(88007, "reply content beyond max len or content len is zero")
        self.answered(article, number, self._now(), content)
        return errcode(0, "ok")

    def _article(self, request: Request) -> tuple[Answer | None, tuple[int, int], dict[str, Any]]:
        try:
            asked = request.json()
            article = (asked["msg_data_id"], asked.get("index", 0))
        except (KeyError, TypeError, ValueError, AttributeError):
            return errcode(47001, "data format error"), (0, 0), {}
        if not self.allowed:
            return errcode(88000, "without comment privilege"), article, asked
        if article not in self.articles:
            return errcode(88001, "msg_data is not exists"), article, asked
        return None, article, asked
