"""What the stand-in of X takes, and the tokens that it gives."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from requests_oauthlib import OAuth1

from aggregator.sandbox.x import XStandin
from tests.sandbox.test_x import ANN, BEN, Clock, client, get, ids, mention, mentions

VERIFIER = "a-verifier-that-is-long-enough-to-be-one-0123456789"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def x(clock: Clock) -> Iterator[XStandin]:
    standin = XStandin(clock, short_pages=False)
    standin.start()
    yield standin
    standin.stop()
    assert standin.errors == []


def post(x: XStandin, path: str, value: Any) -> requests.Response:
    keys = x.keys
    auth = OAuth1(
        keys.consumer_key, keys.consumer_secret, keys.access_token, keys.access_token_secret
    )
    return requests.post(f"{x.base_url}{path}", json=value, auth=auth, timeout=5)


# --- writes ---------------------------------------------------------------------------------------


def test_an_answer_by_tweepy_stands_under_what_it_answers(x: XStandin) -> None:
    asked = mention(x)
    told = client(x).create_tweet(
        text="已加急 & 处理", in_reply_to_tweet_id=asked.id, user_auth=True
    )
    made = x.posts[int(told["data"]["id"])]
    assert told["data"]["edit_history_tweet_ids"] == [""]
    assert told["data"]["text"].endswith("已加急 &amp; 处理")
    assert made.reply_to is asked
    assert made.root == asked.root
    assert ids(get(x, f"/2/users/{x.brand.id}/tweets")) == [str(made.id)]
    assert {kind for _, kind, _ in x.billed} == {"post.create", "owned_read"}


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"text": ""},
        {"text": "退" * 141},
        {"text": "好", "colour": 1},
        {"text": "好", "reply": {"in_reply_to_tweet_id": "x"}},
        {"text": "好", "reply": 7},
    ],
)
def test_what_is_no_post_is_a_400_and_nothing_is_posted(x: XStandin, value: Any) -> None:
    assert post(x, "/2/tweets", value).status_code == 400
    assert x.posts == {}


def test_who_did_not_name_us_cannot_be_answered(x: XStandin) -> None:
    theirs = x.post(x.user(BEN), "今天天气不错", x.now())
    value = {"text": "您好", "reply": {"in_reply_to_tweet_id": str(theirs.id)}}
    refused = post(x, "/2/tweets", value)
    assert refused.status_code == 403
    assert "mentioned or otherwise engaged" in refused.json()["detail"]
    x.summoned_only = False
    assert post(x, "/2/tweets", value).status_code == 201


def test_the_same_words_are_taken_once_a_day(x: XStandin, clock: Clock) -> None:
    one, two = mention(x), mention(x, who=BEN)
    value = {"text": "收到", "reply": {"in_reply_to_tweet_id": str(one.id)}}
    assert post(x, "/2/tweets", value).status_code == 201
    value["reply"] = {"in_reply_to_tweet_id": str(two.id)}
    assert "duplicate" in post(x, "/2/tweets", value).json()["detail"]
    clock.pass_(days=1, seconds=1)
    assert post(x, "/2/tweets", value).status_code == 201
    x.delete(two)
    value["text"] = "再见"
    assert "deleted" in post(x, "/2/tweets", value).json()["detail"]


def test_a_direct_message_is_there_at_once_in_its_conversation_and_later_in_the_list(
    x: XStandin, clock: Clock
) -> None:
    x.dm_lag = timedelta(seconds=20)
    ann = x.user(ANN)
    told = client(x).create_direct_message(participant_id=ann.id, text="您好", user_auth=True)
    made = told["data"]["dm_event_id"]
    assert ids(get(x, f"/2/dm_conversations/with/{ann.id}/dm_events")) == [made]
    assert ids(get(x, "/2/dm_events")) == []
    clock.pass_(seconds=21)
    assert ids(get(x, "/2/dm_events")) == [made]
    again = post(
        x, f"/2/dm_conversations/{told['data']['dm_conversation_id']}/messages", {"text": "在吗"}
    )
    assert again.status_code == 201
    assert again.headers["location"].endswith(f'"{again.json()["data"]["dm_event_id"]}"')


def test_who_takes_no_messages_is_a_403(x: XStandin) -> None:
    ann = x.user(ANN)
    x.closed.add(ann.id)
    for path in (f"with/{ann.id}", "with/42", f"{ann.id}-{x.brand.id}"):
        refused = post(x, f"/2/dm_conversations/{path}/messages", {"text": "您好"})
        assert refused.status_code == 403
    assert (
        post(x, "/2/dm_conversations/1585800614365339648/messages", {"text": "好"}).status_code
        == 404
    )
    assert x.events == {}


def test_a_write_whose_answer_is_cut_off_has_happened(x: XStandin) -> None:
    asked = mention(x)
    x.fault("cut_after", path="/2/tweets")
    with pytest.raises(requests.ConnectionError):
        post(x, "/2/tweets", {"text": "收到", "reply": {"in_reply_to_tweet_id": str(asked.id)}})
    assert len(ids(get(x, f"/2/users/{x.brand.id}/tweets"))) == 1


def test_writes_have_windows_of_their_own_and_no_app_may_write(x: XStandin) -> None:
    x.limits["post"] = (1, 0)
    assert post(x, "/2/tweets", {"text": "一"}).status_code == 201
    assert post(x, "/2/tweets", {"text": "二"}).status_code == 429
    assert mentions(x).status_code == 200
    app = {"Authorization": f"Bearer {x.keys.bearer}"}
    answer = requests.post(f"{x.base_url}/2/tweets", json={"text": "三"}, headers=app, timeout=5)
    assert answer.status_code == 403


def test_a_token_without_the_permission_reads_posts_and_no_messages(x: XStandin) -> None:
    x.access = "read-write"
    assert mentions(x).headers["x-access-level"] == "read-write"
    refused = get(x, "/2/dm_events")
    assert refused.status_code == 403
    assert refused.json()["type"].endswith("/oauth1-permissions")


# --- OAuth 2.0 --------------------------------------------------------------------------------------


def agreed(x: XStandin, **more: str) -> dict[str, list[str]]:
    digest = hashlib.sha256(VERIFIER.encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": x.oauth2.client_id,
        "redirect_uri": "http://127.0.0.1:1/x",
        "state": "状态",
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
        **more,
    }
    page = requests.get(
        f"{x.base_url}/i/oauth2/authorize", params=asked, timeout=5, allow_redirects=False
    )
    return parse_qs(urlsplit(page.headers.get("Location", "")).query)


def token(x: XStandin, **form: str) -> requests.Response:
    form.setdefault("client_id", x.oauth2.client_id)
    return requests.post(f"{x.base_url}/2/oauth2/token", data=form, timeout=5)


def exchange(x: XStandin, code: str, verifier: str = VERIFIER) -> requests.Response:
    given = {"code": code, "code_verifier": verifier, "redirect_uri": "http://127.0.0.1:1/x"}
    return token(x, grant_type="authorization_code", **given)


def me(x: XStandin, access: str) -> int:
    bearer = {"Authorization": f"Bearer {access}"}
    return requests.get(f"{x.base_url}/2/users/me", headers=bearer, timeout=5).status_code


def test_a_code_is_good_once_and_only_with_its_verifier(x: XStandin) -> None:
    assert exchange(x, agreed(x)["code"][0], "another").status_code == 400
    told = agreed(x)
    assert told["state"] == ["状态"]
    pair = exchange(x, told["code"][0]).json()
    assert me(x, pair["access_token"]) == 200
    assert exchange(x, told["code"][0]).status_code == 400
    assert agreed(x, client_id="other") == {}
    x.oauth2.agrees = False
    assert agreed(x)["error"] == ["access_denied"]


def test_a_token_lives_two_hours_and_a_refresh_token_once(x: XStandin, clock: Clock) -> None:
    pair = exchange(x, agreed(x)["code"][0]).json()
    assert pair["expires_in"] == 7200
    clock.pass_(hours=2)
    assert me(x, pair["access_token"]) == 401
    new = token(x, grant_type="refresh_token", refresh_token=pair["refresh_token"]).json()
    assert me(x, new["access_token"]) == 200
    again = token(x, grant_type="refresh_token", refresh_token=pair["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_request")
    x.oauth2.revoke()
    assert me(x, new["access_token"]) == 401
    assert token(x, grant_type="password").status_code == 400


def test_a_confidential_client_must_say_who_it_is(x: XStandin) -> None:
    x.oauth2.client_secret = "s3cret"
    assert exchange(x, agreed(x)["code"][0]).status_code == 401
    answer = requests.post(
        f"{x.base_url}/2/oauth2/token",
        data={
            "grant_type": "authorization_code",
            "code": agreed(x)["code"][0],
            "code_verifier": VERIFIER,
            "redirect_uri": "http://127.0.0.1:1/x",
        },
        auth=(x.oauth2.client_id, "s3cret"),
        timeout=5,
    )
    assert answer.status_code == 200


def test_a_user_of_oauth2_has_the_users_windows(x: XStandin) -> None:
    x.limits["me"] = (1, 0)
    access = str(x.oauth2.issue()["access_token"])
    assert [me(x, access) for _ in range(2)] == [200, 429]


# --- what is counted, and what ends ----------------------------------------------------------------


def test_the_project_sees_what_it_has_read_and_a_user_does_not(x: XStandin) -> None:
    mention(x)
    mentions(x, expansions="author_id")
    app = {"Authorization": f"Bearer {x.keys.bearer}"}
    told = requests.get(f"{x.base_url}/2/usage/tweets", headers=app, timeout=5).json()
    assert told["data"]["project_usage"] == "1"
    assert get(x, "/2/usage/tweets").status_code == 403
    assert x.spent_usd() == pytest.approx(0.011)


def test_a_token_of_a_page_ends_with_its_age(x: XStandin, clock: Clock) -> None:
    x.token_age = timedelta(minutes=1)
    for number in range(6):
        mention(x, str(number))
    page = mentions(x, max_results=5).json()["meta"]["next_token"]
    clock.pass_(seconds=50)
    assert mentions(x, max_results=5, pagination_token=page).status_code == 200
    clock.pass_(seconds=20)
    assert mentions(x, max_results=5, pagination_token=page).status_code == 400


@pytest.mark.parametrize(
    ("query", "hits"),
    [
        ('("露沐" OR "lumo tea")', {0, 1}),
        ('"lumo tea" -退款', {1}),
        ("露沐 -from:ann_reads", set()),
        ("@lumo is:reply", set()),
        ("(露沐 OR 绿茶) 退款", {0}),
    ],
)
def test_a_search_knows_phrases_alternatives_and_exclusions(
    x: XStandin, clock: Clock, query: str, hits: set[int]
) -> None:
    made = [x.post(x.user(ANN), text, x.now()) for text in ("露沐 退款", "Lumo Tea cold", "lumo")]
    clock.pass_(minutes=1)
    found = ids(get(x, "/2/tweets/search/recent", query=query))
    assert set(found) == {str(made[number].id) for number in hits}


def test_a_search_that_begins_more_than_a_week_ago_is_a_400(x: XStandin, clock: Clock) -> None:
    path = "/2/tweets/search/recent"
    old = (clock.at - timedelta(days=8)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    refused = get(x, path, query="露沐", start_time=old)
    assert refused.status_code == 400
    assert "'start_time' must be on or after" in refused.text
