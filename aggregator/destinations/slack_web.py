"""slack_sdk's WebClient over our own HTTP session, and what Slack's error words mean to the daemon."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.http import Http, body, outcome, place, retry_after_s

TIMEOUT_S: Final = (5.0, 15.0)
APP_REMEDY: Final = (
    "install the app in the workspace again with chat:write and channels:history, "
    "and put its bot token (xoxb-…) into the settings"
)
URL_REMEDY: Final = "check the destination's base_url; Slack's is https://slack.com/api/"

# The words are Slack's: docs.slack.dev, chat.postMessage, chat.update, conversations.history, auth.test.
LATER: Final = frozenset(
    [
        "request_timeout",
        "team_added_to_org",
        "org_login_required",
        "external_channel_migrating",
        "streaming_state_conflict",
    ]
)
PERHAPS_DONE: Final = frozenset(
    ["fatal_error", "internal_error", "service_unavailable", "update_failed"]
)
SLOW_DOWN: Final = frozenset(["ratelimited", "rate_limited", "message_limit_exceeded"])
SINK: Final = frozenset(
    [
        "invalid_auth",
        "not_authed",
        "token_revoked",
        "token_expired",
        "account_inactive",
        "missing_scope",
        "not_allowed_token_type",
        "no_permission",
        "ekm_access_denied",
        "two_factor_setup_required",
        "accesslimited",
        "access_denied",
        "app_access_restricted",
        "enterprise_is_restricted",
        "team_not_found",
        "is_bot",
        "as_user_not_supported",
    ]
)
WRONG_SERVER: Final = frozenset(["unknown_method", "method_deprecated", "deprecated_endpoint"])
ROOM: Final = frozenset(
    [
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "is_inactive",
        "restricted_action",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
        "messages_tab_disabled",
        "channel_is_limited_access",
        "posting_to_channel_denied",
    ]
)
THREAD_GONE: Final = frozenset(
    [
        "thread_not_found",
        "cannot_reply_to_message",
        "restricted_action_thread_locked",
        "restricted_action_non_threadable_channel",
    ]
)
CARD_GONE: Final = frozenset(
    ["message_not_found", "cant_update_message", "edit_window_closed", "block_mismatch"]
)
METADATA: Final = frozenset(
    [
        "metadata_too_large",
        "invalid_metadata_format",
        "invalid_metadata_schema",
        "metadata_must_be_sent_from_app",
    ]
)


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer of Slack's: `error` is its word for what is wrong, or None."""

    data: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Web(WebClient):
    """The SDK's client with its urllib replaced by our session: bounded, no redirects, no retries.

    The SDK's own retry sends a post twice when the connection ends after it was read.
    """

    def __init__(self, token: str, base_url: str, timeout_s: tuple[float, float]) -> None:
        super().__init__(token=token, base_url=base_url, retry_handlers=[])
        self._session = Http(timeout_s=timeout_s)

    def ask(self, method: str, **arguments: Any) -> Answered:
        """Call a method by its name in the SDK. Raises outcomes for whatever is not an answer of Slack's."""
        failure: Exception
        try:
            response = getattr(self, method)(**arguments)
            return Answered(response.data, None, response.headers)
        except SlackApiError as error:
            data = error.response.data
            word = data.get("error") if isinstance(data, dict) else None
            return Answered({}, _word(word), error.response.headers)
        except SlackClientError as error:
            failure = Rejected(f"slack_sdk refused the call: {type(error).__name__}")
        # Outside the except: the SDK's exceptions carry the request with its token.
        raise failure

    def _perform_urllib_http_request(
        self, *, url: str, args: dict[str, dict[str, Any]]
    ) -> dict[str, Any]:
        """What the SDK calls for every request; a test holds that it still does."""
        headers = dict(args["headers"])
        content: Any = args["params"]
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        if args["json"]:
            content = json.dumps(args["json"]).encode("utf-8")
            headers["Content-Type"] = "application/json; charset=utf-8"
        response = self._session.post(url, data=content, headers=headers)
        if response.status_code in (404, 405, 410):
            raise Unauthorized(f"{response.status_code} from {place(url)}", remedy=URL_REMEDY)
        outcome(response, remedy=APP_REMEDY)
        answer = body(response)
        if not isinstance(answer, dict):
            raise Unavailable(f"no object in the answer from {place(url)}", maybe_done=True)
        return {
            "status": 200,
            "headers": dict(response.headers),
            "body": json.dumps(answer),
        }


def _word(error: object) -> str:
    """Slack's words are lower case with underscores; anything else is not repeated."""
    if isinstance(error, str) and re.fullmatch(r"[a-z0-9_]{1,80}", error):
        return error
    return "an_error_without_a_word"


def meaning(answered: Answered, room: str) -> Exception:
    """What the daemon does next about an error word. What we do not know is retried, and looked for first."""
    error = answered.error or ""
    if error in SLOW_DOWN:
        return RateLimited(f"slack: {error}", retry_after_s=retry_after_s(answered.headers))
    if error in LATER or error in PERHAPS_DONE:
        return Unavailable(f"slack: {error}", maybe_done=error in PERHAPS_DONE)
    if error in SINK:
        return Unauthorized(f"slack: {error}", remedy=APP_REMEDY)
    if error in WRONG_SERVER:
        return Unauthorized(f"slack: {error}", remedy=URL_REMEDY)
    if error in ROOM:
        return Unauthorized(
            f"slack: {error} for room {room}",
            remedy=f"invite the app to {room} (/invite), or name another room in the settings",
        )
    if is_about_the_message(error):
        return Rejected(f"slack: {error}")
    return Unavailable(f"slack: {error}", maybe_done=True)


def is_about_the_message(error: str | None) -> bool:
    """Slack refuses this content: a simpler one may pass."""
    return error is not None and (
        error in METADATA
        or (
            error.startswith(("invalid_", "msg_", "too_many_", "missing_", "json_"))
            and error not in SINK
        )
        or error in ("no_text", "markdown_text_conflict", "attachment_payload_limit_exceeded")
    )
