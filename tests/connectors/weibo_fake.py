"""Weibo's lists as a loopback platform answers them, and how the tests walk through one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from aggregator.sandbox.base import Answer, Request, answer
from connectors.weibo import Weibo, WeiboOptions
from connectors.weibo.walk import id_at
from tests.connectors.loopback import T0, Clock, Loopback, MemoryKeep, platform

US = "1655548273"
TOKEN = "2.00never-told"
NOW = int(T0.timestamp())
PATHS = {
    "mentions": ("/2/statuses/mentions.json", "statuses"),
    "comments": ("/2/comments/to_me.json", "comments"),
    "comment_mentions": ("/2/comments/mentions.json", "comments"),
    "own_comments": ("/2/comments/by_me.json", "comments"),
}


def item(ago_s: int, n: int = 0, **more: Any) -> dict[str, Any]:
    id = id_at(NOW - ago_s) + n
    at = datetime.fromtimestamp(NOW - ago_s, UTC).strftime("%a %b %d %H:%M:%S +0000 %Y")
    user = {"id": 3900112233, "idstr": "3900112233", "screen_name": "小满爱跑步"}
    post = {"id": id_at(NOW - 99999), "user": {"id": int(US)}}
    return {"id": id, "idstr": str(id), "text": "坏了", "created_at": at, "user": user} | (
        {"status": post} | more
    )


class Weibos:
    """Lists newest first, since_id exclusive, max_id inclusive, as the pages say."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.error: tuple[int, Any] | None = None
        self.reset: Any = 1234
        self.cap = 200
        self.short = 0
        self.tells_end = True
        self.long = "全文"
        self.served = 0
        self.limit = 10**7
        self.unread = 0

    def say(self, request: Request) -> Answer:
        if request.path == "/oauth2/get_token_info":
            assert request.form()["access_token"] == TOKEN
            told = {"uid": US, "appkey": "8812", "scope": "", "create_at": 1, "expire_in": 864000}
            return answer(told)
        assert request.headers["authorization"] == f"OAuth2 {TOKEN}"
        assert TOKEN not in request.raw_query
        if request.path == "/2/account/rate_limit_status.json":
            left = {"user_limit": self.limit, "remaining_user_hits": self.limit}
            return answer({"reset_time_in_seconds": self.reset, **left})
        if request.path == "/2/remind/unread_count.json" and self.error is None:
            self.unread += 1  # there is always news: the planner has tests of its own
            return answer(dict.fromkeys(("mention_status", "mention_cmt", "cmt"), self.unread))
        if self.error is not None:
            status, code = self.error
            return answer({"error": "some_words", "error_code": code, "request": "/2/"}, status)
        if request.path == "/2/users/show.json":
            return answer({"id": int(US), "screen_name": "Lumo官方"})
        if request.path == "/2/statuses/show.json":
            assert request.query["isGetLongText"] == "1"
            return answer({"text": "短", "longText": {"longTextContent": self.long}})
        return self.listed("statuses" if "/statuses/" in request.path else "comments", request)

    def listed(self, key: str, request: Request) -> Answer:
        since, count = int(request.query.get("since_id", 0)), int(request.query["count"])
        top = int(request.query.get("max_id", 0)) or 1 << 70
        found = [one for one in self.items if since < one["id"] <= top]
        found.sort(key=lambda one: -one["id"])
        page = found[: min(count, self.cap)]
        rest = found[len(page) :]
        page = page[self.short :] if len(page) > self.short else page  # hidden ones leave gaps
        self.served += len(page)
        following = rest[0]["id"] if rest else 0
        envelope = {"hasvisible": False, "total_number": len(self.items) + 3}
        more = {"next_cursor": following} if self.tells_end else {}
        return Answer(json.dumps({key: page, **envelope, **more}).encode())


@contextmanager
def weibos(**more: Any) -> Iterator[tuple[Weibos, Loopback, Weibo, Clock]]:
    told, clock = Weibos(), Clock()
    with platform(told.say) as server:
        given = {"uid": US, "access_token": TOKEN, "base_url": server.base_url, **more}
        account = Weibo(WeiboOptions(**given), keep=MemoryKeep(), now=clock)
        yield told, server, account, clock


def metered(server: Loopback) -> list[Request]:
    free = ("/2/account/rate_limit_status.json", "/2/remind/unread_count.json")
    return [one for one in server.requests if one.path not in free]


def walk(account: Weibo, cursor: str | None, stream: str = "mentions") -> tuple[list[str], str]:
    ids: list[str] = []
    for _ in range(100):
        page = account.poll(stream, cursor)
        ids += [one.native_id for one in page.messages]
        cursor = page.cursor
        assert cursor is not None
        if not page.more:
            return ids, cursor
    raise AssertionError("the walk does not end")


def seen(cursor: str | None) -> int:
    found: int = json.loads(cursor or "")["seen"]
    return found
