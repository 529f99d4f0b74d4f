"""The log of WeChat's customer service: what was said in the official console, paged by an id nobody sees."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aggregator.sandbox.base import Answer, Request, answer
from aggregator.sandbox.wechat_tokens import errcode

DAY_S = 24 * 3600
RECEIVED, SENT = 2003, 2002  # opercode, as the servicer sees it


@dataclass(frozen=True, slots=True)
class Record:
    """A row; `id` is never told, only used to page."""

    id: int
    openid: str
    opercode: int
    time: int
    text: str
    worker: str

    @property
    def same(self) -> tuple[str, int, int, str]:
        return (self.openid, self.opercode, self.time, self.text)


class Records:
    """Knobs: `enabled` (else 65400), `page_most` (rows on a page, whatever `number` says)."""

    def __init__(self, day: Callable[[float], str]) -> None:
        self.enabled = True
        self.page_most = 10_000
        self.rows: list[Record] = []
        self._day = day
        self._equal: Counter[tuple[str, int, int, str]] = Counter()

    def add(self, openid: str, opercode: int, at: datetime, text: str, worker: str) -> str:
        """A row; the digest that stands for its missing id.

        The digest is over openid, opercode, time, text and the count of equal rows before it.
        """
        row = Record(
            len(self.rows) + 20_000_000, openid, opercode, int(at.timestamp()), text, worker
        )
        ordinal = self._equal[row.same]
        self._equal[row.same] += 1
        self.rows.append(row)
        words = f"{openid}|{opercode}|{row.time}|{text}|{ordinal}"
        return hashlib.sha256(words.encode()).hexdigest()[:32]

    def list(self, request: Request, match: re.Match[str]) -> Answer:
        if not self.enabled:
            return errcode(65400, "please enable new custom service, or wait for a while")
        try:
            asked = request.json()
            start, end, after, number = (
                _whole(asked[name]) for name in ("starttime", "endtime", "msgid", "number")
            )
        except (KeyError, TypeError, ValueError):
            return errcode(65416, "invalid argument")
        if not 1 <= number <= 10_000 or after < 1:
            return errcode(65416, "invalid argument")
        last = max(start, end - 1)
        if end < start or end - start > DAY_S or self._day(start) != self._day(last):
            return errcode(65417, "the time range is not inside one day")
        found = [row for row in self.rows if row.id > after and start <= row.time <= end]
        page = found[: min(number, self.page_most)]
        return answer(
            {
                "recordlist": [
                    {
                        "openid": row.openid,
                        "opercode": row.opercode,
                        "text": row.text,
                        "time": row.time,
                        "worker": row.worker,
                    }
                    for row in page
                ],
                "number": len(page),
                "msgid": page[-1].id if page else after,
            }
        )

    def waiting(self, request: Request, match: re.Match[str]) -> Answer:
        latest: dict[str, int] = {}
        for row in self.rows:
            if row.opercode == RECEIVED:
                latest[row.openid] = row.time
            else:
                latest.pop(row.openid, None)
        cases = [{"latest_time": time, "openid": openid} for openid, time in latest.items()]
        return answer({"count": len(cases), "waitcaselist": cases[:100]})


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("not a whole number")
    return value
