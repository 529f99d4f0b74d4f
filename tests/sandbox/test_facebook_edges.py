"""What stands where on the stand-in of a Facebook Page, and how its lists are paged."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from aggregator.sandbox.base import Person
from aggregator.sandbox.facebook import FacebookStandin
from tests.sandbox.facebook_page import ANN, BEN, Clock, ask, code, ids, page_of


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def page(clock: Clock) -> Iterator[FacebookStandin]:
    with page_of(clock) as standin:
        yield standin


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
