"""Who may speak to a WeCom customer: the session's state, the 48 hours and the five messages."""

from __future__ import annotations

import re
import secrets
from collections import Counter, deque
from collections.abc import Callable, Mapping
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
    """Handlers raise KeyError, TypeError or ValueError on bodies that make no sense; the stand-in answers.

    `event` puts a system event into the stream: (type, customer, more). Knob: `fail_next`, the fail_type of
    the next sends, which are taken and do not arrive.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        open_kfid: str,
        servicer: str,
        event: Callable[[str, str, Mapping[str, Any]], object],
    ) -> None:
        self.fail_next: deque[int] = deque()
        self.sent: dict[str, dict[str, Any]] = {}  # by msgid; never in the stream
        self.states: dict[str, int] = {}
        self._now = now
        self._open_kfid = open_kfid
        self._servicer = servicer
        self._event = event
        self._codes: dict[str, str] = {}  # single use, for words at the end: code → customer
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
        self._change(customer, HUMAN)

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
        if self.fail_next:
            more = {"fail_msgid": native_id, "fail_type": self.fail_next.popleft()}
            self._event("msg_send_fail", customer, more)
        return errcode(0, "ok", msgid=native_id)

    def send_on_event(self, request: Request, match: re.Match[str]) -> Answer:
        """The words at a session's end: each code once."""
        asked = request.json()
        if not asked[asked["msgtype"]]:
            return errcode(40058, "invalid Request Parameter")
        if self._codes.pop(asked["code"], None) is None:
            return errcode(95007, "invalid code")
        native_id = asked.get("msgid") or secrets.token_urlsafe(20)
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
        code = self._change(customer, state)
        return errcode(0, "ok", **({"msg_code": code} if code else {}))

    def _change(self, customer: str, state: int) -> str | None:
        """Into another state, with the event that tells of it; the code for the words at an end."""
        before, self.states[customer] = self.states.get(customer, NEW), state
        if state == ENDED:
            code = secrets.token_urlsafe(16)
            self._codes[code] = customer
            more = {"change_type": 3, "old_servicer_userid": self._servicer, "msg_code": code}
            self._event("session_status_change", customer, more)
            return code
        if state == HUMAN and before != HUMAN:
            more = {"change_type": 1, "new_servicer_userid": self._servicer}
            self._event("session_status_change", customer, more)
        return None
