"""Answers to comments under articles: each comment takes one, which the platform itself sees to.

Page: https://developers.weixin.qq.com/doc/offiaccount/Comments_management/Image_Comments_Management_Interface.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from aggregator.errors import Rejected
from aggregator.model import Direction, Message
from connectors.base import Now, ReplyLimit
from connectors.fields import raw_json, scrub
from connectors.payload import integer, items
from connectors.wechat.articles import Article
from connectors.wechat.comment import answer, answer_id, read
from connectors.wechat.comments import COUNT, asked
from connectors.wechat.comments import PATH as LIST

PATH = "comment/reply/add"
LONGEST = 600  # characters, as the console counts; the API names no number, and refuses with 88007
PAGES = 20  # of comments that are looked through for one answer

REFUSALS = {
    88000: "this account has no comments",
    88001: "WeChat does not know this article any more",
    88002: "WeChat has limited this article: nothing can be answered there",
    88004: "the comment has been withdrawn",
    88005: "the comment has an answer already, and WeChat takes one only",
    88007: "the answer is too long for WeChat, or empty",
    88008: "the comment is gone",
}


class CommentAnswers:
    """Sends and reads through `call` (path, body)."""

    def __init__(self, call: Callable[[str, dict[str, Any]], dict[str, Any]], now: Now) -> None:
        self._call = call
        self._now = now

    def limit(self, to: Message) -> ReplyLimit:
        _place(to)
        return ReplyLimit(LONGEST, len)

    def reply(self, to: Message, text: str, key: str) -> Message:
        """The platform takes no key: a second attempt is refused by the first's answer."""
        article, number = _place(to)
        text = _checked(text)
        body = {
            "msg_data_id": int(article.id),
            "index": article.place,
            "user_comment_id": number,
            "content": text,
        }
        self._call(PATH, body)
        at = self._now()
        return answer(to, text, at, id=answer_id(to, text), raw=raw_json(body))

    def find(self, to: Message, text: str, key: str, since: datetime) -> Message | None:
        """The answer as the article shows it."""
        wanted = answer_id(to, _checked(text))
        for one in self._answers(to):
            if one.native_id == wanted:
                return one
        return None

    def _answers(self, to: Message) -> Iterator[Message]:
        """Ours to this comment. The list is newest first: it is walked until the comment stands there."""
        article, _ = _place(to)
        begin = 0
        for _ in range(PAGES):
            found = self._call(LIST, asked(article, begin))
            listed = items(found.get("comment"))
            for item in listed:
                comment, *answers = read(item, article)
                if comment.native_id == to.native_id:
                    yield from (one for one in answers if one.direction is Direction.OUTBOUND)
                    return
            begin += len(listed) or COUNT
            if begin >= integer(found.get("total")):
                return


def _place(to: Message) -> tuple[Article, int]:
    """Where the comment stands. Raises Rejected for what has no number there."""
    id, _, rest = to.native_id.partition("/")
    place, _, number = rest.partition("/")
    if not all(one.isascii() and one.isdigit() for one in (id, place, number)):
        raise Rejected("WeChat gave this comment no number: answer it in WeChat's own console")
    return Article(id, int(place)), int(number)


def _checked(text: str) -> str:
    clean, _ = scrub(text)
    if not clean.strip():
        raise Rejected("an answer without words")
    if len(clean) > LONGEST:
        raise Rejected(f"the answer has {len(clean)} characters, and {LONGEST} are allowed")
    return clean
