"""The beginning of a walk to a token, kept for an hour, so that another process can finish it."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from datetime import timedelta

from aggregator.errors import Rejected, Unavailable
from connectors.base import Keep, Now
from connectors.payload import mapping

KEY = "token.begun"  # what begins with `token` is kept sealed: the verifier is a secret
LASTS = timedelta(hours=1)
_RACES = 8


@dataclass(frozen=True, slots=True)
class Beginning:
    """`state` comes back with the answer; `verifier` goes out with the code, where the platform has PKCE."""

    state: str
    verifier: str


def begin(keep: Keep, now: Now) -> Beginning:
    """A new one, in the place of any other. Raises Unavailable where it cannot be kept."""
    made = Beginning(secrets.token_urlsafe(16), secrets.token_urlsafe(48))
    text = json.dumps({**asdict(made), "until": int((now() + LASTS).timestamp())})
    _put(keep, text)
    return made


def begun(keep: Keep, now: Now) -> Beginning:
    """The last one. Raises Rejected where there is none, or it was too long ago."""
    try:
        row = mapping(json.loads(keep.get(KEY) or "{}"))
    except ValueError:
        row = {}
    state, verifier, until = row.get("state"), row.get("verifier"), row.get("until")
    good = type(until) is int and until > now().timestamp()
    if good and isinstance(state, str) and isinstance(verifier, str):
        return Beginning(state, verifier)
    raise Rejected(
        "no page was opened for this account within the hour; run inboxd auth without an answer first"
    )


def ended(keep: Keep) -> None:
    """A beginning is good for one token."""
    _put(keep, None)


def _put(keep: Keep, text: str | None) -> None:
    for _ in range(_RACES):
        if keep.swap(KEY, keep.get(KEY), text):
            return
    raise Unavailable("the walk could not be kept: somebody else begins one at the same time")
