"""Comments under articles: the walk over the watched ones, and a comment's shape, our answer inside it.

Page: https://developers.weixin.qq.com/doc/offiaccount/Comments_management/Image_Comments_Management_Interface.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from aggregator.errors import Unavailable
from aggregator.model import Author, Direction, Kind, Message, Page
from connectors.fields import digest, parse_time, raw_json
from connectors.payload import integer, items, mapping, native, words
from connectors.wechat.articles import Article, Watched
from connectors.wechat_errors import Refused

PATH = "comment/list"
COUNT = 49  # 50 and more are refused
EVERY = timedelta(minutes=10)
WHOLE_EVERY = timedelta(hours=1)  # all pages again, also where the number of comments has not moved
NO_SUCH_ARTICLE = 88001

Ask = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Round:
    """`after`: no round before this second. `left`: the articles still to be read in the one under way,
    the first from comment `begin` on; `known`: of each article how many comments there were, and when all
    of its pages were last read."""

    after: int = 0
    left: tuple[Article, ...] = ()
    begin: int = 0
    known: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def read(cls, cursor: str | None) -> Round:
        try:
            told = mapping(json.loads(cursor or "{}"))
        except ValueError:
            return cls()
        left = (one.partition("/") for one in items(told.get("left")) if isinstance(one, str))
        known = {
            name: (integer(pair[0]), integer(pair[1]))
            for name, pair in mapping(told.get("known")).items()
            if isinstance(pair, list) and len(pair) == 2
        }
        articles = tuple(Article(id, integer(place)) for id, _, place in left if id)
        return cls(integer(told.get("after")), articles, integer(told.get("begin")), known)

    def told(self) -> str:
        return json.dumps(
            {
                "after": self.after,
                "left": [str(one) for one in self.left],
                "begin": self.begin,
                "known": self.known,
            }
        )


def asked(article: Article, begin: int, count: int = COUNT) -> dict[str, Any]:
    return {
        "msg_data_id": int(article.id),
        "index": article.place,
        "begin": begin,
        "count": count,
        "type": 0,
    }


def page(cursor: str | None, watched: Watched, ask: Ask, now: datetime) -> Page:
    """One page of one article; a round begins ten minutes after the last one.

    An article's further pages are read where the number of its comments has moved, or once an hour: an
    answer of ours moves no number. Raises as `ask` does.
    """
    at = Round.read(cursor)
    second = int(now.timestamp())
    if not at.left:
        # A time far ahead is a clock that was set back: no reason to wait for it.
        if second < at.after <= second + EVERY.total_seconds():
            return Page((), cursor)
        at = replace(at, left=tuple(watched.all()), begin=0)
    if not at.left:
        return Page((), cursor)
    article = at.left[0]
    try:
        found = ask(asked(article, at.begin))
    except Refused as error:
        if error.code != NO_SUCH_ARTICLE:
            raise
        watched.forget(article)
        return _next(at, (), article, None, second)
    listed = found.get("comment")
    if not isinstance(listed, list):
        raise Unavailable("no list of comments in WeChat's answer")
    messages = [message for one in listed for message in read(one, article)]
    total = integer(found.get("total"))
    before, whole_at = at.known.get(str(article), (-1, 0))
    whole = at.begin > 0 or total != before or second - whole_at >= WHOLE_EVERY.total_seconds()
    begin = at.begin + (len(listed) or COUNT)
    if whole and begin < total:
        return Page(tuple(messages), replace(at, begin=begin).told(), more=True)
    return _next(at, messages, article, (total, second if whole else whole_at), second)


def _next(
    at: Round,
    messages: Sequence[Message],
    article: Article,
    seen: tuple[int, int] | None,
    second: int,
) -> Page:
    """The page, and the cursor on the next article, or on the next round."""
    left = at.left[1:]
    names = {str(one) for one in at.left} | set(at.known)
    known = {name: pair for name, pair in at.known.items() if name in names}
    known.pop(str(article), None)
    if seen is not None:
        known[str(article)] = seen
    after = at.after if left else second + int(EVERY.total_seconds())
    told = Round(after=after, left=left, known=dict(list(known.items())[-100:])).told()
    return Page(tuple(messages), told, more=bool(left))


def read(item: Any, article: Article) -> list[Message]:
    """The comment, and what we answered to it."""
    found = mapping(item)
    marks: list[str] = []
    openid = native(found.get("openid"))  # none where the writer is no WeChat user
    number = found.get("user_comment_id")
    id = str(number) if type(number) is int else native(number)  # the first one is 0
    sent_at = parse_time(found.get("create_time"))
    if openid is None:
        marks.append("author.missing")
    if sent_at is None:
        marks.append("time.missing")
    comment = Message(
        native_id=f"{article}/{id if id is not None else digest(item)}",
        platform="wechat",
        kind=Kind.COMMENT,
        direction=Direction.INBOUND,
        author=Author(native_id=openid) if openid else None,
        text=words(found.get("content"), marks),
        sent_at=sent_at,
        root=str(article),
        person=openid,
        raw=raw_json(item),
        marks=tuple(marks),
    )
    told = found.get("reply")
    replies = [told] if isinstance(told, dict) else items(told)
    return [comment, *(_reply(mapping(one), comment) for one in replies if mapping(one))]


def _reply(found: dict[str, Any], comment: Message) -> Message:
    """Known by its second: an answer that was taken back and written anew is another one."""
    marks: list[str] = []
    sent_at = parse_time(found.get("create_time"))
    if sent_at is None:
        marks.append("time.missing")
    when = int(sent_at.timestamp()) if sent_at else digest(found.get("content"))
    return Message(
        native_id=f"{comment.native_id}/reply/{when}",
        platform="wechat",
        kind=Kind.COMMENT,
        direction=Direction.OUTBOUND,
        author=None,
        text=words(found.get("content"), marks),
        sent_at=sent_at,
        root=comment.root,
        person=comment.person,
        reply_to=comment.native_id,
        raw=raw_json(found),
        marks=tuple(marks),
    )
