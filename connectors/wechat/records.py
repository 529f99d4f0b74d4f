"""What our servicers wrote in the platform's console: the walk over its records, and their shape.

Page: https://developers.weixin.qq.com/doc/offiaccount/Customer_Service/Obtain_chat_transcript.html
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from aggregator.model import Attachment, Author, Direction, Kind, Message
from connectors.fields import parse_time, raw_json
from connectors.payload import integer, joined, mapping, native, words
from connectors.wechat_errors import BEIJING

PAGE = 1000
FIRST = timedelta(hours=24)
OVERLAP = timedelta(minutes=10)
SERVICER_SENT = 2002
LATE_S = 2  # how far behind the newest record of a page an equal one may still come on the next

_PLACEHOLDERS = {"[image]": "image", "[voice]": "voice", "[video]": "video"}


@dataclass(frozen=True, slots=True)
class Walk:
    """`seen`: the records up to here are stored. A walk in progress asks for `at`..`stop` of one
    Beijing day (the platform refuses more) from `msgid` on, until it has come to `end`. `alike`: of the
    last seconds before `msgid`, how many records there were of each kind."""

    seen: int | None
    at: int
    end: int | None
    msgid: int
    alike: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def resume(cls, cursor: str | None, now: datetime) -> Walk:
        told = _object(cursor)
        end = int(now.timestamp())
        seen, walk = told.get("seen"), mapping(told.get("walk"))
        if all(type(walk.get(one)) is int for one in ("at", "end", "msgid")):
            alike = {
                mark: count
                for mark, count in mapping(walk.get("alike")).items()
                if type(count) is int
            }
            return cls(seen, walk["at"], walk["end"], walk["msgid"], alike)
        if type(seen) is not int or not 0 < seen < 2**33:
            return cls(None, end - int(FIRST.total_seconds()), end, 1)
        return cls(seen, min(seen, end) - int(OVERLAP.total_seconds()), end, 1)

    @property
    def stop(self) -> int:
        """The last second to ask for: of this walk, or of the day."""
        day = datetime.fromtimestamp(self.at, BEIJING)
        last = int(day.replace(hour=23, minute=59, second=59, microsecond=0).timestamp())
        return last if self.end is None else min(self.end, last)

    def after(self, count: int, following: int, alike: Mapping[str, int]) -> Walk:
        """The walk once a page of `count` records is stored, `following` being the msgid that the
        platform names for the next one; `end` is None when there is no more to ask for.

        A full page that names no next one ends the walk with `seen` where it was: asked for again.
        """
        if count >= PAGE:
            if following <= self.msgid:
                return self._over(self.seen)
            return replace(self, msgid=following, alike=alike)
        if self.end is not None and self.stop < self.end:
            return replace(self, at=self.stop + 1, msgid=1, alike={})
        return self._over(self.end)

    def _over(self, seen: int | None) -> Walk:
        return replace(self, seen=seen, end=None)

    def told(self) -> str:
        """The cursor."""
        walk: dict[str, Any] | None = None
        if self.end:
            walk = {"at": self.at, "end": self.end, "msgid": self.msgid}
            if self.alike:
                walk["alike"] = dict(self.alike)
        return json.dumps({"seen": self.seen, "walk": walk})


def _object(cursor: str | None) -> dict[str, Any]:
    try:
        return mapping(json.loads(cursor or "{}"))
    except ValueError:
        return {}


def sent(
    records: Sequence[Any], before: Mapping[str, int]
) -> tuple[list[Message], Mapping[str, int]]:
    """Our servicers' messages among the records, and what the next page must know as `before`.

    A record has no id: it is a digest of its fields and of how many equal ones stand before it, on earlier
    pages too.
    """
    alike = Counter(before)
    times: dict[str, int] = {}
    messages = []
    for one in records:
        record = mapping(one)
        if native(record.get("opercode")) != str(SERVICER_SENT):
            continue
        told = tuple(record.get(part) for part in ("openid", "opercode", "time", "text"))
        mark = joined(*told)[:16]
        messages.append(_record(record, native_id=joined(*told, alike[mark])))
        alike[mark] += 1
        times[mark] = integer(record.get("time"))
    newest = max(times.values(), default=0)
    near = {mark: alike[mark] for mark, at in times.items() if at >= newest - LATE_S}
    return messages, near or dict(before)


def _record(record: dict[str, Any], *, native_id: str) -> Message:
    marks: list[str] = []
    text = words(record.get("text"), marks)
    media = _PLACEHOLDERS.get(text or "")
    worker = native(record.get("worker"))  # an account such as kf2001@brand
    sent_at = parse_time(record.get("time"))
    if sent_at is None:
        marks.append("time.missing")
    return Message(
        native_id=native_id,
        platform="wechat",
        kind=Kind.DIRECT_MESSAGE,
        direction=Direction.OUTBOUND,
        author=Author(native_id=worker) if worker else None,
        text=None if media else text,
        sent_at=sent_at,
        person=native(record.get("openid")),
        attachments=(Attachment(media),) if media else (),
        raw=raw_json(record),
        marks=tuple(marks),
    )
