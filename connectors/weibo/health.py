"""Who we are at Weibo, what is allowed, and for how long: the free calls first, since the others are few."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Identity
from connectors.base import Keep, Now
from connectors.payload import integer, mapping, name, native
from connectors.weibo.api import Api
from connectors.weibo.lists import LISTS, Lists, metered
from connectors.weibo.planner import Planner

_ROW = "checked"
FRESH_S = 86_400  # what a stream answered is believed for a day: a probe is one call of a hundred
_NEAR = timedelta(days=14)


class Health:
    """`check` costs no call where a day's answers are known, and one a stream where they are not."""

    def __init__(
        self,
        api: Api,
        lists: Lists,
        planner: Planner,
        *,
        uid: str,
        commercial: bool,
        link: Callable[[Any], str],
        keep: Keep,
        now: Now,
    ) -> None:
        self._api = api
        self._lists = lists
        self._planner = planner
        self._uid = uid
        self._planned = metered(commercial=commercial)
        self._link = link
        self._keep = keep
        self._now = now
        self._seen: dict[str, float] = {}

    def check(self, notes: list[str]) -> Identity:
        told = self._api.token_info()
        owner = native(told.get("uid"))
        again = self._link(told.get("appkey"))
        if owner not in (None, self._uid):
            raise Unauthorized(
                "the token belongs to another account than uid",
                remedy=f"set uid to {owner}, or {again}",
            )
        left, now = integer(told.get("expire_in")), self._now()
        ends = now + timedelta(seconds=left) if left > 0 else None
        if ends is not None and ends - now <= _NEAR:
            notes.append(f"the token ends in {left // 86_400} days: {again}")
        row = self._row()
        streams = {stream: self._state(stream, row) for stream in LISTS}
        who = self._who(row)
        text = json.dumps(row)
        self._keep.swap(_ROW, self._keep.get(_ROW), text)  # lost to another check: it knows as much
        calls = self._planner.calls()
        notes.append(f"{max(calls.limit - calls.used, 0)} of {calls.limit} calls left")
        return Identity(
            native_id=self._uid,
            name=who,
            streams=streams,
            token_expires_at=ends,
            note="; ".join(notes),
        )

    def saw(self, stream: str) -> None:
        """A stream was read: no probe needs to find that out."""
        now = self._now().timestamp()
        if now - self._seen.get(stream, float("-inf")) < FRESH_S / 4:
            return
        self._seen[stream] = now
        old = self._keep.get(_ROW)
        self._keep.swap(_ROW, old, json.dumps({**self._row(), stream: self._entry("ok")}))

    def _state(self, stream: str, row: dict[str, Any]) -> str:
        known = mapping(row.get(stream))
        if not self._old(known, FRESH_S) and known.get("state") == "ok":
            return "ok"
        state = self._probe(stream)
        if state == "ok":
            row[stream] = self._entry(state)
        else:
            row.pop(stream, None)
        return state

    def _probe(self, stream: str) -> str:
        """`ok`, or why not: `denied: …`, `quota: …`. A dead token raises Unauthorized: no stream is allowed."""
        try:
            if stream in self._planned and not self._planner.extra():
                calls = self._planner.calls()
                return f"quota: not asked, {calls.limit} calls a day are used or kept for answers"
            self._lists.listed(stream, {"count": 1})
        except RateLimited as error:
            return f"quota: {error.reason}"
        except Rejected as error:
            return f"denied: {error.reason}"
        return "ok"

    def _who(self, row: dict[str, Any]) -> str | None:
        known = mapping(row.get("name"))
        if not self._old(known, 7 * FRESH_S):
            return name(known.get("state"))
        try:
            if not self._planner.extra():
                return name(known.get("state"))
            found = mapping(self._api.get("users/show", {"uid": self._uid}))
        except (Rejected, Unavailable):
            return name(known.get("state"))
        screen_name = name(found.get("screen_name"))
        if screen_name is not None:
            row["name"] = self._entry(screen_name)
        return screen_name

    def _entry(self, state: str) -> dict[str, Any]:
        return {"state": state, "at": int(self._now().timestamp())}

    def _old(self, entry: Any, seconds: float) -> bool:
        return self._now().timestamp() - integer(mapping(entry).get("at")) > seconds

    def _row(self) -> dict[str, Any]:
        try:
            return dict(mapping(json.loads(self._keep.get(_ROW) or "{}")))
        except ValueError:
            return {}
