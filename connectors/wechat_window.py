"""What a customer's message opens: five answers in 48 hours, counted in the Keep, and each sent at most once.

An official account's window and WeCom's are alike. Pages:
https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Service_Center_messages.html and
https://developer.work.weixin.qq.com/document/path/94677
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from aggregator.errors import Rejected, Unauthorized, Unavailable
from aggregator.model import Direction, Message, ReplyWindow
from connectors.base import Keep, Now
from connectors.fields import scrub
from connectors.payload import integer, items, joined, mapping

LASTS = timedelta(hours=48)
MOST = 5
BRIEF = timedelta(minutes=1)  # after following, scanning a code or tapping the menu
BRIEF_MOST = 3
LONGEST = 2048  # bytes of UTF-8
KEPT = timedelta(hours=96)
CLOCKS_DIFFER = timedelta(minutes=2)
BUCKETS = (
    16  # rows of the Keep: people are spread over them, and forgotten when nothing is left to count
)
RACES = 8


@dataclass(frozen=True, slots=True)
class Attempt:
    """One answer of ours, by the caller's key. `sent`: the platform has said so; else nobody knows."""

    at: datetime
    sent: bool
    words: str  # a digest


@dataclass(frozen=True, slots=True)
class Event:
    """What a customer did without writing. `follows`: False when it was to leave us."""

    person: str
    at: datetime
    follows: bool = True


def byte_length(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def checked(text: str) -> str:
    """The words as they are sent. Raises Rejected for none, or too many."""
    clean, _ = scrub(text)
    if not clean.strip():
        raise Rejected("an answer without words")
    if byte_length(clean) > LONGEST:
        raise Rejected(
            f"the answer has {byte_length(clean)} bytes, and {LONGEST} are allowed"
            " (a Chinese character has three)"
        )
    return clean


class Windows:
    """The windows of one account's customers. What a customer wrote is not kept here: whoever answers
    brings the newest message, and its time is where the window begins."""

    def __init__(self, keep: Keep, now: Now) -> None:
        self._keep = keep
        self._now = now

    def put(self, messages: Sequence[Message]) -> list[Message]:
        """The messages, each of a customer's with the window that it opens."""
        rows: dict[str, dict[str, Any]] = {}
        return [self._with_window(one, rows) for one in messages]

    def _with_window(self, one: Message, rows: dict[str, dict[str, Any]]) -> Message:
        if one.direction is not Direction.INBOUND or one.person is None or one.sent_at is None:
            return one
        if one.deleted_at is not None:
            return one
        left = max(0, MOST - _since(self._row_of(one.person, rows), one.sent_at))
        return replace(one, reply_window=ReplyWindow(one.sent_at + LASTS, left))

    def attempt(self, person: str, key: str) -> Attempt | None:
        """The earlier attempt at the answer `key`, of the last four days."""
        mine = self._row_of(person, {})
        return _attempt(mapping(mine.get("sent")).get(_mark(key)))

    def of_others(self, messages: Sequence[Message]) -> list[Message]:
        """The messages without those that `once` has sent: whoever asked for them holds them already."""
        rows: dict[str, dict[str, Any]] = {}
        return [one for one in messages if not self._is_mine(one, rows)]

    def _is_mine(self, one: Message, rows: dict[str, dict[str, Any]]) -> bool:
        if one.person is None or one.text is None or one.sent_at is None:
            return False
        mine = self._row_of(one.person, rows)
        tries = (_attempt(entry) for entry in mapping(mine.get("sent")).values())
        words = _mark(one.text)
        return any(
            each is not None
            and each.sent
            and each.words == words
            and abs(each.at - one.sent_at) <= CLOCKS_DIFFER
            for each in tries
        )

    def _row_of(self, person: str, rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
        bucket = _bucket(person)
        if bucket not in rows:
            rows[bucket] = _read(self._keep.get(bucket))
        return mapping(rows[bucket].get(person))

    def once(
        self, person: str, opened_at: datetime | None, key: str, text: str, send: Callable[[], Any]
    ) -> tuple[datetime, ReplyWindow]:
        """`send`, if the window allows it; when it was sent, and the window after it.

        It is counted before, and taken back only where it surely was not sent; the same key counts once.
        Raises Rejected where the window is closed or used up, else what `send` raises.
        """
        at = self._now()
        window = self._take(person, opened_at or at, key, text, at)
        try:
            send()
        except Unavailable as error:
            if not error.maybe_done:
                self._settle(person, key, sent=False)
            raise
        except (Rejected, Unauthorized):
            self._settle(person, key, sent=False)
            raise
        try:
            self._settle(person, key, sent=True)
        except Unavailable as error:
            error.maybe_done = True
            raise
        return at, window

    def confirm(self, person: str, key: str) -> None:
        """The platform says now that the answer `key` was sent."""
        self._settle(person, key, sent=True)

    def happened(self, events: Iterable[Event]) -> None:
        """A minute for three messages after each event; none at all once the customer has left us."""
        by_bucket: dict[str, list[Event]] = {}
        for one in events:
            by_bucket.setdefault(_bucket(one.person), []).append(one)
        for bucket, some in by_bucket.items():
            self._change(bucket, partial(_noted, some))

    # --- counting -------------------------------------------------------------------------------

    def _take(
        self, person: str, opened_at: datetime, key: str, text: str, now: datetime
    ) -> ReplyWindow:
        mark = _mark(key)
        window = [ReplyWindow(opened_at + LASTS, 0)]

        def change(row: dict[str, Any]) -> dict[str, Any]:
            mine = mapping(row.get(person))
            sent = mapping(mine.get("sent"))
            others = {**mine, "sent": {one: value for one, value in sent.items() if one != mark}}
            window[0] = _open(others, opened_at, now)
            entry = {"at": _ms(now), "sent": False, "words": _mark(text)}
            return {**row, person: {**mine, "sent": {**sent, mark: entry}}}

        self._change(_bucket(person), change)
        return window[0]

    def _settle(self, person: str, key: str, *, sent: bool) -> None:
        mark = _mark(key)

        def change(row: dict[str, Any]) -> dict[str, Any]:
            mine = mapping(row.get(person))
            tries = dict(mapping(mine.get("sent")))
            entry = mapping(tries.pop(mark, None))
            if sent and entry:
                tries[mark] = {**entry, "sent": True}
            return {**row, person: {**mine, "sent": tries}}

        self._change(_bucket(person), change)

    def _change(self, bucket: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        for _ in range(RACES):
            raw = self._keep.get(bucket)
            before = _read(raw)
            after = _pruned(change(before), self._now())
            if after == before:
                return
            told = json.dumps(after, separators=(",", ":")) if after else None
            if self._keep.swap(bucket, raw, told):
                return
        raise Unavailable("too many at once answer customers of this account")


def _open(mine: dict[str, Any], opened_at: datetime, now: datetime) -> ReplyWindow:
    """The window with one answer taken out of it. Raises Rejected where there is none."""
    left_us = _time(mine.get("gone"))
    if left_us is not None and left_us >= opened_at:
        raise Rejected("the customer no longer follows this account: no answer reaches them")
    closes_at, left = opened_at + LASTS, MOST - _since(mine, opened_at)
    for event_at in filter(None, map(_time, items(mine.get("did")))):
        brief = BRIEF_MOST - _since(mine, event_at)
        if (now >= closes_at or left <= 0) and now < event_at + BRIEF and brief > 0:
            closes_at, left = event_at + BRIEF, brief
    if now >= closes_at:
        raise Rejected("the 48 hours for an answer are over: the customer has to write again first")
    if left <= 0:
        raise Rejected(
            f"all {MOST} answers to the customer's last message are used: they have to write again first"
        )
    return ReplyWindow(closes_at, left - 1)


def _since(mine: dict[str, Any], at: datetime) -> int:
    """Answers of ours from the second of `at` on: the platform tells its times in whole seconds."""
    found = (_attempt(one) for one in mapping(mine.get("sent")).values())
    start = at.replace(microsecond=0)
    return sum(1 for one in found if one is not None and one.at >= start)


def _noted(events: Iterable[Event], row: dict[str, Any]) -> dict[str, Any]:
    after = dict(row)
    for one in events:
        mine = dict(mapping(after.get(one.person)))
        if one.follows:
            gone = _time(mine.get("gone"))
            if gone is not None and gone <= one.at:
                del mine["gone"]
            mine["did"] = sorted({*items(mine.get("did")), _ms(one.at)})[-BRIEF_MOST:]
        else:
            mine["gone"] = max(_ms(one.at), integer(mine.get("gone")))
        after[one.person] = mine
    return after


def _pruned(row: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Without what can no longer matter, so that a row stays as small as two days' answers."""
    kept: dict[str, Any] = {}
    for person, told in row.items():
        mine: dict[str, Any] = {}
        tries = {
            mark: entry
            for mark, entry in mapping(mapping(told).get("sent")).items()
            if (one := _attempt(entry)) is not None and one.at > now - KEPT
        }
        did = [
            at
            for at in items(mapping(told).get("did"))
            if (then := _time(at)) is not None and then > now - BRIEF
        ]
        gone = _time(mapping(told).get("gone"))
        if tries:
            mine["sent"] = tries
        if did:
            mine["did"] = did
        if gone is not None and gone > now - KEPT:
            mine["gone"] = _ms(gone)
        if mine:
            kept[person] = mine
    return kept


def _attempt(entry: Any) -> Attempt | None:
    told = mapping(entry)
    at = _time(told.get("at"))
    words = told.get("words")
    if at is None or not isinstance(words, str):
        return None
    return Attempt(at, told.get("sent") is True, words)


def _bucket(person: str) -> str:
    return f"answers:{int(joined(person)[:4], 16) % BUCKETS:x}"


def _mark(words: str) -> str:
    return joined(words)[:16]


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _time(ms: Any) -> datetime | None:
    whole = integer(ms)
    return datetime.fromtimestamp(whole / 1000, UTC) if 0 < whole < 10**14 else None


def _read(raw: str | None) -> dict[str, Any]:
    try:
        return mapping(json.loads(raw or "{}"))
    except ValueError:
        return {}
