"""Who wrote a post. X bills a profile ten times as high as a mention, so each is asked for once and kept for a week.

Direct messages bring their senders' along: there the expansion is the only way to be told who wrote at all.
Page: https://docs.x.com/x-api/users/user-lookup
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from aggregator.errors import RateLimited, Unauthorized, Unavailable
from aggregator.model import Author, Message
from connectors.base import Keep, Now
from connectors.payload import integer, items, mapping, name, native
from connectors.x.client import Client, Found
from connectors.x.posts import Includes
from connectors.x.prices import Ledger

FRESH = timedelta(days=7)
NOBODY_FRESH = timedelta(days=1)  # X gives no profile: suspended, gone
ROWS = 64  # of the Keep, by the last digits of an id
MOST_KEPT = 100  # in one row
PATIENCE = 3
MOST_OWED = 100  # messages without a name that come again with it
SHORT_S = 60.0  # a limit that ends sooner is waited out


class People:
    """Profiles by user id, refreshed when their person writes again after a week.

    A page waits for its authors three times, not longer, and not at all where no call or no money is left for
    more than a minute: then a message has the author's id only, and comes again with its name once X tells it
    (unless the daemon starts anew before).
    """

    def __init__(self, *, client: Client, ledger: Ledger, keep: Keep, now: Now) -> None:
        self._client = client
        self._ledger = ledger
        self._keep = keep
        self._now = now
        self._waited = 0
        self._owed: dict[str, Message] = {}

    def saw(self, users: Iterable[Any]) -> None:
        """Remember whom an answer brought along."""
        self._remember(
            {id_: user for user in map(mapping, users) if (id_ := native(user.get("id")))}
        )

    def introduce(self, who: str, found: Found) -> Found:
        """The page with its authors beside it. Raises Unavailable while it is worth asking for the page again."""
        told = items(found.includes.get("users"))
        beside = {native(mapping(user).get("id")) for user in told}
        authors = (native(mapping(raw).get("author_id")) for raw in found.data)
        wanted = [one for one in dict.fromkeys(authors) if one is not None and one not in beside]
        known = self._known(wanted)
        asked = self._ask(who, [one for one in wanted if one not in known])
        self._remember(asked)
        self.saw(told)
        users = [*told, *({"id": id_, **user} for id_, user in {**known, **asked}.items())]
        return replace(found, includes={**found.includes, "users": users})

    def named(self, who: str, messages: Iterable[Message]) -> list[Message]:
        """The page's messages, and before them those of earlier pages whose authors have a name only now."""
        page = list(messages)
        ids = {native_id for one in self._owed.values() if (native_id := _author_id(one))}
        if ids:
            people = {**self._known(sorted(ids)), **self._quietly(who, sorted(ids))}
            told = Includes({"users": [{"id": id_, **user} for id_, user in people.items()]})
            late = [one for one in self._owed.values() if _author_id(one) in people]
            for one in late:
                del self._owed[one.native_id]
            here = {one.native_id for one in page}
            late = [one for one in late if one.native_id not in here]
            page = [replace(one, author=told.author(_author_id(one))) for one in late] + page
        for one in page:
            if (id_ := _author_id(one)) and one.author == Author(id_) and not self._known([id_]):
                self._owed[one.native_id] = one
        for native_id in list(self._owed)[:-MOST_OWED]:
            del self._owed[native_id]
        return page

    def _quietly(self, who: str, ids: list[str]) -> dict[str, dict[str, Any]]:
        """What a page does not wait for."""
        waited, self._waited = self._waited, PATIENCE
        try:
            asked = self._ask(who, [one for one in ids if one not in self._known(ids)])
        finally:
            self._waited = waited
        self._remember(asked)
        return asked

    def _ask(self, who: str, ids: list[str]) -> dict[str, dict[str, Any]]:
        """Profiles by id, empty for who has none; nothing of those that could not be asked for."""
        if not ids:
            return {}
        try:
            found = self._client.users(ids)
        except (Unavailable, Unauthorized) as error:
            if isinstance(error, RateLimited) and error.retry_after_s > SHORT_S:
                return {}
            self._waited += 1
            if self._waited > PATIENCE:
                return {}
            raise Unavailable(
                error.reason
            ) from error  # of its own: the list is not what was refused
        self._waited = 0
        self._ledger.read(who, "user", found.data, {})
        people: dict[str, dict[str, Any]] = {}
        for missing in map(mapping, found.errors):
            if (id_ := native(missing.get("resource_id"))) is not None and id_ in ids:
                people[id_] = {}
        for user in map(mapping, found.data):
            if (id_ := native(user.get("id"))) is not None:
                people[id_] = user
        return people

    def _known(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        known: dict[str, dict[str, Any]] = {}
        for row, some in _by_row(ids).items():
            entries = _entries(self._keep.get(row))
            known |= {id_: _user(entries[id_]) for id_ in some if self._is_fresh(entries.get(id_))}
        return known

    def _remember(self, people: Mapping[str, Mapping[str, Any]]) -> None:
        """A lost race forgets: whoever is missing is asked for again."""
        now = int(self._now().timestamp())
        for row, some in _by_row(people).items():
            old = self._keep.get(row)
            entries = _entries(old)
            for id_ in some:
                entry = _entry(people[id_])
                if self._is_fresh(entries.get(id_)) and entries[id_][1:] == entry:
                    continue
                entries.pop(id_, None)
                entries[id_] = [now, *entry]
            kept = dict(list(entries.items())[-MOST_KEPT:])
            text = json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
            if text != old:
                self._keep.swap(row, old, text)

    def _is_fresh(self, entry: list[Any] | None) -> bool:
        if entry is None:
            return False
        lasts = FRESH if any(entry[1:]) else NOBODY_FRESH
        return self._now().timestamp() < integer(entry[0]) + lasts.total_seconds()


def _author_id(message: Message) -> str | None:
    return message.author.native_id if message.author else None


def _by_row(ids: Iterable[str]) -> dict[str, list[str]]:
    rows: dict[str, list[str]] = defaultdict(list)
    for id_ in ids:
        rows[f"people:{integer(id_) % ROWS}"].append(id_)
    return rows


def _entries(raw: str | None) -> dict[str, list[Any]]:
    """Of a row of the Keep: [when asked, name, handle, followers, verified] by id."""
    try:
        told = mapping(json.loads(raw)) if raw else {}
    except ValueError:
        return {}
    return {id_: one for id_, one in told.items() if isinstance(one, list) and len(one) == 5}


def _entry(user: Mapping[str, Any]) -> list[Any]:
    followers = mapping(user.get("public_metrics")).get("followers_count")
    verified = user.get("verified")
    return [
        name(user.get("name")),
        name(user.get("username")),
        followers if type(followers) is int else None,
        verified if isinstance(verified, bool) else None,
    ]


def _user(entry: list[Any]) -> dict[str, Any]:
    """As X would tell it."""
    _, called, handle, followers, verified = entry
    metrics = {"followers_count": followers}
    return {"name": called, "username": handle, "verified": verified, "public_metrics": metrics}
