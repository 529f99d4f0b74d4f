"""What became of posts that we have: withdrawn ones say so only when they are asked for by id.

Optional (`deletions: daily`), since X bills each post that is still there. The ids are those of the newest
posts that other streams brought, in the Keep.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from aggregator.model import Direction, Kind, Message, Page
from connectors.base import Keep, Now
from connectors.payload import mapping, native
from connectors.x.client import Client
from connectors.x.cursor import instant, moment
from connectors.x.ids import number
from connectors.x.posts import Includes, post_message
from connectors.x.prices import Ledger

NAME = "deletions"
RECENT = "recent"  # the row of the Keep: [first id, newest id, hidden] each
MOST = 100  # one call, and at most so many posts billed
EVERY = timedelta(days=1)
RACES = 8


class Deletions:
    def __init__(self, *, client: Client, ledger: Ledger, keep: Keep, me: str, now: Now) -> None:
        self._client = client
        self._ledger = ledger
        self._keep = keep
        self._me = me
        self._now = now

    def note(self, messages: Iterable[Message]) -> None:
        """Remember what customers posted, to ask for it later."""
        new = {
            one.native_id: native(_raw(one).get("id")) or one.native_id
            for one in messages
            if one.direction is Direction.INBOUND
            and one.kind is Kind.MENTION
            and number(one.native_id) is not None
        }
        if not new:
            return
        for _ in range(RACES):
            raw = self._keep.get(RECENT)
            known = _rows(raw)
            rows = {**known, **{first: (last, False) for first, last in new.items()}}
            kept = sorted(rows, key=int)[-MOST:]
            text = _text({first: rows[first] for first in kept})
            if text == raw or self._keep.swap(RECENT, raw, text):
                return

    def poll(self, cursor: str | None) -> Page:
        """Once a day, one call: tombstones for what is gone or hidden, and what came back."""
        now = self._now()
        due = _due(cursor)
        if due is not None and due > now:
            return Page((), cursor)
        after = json.dumps({"due": moment(now + EVERY)})
        raw = self._keep.get(RECENT)
        rows = _rows(raw)
        if not rows:
            return Page((), after)
        self._ledger.size(NAME, MOST, least=len(rows), kind="post")
        found = self._client.lookup([last for last, _ in rows.values()])
        self._ledger.read(NAME, "post", found.data, found.includes)
        firsts = {last: first for first, (last, _) in rows.items()}
        messages = []
        for error in map(mapping, found.errors):
            last = native(error.get("resource_id")) or native(error.get("value"))
            first = firsts.get(last or "")
            hidden = str(error.get("type")).endswith("not-authorized-for-resource")
            gone = str(error.get("type")).endswith("resource-not-found")
            if first is None or not (hidden or gone):
                continue
            if not rows[first][1]:
                messages.append(_tombstone(first, found.at, hidden=hidden))
            if gone:
                del rows[first]
            else:
                rows[first] = (rows[first][0], True)
        includes = Includes(found.includes)
        for post in map(mapping, found.data):
            first = firsts.get(native(post.get("id")) or "")
            if first is None or not rows[first][1]:
                continue
            message = post_message(post, includes, me=self._me, ours=False)
            messages.append(replace(message, restored_at=found.at))
            rows[first] = (rows[first][0], False)
        # A lost race leaves what was told to be told again: a repeat, which is known.
        self._keep.swap(RECENT, raw, _text(rows))
        return Page(tuple(messages), after)


def _tombstone(first: str, at: datetime, *, hidden: bool) -> Message:
    return Message(
        native_id=first,
        platform="x",
        kind=Kind.MENTION,
        direction=Direction.INBOUND,
        author=None,
        text=None,
        sent_at=None,
        deleted_at=at,
        marks=("hidden",) if hidden else (),
    )


def _due(cursor: str | None) -> datetime | None:
    try:
        told = json.loads(cursor) if cursor else {}
        return instant(told["due"]) if told else None
    except (ValueError, TypeError, KeyError, OverflowError):
        return None


def _rows(raw: str | None) -> dict[str, tuple[str, bool]]:
    try:
        rows = json.loads(raw) if raw else []
        return {str(first): (str(last), bool(hidden)) for first, last, hidden in rows}
    except (ValueError, TypeError):
        return {}


def _text(rows: dict[str, tuple[str, bool]]) -> str:
    every = [[first, last, int(hidden)] for first, (last, hidden) in rows.items()]
    return json.dumps(every, separators=(",", ":"))


def _raw(message: Message) -> dict[str, Any]:
    try:
        return mapping(json.loads(message.raw))
    except ValueError:
        return {}
