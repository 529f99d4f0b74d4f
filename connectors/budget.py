"""What a platform lets us call, and what it bills: counted in the `Keep`, so that all replicas share it.

A *window* is the platform's own (so many calls until then), learnt from its answers and never assumed; a
*quota* is one that the platform tells only in its manual; a *day* counts what is billed, by type and money.
Every function takes the time, changes rows by compare-and-swap, and gives up after a few lost races.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from aggregator.errors import RateLimited, Unavailable
from aggregator.model import Quota
from connectors.base import Keep

RACES = 8
PLENTY = 50  # calls left: so many cannot be under way at once
LONGEST_S = 86_400.0
REMEMBERED = (
    1_000  # of a day's billed items: older ones that come again are counted twice, never less
)


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer says of its window: calls in all and left, and how many seconds it still lasts."""

    limit: int | None
    remaining: int
    seconds: float


def told(
    headers: Mapping[str, str],
    *,
    limit: str = "x-rate-limit-limit",
    remaining: str = "x-rate-limit-remaining",
    reset: str = "x-rate-limit-reset",
) -> Told | None:
    """The window in an answer's headers, its reset (epoch seconds) read against the answer's own `Date`.

    None where it is not told, or lies in the past: then nothing is learnt.
    """
    seconds = until_reset(headers, reset)
    try:
        left = int(headers[remaining])
    except (KeyError, ValueError):
        return None
    if seconds is None:
        return None
    most = headers.get(limit, "")
    return Told(int(most) if most.isascii() and most.isdigit() else None, max(0, left), seconds)


def until_reset(headers: Mapping[str, str], reset: str = "x-rate-limit-reset") -> float | None:
    """Seconds to an epoch in a header, by the answer's own `Date`; None where it is none, or lies in the past."""
    at = date_of(headers)
    try:
        seconds = float(headers[reset]) - at.timestamp() if at is not None else 0.0
    except (KeyError, ValueError):
        return None
    return seconds if 0 < seconds <= LONGEST_S else None


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """The other side's clock, as its `Date` header tells it."""
    try:
        at = parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    return at.astimezone(UTC) if at.tzinfo else None


# --- windows: the platform tells them ---------------------------------------------------------------


def learn(keep: Keep, name: str, window: Told | None, now: datetime) -> None:
    """Remember what an answer told of the window `name`. Of two tellings of one window the lower one stays."""
    if window is None:
        return
    ends = now + timedelta(seconds=window.seconds)

    def change(row: dict[str, Any]) -> dict[str, Any]:
        known = _time(row.get("ends"))
        left = window.remaining
        until = ends
        if known is not None and abs((known - ends).total_seconds()) < 5:  # still the same window
            until = known
            left = min(left, row["left"]) if type(row.get("left")) is int else left
        return {**row, "limit": window.limit, "left": left, "ends": _text(until)}

    _change(keep, _window(name), change)


def admit(
    keep: Keep, name: str, now: datetime, *, spare: float = 0.0, window_s: float | None = None
) -> None:
    """Take one call out of the window, before it is made; what is not known yet is allowed.

    Raises RateLimited with the seconds left where there is none. `spare`: the part of the window (0 to 1)
    that this caller leaves to others, as a walk through history does. `window_s`: how long each window
    lasts, where that is known: then a new one begins with this call and allows what the last one did, until
    an answer tells of it.
    """

    def change(row: dict[str, Any]) -> dict[str, Any]:
        until = _time(row.get("shut"))
        if until is not None and until > now:
            raise RateLimited(str(row.get("why", name)), retry_after_s=_seconds(until, now))
        ends, left = _time(row.get("ends")), row.get("left")
        if ends is None or type(left) is not int:
            return row
        if ends <= now:
            limit = row.get("limit")
            if window_s is None or type(limit) is not int or limit < 1:
                return row
            return {**row, "left": limit - 1, "ends": _text(now + timedelta(seconds=window_s))}
        kept = int(spare * (row.get("limit") or 0))
        if left <= kept:
            who = "no call" if not kept else f"no more than {kept} calls"
            raise RateLimited(
                f"{name}: {who} left until {ends:%H:%M:%S} UTC", retry_after_s=_seconds(ends, now)
            )
        if left > kept + PLENTY:
            return row  # no need to count so exactly: the answer will tell
        return {**row, "left": left - 1}

    _change(keep, _window(name), change)


def shut(keep: Keep, name: str, now: datetime, *, seconds: float, why: str) -> None:
    """No call under `name` for so long: what a refusal said, for every replica. A later one replaces it."""
    until = now + timedelta(seconds=min(max(seconds, 1.0), LONGEST_S))
    _change(keep, _window(name), lambda row: {**row, "shut": _text(until), "why": why})


def reopen(keep: Keep, name: str) -> None:
    """Take a `shut` back: an answer has come after all."""
    raw = keep.get(_window(name))
    if raw is not None and '"shut"' in raw:
        gone = ("shut", "why")
        _change(keep, _window(name), lambda row: {k: v for k, v in row.items() if k not in gone})


def left(keep: Keep, name: str, now: datetime) -> tuple[int, datetime] | None:
    """Calls left in the window and when it ends; None where nothing is known."""
    row = _read(keep.get(_window(name)))
    ends, calls = _time(row.get("ends")), row.get("left")
    return (calls, ends) if ends is not None and ends > now and type(calls) is int else None


def quotas(keep: Keep, windows: Mapping[str, str], now: datetime) -> tuple[Quota, ...]:
    """What is known to be left in these windows (name in the Keep → name for a person), those that are open."""
    found = []
    for name, shown in windows.items():
        row = _read(keep.get(_window(name)))
        ends, until = _time(row.get("ends")), _time(row.get("shut"))
        limit = row.get("limit") if type(row.get("limit")) is int else None
        if until is not None and until > now:
            found.append(Quota(shown, 0, limit, ends_at=until))
        elif ends is not None and ends > now and type(row.get("left")) is int:
            found.append(Quota(shown, row["left"], limit, ends_at=ends))
    return tuple(found)


def take(keep: Keep, name: str, now: datetime, *, limit: int, per_s: float) -> None:
    """One call out of `limit` in `per_s` seconds, where no answer tells the window. Raises as `admit` does."""
    start = int(now.timestamp() // per_s)

    def change(row: dict[str, Any]) -> dict[str, Any]:
        used = row.get("used", 0) if row.get("start") == start and row.get("per_s") == per_s else 0
        if used >= limit:
            rest = max((start + 1) * per_s - now.timestamp(), 0.001)
            raise RateLimited(f"{name}: {limit} calls in {per_s:g} s are used", retry_after_s=rest)
        return {"start": start, "per_s": per_s, "used": used + 1}

    _change(keep, f"quota:{name}", change)


# --- days: what is billed ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spent:
    """A UTC day so far. Money in micro-dollars; `by`: per spender (a stream, say)."""

    items: Mapping[str, int] = field(default_factory=dict)
    by: Mapping[str, int] = field(default_factory=dict)

    @property
    def micros(self) -> int:
        return sum(self.by.values())


def spent(keep: Keep, now: datetime) -> Spent:
    row = _today(_read(keep.get(SPENT)), now)
    return Spent(row["items"], row["by"])


def spend(
    keep: Keep,
    now: datetime,
    who: str,
    billed: Iterable[tuple[str, str | None]],
    prices: Mapping[str, int],
) -> None:
    """Count what an answer brought: (type, id) at micro-dollars a piece. What was counted today is not again.

    An item without an id is counted each time. A type without a price is counted and costs nothing.
    """
    wanted = [(kind, None if one is None else _mark(kind, one)) for kind, one in billed]
    if not wanted:
        return

    def change(row: dict[str, Any]) -> dict[str, Any]:
        day = _today(row, now)
        items, by, recent = dict(day["items"]), dict(day["by"]), list(day["recent"])
        known = set(recent)
        for kind, mark in wanted:
            if mark is not None and mark in known:
                continue
            items[kind] = items.get(kind, 0) + 1
            by[who] = by.get(who, 0) + prices.get(kind, 0)
            if mark is not None:
                known.add(mark)
                recent.append(mark)
        if items == day["items"] and day["day"] == row.get("day"):
            return row
        return {"day": day["day"], "items": items, "by": by, "recent": recent[-REMEMBERED:]}

    _change(keep, SPENT, change)


def afford(
    keep: Keep,
    now: datetime,
    who: str,
    *,
    cap: int,
    shares: Mapping[str, float],
    least: int = 0,
) -> int:
    """How many micro-dollars `who` may spend now, of `cap` a UTC day.

    `shares`: parts of the day (0 to 1) that belong to a spender; the others leave them alone, less of them
    the later it is. Raises RateLimited until 00:00 UTC where less than `least` is to be had.
    """
    day = spent(keep, now)
    midnight = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
    rest = _seconds(midnight, now)
    held = sum(
        max(0, int(share * cap * rest / 86_400) - day.by.get(name, 0))
        for name, share in shares.items()
        if name != who
    )
    free = cap - day.micros - held
    if free < max(least, 1):
        raise RateLimited(
            f"the budget of {cap / 1e6:.2f} USD a day is used up for {who}"
            f" ({day.micros / 1e6:.2f} spent); reading goes on at 00:00 UTC",
            retry_after_s=rest,
        )
    return free


SPENT = "spent"


def _today(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    day = now.astimezone(UTC).date().isoformat()
    if row.get("day") != day:
        return {"day": day, "items": {}, "by": {}, "recent": []}
    return {"day": day, "items": row["items"], "by": row["by"], "recent": row["recent"]}


def _mark(kind: str, one: str) -> str:
    return hashlib.blake2b(f"{kind}:{one}".encode(), digest_size=5).hexdigest()


# --- rows --------------------------------------------------------------------------------------------


def _window(name: str) -> str:
    return f"window:{name}"


def _change(keep: Keep, key: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Read, change, swap; again where somebody was quicker."""
    for _ in range(RACES):
        raw = keep.get(key)
        row = _read(raw)
        after = change(row)
        if after == row and raw is not None:
            return
        if not after and raw is None:
            return
        if keep.swap(key, raw, json.dumps(after, separators=(",", ":"))):
            return
    raise Unavailable(f"too many at once change {key}")


def _read(raw: str | None) -> dict[str, Any]:
    try:
        row = json.loads(raw) if raw else {}
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def _time(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is not None and at.tzinfo else None


def _seconds(until: datetime, now: datetime) -> float:
    return max((until - now).total_seconds(), 1.0)
