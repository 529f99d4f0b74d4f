"""The stand-in of a Facebook Page, asked by facebook-sdk and by plain requests."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import facebook
import pytest
import requests

from aggregator.sandbox.base import Person
from aggregator.sandbox.facebook import FacebookStandin
from aggregator.sandbox.facebook_graph import parse_fields, spelt

NOON = datetime(2026, 3, 4, 12, 0, 0, 250_000, tzinfo=UTC)
ANN = Person(1, "安妮", "ann")
BEN = Person(2, "Ben", "ben")


class Clock:
    def __init__(self) -> None:
        self.at = NOON
        self.tick = 0.0

    def __call__(self) -> datetime:
        return self.at

    def pass_(self, **span: float) -> datetime:
        self.at += timedelta(**span)
        self.tick += timedelta(**span).total_seconds()
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def page(clock: Clock) -> Iterator[FacebookStandin]:
    standin = FacebookStandin(clock, tick=lambda: clock.tick)
    standin.graph.short_pages = False
    standin.start()
    yield standin
    standin.stop()
    assert standin.errors == []


def proof(page: FacebookStandin, token: str) -> str:
    return hmac.new(page.gate.app_secret.encode(), token.encode(), hashlib.sha256).hexdigest()


def ask(page: FacebookStandin, path: str, token: str | None = None, **params: object) -> Any:
    token = token or page.gate.page_token
    asked: Any = {"appsecret_proof": proof(page, token), **params}
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(
        f"{page.base_url}/v26.0/{path}", params=asked, headers=headers, timeout=5
    ).json()


def code(told: Any) -> tuple[int, int | None]:
    return told["error"]["code"], told["error"].get("error_subcode")


def ids(told: Any) -> list[str]:
    return [one["id"] for one in told["data"]]


class Redirected(requests.Session):
    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._base_url = base_url

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        assert request.url is not None
        request.url = request.url.replace("https://graph.facebook.com", self._base_url)
        return super().prepare_request(request)


def graph(page: FacebookStandin) -> facebook.GraphAPI:
    made = facebook.GraphAPI(page.gate.page_token, session=Redirected(page.base_url))
    made.version = "v26.0"
    return made


# --- who may read ---------------------------------------------------------------------------------


def test_the_sdk_reads_who_the_page_is(page: FacebookStandin) -> None:
    mine = proof(page, page.gate.page_token)
    told = graph(page).get_object("me", fields="name,username", appsecret_proof=mine)
    assert told == {"id": page.page.id, "name": "Lumo", "username": "lumo"}


def test_a_token_counts_in_the_query_and_in_the_header(page: FacebookStandin) -> None:
    url = f"{page.base_url}/v26.0/me"
    assert code(requests.get(url, timeout=5).json()) == (104, None)
    assert code(requests.get(url, params={"access_token": "EAA"}, timeout=5).json()) == (190, None)
    token = page.gate.page_token
    good = {"access_token": token, "appsecret_proof": proof(page, token)}
    assert requests.get(url, params=good, timeout=5).json()["name"] == "Lumo"
    assert ask(page, "me")["name"] == "Lumo"


def test_a_missing_or_wrong_proof_is_refused(page: FacebookStandin) -> None:
    with pytest.raises(facebook.GraphAPIError) as caught:
        graph(page).get_object("me")
    assert "appsecret_proof" in caught.value.message
    assert code(ask(page, "me", appsecret_proof="0" * 64)) == (100, None)
    page.gate.require_proof = False
    assert graph(page).get_object("me")["name"] == "Lumo"
    assert code(ask(page, "me", appsecret_proof="0" * 64)) == (100, None)


@pytest.mark.parametrize("subcode", [458, 459, 460, 463, 464, 467, 492])
def test_a_dead_token_says_why_by_its_subcode(page: FacebookStandin, subcode: int) -> None:
    page.gate.trouble = subcode
    assert code(ask(page, "me")) == (190, subcode)
    asked = ask(page, "debug_token", page.gate.app_token, input_token=page.gate.page_token)
    assert asked["data"]["is_valid"] is False
    page.gate.trouble = 0
    assert code(ask(page, "me")) == (190, None)
    page.gate.trouble = None
    assert ask(page, "me")["name"] == "Lumo"


def test_a_users_token_sees_no_comments_and_no_authors_and_gets_no_error(
    page: FacebookStandin,
) -> None:
    post = page.post(page.page, "新品上市", page.now())
    page.comment(page.person(ANN), "多少钱", page.now(), post=post)
    page.post(page.person(BEN), "Where is my parcel?", page.now())
    assert ask(page, f"{post.id}/comments", page.user_token) == {"data": []}
    told = ask(page, "me", page.user_token)
    assert told["id"] != page.page.id
    told = ask(page, f"{page.page.id}/feed", page.user_token, fields="from,comments{id}")
    assert told["data"] == [{"id": post.id}]
    assert code(ask(page, f"{page.page.id}/conversations", page.user_token)) == (190, None)


def test_versions_too_new_are_unknown_and_old_ones_are_served_by_the_oldest(
    page: FacebookStandin,
) -> None:
    token = page.gate.page_token
    good = {"access_token": token, "appsecret_proof": proof(page, token)}
    answered = {}
    for version in ("v26.0", "v21.0", "v2.8", "v99.0", "vx"):
        response = requests.get(f"{page.base_url}/{version}/me", params=good, timeout=5)
        answered[version] = (response.status_code, response.headers.get("facebook-api-version"))
    assert answered == {
        "v26.0": (200, "v26.0"),
        "v21.0": (200, "v21.0"),
        "v2.8": (200, "v21.0"),
        "v99.0": (400, None),
        "vx": (400, None),
    }


# --- fields ---------------------------------------------------------------------------------------


def test_fields_are_read_as_they_are_written() -> None:
    text = "id,comments.filter(stream).limit(5){id,from{name},parent{id}},message"
    assert spelt(parse_fields(text)) == text
    assert parse_fields("") == ()


@pytest.mark.parametrize(
    "text", ["id,", "{id}", "id{", "id{name", "comments.limit{id}", "a b", "id}"]
)
def test_fields_that_are_no_list_are_a_syntax_error(page: FacebookStandin, text: str) -> None:
    assert code(ask(page, "me", fields=text)) == (2500, None)


def test_a_field_that_is_not_there_is_an_error_not_a_gap(page: FacebookStandin) -> None:
    page.post(page.page, "新品", page.now())
    told = ask(page, "me/feed", fields="id,colour")
    assert code(told) == (100, None)
    assert "(colour)" in told["error"]["message"]


def test_only_asked_for_fields_come_and_empty_ones_are_absent(page: FacebookStandin) -> None:
    ann = page.person(ANN)
    silent = page.post(ann, None, page.now(), attachment="image", story="安妮 added a photo.")
    told = ask(page, "me/visitor_posts", fields="from{name},message,story,attachments{media_type}")
    assert told["data"] == [
        {
            "from": {"name": "安妮", "id": ann.id},
            "story": "安妮 added a photo.",
            "attachments": {"data": [{"media_type": "photo"}]},
            "id": silent.id,
        }
    ]
    assert ask(page, "me/visitor_posts")["data"][0] == {
        "created_time": "2026-03-04T12:00:00+0000",
        "story": "安妮 added a photo.",
        "id": silent.id,
    }


def test_authors_are_missing_where_rights_are(page: FacebookStandin) -> None:
    post = page.post(page.page, "新品", page.now())
    page.comment(page.person(ANN), "在吗", page.now(), post=post, anonymous=True)
    page.comment(page.person(BEN), "hi", page.now(), post=post)
    told = ask(page, f"{post.id}/comments", fields="id,from")["data"]
    assert ["from" in one for one in told] == [False, True]
    page.hide_from = True
    assert not any("from" in one for one in ask(page, f"{post.id}/comments")["data"])


def test_several_nodes_come_by_id_and_one_that_is_gone_fails_all(page: FacebookStandin) -> None:
    one, two = (page.post(page.page, text, page.now()) for text in ("一", "二"))
    told = ask(page, "", ids=f"{one.id},{two.id}", fields="message")
    assert told[two.id] == {"message": "二", "id": two.id}
    page.edges.delete(two)
    assert code(ask(page, "", ids=f"{one.id},{two.id}")) == (100, 33)
    assert code(ask(page, two.id)) == (100, 33)


# --- what stands where ----------------------------------------------------------------------------


def test_each_edge_of_the_page_has_its_own_posts(page: FacebookStandin, clock: Clock) -> None:
    own = page.post(page.page, "新品", clock.pass_(seconds=1))
    visitor = page.post(page.person(ANN), "在吗", clock.pass_(seconds=1))
    tagging = page.post(page.person(BEN), "I like @Lumo", clock.pass_(seconds=1), tags_page=True)
    assert ids(ask(page, "me/feed")) == [tagging.id, visitor.id, own.id]
    assert ids(ask(page, "me/visitor_posts")) == [visitor.id]
    assert ids(ask(page, "me/tagged")) == [tagging.id]
    assert ids(ask(page, "me/posts")) == ids(ask(page, "me/published_posts")) == [own.id]
    assert tagging.id.startswith(page.person(BEN).id)
    (told,) = ask(page, "me/tagged", fields="tagged_time,message_tags")["data"]
    assert told["message_tags"][0]["id"] == page.page.id
    assert code(ask(page, "me/mood")) == (100, None)


def test_comments_nest_and_stream_shows_every_level(page: FacebookStandin, clock: Clock) -> None:
    post = page.post(page.page, "新品", clock.at)
    top = page.comment(page.person(ANN), "发热", clock.pass_(seconds=1), post=post)
    under = page.comment(page.page, "抱歉", clock.pass_(seconds=1), post=post, parent=top)
    deep = page.comment(page.person(BEN), "me too", clock.pass_(seconds=1), post=post, parent=under)
    edge = f"{post.id}/comments"
    assert ids(ask(page, edge)) == [top.id]
    assert ids(ask(page, edge, filter="stream")) == [top.id, under.id, deep.id]
    told = ask(page, edge, filter="stream", order="reverse_chronological", fields="parent{id}")
    assert told["data"][0] == {"parent": {"id": under.id}, "id": deep.id}
    assert ids(ask(page, f"{top.id}/comments")) == [under.id]
    assert top.id.split("_")[0] == post.id.split("_")[1]
    since = deep.at.isoformat()
    assert ids(ask(page, edge, filter="stream", since=since)) == [deep.id]
    assert ids(ask(page, edge, filter="stream", since=int(deep.at.timestamp()))) == [deep.id]
    assert code(ask(page, edge, filter="all")) == (100, None)
    assert code(ask(page, edge, order="newest")) == (100, None)
    assert code(ask(page, edge, since="yesterday-ish")) == (100, None)


def test_a_comment_may_be_spelt_with_or_without_its_post(page: FacebookStandin) -> None:
    post = page.post(page.page, "新品", page.now())
    page.bare_comment_ids = True
    comment = page.comment(page.person(ANN), "在吗", page.now(), post=post)
    (spelling,) = ids(ask(page, f"{post.id}/comments"))
    assert spelling == comment.id.split("_")[1]
    assert ask(page, comment.id, fields="message") == ask(page, spelling, fields="message")


def test_a_comment_on_an_old_post_moves_nothing_in_the_feed(
    page: FacebookStandin, clock: Clock
) -> None:
    old = page.post(page.page, "两个月前", clock.at)
    clock.pass_(days=60)
    new = page.post(page.page, "今天", clock.at)
    before = ask(page, "me/feed", fields="updated_time")
    page.comment(page.person(ANN), "还有货吗", clock.pass_(seconds=5), post=old)
    assert ask(page, "me/feed", fields="updated_time") == before
    assert ids(before) == [new.id, old.id]
    told = ask(page, "me/feed", fields="comments.limit(1).summary(true){message}")
    assert told["data"][1]["comments"]["data"][0]["message"] == "还有货吗"
    assert told["data"][1]["comments"]["summary"]["total_count"] == 1


def test_a_deleted_comment_takes_its_answers_along(page: FacebookStandin) -> None:
    post = page.post(page.page, "新品", page.now())
    top = page.comment(page.person(ANN), "骂人的话", page.now(), post=post)
    page.comment(page.page, "请文明发言", page.now(), post=post, parent=top)
    page.edges.delete(top)
    assert ask(page, f"{post.id}/comments", filter="stream") == {"data": []}


def test_a_review_has_no_id_but_its_story_has_and_takes_comments(page: FacebookStandin) -> None:
    review = page.review(page.person(ANN), "客服太差", page.now())
    page.comment(page.page, "非常抱歉", page.now(), post=review.story)
    (told,) = ask(
        page, "me/ratings", fields="recommendation_type,review_text,reviewer,open_graph_story{id}"
    )["data"]
    assert told == {
        "recommendation_type": "negative",
        "review_text": "客服太差",
        "reviewer": {"name": "安妮", "id": page.person(ANN).id},
        "open_graph_story": {"id": review.id},
    }
    assert code(ask(page, "me/ratings", fields="id")) == (100, None)
    (answer,) = ask(page, f"{review.id}/comments", fields="message")["data"]
    assert answer["message"] == "非常抱歉"


# --- Messenger ------------------------------------------------------------------------------------


def test_threads_come_by_their_last_message_with_messages_inside(
    page: FacebookStandin, clock: Clock
) -> None:
    ann, ben = page.correspondent(ANN), page.correspondent(BEN)
    first = page.letter(ann, "重复扣款了", clock.at)
    page.letter(ben, "Any stock?", clock.pass_(seconds=5))
    answer = page.letter(ann, "已退回", clock.pass_(seconds=5), from_page=True)
    told = ask(
        page,
        "me/conversations",
        fields="updated_time,message_count,participants{id},messages.limit(5){from{id},message}",
    )["data"]
    assert [thread["participants"]["data"][0]["id"] for thread in told] == [ann.id, ben.id]
    assert told[0]["updated_time"] == "2026-03-04T12:00:10+0000"
    assert told[0]["message_count"] == 2
    assert told[0]["messages"]["data"] == [
        {"from": {"id": page.page.id}, "message": "已退回", "id": answer.id},
        {"from": {"id": ann.id}, "message": "重复扣款了", "id": first.id},
    ]
    assert answer.id.startswith("m_")
    assert ask(page, answer.id, fields="message")["message"] == "已退回"
    assert ids(ask(page, f"{answer.thread.id}/messages")) == [answer.id, first.id]


def test_a_person_has_one_id_in_public_and_another_in_messenger(page: FacebookStandin) -> None:
    assert page.person(ANN).id != page.correspondent(ANN).id
    assert int(page.person(ANN).id) > 2**49


def test_conversations_cannot_be_paged_by_time(page: FacebookStandin) -> None:
    assert code(ask(page, "me/conversations", since="2026-03-01")) == (100, None)
    assert ask(page, "me/conversations", platform="instagram") == {"data": []}


def test_what_hangs_on_a_message_has_the_shape_of_its_kind(page: FacebookStandin) -> None:
    ann = page.correspondent(ANN)
    for kind in ("image", "video", "voice", "sticker", "link"):
        page.letter(ann, None, page.now(), attachment=kind)
    told = ask(page, "me/conversations", fields="messages{attachments,sticker,shares}")
    link, sticker, voice, video, image = told["data"][0]["messages"]["data"]
    assert image["attachments"]["data"][0]["image_data"]["url"].endswith(".jpg")
    assert video["attachments"]["data"][0]["video_data"]["url"].endswith(".mp4")
    assert voice["attachments"]["data"][0]["mime_type"] == "audio/aac"
    assert sticker["sticker"].endswith(".png") and "attachments" not in sticker
    assert link["shares"]["data"][0]["link"].startswith("https://")


# --- pages ----------------------------------------------------------------------------------------


def walk(page: FacebookStandin, path: str, **params: object) -> tuple[list[str], list[int]]:
    """Every id of an edge, by `after` as long as there is a next page; and the size of each page."""
    found: list[str] = []
    sizes: list[int] = []
    more: dict[str, str] = {}
    while True:
        told = ask(page, path, **{**params, **more})
        found += ids(told)
        sizes.append(len(told["data"]))
        if "next" not in told.get("paging", {}):
            return found, sizes
        more = {"after": told["paging"]["cursors"]["after"]}


def test_pages_may_be_short_or_empty_and_end_where_next_is_absent(
    page: FacebookStandin, clock: Clock
) -> None:
    made = [page.post(page.page, str(n), clock.pass_(seconds=1)).id for n in range(7)]
    page.graph.short_pages = True
    page.graph.empty_pages = 2
    found, sizes = walk(page, "me/feed", limit=3)
    assert found == made[::-1]
    assert 0 in sizes and max(sizes) == 2


def test_the_next_url_holds_the_token_and_leads_on(page: FacebookStandin, clock: Clock) -> None:
    made = [page.post(page.page, str(n), clock.pass_(seconds=1)).id for n in range(3)]
    told = ask(page, "me/feed", limit=2, fields="message")
    following = told["paging"]["next"]
    query = parse_qs(urlsplit(following).query)
    assert query["access_token"] == [page.gate.page_token]
    assert "appsecret_proof" not in query
    page.gate.require_proof = False
    last = requests.get(following, timeout=5).json()
    assert last["data"] == [{"message": "0", "id": made[0]}]
    assert "next" not in last["paging"] and "cursors" in last["paging"]
    back = requests.get(last["paging"]["previous"], timeout=5).json()
    assert ids(back) == made[:0:-1]


def test_new_posts_move_no_cursor_but_a_deleted_one_kills_it(
    page: FacebookStandin, clock: Clock
) -> None:
    posts = [page.post(page.page, str(n), clock.pass_(seconds=1)) for n in range(4)]
    after = ask(page, "me/feed", limit=2)["paging"]["cursors"]["after"]
    page.post(page.page, "插队", clock.pass_(seconds=1))
    assert ids(ask(page, "me/feed", limit=2, after=after)) == [posts[1].id, posts[0].id]
    page.edges.delete(posts[2])
    assert code(ask(page, "me/feed", limit=2, after=after)) == (100, None)
    assert code(ask(page, "me/tagged", after=after)) == (100, None)
    assert code(ask(page, "me/feed", after="§")) == (100, None)


def test_a_thread_that_moves_up_while_pages_are_read_doubles_another(
    page: FacebookStandin, clock: Clock
) -> None:
    people = [page.correspondent(Person(n, f"顾客{n}", str(n))) for n in range(4)]
    for one in people:
        page.letter(one, "在吗", clock.pass_(seconds=1))
    first = ask(page, "me/conversations", limit=2)
    page.letter(people[0], "还在吗", clock.pass_(seconds=1))
    after = first["paging"]["cursors"]["after"]
    second = ask(page, "me/conversations", limit=2, after=after)
    assert ids(second)[0] == ids(first)[1]
    assert len({*ids(first), *ids(second)}) == 3  # people[0] is on top now, unseen in this walk


def test_limits_are_refused_cut_or_too_much(page: FacebookStandin) -> None:
    for number in range(120):
        page.letter(page.correspondent(ANN), str(number), page.now())
    assert code(ask(page, "me/feed", limit=101)) == (100, None)
    assert code(ask(page, "me/feed", limit="-1")) == (100, None)
    thread = ids(ask(page, "me/conversations"))[0]
    assert len(ids(ask(page, f"{thread}/messages", limit=500))) == 100
    page.graph.heavy_above = 500
    told = ask(page, "me/conversations", limit=50, fields="messages.limit(20){id}")
    assert code(told) == (1, None)
    assert "reduce the amount of data" in told["error"]["message"]
    assert (
        len(ask(page, "me/conversations", limit=25, fields="messages.limit(20){id}")["data"]) == 1
    )


# --- quotas ---------------------------------------------------------------------------------------


def headers(page: FacebookStandin) -> Any:
    token = page.gate.page_token
    asked = {"access_token": token, "appsecret_proof": proof(page, token)}
    return requests.get(f"{page.base_url}/v26.0/me", params=asked, timeout=5).headers


def test_usage_is_told_from_some_call_on_in_percent(page: FacebookStandin) -> None:
    page.usage.told_from, page.usage.quota = 3, 10
    assert "X-App-Usage" not in headers(page)
    assert "X-App-Usage" not in headers(page)
    told = headers(page)
    assert json.loads(told["X-App-Usage"])["call_count"] == 30
    (business,) = json.loads(told["X-Business-Use-Case-Usage"])[page.page.id]
    assert (business["type"], business["estimated_time_to_regain_access"]) == ("pages", 0)


@pytest.mark.parametrize("number", [4, 17, 32, 613, 80001, 80006])
def test_a_block_is_told_in_minutes_and_grows_when_hammered(
    page: FacebookStandin, clock: Clock, number: int
) -> None:
    page.usage.told_from = 0
    page.throttle(number, minutes=5)

    def minutes() -> int:
        (business,) = json.loads(headers(page)["X-Business-Use-Case-Usage"])[page.page.id]
        return int(business["estimated_time_to_regain_access"])

    assert code(ask(page, "me")) == (number, None)
    assert minutes() == 7  # this was the second call while blocked
    clock.pass_(minutes=6)
    assert code(ask(page, "me")) == (number, None)
    clock.pass_(minutes=3)
    assert ask(page, "me")["name"] == "Lumo"
    assert minutes() == 0


def test_conversations_have_a_rate_of_their_own(page: FacebookStandin, clock: Clock) -> None:
    page.usage.conversations_burst = 2
    for _ in range(2):
        assert ask(page, "me/conversations") == {"data": []}
    assert code(ask(page, "me/conversations")) == (613, None)
    assert ask(page, "me/feed") == {"data": []}
    clock.pass_(seconds=0.5)
    assert ask(page, "me/conversations") == {"data": []}


def test_any_error_of_graph_can_be_had_on_demand(page: FacebookStandin) -> None:
    page.refuse(10, "(#10) This endpoint requires pages_messaging", path="/v26.0/me/conversations")
    page.refuse(2, "Service temporarily unavailable", times=2, path="/v26.0/me/feed", status=500)
    assert code(ask(page, "me/conversations")) == (10, None)
    assert code(ask(page, "me/feed")) == code(ask(page, "me/feed")) == (2, None)
    assert ask(page, "me/feed") == {"data": []}


def test_what_a_token_is_good_for_can_be_asked(page: FacebookStandin) -> None:
    token = page.gate.page_token
    told = ask(page, "debug_token", page.gate.app_token, input_token=token)["data"]
    assert (told["type"], told["is_valid"], told["expires_at"]) == ("PAGE", True, 0)
    assert told["data_access_expires_at"] > NOON.timestamp()
    assert ask(page, "debug_token", input_token=page.user_token)["data"]["type"] == "USER"
    assert ask(page, "debug_token", input_token="EAAx")["data"]["is_valid"] is False
    assert code(ask(page, "debug_token", "nobody", input_token=token)) == (190, None)
