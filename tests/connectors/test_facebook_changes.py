"""Posts, comments, reviews and mentions as webhooks tell them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from aggregator.model import Direction, Kind, Message
from tests.connectors.facebook_fake import PAGE, FakeGraph, connect
from tests.connectors.facebook_pushed import (
    ANN,
    AT,
    OMAR,
    POST,
    account,
    body,
    read,
)
from tests.connectors.loopback import MemoryKeep

# --- comments and posts ---------------------------------------------------------------------------


def test_comments_have_the_ids_roots_and_parents_that_polling_gives_them() -> None:
    top, ours, nobody = read("feed_comments").messages
    assert top.kind is Kind.COMMENT
    assert (top.native_id, top.root, top.reply_to) == ("9002_601", POST, POST)
    assert (top.person, top.direction) == (ANN, Direction.INBOUND)
    assert top.text == "收到的货是坏的 😡"
    assert top.sent_at == AT - timedelta(seconds=3)
    assert top.url == f"https://www.facebook.com/{PAGE}/posts/9002?comment_id=601"
    assert top.marks == ()
    assert ours.direction is Direction.OUTBOUND
    assert (ours.native_id, ours.reply_to, ours.person) == ("9002_602", "9002_601", None)
    assert nobody.author is None
    assert nobody.text is None
    assert [a.kind for a in nobody.attachments] == ["image"]
    assert nobody.marks == ("author.missing",)


def test_what_became_of_a_comment_follows_it_in_the_order_of_events() -> None:
    first, edited, hidden, shown, removed = read("feed_comment_course").messages
    assert {m.native_id for m in (first, edited, hidden, shown, removed)} == {"9002_601"}
    assert (first.text, first.edited_at) == ("收到的货是坏的", None)
    assert edited.text == "收到的货是坏的，要退款"
    assert (edited.edited_at, edited.sent_at) == (AT + timedelta(seconds=50), AT)
    assert edited.marks == ()
    assert hidden.deleted_at == AT + timedelta(seconds=70)
    assert hidden.marks == ("hidden",)
    assert hidden.text is None  # a tombstone keeps what is stored
    assert (shown.restored_at, shown.text) == (AT + timedelta(seconds=90), edited.text)
    assert removed.deleted_at == AT + timedelta(seconds=110)
    assert "hidden" not in removed.marks


def test_an_edit_alone_says_that_it_does_not_know_when_it_was_written() -> None:
    told = json.loads(body("feed_comment_course"))
    told["entry"] = told["entry"][:1]
    (edited,) = account().read([json.dumps(told).encode()]).messages
    assert "time.edit" in edited.marks
    assert edited.sent_at == edited.edited_at == AT + timedelta(seconds=50)


def test_an_edit_that_does_not_say_to_what_only_wakes_the_list() -> None:
    told = json.loads(body("feed_comment_course"))
    told["entry"] = told["entry"][:1]
    del told["entry"][0]["changes"][0]["value"]["message"]
    page = account().read([json.dumps(told).encode()])
    assert page.messages == ()
    assert page.wake == ("comments",)


def test_posts_of_others_are_mentions_and_what_is_not_told_whole_wakes_the_list() -> None:
    page = read("feed_posts")
    photo, old, removed = page.messages
    assert photo.kind is Kind.MENTION
    assert (photo.native_id, photo.root, photo.person) == (f"{PAGE}_9101", f"{PAGE}_9101", ANN)
    assert photo.text == "门市没有人接电话"
    assert [(a.kind, a.media_id) for a in photo.attachments] == [("image", "8101")]
    assert (old.person, old.author and old.author.name) == (OMAR, "Omar")
    assert removed.native_id == old.native_id
    assert removed.deleted_at == AT - timedelta(seconds=1)
    assert page.wake == ("posts",)  # a post by nobody, and a video without an id


def test_reviews_and_the_answers_under_them_have_the_roots_that_polling_gives_them() -> None:
    review, answer, removed = read("ratings").messages
    assert review.kind is Kind.REVIEW
    assert review.native_id == review.root == "904801129604"
    assert review.text == "客服完全不理人"
    assert [(a.kind, a.title) for a in review.attachments] == [("rating", "NEGATIVE")]
    assert answer.root == answer.reply_to == "904801129604"
    assert answer.direction is Direction.OUTBOUND
    assert (removed.native_id, removed.deleted_at) == ("904801129605", AT)


# --- mentions -------------------------------------------------------------------------------------


@pytest.fixture
def graph() -> Iterator[FakeGraph]:
    server = FakeGraph()
    server.start()
    yield server
    server.stop()


def walk(graph: FakeGraph, keep: MemoryKeep) -> list[Message]:
    found: list[Message] = []
    cursor = None
    for _ in range(20):
        connector = connect(graph, keep=keep)
        page = connector.poll("posts", cursor)
        found += page.messages
        cursor = page.cursor
        if not page.more:
            return found
    raise AssertionError("no end")


def test_a_mention_without_author_is_asked_for_by_its_id(graph: FakeGraph) -> None:
    keep = MemoryKeep()
    page = account(keep).read([body("mention")])
    assert (page.messages, page.wake) == ((), ("posts",))
    graph.objects["7100000000000009_9201"] = {
        "id": "7100000000000009_9201",
        "from": {"id": ANN, "name": "陈美玲"},
        "message": "@Acme 香港 差评",
        "created_time": "2026-11-21T03:59:55+0000",
    }
    post, comment = walk(graph, keep)
    assert (post.kind, post.person, post.text) == (Kind.MENTION, ANN, "@Acme 香港 差评")
    assert (comment.kind, comment.native_id) == (Kind.COMMENT, "9202_31")
    assert comment.author is None  # it may not be seen: what the webhook told is kept
    assert comment.text == "ask Acme 香港"
    assert comment.sent_at == AT - timedelta(seconds=4)


def test_a_mention_is_asked_for_again_as_long_as_its_cursor_is_not_stored(graph: FakeGraph) -> None:
    keep = MemoryKeep()
    account(keep).read([body("mention")])
    first = connect(graph, keep=keep).poll("posts", None)
    assert connect(graph, keep=keep).poll("posts", None).messages == first.messages
    (second,) = connect(graph, keep=keep).poll("posts", first.cursor).messages
    assert second.native_id != first.messages[0].native_id


def test_a_mention_is_dropped_from_the_list_once_its_cursor_is_stored(graph: FakeGraph) -> None:
    keep = MemoryKeep()
    account(keep).read([body("mention")])
    cursor = None
    for _ in range(6):
        cursor = connect(graph, keep=keep).poll("posts", cursor).cursor
    assert keep.get("wanted") is None
    account(keep).read([body("mention"), body("mention")])
    assert len(json.loads(keep.get("wanted") or "")) == 2


def test_what_finds_no_room_in_the_list_is_told_without_its_author() -> None:
    keep = MemoryKeep()
    entries = [
        {
            "id": PAGE,
            "time": 1,
            "changes": [
                {
                    "field": "mention",
                    "value": {
                        "item": "post",
                        "verb": "add",
                        "post_id": f"71_{n}",
                        "message": f"第 {n} 条",
                    },
                }
            ],
        }
        for n in range(230)
    ]
    page = account(keep).read([json.dumps({"object": "page", "entry": entries}).encode()])
    assert len(page.messages) == 30
    assert page.messages[0].text == "第 200 条"
    assert page.messages[0].marks == ("author.missing",)
