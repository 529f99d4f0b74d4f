"""A silence as a person asks for it, checked before it holds; and the list of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rich.text import Text

from aggregator.destinations.escape import one_line
from aggregator.errors import SettingsError
from aggregator.filters import Filters
from aggregator.model import Silence
from aggregator.terminal import console, table, when
from aggregator.triage.ruleset import Ruleset
from storage.sql import rfc3339

MATCHERS = (
    *("platform", "account", "kind", "label", "priority", "route"),
    *("author", "conversation"),
)
ALIASES: Mapping[str, Mapping[str, str]] = {
    "kind": {"私信": "direct", "评论": "public", "公开": "public"},
    "platform": {
        "微博": "weibo",
        "微信": "wechat",
        "公众号": "wechat",
        "企业微信": "wecom",
        "脸书": "facebook",
        "推特": "x",
    },
}
_AHEAD = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([mhdw])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def matchers(
    words: Sequence[str], rules: Ruleset, accounts: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """`platform=weibo label=refund,spam` as matchers; the same name twice adds values.

    `accounts`: name → platform. Raises SettingsError with every mistake and its remedy.
    """
    known: dict[str, Collection[str]] = {
        "platform": set(accounts.values()),
        "account": accounts,
        "kind": ("direct", "public"),
        "label": {one for rule in rules.rules.values() for one in rule.effect.labels},
        "priority": ("P1", "P2", "P3", "P4"),
        "route": {rule.route.id for rule in rules.routes},
    }
    found: dict[str, list[str]] = {}
    wrong = []
    for word in words:
        name, equals, given = word.partition("=")
        values = [value.strip() for value in re.split("[,，]", given) if value.strip()]
        if name not in MATCHERS:
            wrong.append(f"{word}: there is no matcher {name}; {_near(name, MATCHERS)}")
        elif not equals or not values:
            wrong.append(f"{word}: a value is missing; write {name}=…")
        else:
            for value in values:
                meant = ALIASES.get(name, {}).get(value, value)
                fitting = next(
                    (one for one in known.get(name, ()) if one.casefold() == meant.casefold()), None
                )
                if name == "conversation" and not meant.isdecimal():
                    wrong.append(f"{word}: {value} is no id; see inboxd export conversations")
                elif name in known and fitting is None:
                    wrong.append(f"{word}: there is no {name} {value}; {_near(meant, known[name])}")
                else:
                    found.setdefault(name, []).append(fitting or meant)
    if not words:
        wrong.append(f"name what is to be silent, as in platform=weibo; there are: {_all()}")
    if wrong:
        raise SettingsError(*(f"silence: {one}" for one in wrong))
    return {name: tuple(dict.fromkeys(values)) for name, values in found.items()}


def until_time(value: str | None, now: datetime) -> datetime | None:
    """`2h`, or an RFC 3339 time, which must be ahead. Raises SettingsError."""
    if value is None:
        return None
    try:
        if ahead := _AHEAD.fullmatch(value.strip()):
            then = now + timedelta(**{_UNITS[ahead[2]]: float(ahead[1])})
        else:
            then = datetime.fromisoformat(value.strip())
            if then.tzinfo is None:
                raise SettingsError(
                    f"silence: --until {value}: add a zone, as in 2026-03-05T08:00:00+08:00"
                )
            then = then.astimezone(UTC)
    except (ValueError, OverflowError):
        raise SettingsError(
            f"silence: --until takes 90m, 2h, 3d or a time such as 2026-03-05T08:00:00+08:00, not {value!r}"
        ) from None
    if then <= now:
        raise SettingsError(f"silence: --until {value} is over already; name a time ahead")
    return then


def interval_named(name: str | None, rules: Ruleset) -> str | None:
    """Raises SettingsError where targets.yaml has no such interval."""
    known = rules.targets.intervals
    if name is not None and name not in known:
        raise SettingsError(
            f"silence: targets.yaml has no {name} under intervals; {_near(name, known)}"
        )
    return name


def silence_json(one: Silence, now: datetime, rules: Ruleset) -> dict[str, Any]:
    """`state`: `holds`, `waits` (for its interval), or `over`."""

    def time(at: datetime | None) -> str | None:
        return None if at is None else rfc3339(at)

    return {
        "id": str(one.id),
        "state": _state(one, now, rules),
        "matchers": {name: list(values) for name, values in one.matchers.items()},
        "starts_at": time(one.starts_at),
        "until": time(one.until),
        "interval": one.interval,
        "by": one.by,
        "why": one.why,
        "ended_at": time(one.ended_at),
        "ended_by": one.ended_by,
    }


def print_silences(rows: Iterable[Mapping[str, Any]], zone: ZoneInfo) -> None:
    shown = table("id", "state", "silent", "until", "interval", "by", "why")
    for row in rows:
        words = " ".join(f"{name}={','.join(values)}" for name, values in row["matchers"].items())
        end = when(row["until"], zone) if row["until"] else ""
        if row["ended_at"]:
            end = f"ended {when(row['ended_at'], zone)} by {row['ended_by']}"
        shown.add_row(
            row["id"],
            row["state"],
            Text(one_line(words)),
            Text(one_line(end)),
            row["interval"] or "",
            Text(one_line(row["by"])),
            Text(one_line(row["why"])),
        )
    console().print(shown if shown.rows else "no silences")


def _state(one: Silence, now: datetime, rules: Ruleset) -> str:
    if one.over(now):
        return "over"
    filters = Filters(rules.routes, rules.targets, (one,), "UTC", now)
    return "holds" if filters.holds_now(one) else "waits"


def _near(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return (
        f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(known)) or 'none'}"
    )


def _all() -> str:
    return ", ".join(MATCHERS)
