"""Small loopback servers with the memory of Slack and Zendesk, and notices to send them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from aggregator.destinations.example import NOW, example
from aggregator.model import Author, Card, Direction, Kind, Notice, NoticeKind, Receipt, Said
from aggregator.sandbox.base import Answer, Request, Standin, answer

TOKEN = "xoxb-CANARY-0f6f0b1e"
ROOM = "C0SOCIAL"


class Room(Standin):
    """A Slack workspace with one room. `errors_next` are words to answer with, in order, before anything is done."""

    name = "room"

    def __init__(self) -> None:
        super().__init__(lambda: NOW)
        self.messages: list[dict[str, Any]] = []
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.say_no: list[str] = []
        self.no_headers: Mapping[str, str] = {}
        self.unreadable: str | None = None
        for method in ("auth.test", "chat.postMessage", "chat.update"):
            self.route("POST", "/api/" + method.replace(".", r"\."), self._method)
        for method in ("conversations.history", "conversations.replies"):
            self.route("POST", "/api/" + method.replace(".", r"\."), self._method)

    def _method(self, request: Request, match: Any) -> Answer:
        method = request.path.rpartition("/")[2]
        is_json = request.headers["content-type"].startswith("application/json")
        asked = request.json() if is_json else request.form()
        self.asked.append((method, asked))
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return answer({"ok": False, "error": "invalid_auth"})
        if self.say_no:
            return answer({"ok": False, "error": self.say_no.pop(0)}, headers=self.no_headers)
        return getattr(self, "_" + method.replace(".", "_"))(asked)

    def _auth_test(self, asked: dict[str, Any]) -> Answer:
        return answer(
            {"ok": True, "url": "https://acme.slack.com/", "team": "Acme", "user": "inboxd"}
        )

    def _chat_postMessage(self, asked: dict[str, Any]) -> Answer:
        ts = f"{int(NOW.timestamp()) + len(self.messages)}.{len(self.messages):06d}"
        self.messages.append({**asked, "ts": ts, "type": "message"})
        return answer({"ok": True, "channel": asked["channel"], "ts": ts, "message": {}})

    def _chat_update(self, asked: dict[str, Any]) -> Answer:
        for message in self.messages:
            if message["ts"] == asked["ts"]:
                message.update(asked)
                return answer({"ok": True, "channel": asked["channel"], "ts": asked["ts"]})
        return answer({"ok": False, "error": "message_not_found"})

    def _conversations_history(self, asked: dict[str, Any]) -> Answer:
        return self._listed(asked, [one for one in self.messages if "thread_ts" not in one])

    def _conversations_replies(self, asked: dict[str, Any]) -> Answer:
        return self._listed(
            asked, [one for one in self.messages if one.get("thread_ts") == asked["ts"]]
        )

    def _listed(self, asked: dict[str, Any], found: list[dict[str, Any]]) -> Answer:
        if self.unreadable:
            return answer({"ok": False, "error": self.unreadable})
        oldest = float(asked.get("oldest", 0))
        found = [one for one in found if float(one["ts"]) >= oldest]
        shown = [one if asked.get("include_all_metadata") else {} for one in reversed(found)]
        start = int(asked.get("cursor") or 0)
        size = min(int(asked["limit"]), 3)  # small pages, so that there are several
        more = {"next_cursor": str(start + size)} if start + size < len(shown) else {}
        return answer(
            {"ok": True, "messages": shown[start : start + size], "response_metadata": more}
        )


@contextmanager
def running(server: Standin) -> Iterator[Standin]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


def card(language: str = "zh", **changes: Any) -> Notice:
    """The example's card; `changes` go to the notice."""
    return replace(example(language), **changes)


def carded(notice: Notice, **changes: Any) -> Notice:
    """The same with another card."""
    assert notice.card is not None
    return replace(notice, card=replace(notice.card, **changes))


def with_text(notice: Notice, text: str | None) -> Notice:
    assert notice.card is not None
    return carded(notice, latest=replace(notice.card.latest, text=text))


def message(text: str = "在吗？快回复！", *, earlier: Receipt | None = None) -> Notice:
    said = Said(
        id=5,
        direction=Direction.INBOUND,
        kind=Kind.MENTION,
        author=Author("2803301701", "林小满"),
        text=text,
        at=NOW - timedelta(minutes=1),
        url="https://social.example/posts/5",
    )
    return card(
        kind=NoticeKind.MESSAGE,
        key="message:5:social",
        message=said,
        earlier=earlier,
        mentions=(),
        since=NOW - timedelta(seconds=1),
    )


def ops(text: str = "微博 weibo_acme 的令牌 3 天后过期") -> Notice:
    return card(kind=NoticeKind.OPS, key="ops:token:1", card=None, text=text, mentions=())


def digest(*cards: Card, count: int = 0) -> Notice:
    return card(kind=NoticeKind.DIGEST, key="backfill:1", digest=cards, count=count, card=None)


def every_kind() -> list[Notice]:
    given = example("zh").card
    assert given is not None
    return [card(), message(), ops(), digest(given, given, count=7)]
