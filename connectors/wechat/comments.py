"""The walk over the comments of the watched articles, which also notices what its writer has withdrawn.

Page: https://developers.weixin.qq.com/doc/offiaccount/Comments_management/Image_Comments_Management_Interface.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from aggregator.errors import Unavailable
from aggregator.model import Message, Page
from connectors.payload import integer, items, mapping
from connectors.wechat import spans
from connectors.wechat.articles import Article, Watched
from connectors.wechat.comment import number_of, read, withdrawn
from connectors.wechat_errors import Refused

PATH = "comment/list"
COUNT = 49  # 50 and more are refused
EVERY = timedelta(minutes=10)
WHOLE_EVERY = timedelta(hours=1)  # all pages again, also where the number of comments has not moved
NO_SUCH_ARTICLE = 88001
MOST_KNOWN = 100

Ask = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Standing:
    """What an article showed: how many comments, when all of its pages were last read, and, in spans, which
    stood there then and which had been there before. `here` None: too many to remember."""

    total: int
    whole_at: int
    here: str | None = None
    gone: str = ""

    @classmethod
    def read(cls, told: Any) -> Standing | None:
        row = items(told)
        if len(row) < 2:
            return None
        here, gone = (*row[2:4], None, None)[:2]
        return cls(
            integer(row[0]),
            integer(row[1]),
            here if isinstance(here, str) else None,
            gone if isinstance(gone, str) else "",
        )

    def with_shown(self, numbers: set[int]) -> Standing:
        """What stands on a page stands there, whether or not all pages were read."""
        here = spans.told(spans.read(self.here) | numbers)
        return replace(self, here=here, gone=spans.told(spans.read(self.gone) - numbers) or "")

    def told(self) -> list[Any]:
        return [self.total, self.whole_at, self.here, self.gone]


@dataclass(frozen=True, slots=True)
class Round:
    """`after`: no round before this second. `left`: the articles still to be read in the one under way,
    the first from comment `begin` on; `read` (in spans) stood on its pages so far, while it showed `total` of
    them. `known`: what each article showed."""

    after: int = 0
    left: tuple[Article, ...] = ()
    begin: int = 0
    total: int = 0
    read: str | None = ""
    known: dict[str, Standing] = field(default_factory=dict)

    @classmethod
    def resume(cls, cursor: str | None) -> Round:
        try:
            told = mapping(json.loads(cursor or "{}"))
        except ValueError:
            return cls()
        left = (one.partition("/") for one in items(told.get("left")) if isinstance(one, str))
        known = {name: Standing.read(row) for name, row in mapping(told.get("known")).items()}
        read = told.get("read", "")
        return cls(
            integer(told.get("after")),
            tuple(Article(id, integer(place)) for id, _, place in left if id),
            integer(told.get("begin")),
            integer(told.get("total")),
            read if isinstance(read, str) else None,
            {name: one for name, one in known.items() if one is not None},
        )

    def told(self) -> str:
        return json.dumps(
            {
                "after": self.after,
                "left": [str(one) for one in self.left],
                "begin": self.begin,
                "total": self.total,
                "read": self.read,
                "known": {name: one.told() for name, one in self.known.items()},
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
    answer of ours moves no number, nor does one comment in the place of another. Raises as `ask` does.
    """
    at = Round.resume(cursor)
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
    total = integer(found.get("total"))
    before = at.known.get(str(article)) or Standing(-1, 0)
    messages = _messages(listed, article, spans.read(before.gone), now)
    before = before.with_shown({one for one in map(number_of, listed) if one is not None})
    at = replace(at, known={**at.known, str(article): before})
    whole = at.begin > 0 or total != before.total
    whole = whole or second - before.whole_at >= WHOLE_EVERY.total_seconds()
    if not whole:
        return _next(at, messages, article, replace(before, total=total), second)
    at = _with(at, listed, total)
    begin = at.begin + (len(listed) or COUNT)
    if begin < total:
        return Page(tuple(messages), replace(at, begin=begin).told(), more=True)
    ends, standing = _compared(at, article, before, total, now)
    return _next(at, [*messages, *ends], article, standing, second)


def _messages(
    listed: Sequence[Any], article: Article, gone: set[int], now: datetime
) -> list[Message]:
    """What stands on a page; what had been withdrawn and is shown again is restored."""
    found: list[Message] = []
    for item in listed:
        comment, *answers = read(item, article)
        if number_of(item) in gone:
            comment = replace(comment, restored_at=now)
        found += [comment, *answers]
    return found


def _with(at: Round, listed: Sequence[Any], total: int) -> Round:
    """The walk with what stands on this page. Where the number moves meanwhile, pages do not fit together, and
    nothing can be told from what is missing."""
    if at.begin == 0:
        at = replace(at, total=total, read="")
    if at.read is None or total != at.total:
        return replace(at, read=None)
    here = spans.read(at.read) | {one for one in map(number_of, listed) if one is not None}
    return replace(at, read=spans.told(here))


def _compared(
    at: Round, article: Article, before: Standing, total: int, now: datetime
) -> tuple[list[Message], Standing]:
    """Tombstones for what stood there and does not any more, where all pages fit together."""
    second = int(now.timestamp())
    here = spans.read(at.read)
    if total != at.total:  # one may have slipped from page to page: all of them again next time
        return [], replace(before, total=-1, whole_at=second)
    if at.read is None or len(here) != total:
        return [], replace(before, total=total, whole_at=second)
    missing = spans.read(before.here) - here
    gone = (spans.read(before.gone) | missing) - here
    ends = [withdrawn(article, number, now) for number in sorted(missing)]
    return ends, Standing(total, second, at.read, spans.told(gone) or "")


def _next(
    at: Round,
    messages: Sequence[Message],
    article: Article,
    standing: Standing | None,
    second: int,
) -> Page:
    """The page, and the cursor on the next article, or on the next round."""
    left = at.left[1:]
    names = {str(one) for one in at.left} | set(at.known)
    known = {name: one for name, one in at.known.items() if name in names}
    known.pop(str(article), None)
    if standing is not None:
        known[str(article)] = standing
    after = at.after if left else second + int(EVERY.total_seconds())
    told = Round(after=after, left=left, known=dict(list(known.items())[-MOST_KNOWN:])).told()
    return Page(tuple(messages), told, more=bool(left))
