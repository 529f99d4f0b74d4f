"""Who may speak to a WeCom customer: the session's state, the 48 hours and the five messages."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from aggregator.sandbox.base import Answer, Request, answer

WINDOW = timedelta(hours=48)
WINDOW_MESSAGES = 5
NEW, BOT, POOL, HUMAN, ENDED = range(5)  # service_state


def errcode(code: int, message: str, **more: Any) -> Answer:
    """The shape of every answer: the HTTP status is 200 also where it is a refusal."""
    return answer({"errcode": code, "errmsg": message, **more})


class Desk:
    """Handlers raise KeyError, TypeError or ValueError on bodies that make no sense; the stand-in answers."""

    def __init__(self, now: Callable[[], datetime], open_kfid: str, servicer: str) -> None:
        self.sent: dict[str, dict[str, Any]] = {}  # by msgid; never in the stream
        self.states: dict[str, int] = {}
        self._now = now
        self._open_kfid = open_kfid
        self._servicer = servicer
        self._last_inbound: dict[str, datetime] = {}
        self._sent_since: Counter[str] = Counter()

    def heard(self, customer: str, at: datetime) -> None:
        """The customer wrote: the window opens anew, and an ended session begins again."""
        self._last_inbound[customer] = at
        self._sent_since[customer] = 0
        if self.states.get(customer) == ENDED:
            self.states[customer] = NEW

    def answered(self, customer: str) -> None:
        """A colleague wrote in the client: the session is a human's."""
        self.states[customer] = HUMAN

    def send(self, request: Request, match: re.Match[str]) -> Answer:
        asked = request.json()
        customer, kind = asked["touser"], asked["msgtype"]
        native_id = asked.get("msgid") or secrets.token_urlsafe(20)
        if asked["open_kfid"] != self._open_kfid:
            return errcode(95000, "invalid open_kfid")
        if not asked[kind] or not re.fullmatch(r"[0-9a-zA-Z_-]{1,32}", native_id):
            return errcode(40058, "invalid Request Parameter")
        if native_id in self.sent:  # our own id is the idempotency handle
            return errcode(0, "ok", msgid=native_id)
        if self.states.get(customer, NEW) not in (NEW, BOT):
            return errcode(95018, "send msg session status invalid")
        last = self._last_inbound.get(customer)
        if last is None or self._now() - last > WINDOW:
            return errcode(95002, "send msg time limit")
        if self._sent_since[customer] >= WINDOW_MESSAGES:
            return errcode(95001, "send msg count limit")
        self._sent_since[customer] += 1
        self.sent[native_id] = asked
        return errcode(0, "ok", msgid=native_id)

    def state(self, request: Request, match: re.Match[str]) -> Answer:
        state = self.states.get(request.json()["external_userid"], NEW)
        more = {"servicer_userid": self._servicer} if state == HUMAN else {}
        return errcode(0, "ok", service_state=state, **more)

    def transfer(self, request: Request, match: re.Match[str]) -> Answer:
        asked = request.json()
        customer, state = asked["external_userid"], asked["service_state"]
        if state not in range(5) or self.states.get(customer, NEW) == ENDED:
            return errcode(95016, "illegal change of the session's status")
        if state == HUMAN and asked.get("servicer_userid") != self._servicer:
            return errcode(40058, "servicer_userid is required")
        self.states[customer] = state
        return errcode(0, "ok", msg_code=secrets.token_urlsafe(16))
