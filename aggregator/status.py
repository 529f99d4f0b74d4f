"""`inboxd status`: each stream and destination with how far behind it is and what is wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rich.text import Text

from aggregator.destinations.escape import one_line
from aggregator.model import Silence
from aggregator.terminal import console, table, when
from storage.rules import Held
from storage.sql import rfc3339

OVERDUE = timedelta(minutes=2)  # a poll that is due so long ago is not read by anybody
STYLES = {
    "ok": "green",
    "waiting": "dim",
    "unused": "dim",
    "retrying": "yellow",
    "late": "yellow",
    "paused": "red",
}


def with_health(
    rows: Mapping[str, Any],
    *,
    accounts: Mapping[str, tuple[str, bool]],
    destinations: Collection[str],
    now: datetime,
    staged: bool = False,
) -> dict[str, Any]:
    """The store's rows with `health` and `lag_ms` in each, and what the settings name and nobody read yet.

    `accounts`: name → (connector, paused). `health` of a stream: `ok`, `late` (the whole account is due, and
    nobody reads it), `retrying`, `paused` (until a time, or by the settings), `waiting` (never read).
    `lag_ms`: since it was last read. `allowed`: what the last check said of the stream (`ok`, `denied`, `quota`,
    `auth`, `unknown`), with `allowed_reason`; `identity`, `note`, `checked_at`, `check_error` are that check's,
    and `quotas` what is left of what the platform counts. `backlog`: what waits in all. `staged`: the times are a sandbox's, which
    runs by a clock of its own, so that nothing can be called late.
    """
    stored = {row["name"]: row for row in rows["accounts"]}
    for name, (connector, _) in accounts.items():
        stored.setdefault(
            name,
            {
                "name": name,
                "platform": connector,
                "first_poll_at": None,
                "pushes_waiting": 0,
                "token_expires_at": None,
                "silent_since": None,
                "checkup": None,
                "streams": [],
                "backfill": [],
                "gaps": [],
            },
        )
    told = {row["name"]: row for row in rows["destinations"]}
    for name in destinations:
        told.setdefault(name, {"name": name, "pending": 0, "dead": 0, **_NEVER_SENT})
    found = []
    for row in sorted(stored.values(), key=lambda row: str(row["name"])):
        stopped = accounts.get(row["name"], ("", False))[1]
        # A stream that is pushed to is due for ever; what is polled shows whether anybody reads the account.
        late = not staged and bool(row["streams"]) and all(_due(o, now) for o in row["streams"])
        checkup = row["checkup"] or _NEVER_CHECKED
        read = {one["name"] for one in row["streams"]}
        unread = [{**_NEVER_READ, "name": one} for one in checkup["streams"] if one not in read]
        streams = [
            {
                **one,
                "health": _stream(one, now, stopped, late),
                "lag_ms": _lag(one, now),
                **_allowed(checkup["streams"].get(one["name"])),
            }
            for one in (*row["streams"], *unread)
        ]
        about = {key: value for key, value in row.items() if key != "checkup"}
        left = _days_left(row["token_expires_at"], now)
        about |= {"paused": stopped, "streams": streams, "token_days_left": left}
        found.append({**about, **_checked(checkup, now, staged=staged)})
    sinks = [{**row, "health": _sink(row, now)} for _, row in sorted(told.items())]
    return {
        "accounts": found,
        "destinations": sinks,
        "backlog": {
            "deliveries": sum(row["pending"] for row in sinks),
            "dead": sum(row["dead"] for row in sinks),
            "pushes": sum(row["pushes_waiting"] for row in found),
        },
    }


def rules_state(version: str | None, held: Held | None) -> dict[str, Any]:
    """`version`: of the rules in force; `held`: those that wait for `inboxd rules approve`, and why."""
    waiting = None
    if held is not None:
        waiting = {
            "version": held.version,
            "since": rfc3339(held.since),
            "why": held.why,
        }
    return {"version": version, "held": waiting}


def told_later(
    silences: Collection[Silence], held: Mapping[str, int], now: datetime
) -> dict[str, Any]:
    """`silences` that are not over, and how many notices each destination is not to hear just now."""
    return {
        "silences": [
            {
                "id": str(one.id),
                "matchers": {name: list(values) for name, values in one.matchers.items()},
                "until": None if one.until is None else rfc3339(one.until),
                "interval": one.interval,
                "by": one.by,
                "why": one.why,
            }
            for one in silences
            if not one.over(now)
        ],
        "held_back": dict(held),
    }


def print_status(status: Mapping[str, Any], now: datetime, zone: ZoneInfo) -> None:
    """For a person: times in `zone`, or as how long ago."""
    out = console()
    streams = table("account", "platform", "stream", "health", "last read", "next", "trouble")
    for account in status["accounts"]:
        for stream in account["streams"] or [_NEVER_READ]:
            streams.add_row(
                account["name"],
                account["platform"],
                stream["name"],
                _health("paused" if account["paused"] else stream["health"]),
                ago(stream["last_success_at"], now),
                _next(stream, zone, stopped=account["paused"]),
                Text(_trouble(stream) or _refused(stream)),
            )
    out.print(streams if streams.rows else "no accounts")
    for account in status["accounts"]:
        for line in _about(account, now, zone):
            out.print(Text(f"{account['name']}: {line}"))
    sinks = table("destination", "health", "waiting", "dead", "last sent", "next", "trouble")
    for row in status["destinations"]:
        sinks.add_row(
            row["name"],
            _health(row["health"]),
            str(row["pending"]),
            Text(str(row["dead"]), style="red" if row["dead"] else ""),
            ago(row["last_success_at"], now),
            f"not before {when(row['paused_until'], zone)}" if row["health"] == "paused" else "",
            Text(_trouble(row)),
        )
    out.print(sinks if sinks.rows else "no destinations")
    backlog = status["backlog"]
    out.print(
        f"backlog: {backlog['deliveries']} notices to send, {backlog['pushes']} callbacks to read; "
        f"{backlog['dead']} dead"
        + (": inboxd deliveries list --state dead" if backlog["dead"] else "")
    )
    if back := status.get("held_back"):
        names = ", ".join(f"{count} for {name}" for name, count in sorted(back.items()))
        out.print(f"held back: {names}: inboxd deliveries list --state held")
    for one in status.get("silences", ()):
        words = " ".join(f"{name}={','.join(values)}" for name, values in one["matchers"].items())
        at = f" at {one['interval']}" if one["interval"] else ""
        end = f" until {when(one['until'], zone)}" if one["until"] else ""
        said = f"silence {one['id']}: {words}{at}{end}, by {one['by']}: {one['why']}"
        out.print(Text(one_line(said), style="yellow"), soft_wrap=True)
    rules = status.get("rules") or {"version": None, "held": None}
    out.print(f"rules: {rules['version'] or 'none in force yet'}")
    if held := rules["held"]:
        said = f"rules {held['version']} wait since {when(held['since'], zone)}: {one_line(held['why'])}"
        out.print(
            Text(f"{said}; inboxd rules approve lets them in", style="yellow"), soft_wrap=True
        )


def ago(at: str | None, now: datetime) -> str:
    if at is None:
        return "never"
    seconds = max(int((now - datetime.fromisoformat(at)).total_seconds()), 0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _about(account: Mapping[str, Any], now: datetime, zone: ZoneInfo) -> Iterator[str]:
    """What a row of a table has no place for: who we are, the token's days, quotas, a silence, history, gaps."""
    who = account["identity"]
    if who is not None:
        name = f"{one_line(who['name'])} ({one_line(who['native_id'])})" if who["name"] else None
        said = f"we are {name or one_line(who['native_id'])}, checked {ago(account['checked_at'], now)}"
        yield said + (f"; {one_line(account['note'])}" if account["note"] else "")
    if account["check_error"] is not None:
        yield f"the last check was not answered: {one_line(account['check_error'])}"
    if account["quotas"]:
        yield "left: " + ", ".join(_left(one, zone) for one in account["quotas"])
    if account["token_days_left"] is not None:
        yield f"token: {account['token_days_left']} days left"
    if account["silent_since"] is not None:
        yield f"silent since {when(account['silent_since'], zone)}, which it never is"
    for lane in account["backfill"]:
        far = f", back to {when(lane['oldest_at'], zone)}" if lane["oldest_at"] else ""
        end = ", done" if lane["done_at"] else ""
        trouble = f"; {_trouble(lane)}" if lane["failures"] else ""
        yield f"history of {lane['stream']}: {lane['messages']} messages{far}{end}{trouble}"
    for gap in account["gaps"]:
        since = when(gap["since"], zone) if gap["since"] else "its beginning"
        until = when(gap["until"], zone) if gap["until"] else "now"
        lost = "may still come" if gap["recoverable"] else "cannot be had"
        reason = one_line(gap["reason"])
        yield f"gap in {gap['stream']}: {since} to {until}, {lost}: {reason}"


def _days_left(at: str | None, now: datetime) -> int | None:
    return None if at is None else max((datetime.fromisoformat(at) - now).days, 0)


def _allowed(said: str | None) -> dict[str, str | None]:
    """`denied: not with this token` in two parts; both None where the check says nothing of the stream."""
    word, _, reason = (said or "").partition(":")
    return {"allowed": word.strip() or None, "allowed_reason": reason.strip() or None}


def _checked(checkup: Mapping[str, Any], now: datetime, *, staged: bool) -> dict[str, Any]:
    """What is said of the account. A quota is told until it is full again."""
    known = checkup["native_id"] is not None
    quotas = [
        one
        for one in checkup["quotas"]
        if staged or one["ends_at"] is None or _later(one["ends_at"], now)
    ]
    return {
        "identity": {key: checkup[key] for key in ("native_id", "name")} if known else None,
        "note": checkup["note"],
        "checked_at": checkup["checked_at"],
        "check_error": checkup["error"],
        "quotas": quotas,
        "quotas_at": checkup["quotas_at"],
    }


def _left(quota: Mapping[str, Any], zone: ZoneInfo) -> str:
    number = f"{quota['left']:.2f}" if quota["unit"] == "USD" else f"{quota['left']:.0f}"
    of = (
        f" of {quota['limit']:.10g}"
        if quota["limit"] is not None and quota["unit"] != "percent"
        else ""
    )
    unit = "%" if quota["unit"] == "percent" else f" {quota['unit']}"
    until = f" until {when(quota['ends_at'], zone)}" if quota["ends_at"] else ""
    return f"{one_line(quota['name'])} {number}{of}{unit}{until}"


_NEVER_CHECKED: Mapping[str, Any] = {
    "streams": {},
    "quotas": [],
    **dict.fromkeys(("native_id", "name", "note", "checked_at", "error", "quotas_at")),
}
_NEVER_SENT = {"paused_until": None, "failures": 0, "last_error": None, "last_success_at": None}
_NEVER_READ: Mapping[str, Any] = {
    "name": "–",
    "state": None,
    "health": "waiting",
    "next_poll_at": None,
    "last_poll_at": None,
    "allowed": None,
    "allowed_reason": None,
    **_NEVER_SENT,
}


def _due(row: Mapping[str, Any], now: datetime) -> bool:
    due = row["next_poll_at"]
    return due is not None and now - datetime.fromisoformat(due) > OVERDUE


def _stream(row: Mapping[str, Any], now: datetime, stopped: bool, late: bool) -> str:
    if stopped or _later(row["paused_until"], now):
        return "paused"
    if row["failures"]:
        return "retrying"
    if row["last_success_at"] is None:
        return "waiting"
    return "late" if late else "ok"


def _sink(row: Mapping[str, Any], now: datetime) -> str:
    if _later(row["paused_until"], now):
        return "paused"
    if row["failures"]:
        return "retrying"
    return "unused" if row["last_success_at"] is None else "ok"


def _later(at: str | None, now: datetime) -> bool:
    return at is not None and datetime.fromisoformat(at) > now


def _lag(row: Mapping[str, Any], now: datetime) -> int | None:
    if row["last_success_at"] is None:
        return None
    lag = now - datetime.fromisoformat(row["last_success_at"])
    return max(int(lag.total_seconds() * 1000), 0)


def _health(word: str) -> Text:
    return Text(word, style=STYLES[word])


def _next(stream: Mapping[str, Any], zone: ZoneInfo, *, stopped: bool) -> str:
    if stopped:
        return "when the settings say so"
    if stream["health"] == "paused":
        return f"not before {when(stream['paused_until'], zone)}"
    return when(stream["next_poll_at"], zone)


def _trouble(row: Mapping[str, Any]) -> str:
    if not row["failures"]:
        return ""
    times = "" if row["failures"] == 1 else f"{row['failures']} times in a row: "
    return times + one_line(row["last_error"] or "no reason was kept")


def _refused(stream: Mapping[str, Any]) -> str:
    """What the check says of a stream that is read, or waits to be pushed, without trouble."""
    if stream["allowed"] in (None, "ok"):
        return ""
    return f"{stream['allowed']}: {one_line(stream['allowed_reason'] or 'no reason was told')}"
