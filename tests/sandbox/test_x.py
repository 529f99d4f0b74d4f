"""The stand-in of X, asked by tweepy and by plain requests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import tweepy
from requests_oauthlib import OAuth1

from aggregator.sandbox.base import Person
from aggregator.sandbox.x import XStandin
from aggregator.sandbox.x_objects import Post, snowflake_time

NOON = datetime(2026, 3, 4, 12, 0, 0, 250_000, tzinfo=UTC)
ANN = Person(1, "安妮", "ann_reads", 120)
BEN = Person(2, "Ben", "benb", 4)


class Clock:
    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at

    def pass_(self, **span: float) -> None:
        self.at += timedelta(**span)


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


class Redirected(requests.Session):
    """X's host is built into tweepy; the signature covers the host, so it changes before signing."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._base_url = base_url

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        assert request.url is not None
        request.url = request.url.replace("https://api.twitter.com", self._base_url)
        return super().prepare_request(request)


def client(x: XStandin, **keys: str) -> tweepy.Client:
    mine = {
        name: value for name, value in x.options().items() if name not in ("user_id", "base_url")
    }
    made = tweepy.Client(bearer_token=x.keys.bearer, return_type=dict, **{**mine, **keys})
    made.session = Redirected(x.base_url)
    return made


def get(x: XStandin, path: str, **params: object) -> requests.Response:
    keys = x.keys
    auth = OAuth1(
        keys.consumer_key, keys.consumer_secret, keys.access_token, keys.access_token_secret
    )
    asked: Any = {key.replace("__", "."): value for key, value in params.items()}
    return requests.get(f"{x.base_url}{path}", params=asked, auth=auth, timeout=5)


def mentions(x: XStandin, **params: object) -> requests.Response:
    return get(x, f"/2/users/{x.brand.id}/mentions", **params)


def mention(x: XStandin, text: str = "退款还没到", who: Person = ANN, **more: Any) -> Post:
    return x.post(x.user(who), f"@lumo {text}", x.now(), **more)


def ids(response: requests.Response) -> list[str]:
    return [one["id"] for one in response.json().get("data", [])]


# --- who may read ---------------------------------------------------------------------------------


def test_a_signature_by_tweepy_is_taken_and_says_who_we_are(x: XStandin) -> None:
    told = client(x).get_me(user_auth=True, user_fields=["verified"])
    assert told["data"] == {
        "id": str(x.brand.id),
        "name": "Lumo",
        "username": "lumo",
        "verified": True,
    }


@pytest.mark.parametrize(
    "wrong", ["consumer_key", "consumer_secret", "access_token", "access_token_secret"]
)
def test_a_signature_with_one_wrong_key_is_a_401(x: XStandin, wrong: str) -> None:
    with pytest.raises(tweepy.Unauthorized) as caught:
        client(x, **{wrong: "other"}).get_me(user_auth=True)
    assert caught.value.response.headers["Content-Type"] == "application/problem+json"
    assert "x-rate-limit-limit" not in caught.value.response.headers


def test_a_signature_covers_the_parameters_the_host_and_the_time(x: XStandin) -> None:
    signed = requests.Request(
        "GET",
        f"{x.base_url}/2/users/{x.brand.id}/mentions?max_results=5",
        auth=OAuth1(
            x.keys.consumer_key,
            x.keys.consumer_secret,
            x.keys.access_token,
            x.keys.access_token_secret,
        ),
    ).prepare()
    with requests.Session() as session:
        assert session.send(signed, timeout=5).status_code == 200
        assert session.send(signed, timeout=5).status_code == 401  # the nonce was used
        assert signed.url is not None
        signed.url = signed.url.replace("=5", "=50")
        assert session.send(signed, timeout=5).status_code == 401
    old = OAuth1(
        x.keys.consumer_key,
        x.keys.consumer_secret,
        x.keys.access_token,
        x.keys.access_token_secret,
        timestamp="1500000000",
    )
    assert requests.get(f"{x.base_url}/2/users/me", auth=old, timeout=5).status_code == 401


def test_an_app_reads_posts_but_no_direct_messages(x: XStandin) -> None:
    mention(x)
    app = client(x)
    assert len(app.get_users_mentions(str(x.brand.id))["data"]) == 1
    with pytest.raises(tweepy.Forbidden) as caught:
        app.get_direct_message_events(user_auth=False)
    assert caught.value.response.json()["type"].endswith("/unsupported-authentication")


# --- pages ----------------------------------------------------------------------------------------


def test_an_empty_timeline_has_no_data_key(x: XStandin) -> None:
    assert mentions(x).json() == {"meta": {"result_count": 0}}


def test_pages_come_newest_first_and_what_comes_in_meanwhile_moves_nothing(
    x: XStandin, clock: Clock
) -> None:
    made = []
    for number in range(7):
        clock.pass_(seconds=1)
        made.append(str(mention(x, f"第{number}条").id))
    first = mentions(x, max_results=5)
    assert ids(first) == made[:1:-1]
    meta = first.json()["meta"]
    assert (meta["newest_id"], meta["oldest_id"], meta["result_count"]) == (made[-1], made[2], 5)
    clock.pass_(seconds=1)
    late = str(mention(x, "插进来的").id)
    second = mentions(x, max_results=5, pagination_token=meta["next_token"])
    assert ids(second) == [made[1], made[0]]
    assert "next_token" not in second.json()["meta"]
    assert ids(mentions(x, since_id=made[-1])) == [late]


def test_a_page_may_hold_fewer_than_asked_for_and_still_have_a_next(
    x: XStandin, clock: Clock
) -> None:
    x.short_pages = True
    for number in range(6):
        clock.pass_(seconds=1)
        mention(x, str(number))
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = mentions(x, max_results=6, **token).json()
        assert page["meta"]["result_count"] <= 4
        found += [one["id"] for one in page["data"]]
        if "next_token" not in page["meta"]:
            break
        token = {"pagination_token": page["meta"]["next_token"]}
    assert len(set(found)) == 6


def test_the_last_page_may_have_a_token_that_leads_to_nothing(x: XStandin) -> None:
    x.trailing_token = True
    mention(x)
    token = mentions(x).json()["meta"]["next_token"]
    assert mentions(x, pagination_token=token).json() == {"meta": {"result_count": 0}}


def test_a_token_that_has_expired_or_belongs_elsewhere_is_a_400(x: XStandin) -> None:
    for number in range(6):
        mention(x, str(number))
    token = mentions(x, max_results=5).json()["meta"]["next_token"]
    path = f"/2/users/{x.brand.id}/tweets"
    assert get(x, path, pagination_token=token).status_code == 400
    x.forget_tokens()
    refused = mentions(x, max_results=5, pagination_token=token)
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["parameters"] == {"pagination_token": [token]}


def test_only_the_newest_800_mentions_can_be_read(x: XStandin, clock: Clock) -> None:
    for _ in range(805):
        mention(x)
    seen: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = mentions(x, max_results=100, **token).json()
        seen += [one["id"] for one in page.get("data", [])]
        if "next_token" not in page["meta"]:
            break
        token = {"pagination_token": page["meta"]["next_token"]}
    assert len(seen) == 800


# --- parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"max_results": 4},
        {"max_results": 101},
        {"max_results": "ten"},
        {"since_id": "abc"},
        {"since_id": "5", "until_id": "5"},
        {"since_id": "5", "start_time": "2026-03-01T00:00:00Z"},
        {"start_time": "2026-03-01"},
        {"start_time": "2010-11-05T00:00:00Z"},
        {"start_time": "2026-03-02T00:00:00Z", "end_time": "2026-03-01T00:00:00Z"},
        {"tweet__fields": "created_at,colour"},
        {"expansions": "author"},
        {"message": "x"},
    ],
)
def test_a_parameter_that_x_would_refuse_is_a_400(x: XStandin, params: dict[str, object]) -> None:
    refused = mentions(x, **params)
    assert refused.status_code == 400
    assert refused.json()["type"].endswith("/invalid-request")


def test_start_time_is_inclusive_and_the_other_bounds_are_not(x: XStandin, clock: Clock) -> None:
    one = mention(x)
    clock.pass_(seconds=10)
    two = mention(x)
    begin = one.at.strftime("%Y-%m-%dT%H:%M:%SZ")
    end = two.at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert ids(mentions(x, start_time=begin, end_time=end)) == [str(one.id)]
    assert ids(mentions(x, since_id=one.id)) == [str(two.id)]
    assert ids(mentions(x, until_id=two.id)) == [str(one.id)]


def test_a_since_id_that_is_too_old_is_a_400_that_says_from_when(x: XStandin, clock: Clock) -> None:
    old = mention(x)
    clock.pass_(days=8)
    assert mentions(x, since_id=old.id).status_code == 200
    x.since_max_age = timedelta(days=7)
    refused = mentions(x, since_id=old.id)
    assert refused.status_code == 400
    assert "'since_id' must be a tweet id created after" in refused.text


# --- fields ---------------------------------------------------------------------------------------


def test_only_the_default_fields_come_when_nothing_is_asked_for(x: XStandin) -> None:
    post = mention(x, "a < b & c")
    told = mentions(x).json()
    assert told["data"] == [
        {
            "id": str(post.id),
            "text": "@lumo a &lt; b &amp; c",
            "edit_history_tweet_ids": [str(post.id)],
        }
    ]
    assert "includes" not in told


def test_expansions_bring_each_object_once_with_the_fields_asked_for(x: XStandin) -> None:
    own = x.post(x.brand, "新品上市", x.now())
    mention(x, "多少钱？", reply_to=own, attachment="image")
    mention(x, "好看")
    told = mentions(
        x,
        expansions="author_id,referenced_tweets.id,attachments.media_keys",
        user__fields="public_metrics",
        media__fields="url",
        tweet__fields="created_at,conversation_id,in_reply_to_user_id",
    ).json()
    assert [user["username"] for user in told["includes"]["users"]] == ["ann_reads"]
    assert told["includes"]["users"][0]["public_metrics"]["followers_count"] == 120
    assert [post["id"] for post in told["includes"]["tweets"]] == [str(own.id)]
    assert told["includes"]["media"][0]["url"].endswith(".jpg")
    answer = told["data"][1]
    assert answer["author_id"] == str(x.user(ANN).id)  # an expansion shows what it expands
    assert answer["referenced_tweets"] == [{"type": "replied_to", "id": str(own.id)}]
    assert answer["conversation_id"] == str(own.id)
    assert answer["in_reply_to_user_id"] == str(x.brand.id)
    assert answer["created_at"] == "2026-03-04T12:00:00.000Z"


def test_the_newer_vocabulary_says_post_wherever_the_older_said_tweet(x: XStandin) -> None:
    x.vocabulary = "post"
    own = x.post(x.brand, "新品", x.now())
    mention(x, "长" * 200, reply_to=own)
    told = mentions(x, post__fields="note_post,referenced_posts", expansions="referenced_posts")
    post = told.json()["data"][0]
    assert set(post) == {"id", "text", "edit_history_post_ids", "note_post", "referenced_posts"}
    assert [one["id"] for one in told.json()["includes"]["posts"]] == [str(own.id)]
    assert "tweet" not in told.text.replace("api.twitter.com", "")


def test_a_long_post_is_cut_in_text_and_whole_in_its_note(x: XStandin) -> None:
    text = "退" * 150 + " & https://shop.example/help?a=1 完"
    post = mention(x, text)
    told = mentions(x, tweet__fields="note_tweet,entities").json()["data"][0]
    assert told["text"].endswith("…")
    assert len(told["text"]) < 150
    note = told["note_tweet"]
    assert note["text"] == post.words.text.replace("&", "&amp;")
    assert note["entities"]["urls"][0]["expanded_url"] == "https://shop.example/help?a=1"
    assert "urls" not in told["entities"]
    begin, end = (note["entities"]["urls"][0][key] for key in ("start", "end"))
    assert note["text"][begin:end] == note["entities"]["urls"][0]["url"]


def test_links_are_made_short_and_media_hang_at_the_end(x: XStandin) -> None:
    post = mention(x, "看 https://shop.example/a，谢谢", attachment="image")
    told = mentions(x, tweet__fields="entities,attachments").json()["data"][0]
    page, photo = told["entities"]["urls"]
    assert told["text"] == f"@lumo 看 {page['url']}，谢谢 {photo['url']}"
    assert page["expanded_url"] == "https://shop.example/a"
    assert photo["media_key"] == told["attachments"]["media_keys"][0] == post.words.media[0].key


# --- edits, deletions, lag ------------------------------------------------------------------------


def test_an_edit_is_a_new_id_and_the_old_one_can_still_be_fetched(
    x: XStandin, clock: Clock
) -> None:
    first = mention(x, "没到货")
    clock.pass_(minutes=5)
    second = x.edit(first, "@lumo 到货了", clock.at)
    told = mentions(x).json()["data"]
    assert [one["id"] for one in told] == [str(second.id)]
    assert told[0]["edit_history_tweet_ids"] == [str(first.id), str(second.id)]
    both = get(x, "/2/tweets", ids=f"{first.id},{second.id}").json()["data"]
    assert [one["text"] for one in both] == ["@lumo 没到货", "@lumo 到货了"]
    assert ids(mentions(x, since_id=first.id)) == [str(second.id)]


def test_a_deleted_post_is_an_error_inside_a_200(x: XStandin) -> None:
    gone, there = mention(x), mention(x)
    x.delete(gone)
    told = get(x, "/2/tweets", ids=f"{gone.id},{there.id},17").json()
    assert [one["id"] for one in told["data"]] == [str(there.id)]
    assert [one["resource_id"] for one in told["errors"]] == [str(gone.id), "17"]
    assert all(one["type"].endswith("/resource-not-found") for one in told["errors"])
    assert ids(mentions(x)) == [str(there.id)]


def test_a_protected_authors_posts_are_hidden(x: XStandin) -> None:
    post = mention(x)
    x.protected.add(post.author.id)
    assert ids(mentions(x)) == []
    told = get(x, "/2/tweets", ids=str(post.id)).json()
    assert told["errors"][0]["type"].endswith("/not-authorized-for-resource")


def test_a_post_that_shows_up_late_has_an_id_below_newer_ones(x: XStandin, clock: Clock) -> None:
    slow = mention(x, lag=timedelta(seconds=90))
    clock.pass_(seconds=5)
    quick = mention(x, who=BEN)
    assert ids(mentions(x)) == [str(quick.id)]
    clock.pass_(seconds=90)
    assert ids(mentions(x)) == [str(quick.id), str(slow.id)]
    assert ids(mentions(x, since_id=quick.id)) == []


def test_our_own_timeline_has_answers_unless_they_are_excluded(x: XStandin) -> None:
    own = x.post(x.brand, "新品", x.now())
    answer = x.post(x.brand, "抱歉久等", x.now(), reply_to=mention(x))
    path = f"/2/users/{x.brand.id}/tweets"
    assert ids(get(x, path)) == [str(answer.id), str(own.id)]
    assert ids(get(x, path, exclude="replies,retweets")) == [str(own.id)]
    assert get(x, path).json()["data"][0]["text"] == "@ann_reads 抱歉久等"
    assert len(ids(mentions(x))) == 1  # what we write is no mention of us


def test_another_users_timeline_is_not_there(x: XStandin) -> None:
    told = get(x, "/2/users/42/mentions").json()
    assert told["errors"][0]["resource_type"] == "user"
    assert "data" not in told


def test_search_leaves_out_the_last_half_minute_and_all_beyond_a_week(
    x: XStandin, clock: Clock
) -> None:
    post = mention(x, "退款")
    path = "/2/tweets/search/recent"
    assert ids(get(x, path, query="@lumo")) == []
    clock.pass_(seconds=31)
    assert ids(get(x, path, query="@lumo 退款 -from:lumo")) == [str(post.id)]
    assert ids(get(x, path, query="@lumo -退款")) == []
    assert get(x, path).status_code == 400
    clock.pass_(days=8)
    assert ids(get(x, path, query="@lumo")) == []
    assert get(x, path, query="@lumo", since_id=post.id).status_code == 400


# --- direct messages ------------------------------------------------------------------------------


def test_direct_messages_come_newest_first_with_no_sender_unless_asked(
    x: XStandin, clock: Clock
) -> None:
    ann = x.user(ANN)
    first = x.message(ann, x.brand, "账号被盗了 <急>", clock.at)
    clock.pass_(seconds=3)
    second = x.message(x.brand, ann, "已冻结", clock.at)
    told = client(x).get_direct_message_events()
    assert told["data"] == [
        {"id": str(second.id), "event_type": "MessageCreate", "text": "已冻结"},
        {"id": str(first.id), "event_type": "MessageCreate", "text": "账号被盗了 &lt;急&gt;"},
    ]
    assert told["meta"] == {"result_count": 2}
    told = client(x).get_direct_message_events(
        dm_event_fields=["sender_id", "dm_conversation_id", "participant_ids"],
        expansions=["sender_id"],
    )
    low, high = sorted((ann.id, x.brand.id))
    assert told["data"][1] == {
        "id": str(first.id),
        "event_type": "MessageCreate",
        "text": "账号被盗了 &lt;急&gt;",
        "sender_id": str(ann.id),
        "dm_conversation_id": f"{low}-{high}",
    }
    assert {user["id"] for user in told["includes"]["users"]} == {str(ann.id), str(x.brand.id)}


def test_joining_is_an_event_without_words_that_can_be_filtered_out(x: XStandin) -> None:
    x.join(x.user(BEN), "1585800614365339648", x.now())
    x.message(x.user(ANN), x.brand, "在吗", x.now())
    told = get(x, "/2/dm_events", dm_event__fields="participant_ids").json()["data"]
    assert [one["event_type"] for one in told] == ["MessageCreate", "ParticipantsJoin"]
    assert told[1]["participant_ids"] == [str(x.user(BEN).id)]
    assert "participant_ids" not in told[0]
    assert "text" not in told[1]
    only = get(x, "/2/dm_events", event_types="MessageCreate").json()
    assert only["meta"]["result_count"] == 1


def test_direct_messages_are_there_for_30_days_and_by_conversation(
    x: XStandin, clock: Clock
) -> None:
    ann, ben = x.user(ANN), x.user(BEN)
    x.message(ann, x.brand, "旧的", clock.at)
    clock.pass_(days=31)
    event = x.message(ben, x.brand, "新的", clock.at)
    assert ids(get(x, "/2/dm_events")) == [str(event.id)]
    assert ids(get(x, f"/2/dm_conversations/with/{ben.id}/dm_events")) == [str(event.id)]
    assert ids(get(x, f"/2/dm_conversations/{event.conversation}/dm_events")) == [str(event.id)]
    assert ids(get(x, f"/2/dm_conversations/with/{ann.id}/dm_events")) == []
    assert get(x, "/2/dm_events", since_id="1").status_code == 400


# --- limits and trouble ---------------------------------------------------------------------------


def test_each_endpoint_has_its_window_of_15_minutes(x: XStandin, clock: Clock) -> None:
    x.limits["dm_events"] = (2, 0)
    left = [get(x, "/2/dm_events").headers["x-rate-limit-remaining"] for _ in range(2)]
    assert left == ["1", "0"]
    refused = get(x, "/2/dm_events")
    assert refused.status_code == 429
    assert refused.headers["x-rate-limit-remaining"] == "0"
    assert int(refused.headers["x-rate-limit-reset"]) == int(NOON.timestamp()) + 900
    assert "Retry-After" not in refused.headers
    assert mentions(x).status_code == 200
    clock.pass_(minutes=15)
    assert get(x, "/2/dm_events").status_code == 200


def test_the_limits_are_those_of_x_and_can_be_raised_as_one(clock: Clock) -> None:
    assert XStandin(clock).limits["mentions"] == (300, 450)
    assert XStandin(clock).limits["dm_events"] == (15, 0)
    assert XStandin(clock, rate_factor=60).limits["dm_events"] == (900, 0)


def test_a_reset_may_lie_in_the_past_or_be_missing(x: XStandin, clock: Clock) -> None:
    x.limits["me"] = (0, 0)
    x.windows.resets = "past"
    refused = get(x, "/2/users/me")
    assert refused.status_code == 429
    assert int(refused.headers["x-rate-limit-reset"]) < clock.at.timestamp()
    x.windows.resets = "missing"
    refused = get(x, "/2/users/me")
    assert not [name for name in refused.headers if name.startswith("x-rate-limit")]


def test_no_credits_and_a_used_up_cap_are_told_apart_from_the_window(x: XStandin) -> None:
    x.trouble = "credits"
    with pytest.raises(tweepy.HTTPException) as caught:
        client(x).get_me(user_auth=True)
    assert caught.value.response.status_code == 402
    assert caught.value.response.json()["title"] == "CreditsDepleted"
    x.trouble = "usage_capped"
    refused = mentions(x)
    assert refused.status_code == 429
    assert refused.json()["type"].endswith("/usage-capped")
    assert refused.json()["period"] == "Monthly"


def test_what_is_read_twice_on_a_day_is_billed_once(x: XStandin, clock: Clock) -> None:
    mention(x)
    for _ in range(2):
        mentions(x, expansions="author_id")
    assert sorted(kind for _, kind, _ in x.billed) == ["owned_read", "user"]
    clock.pass_(days=1)
    mentions(x)
    assert len(x.billed) == 3


def test_an_unknown_path_is_plain_text_from_a_gateway(x: XStandin) -> None:
    response = get(x, "/2/nothing")
    assert (response.status_code, response.headers["Content-Type"]) == (404, "text/plain")


def test_two_standins_share_no_id_of_a_post_or_a_person(clock: Clock) -> None:
    one, two = XStandin(clock, salt=1), XStandin(clock, salt=2)
    posts = [mention(standin).id for standin in (one, two) for _ in range(50)]
    assert len(set(posts)) == 100
    assert one.user(ANN).id != two.user(ANN).id
    assert one.user(ANN).id > 2**53
    assert snowflake_time(posts[0]) == NOON
