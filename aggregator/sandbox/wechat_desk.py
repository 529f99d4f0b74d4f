"""Who may be answered by a WeChat Official Account: followers, within 48 hours or a minute, so many times."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from aggregator.sandbox.base import Answer, Request
from aggregator.sandbox.wechat_tokens import errcode

WINDOW, WINDOW_MESSAGES = timedelta(hours=48), 5  # after a message, since 2023-06-12
MOMENT, MOMENT_MESSAGES = timedelta(minutes=1), 3  # after following, a scan or a tap on the menu
MOMENTS = frozenset({"subscribe", "SCAN", "CLICK", "scancode_push", "scancode_waitmsg"})
MOST_BYTES = 2048


class Desk:
    """Answers message/custom/send; the stand-in's lock is held by whoever calls.

    Knobs: `allowed` (else 48001), `blocked` (openids that refuse messages: 43101).
    """

    def __init__(
        self, now: Callable[[], datetime], sent: Callable[[str, datetime, str], object]
    ) -> None:
        self.allowed = True
        self.blocked: set[str] = set()
        self.sent: list[dict[str, object]] = []
        self.typing: list[tuple[str, str]] = []
        self._now = now
        self._sent = sent
        self._quota: dict[str, tuple[datetime, int]] = {}  # the end of the window, and what is left
        self._gone: set[str] = set()

    def heard(self, openid: str, at: datetime) -> None:
        self._quota[openid] = (at + WINDOW, WINDOW_MESSAGES)
        self._gone.discard(openid)

    def happened(self, openid: str, event: str, at: datetime) -> None:
        """An event opens a moment where nothing longer is open; leaving closes everything."""
        if event == "unsubscribe":
            self._gone.add(openid)
        elif event in MOMENTS:
            self._gone.discard(openid)
            ends, left = self._quota.get(openid, (at, 0))
            if ends <= at or left == 0:
                self._quota[openid] = (at + MOMENT, MOMENT_MESSAGES)

    def send(self, request: Request, match: re.Match[str]) -> Answer:
        if b"\\u" in request.body:
            return errcode(40033, "invalid charset. please check your request")
        try:
            asked = request.json()
            openid, kind = asked["touser"], asked["msgtype"]
            content = asked[kind]["content"] if kind == "text" else asked[kind]
        except (KeyError, TypeError, ValueError):
            return errcode(47001, "data format error")
        refused = self._refuse(openid, content)
        if refused is not None:
            return refused
        ends, left = self._quota[openid]
        self._quota[openid] = (ends, left - 1)
        self.sent.append(asked)
        self._sent(openid, self._now(), content if isinstance(content, str) else f"[{kind}]")
        return errcode(0, "ok")

    def _refuse(self, openid: str, content: object) -> Answer | None:
        if not self.allowed:
            return errcode(48001, "api unauthorized")
        if not content:
            return errcode(44004, "empty content")
        if isinstance(content, str) and len(content.encode()) > MOST_BYTES:
            return errcode(45002, "content size out of limit")
        if openid in self._gone:
            return errcode(43004, "require subscribe")
        if openid in self.blocked:
            return errcode(43101, "user refuse to accept the msg")
        ends, left = self._quota.get(openid, (None, 0))
        if ends is None or self._now() > ends:
            return errcode(45015, "response out of time limit or subscription is canceled")
        if left <= 0:
            return errcode(45047, "out of response count limit")
        return None

    def show_typing(self, request: Request, match: re.Match[str]) -> Answer:
        try:
            asked = request.json()
            openid, command = asked["touser"], asked["command"]
        except (KeyError, TypeError, ValueError):
            return errcode(47001, "data format error")
        if command not in ("Typing", "CancelTyping"):
            return errcode(40035, "invalid parameter")
        ends, _ = self._quota.get(openid, (None, 0))
        if ends is None or self._now() > ends:
            return errcode(45081, "not in a conversation")
        self.typing.append((openid, command))
        return errcode(0, "ok")
