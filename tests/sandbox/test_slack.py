"""The stand-in of Slack, asked by slack_sdk and by plain requests."""

from __future__ import annotations

import re
import urllib.error
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import RemoteDisconnected
from typing import Any

import pytest
import requests
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from aggregator.sandbox.slack import SlackStandin

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
ROOM = "C0SOCIAL"
CARD = [{"type": "section", "text": {"type": "mrkdwn", "text": "*安妮*：退款还没到"}}]


class Tick:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def tick() -> Tick:
    return Tick()


@pytest.fixture
def slack(tick: Tick) -> Iterator[SlackStandin]:
    standin = SlackStandin(lambda: NOON, tick=tick, per_second=1.0, burst=40.0)
    standin.start()
    yield standin
    standin.stop()
    assert standin.errors == []


@pytest.fixture
def web(slack: SlackStandin) -> WebClient:
    options = slack.options(ROOM)
    return WebClient(token=options["token"], base_url=options["base_url"], retry_handlers=[])


def error_of(call: Any, **arguments: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        call(**arguments)
    return str(caught.value.response["error"])


def test_the_options_lead_an_sdk_in(slack: SlackStandin, web: WebClient) -> None:
    assert slack.options(ROOM)["base_url"].endswith("/api/")
    told = web.auth_test()
    assert told["ok"] and told["user"] == "inboxd" and told["url"].startswith("https://")


def test_a_missing_or_wrong_token_is_a_200_that_is_not_ok(
    slack: SlackStandin, web: WebClient
) -> None:
    base_url = slack.options(ROOM)["base_url"]
    assert error_of(WebClient(token="xoxb-no", base_url=base_url).auth_test) == "invalid_auth"
    response = requests.post(f"{base_url}auth.test", timeout=5)
    assert (response.status_code, response.json()["error"]) == (200, "not_authed")
    slack.token_error = "token_revoked"
    assert error_of(web.auth_test) == "token_revoked"


def test_a_scope_that_is_missing_is_named(slack: SlackStandin, web: WebClient) -> None:
    slack.scopes.discard("channels:history")
    with pytest.raises(SlackApiError) as caught:
        web.conversations_history(channel=ROOM)
    assert caught.value.response["error"] == "missing_scope"
    assert caught.value.response["needed"] == "channels:history"
    assert web.chat_postMessage(channel=ROOM, text="还能发")["ok"]


def test_a_post_by_json_and_one_by_form_are_the_same(slack: SlackStandin, web: WebClient) -> None:
    web.chat_postMessage(channel=ROOM, text="退款", blocks=CARD)
    options = slack.options(ROOM)
    form = {"channel": ROOM, "text": "退款", "token": options["token"]}
    form["blocks"] = '[{"type":"section","text":{"type":"mrkdwn","text":"*安妮*：退款还没到"}}]'
    requests.post(f"{options['base_url']}chat.postMessage", data=form, timeout=5)
    one, two = slack.posts
    assert (one.text, one.blocks, one.channel) == (two.text, two.blocks, two.channel)
    assert one.ts != two.ts  # the clock stood still
    assert all(re.fullmatch(r"\d{10}\.\d{6}", post.ts) for post in (one, two))


def test_what_is_no_json_and_no_form_is_refused(slack: SlackStandin) -> None:
    options = slack.options(ROOM)
    url = f"{options['base_url']}chat.postMessage"
    headers = {"Authorization": f"Bearer {options['token']}"}

    def said(body: bytes, kind: str) -> str:
        sent = {**headers, "Content-Type": kind}
        return str(requests.post(url, data=body, headers=sent, timeout=5).json()["error"])

    assert said(b"{", "application/json") == "invalid_json"
    assert said(b"[" * 100_000, "application/json") == "invalid_json"
    assert said(b"[]", "application/json") == "json_not_object"
    assert said(b"hi", "text/plain") == "invalid_post_type"
    assert (
        said(b"channel=C0SOCIAL&text=a&blocks=%5B", "application/x-www-form-urlencoded")
        == "invalid_blocks_format"
    )
    assert slack.posts == []


def test_a_post_without_text_is_refused_even_with_blocks(web: WebClient) -> None:
    with pytest.warns(UserWarning):
        assert error_of(web.chat_postMessage, channel=ROOM, blocks=CARD) == "no_text"
    with pytest.warns(UserWarning):
        assert error_of(web.chat_postMessage, channel=ROOM, text=" ") == "no_text"
    assert error_of(web.chat_postMessage, channel=ROOM, text="长" * 40_001) == "msg_too_long"


def test_rooms_refuse_by_what_they_are(slack: SlackStandin, web: WebClient) -> None:
    said = {
        room: error_of(web.chat_postMessage, channel=room, text="在吗")
        for room in ("C_ARCHIVED", "C_NOT_IN", "C_RESTRICTED", "C_NOWHERE")
    }
    assert said == {
        "C_ARCHIVED": "is_archived",
        "C_NOT_IN": "not_in_channel",
        "C_RESTRICTED": "restricted_action",
        "C_NOWHERE": "channel_not_found",
    }
    assert web.conversations_history(channel="C_ARCHIVED")["messages"] == []
    slack.rooms[ROOM] = "is_archived"
    assert error_of(web.chat_postMessage, channel=ROOM, text="在吗") == "is_archived"


def test_an_edit_keeps_the_ts_and_the_ledger_keeps_what_was(
    slack: SlackStandin, web: WebClient
) -> None:
    ts = web.chat_postMessage(channel=ROOM, text="待回复", blocks=CARD)["ts"]
    assert web.chat_update(channel=ROOM, ts=ts, text="已回复")["ts"] == ts
    (post,) = slack.posts
    assert (post.text, post.blocks) == ("已回复", CARD)  # no blocks given: the old ones stay
    web.chat_update(channel=ROOM, ts=ts, text="已回复", blocks=[])
    assert post.blocks == []
    assert post.edits == [("待回复", CARD), ("已回复", CARD)]
    (message,) = web.conversations_history(channel=ROOM)["messages"]
    assert message["edited"]["user"] == message["user"]


def test_an_edit_of_nothing_is_message_not_found(slack: SlackStandin, web: WebClient) -> None:
    gone = {"channel": ROOM, "ts": "1700000000.000001", "text": "x"}
    assert error_of(web.chat_update, **gone) == "message_not_found"
    ts = web.chat_postMessage(channel=ROOM, text="在")["ts"]
    slack.delete(ROOM, ts)
    assert error_of(web.chat_update, channel=ROOM, ts=ts, text="x") == "message_not_found"


def test_a_thread_stands_under_a_message_that_is_there(slack: SlackStandin, web: WebClient) -> None:
    root = web.chat_postMessage(channel=ROOM, text="卡片")["ts"]
    reply = web.chat_postMessage(channel=ROOM, text="又来一条", thread_ts=root)["ts"]
    for wrong in ("1700000000.000001", reply):
        assert (
            error_of(web.chat_postMessage, channel=ROOM, text="x", thread_ts=wrong)
            == "thread_not_found"
        )
    other = slack.options("C0OTHER")["room"]
    assert (
        error_of(web.chat_postMessage, channel=other, text="x", thread_ts=root)
        == "thread_not_found"
    )
    thread = web.conversations_replies(channel=ROOM, ts=root)["messages"]
    assert [one["ts"] for one in thread] == [root, reply]
    assert thread[0]["reply_count"] == 1
    assert [one["ts"] for one in web.conversations_history(channel=ROOM)["messages"]] == [root]
    slack.delete(ROOM, root)
    assert error_of(web.conversations_replies, channel=ROOM, ts=root) == "thread_not_found"


def test_history_pages_newest_first_and_shows_metadata_when_asked(
    slack: SlackStandin, web: WebClient
) -> None:
    mark = {"event_type": "inboxd", "event_payload": {"delivery": "7"}}
    sent = [
        web.chat_postMessage(channel=ROOM, text=f"第{n}条", metadata=mark)["ts"] for n in range(5)
    ]
    seen: list[dict[str, Any]] = []
    for page in web.conversations_history(channel=ROOM, limit=2, include_all_metadata=True):
        seen += page["messages"]
    assert [one["ts"] for one in seen] == sent[::-1]
    assert all(one["metadata"] == mark for one in seen)
    told = web.conversations_history(channel=ROOM, oldest=sent[2])["messages"]
    assert [one["ts"] for one in told] == [sent[4], sent[3]]
    assert "metadata" not in told[0]
    told = web.conversations_history(channel=ROOM, oldest=sent[2], latest=sent[3], inclusive=True)
    assert [one["ts"] for one in told["messages"]] == [sent[3], sent[2]]
    assert error_of(web.conversations_history, channel=ROOM, cursor="x") == "invalid_cursor"
    assert error_of(web.conversations_history, channel=ROOM, oldest="noon") == "invalid_ts_oldest"


def test_a_threads_pages_begin_with_its_root_whatever_oldest_says(
    slack: SlackStandin, web: WebClient
) -> None:
    root = web.chat_postMessage(channel=ROOM, text="卡片")["ts"]
    sent = [
        web.chat_postMessage(channel=ROOM, text=f"第{n}条", thread_ts=root)["ts"] for n in range(4)
    ]
    seen: list[str] = []
    for page in web.conversations_replies(channel=ROOM, ts=root, oldest=sent[0], limit=2):
        seen += [one["ts"] for one in page["messages"]]
    assert seen == [root, *sent[1:]]


def test_metadata_has_its_own_limits(web: WebClient) -> None:
    post = {"channel": ROOM, "text": "x"}
    assert (
        error_of(web.chat_postMessage, **post, metadata={"event_type": "a"})
        == "invalid_metadata_format"
    )
    large = {"event_type": "a", "event_payload": {"text": "x" * 9_000}}
    assert error_of(web.chat_postMessage, **post, metadata=large) == "metadata_too_large"


def test_permalinks_lead_into_threads(web: WebClient) -> None:
    root = web.chat_postMessage(channel=ROOM, text="卡片")["ts"]
    reply = web.chat_postMessage(channel=ROOM, text="跟帖", thread_ts=root)["ts"]
    link = web.chat_getPermalink(channel=ROOM, message_ts=root)["permalink"]
    assert link.endswith(f"/archives/{ROOM}/p{root.replace('.', '')}")
    link = web.chat_getPermalink(channel=ROOM, message_ts=reply)["permalink"]
    assert link.endswith(f"?thread_ts={root}&cid={ROOM}")


def test_too_many_posts_to_one_room_are_a_429_and_the_other_room_goes_on(
    slack: SlackStandin, web: WebClient, tick: Tick
) -> None:
    slack.limits["chat.postMessage"] = (1.0, 3.0)
    for number in range(3):
        web.chat_postMessage(channel=ROOM, text=str(number))
    with pytest.raises(SlackApiError) as caught:
        web.chat_postMessage(channel=ROOM, text="太快了")
    response = caught.value.response
    assert (response.status_code, response["error"]) == (429, "ratelimited")
    assert response.headers["Retry-After"] == "1"
    assert web.chat_postMessage(channel="C0LEADS", text="这里可以")["ok"]
    tick.at += 1
    assert web.chat_postMessage(channel=ROOM, text="现在可以了")["ok"]
    slack.retry_after = ""
    with pytest.raises(SlackApiError) as caught:
        web.chat_postMessage(channel=ROOM, text="又太快")
    assert "Retry-After" not in caught.value.response.headers
    assert len(slack.posts) == 5


def test_a_word_on_demand_refuses_and_does_nothing(slack: SlackStandin, web: WebClient) -> None:
    slack.ok_false("fatal_error", method="chat.postMessage", times=2)
    assert web.auth_test()["ok"]
    for _ in range(2):
        assert error_of(web.chat_postMessage, channel=ROOM, text="x") == "fatal_error"
    assert web.chat_postMessage(channel=ROOM, text="好了")["ok"]
    assert [post.text for post in slack.posts] == ["好了"]


def test_an_answer_that_is_lost_leaves_the_post_where_history_finds_it(
    slack: SlackStandin, web: WebClient
) -> None:
    slack.fault("cut_after", path="/api/chat.postMessage")
    mark = {"event_type": "inboxd", "event_payload": {"delivery": "42"}}
    with pytest.raises((RemoteDisconnected, urllib.error.URLError, ConnectionError)):
        web.chat_postMessage(channel=ROOM, text="到了吗", metadata=mark)
    (found,) = web.conversations_history(channel=ROOM, include_all_metadata=True)["messages"]
    assert found["metadata"]["event_payload"]["delivery"] == "42"


def test_the_hook_hears_each_post_and_edit_in_order(slack: SlackStandin, web: WebClient) -> None:
    heard: list[tuple[str, str]] = []
    slack.on_post = lambda post: heard.append((post.channel, post.text))
    ts = web.chat_postMessage(channel=ROOM, text="新的")["ts"]
    web.chat_update(channel=ROOM, ts=ts, text="改过")
    error_of(web.chat_postMessage, channel="C_ARCHIVED", text="没人听见")
    assert heard == [(ROOM, "新的"), (ROOM, "改过")]


def test_an_unknown_method_is_said_to_be_one(web: WebClient) -> None:
    assert error_of(web.api_call, api_method="chat.shout") == "unknown_method"
