"""The addresses on the stand-in of Facebook that are about the app: tokens, subscriptions, the way to a token."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from aggregator.sandbox.base import Answer, Request, answer
from aggregator.sandbox.facebook_gate import GraphError, token_of, version_of

if TYPE_CHECKING:
    from aggregator.sandbox.facebook import FacebookStandin

Match = re.Match[str]


def open_doors(page: FacebookStandin) -> None:
    """Before the addresses of the Page, which would match as well."""
    for method, pattern, door in (
        ("GET", r"/(v[^/]*)/debug_token", _debug_token),
        ("GET", r"/(v[^/]*)/app", _about_app),
        ("GET", r"/(v[^/]*)/oauth/access_token", _exchange),
        ("GET", r"/(v[^/]*)/me/accounts", _accounts),
        ("GET", r"/(v[^/]*)/(\d+)/subscriptions", _subscriptions),
        ("GET", r"/(v[^/]*)/([^/]+)/subscribed_apps", _subscribed_apps),
        ("POST", r"/(v[^/]*)/([^/]+)/subscribed_apps", _subscribed_apps),
    ):
        page.route(method, pattern, partial(door, page))


def _debug_token(page: FacebookStandin, request: Request, match: Match) -> Answer:
    """Any right token may ask."""
    version_of(match.group(1))
    if token_of(request) != page.gate.app_token:
        page.gate.caller(request)
    return answer(page.apps.debug(request.query.get("input_token")))


def _about_app(page: FacebookStandin, request: Request, match: Match) -> Answer:
    page.admit(request, match.group(1))
    return answer(page.apps.about())


def _subscriptions(page: FacebookStandin, request: Request, match: Match) -> Answer:
    version_of(match.group(1))
    if page.gate.caller(request) != "app" or match.group(2) != page.gate.app_id:
        raise GraphError(15, "(#15) This method must be called with an app access_token.")
    return answer(page.apps.subscriptions())


def _subscribed_apps(page: FacebookStandin, request: Request, match: Match) -> Answer:
    mine = match.group(2) in ("me", page.page.id)
    if page.admit(request, match.group(1)) != "page" or not mine:
        raise GraphError(210, "(#210) A page access token is required to request this resource.")
    if request.method == "POST":
        args = {**request.query, **request.form()}
        return answer(page.apps.subscribe(args.get("subscribed_fields", "")))
    return answer(page.apps.subscribed())


def _exchange(page: FacebookStandin, request: Request, match: Match) -> Answer:
    version_of(match.group(1))
    return answer(page.apps.exchange(request))


def _accounts(page: FacebookStandin, request: Request, match: Match) -> Answer:
    if page.admit(request, match.group(1)) != "user":
        raise GraphError(
            100, "(#100) Tried accessing nonexisting field (accounts) on node type (Page)"
        )
    return answer(page.apps.accounts(token_of(request)))
