"""Who we are on X, and what each stream may read: asked so that next to nothing is billed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from aggregator.errors import RateLimited, Unauthorized
from aggregator.model import Identity
from connectors.payload import name, native
from connectors.x.client import Client
from connectors.x.prices import Ledger
from connectors.x.refusals import AUTHORISE, PERMISSION, RENEW, Denied, Paused, Refused
from connectors.x.timeline import stamp

EMPTY = ("2010-11-06T00:00:00Z", "2010-11-06T00:00:01Z")  # the first second that X answers for
NOTE = "encrypted direct messages (XChat) cannot be read through this API"


def identity(
    client: Client, ledger: Ledger, *, me: str, streams: Sequence[str], query: str, oauth2: bool
) -> Identity:
    """Raises Unauthorized where no stream could be read; else each stream says how it stands."""
    found, access = client.me()
    ledger.read("check", "user", [found], {})
    user_id = native(found.get("id"))
    if user_id != me:
        raise Unauthorized(
            f"the token belongs to user {user_id}, not to user_id {me}",
            remedy=AUTHORISE if oauth2 else RENEW,
        )
    told = {stream: _state(client, ledger, stream, query) for stream in streams}
    if (
        access is not None
        and "directmessages" not in access
        and told.get("direct_messages") == "ok"
    ):
        told["direct_messages"] = f"denied: the token's access level is {access!r}; {PERMISSION}"
    note = f"{NOTE}; the token renews itself" if oauth2 else NOTE
    return Identity(me, name(found.get("name")) or name(found.get("username")), told, note=note)


def _state(client: Client, ledger: Ledger, stream: str, query: str) -> str:
    """`ok`, or one of denied, quota, auth, unknown with the reason and the remedy."""
    probe = _probes(client, ledger, query).get(stream)
    if probe is None:
        return "ok"
    try:
        probe()
    except Paused as error:
        return f"quota: {error.reason}"
    except RateLimited as error:
        return f"quota: {error.reason}; again in {error.retry_after_s:.0f} s"
    except Unauthorized as error:
        return f"{'denied' if isinstance(error, Denied) else 'auth'}: {error}"
    except Refused as error:
        return f"unknown: {error.reason}"
    return "ok"


def _probes(client: Client, ledger: Ledger, query: str) -> dict[str, Callable[[], object]]:
    """The cheapest question of each stream: about a time without posts, and for events that hardly are."""
    start, end = EMPTY
    within: dict[str, Any] = {"start_time": start, "end_time": end, "max_results": 5}

    def direct() -> None:
        found = client.direct_messages(max_results=1, event_types="ParticipantsLeave")
        ledger.read("check", "dm_event", found.data, found.includes)

    def search() -> None:
        at = client.clock() - timedelta(minutes=10)
        second: dict[str, Any] = {
            "start_time": stamp(at),
            "end_time": stamp(at + timedelta(seconds=1)),
        }
        found = client.search(query, max_results=10, **second)
        ledger.read("check", "post", found.data, found.includes)

    return {
        "mentions": lambda: client.mentions(**within),
        "own_posts": lambda: client.own_posts(**within),
        "direct_messages": direct,
        "search": search,
    }
