"""What Facebook says of the token and of the app behind it: whose, how long, for what; and its subscriptions.

https://developers.facebook.com/docs/facebook-login/guides/access-tokens/debugging. A Page token has no end of its
own, but the access to people's data has, 90 days after the person behind it last used the app.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from aggregator.errors import RateLimited, Unauthorized, Unavailable
from connectors.facebook.graph import PageGraph
from connectors.facebook.refusals import Failed, Forbidden, Missing, remedy_for
from connectors.fields import parse_time
from connectors.payload import integer, items, mapping, name, native

NEEDED = {
    "pages_read_engagement": "reading posts and comments",
    "pages_read_user_content": "reading what visitors write",
    "pages_messaging": "messages",
    "pages_manage_engagement": "answering comments",
    "pages_manage_metadata": "webhooks",
}
INSTAGRAM_NEEDED = {
    "instagram_basic": "Instagram",
    "instagram_manage_messages": "Instagram messages",
    "instagram_manage_comments": "Instagram comments",
}
FIELDS = ("feed", "mention", "ratings", "messages", "message_echoes", "message_edits", "standby")
# https://developers.facebook.com/docs/graph-api/changelog/versions: the last day of each version
LAST_DAYS = {
    "v20.0": date(2026, 9, 24),
    "v21.0": date(2027, 1, 21),
    "v22.0": date(2027, 5, 20),
    "v23.0": date(2027, 10, 8),
    "v24.0": date(2028, 2, 18),
    "v25.0": date(2028, 7, 29),
}
_WARN = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Token:
    """`scopes` None: not told."""

    app_id: str | None = None
    expires_at: datetime | None = None
    data_until: datetime | None = None
    scopes: frozenset[str] | None = None

    @property
    def ends(self) -> datetime | None:
        return min((one for one in (self.expires_at, self.data_until) if one), default=None)


def inspect(graph: PageGraph) -> Token:
    """The app looks at it, where we have the app's secret; else it looks at itself, which not every one may.

    Raises Unauthorized for a token that is told to be dead, with the remedy for how it died.
    """
    app_id = _app_id(graph)
    try:
        told = graph.debug_token(app_id)
    except RateLimited:
        raise
    except (Unavailable, Unauthorized):
        return Token(app_id)
    data = mapping(told.get("data"))
    error = mapping(data.get("error"))
    if data.get("is_valid") is False:
        raise Unauthorized(
            f"Facebook says that the token is not valid ({integer(error.get('code'))}"
            f"/{integer(error.get('subcode'))})",
            remedy=remedy_for(integer(error.get("subcode"))),
        )
    scopes = data.get("scopes")
    return Token(
        app_id=native(data.get("app_id")) or app_id,
        expires_at=parse_time(data.get("expires_at")),
        data_until=parse_time(data.get("data_access_expires_at")),
        scopes=frozenset(filter(None, map(name, scopes))) if isinstance(scopes, list) else None,
    )


def _app_id(graph: PageGraph) -> str | None:
    if not graph.has_secret:
        return None
    try:
        return native(mapping(graph.get_object("app", fields="id")).get("id"))
    except RateLimited:
        raise
    except (Unavailable, Unauthorized):
        return None


def token_notes(token: Token, *, webhooks: bool, instagram: bool, today: date) -> list[str]:
    """What a person should know of it, in words."""
    notes = []
    if token.scopes is not None:
        needed = NEEDED | (INSTAGRAM_NEEDED if instagram else {})
        missing = [
            f"{scope} ({what})"
            for scope, what in needed.items()
            if scope not in token.scopes and (webhooks or scope != "pages_manage_metadata")
        ]
        if missing:
            notes.append(f"the token lacks {', '.join(missing)}")
    until = token.data_until
    if until is not None and (token.expires_at is None or until < token.expires_at):
        days = (until.date() - today).days
        if days <= 14:
            notes.append(
                f"access to people's data ends in {days} days: let the person behind the token log in to the app"
            )
    return notes


def version_note(asked: str, answered: str | None, today: date) -> str | None:
    notes = []
    if answered is not None and answered != asked:
        notes.append(f"Graph {asked} was asked, {answered} answers: set graph_version")
    last = LAST_DAYS.get(asked)
    if last is not None and today > last:
        notes.append(f"Graph {asked} ended on {last}: set graph_version to a newer one")
    elif last is not None and today >= last - _WARN:
        notes.append(f"Graph {asked} ends on {last}: set graph_version to a newer one")
    return "; ".join(notes) or None


# --- what the platform is to send us ----------------------------------------------------------------


def subscription(graph: PageGraph, page_id: str, app_id: str | None) -> tuple[str, str | None]:
    """`ok`, or in words what keeps webhooks from coming; and what was done about it.

    The Page's side and the app's are separate steps. A Page that does not send what we read, since nobody asked
    it or since our address was away for too long, is asked to; the app's side is for a person, in its dashboard.
    """
    try:
        sent = _sent(graph, page_id, app_id)
    except (Forbidden, Missing) as error:
        return f"not told: {error.reason}", None
    lacking, done = _lacking(sent), None
    if lacking:
        ask = ",".join([*sent, *lacking])
        try:
            graph.write(page_id, "subscribed_apps", {"subscribed_fields": ask})
            done = f"the Page sends {', '.join(lacking)} from now on"
            lacking = _lacking(_sent(graph, page_id, app_id))
        except (Forbidden, Failed):
            done = None
    if lacking:
        ask = f"POST /{page_id}/subscribed_apps?subscribed_fields={','.join(FIELDS)}"
        return f"the Page does not send {', '.join(lacking)}: {ask}", None
    return _app_side(graph, app_id), done


def _sent(graph: PageGraph, page_id: str, app_id: str | None) -> list[str]:
    """What the Page sends to our app; nothing where it is not subscribed."""
    listed = graph.get_connections(page_id, "subscribed_apps")
    apps = [one for one in map(mapping, items(listed.get("data"))) if one]
    mine = next((one for one in apps if app_id is None or native(one.get("id")) == app_id), {})
    fields = items(mine.get("subscribed_fields"))
    named = [mapping(one).get("name") if isinstance(one, dict) else one for one in fields]
    return [one for one in named if isinstance(one, str)]


def _app_side(graph: PageGraph, app_id: str | None) -> str:
    if app_id is None:
        return "ok"
    try:
        listed = graph.as_app(app_id, f"{app_id}/subscriptions")
    except RateLimited:
        raise
    except (Unavailable, Unauthorized):
        return "ok"  # the Page's side is in order, and more is not told
    where = "in the app's dashboard, under Webhooks, Page"
    page = next(
        (one for one in map(mapping, items(listed.get("data"))) if one.get("object") == "page"),
        None,
    )
    if page is None or not name(page.get("callback_url")):
        return f"the app has no callback address: set it {where}"
    if page.get("active") is False:
        return f"the app's subscription is switched off: switch it on {where}"
    lacking = _lacking([mapping(one).get("name") for one in items(page.get("fields"))])
    return f"the app does not take {', '.join(lacking)}: tick them {where}" if lacking else "ok"


def _lacking(sent: Any) -> list[str]:
    return [field for field in FIELDS if field not in sent and field != "standby"]
