"""Edits, hiding and deletions that nothing announces: polling sees them where a list shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from aggregator.model import AS_OF, Kind, Message
from connectors.facebook.comments import WATCHED_POSTS, CommentsCursor, Post, _due
from tests.connectors.test_facebook_quota import ANN, NOON, Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    one = Stage()
    one.page.start()
    yield one
    one.page.stop()
    assert one.page.errors == []


class Reader:
    """A stream, read from one cursor to the next."""

    def __init__(self, stage: Stage, stream: str) -> None:
        self._stage = stage
        self._stream = stream
        self._cursor: str | None = None
        self.turn()

    def turn(self) -> list[Message]:
        self._stage.clock.on(minutes=1)
        found: list[Message] = []
        for _ in range(60):
            page = self._stage.connect().poll(self._stream, self._cursor)
            found += page.messages
            self._cursor = page.cursor
            if not page.more:
                return found
        raise AssertionError("no end")


def changed(found: list[Message]) -> list[Message]:
    return [m for m in found if m.edited_at or m.deleted_at or m.restored_at]


def test_a_comment_that_was_edited_is_a_new_version(stage: Stage) -> None:
    own = stage.page.post(stage.page.page, "新品", NOON)
    comment = stage.page.comment(stage.page.person(ANN), "多少钱", NOON, post=own)
    reader = Reader(stage, "comments")
    assert changed(reader.turn()) == []
    stage.page.change(comment, "多少钱？买不到！", stage.clock.at)
    (version,) = changed(reader.turn())
    assert (version.native_id, version.text) == (comment.id, "多少钱？买不到！")
    assert version.edited_at == stage.clock.at
    assert version.sent_at == NOON
    assert changed(reader.turn()) == []


def test_a_comment_that_is_hidden_and_shown_again(stage: Stage) -> None:
    own = stage.page.post(stage.page.page, "新品", NOON)
    comment = stage.page.comment(stage.page.person(ANN), "骗子", NOON, post=own)
    reader = Reader(stage, "comments")
    stage.page.hide(comment, stage.clock.at)
    (hidden,) = changed(reader.turn())
    assert (hidden.deleted_at, hidden.text, hidden.marks) == (stage.clock.at, None, ("hidden",))
    assert changed(reader.turn()) == []
    stage.page.hide(comment, stage.clock.at, hidden=False)
    (shown,) = changed(reader.turn())
    assert (shown.restored_at, shown.text) == (stage.clock.at, "骗子")


def test_a_comment_that_was_hidden_before_we_saw_it_is_kept_as_hidden(stage: Stage) -> None:
    own = stage.page.post(stage.page.page, "新品", NOON)
    reader = Reader(stage, "comments")
    at = stage.clock.at
    comment = stage.page.comment(stage.page.person(ANN), "骗子", at, post=own)
    stage.page.hide(comment, at)
    (hidden,) = reader.turn()
    assert (hidden.text, hidden.marks) == ("骗子", ("hidden",))
    assert hidden.deleted_at is not None


def test_a_comment_that_vanished_is_asked_for_and_then_withdrawn(stage: Stage) -> None:
    own = stage.page.post(stage.page.page, "新品", NOON - timedelta(hours=2))
    comments = [
        stage.page.comment(
            stage.page.person(ANN), f"第 {n} 条", NOON - timedelta(minutes=9 * n), post=own
        )
        for n in range(6)
    ]
    reply = stage.page.comment(
        stage.page.page, "您好", NOON - timedelta(minutes=5), post=own, parent=comments[3]
    )
    reader = Reader(stage, "comments")
    stage.page.withdraw(comments[3], stage.clock.at)
    gone = changed(reader.turn())
    assert {m.native_id for m in gone} == {comments[3].id, reply.id}  # it takes its answers along
    for message in gone:
        assert message.kind is Kind.COMMENT
        assert (message.text, message.root) == (None, own.id)
        assert message.deleted_at == stage.clock.at
    assert changed(reader.turn()) == []


def test_what_is_missing_from_a_list_but_still_there_is_not_withdrawn(stage: Stage) -> None:
    own = stage.page.post(stage.page.page, "新品", NOON - timedelta(hours=2))
    comment = stage.page.comment(stage.page.person(ANN), "还在", NOON, post=own)
    other = stage.page.comment(stage.page.person(ANN), "旧", NOON - timedelta(hours=1), post=own)
    reader = Reader(stage, "comments")
    stage.page.edges.comments.remove(comment)  # lists do not show it; it can be asked for
    assert changed(reader.turn()) == []
    stage.page.withdraw(other, stage.clock.at)
    assert [m.native_id for m in changed(reader.turn())] == [other.id]


def test_a_post_that_is_deleted_takes_its_comments_along(stage: Stage) -> None:
    theirs = stage.page.post(stage.page.person(ANN), "没有人接电话", NOON)
    comment = stage.page.comment(stage.page.person(ANN), "还是没有", NOON, post=theirs)
    reader = Reader(stage, "comments")
    stage.page.withdraw(theirs, stage.clock.at)
    gone: list[Message] = []
    for _ in range(5):
        gone += changed(reader.turn())
    assert {(m.kind, m.native_id) for m in gone} == {
        (Kind.COMMENT, comment.id),
        (Kind.MENTION, theirs.id),
    }


def test_visitors_posts_and_reviews_change_and_vanish_too(stage: Stage) -> None:
    posts = [
        stage.page.post(stage.page.person(ANN), f"投诉 {n}", NOON - timedelta(hours=n))
        for n in range(3)
    ]
    reviews = [
        stage.page.review(stage.page.person(ANN), f"差 {n}", NOON - timedelta(hours=n))
        for n in range(3)
    ]
    on_posts, on_reviews = Reader(stage, "posts"), Reader(stage, "reviews")
    stage.page.change(posts[1], "已解决，谢谢", stage.clock.at)
    reviews[1].text = "后来很好"
    stage.page.withdraw(posts[0], stage.clock.at)
    stage.page.withdraw(reviews[0], stage.clock.at)
    for reader, one, text, gone in (
        (on_posts, posts[1].id, "已解决，谢谢", posts[0].id),
        (on_reviews, reviews[1].id, "后来很好", reviews[0].id),
    ):
        found = changed([*reader.turn(), *reader.turn()])
        edited, removed = sorted(found, key=lambda m: m.deleted_at is not None)
        assert (edited.native_id, edited.text) == (one, text)
        assert edited.edited_at is not None
        assert (removed.native_id, removed.text) == (gone, None)
        assert changed(reader.turn()) == []


def test_what_is_remembered_of_a_list_has_a_bound(stage: Stage) -> None:
    for p in range(40):
        own = stage.page.post(stage.page.page, f"帖 {p}", NOON - timedelta(hours=p))
        for n in range(4):
            stage.page.comment(
                stage.page.person(ANN), f"{p}.{n}", NOON - timedelta(hours=p, minutes=n), post=own
            )
    cursor = None
    for _ in range(80):
        stage.clock.on(seconds=1)
        page = stage.connect().poll("comments", cursor)
        cursor = page.cursor
        if not page.more:
            break
    assert cursor is not None
    assert len(cursor) < 20_000


def test_a_cursor_knows_the_words_of_the_most_active_posts_only() -> None:
    now_ms = 1_772_589_600_000
    posts = {
        f"1_{number}": Post(now_ms - number * 1000, None, known={"c": [1, 2]})
        for number in range(WATCHED_POSTS + 5)
    }
    kept = _due(CommentsCursor(posts=posts), now_ms).posts
    assert len(kept) == WATCHED_POSTS + 5
    assert [name for name, post in kept.items() if post.known] == list(posts)[:WATCHED_POSTS]


# --- beside webhooks, which may have told of it, or lost it ------------------------------------------


def beside_webhooks(stage: Stage, stream: str, cursor: str | None) -> tuple[list[Message], str]:
    found: list[Message] = []
    for _ in range(60):
        page = stage.connect(verify_token="暗号").poll(stream, cursor)
        found += page.messages
        cursor = page.cursor
        if not page.more and cursor is not None:
            return found, cursor
    raise AssertionError("no end")


def test_a_list_beside_webhooks_says_how_everything_is_now(stage: Stage) -> None:
    own = stage.page.post(stage.page.page, "新品", NOON)
    rude = stage.page.comment(stage.page.person(ANN), "骗子", NOON, post=own)
    kind = stage.page.comment(stage.page.person(ANN), "谢谢", NOON, post=own)
    stage.page.hide(rude, NOON)
    _, cursor = beside_webhooks(stage, "comments", None)
    stage.clock.on(minutes=1)
    for _ in range(2):
        read, cursor = beside_webhooks(stage, "comments", cursor)
        found = {m.native_id: m for m in read}
        assert found[rude.id].deleted_at is not None
        assert "hidden" in found[rude.id].marks
        assert AS_OF in found[kind.id].marks
        assert found[kind.id].restored_at == found[kind.id].edited_at
        assert found[kind.id].deleted_at is None


def test_an_old_post_that_a_webhook_told_of_is_watched(stage: Stage) -> None:
    ancient = stage.page.post(stage.page.page, "两个月前", NOON - timedelta(days=60))
    _, cursor = beside_webhooks(stage, "comments", None)
    stage.clock.on(minutes=5)
    at = stage.clock.at
    comment = stage.page.comment(stage.page.person(ANN), "还有货吗？", at, post=ancient)
    unseen = stage.page.comment(stage.page.page, "有的", at, post=ancient, parent=comment)
    read, cursor = beside_webhooks(stage, "comments", cursor)
    assert comment.id not in {m.native_id for m in read}  # no list that is looked through has it
    value = {
        "item": "comment",
        "verb": "add",
        "comment_id": comment.id,
        "post_id": ancient.id,
        "created_time": int(at.timestamp()),
        "message": "还有货吗？",
    }
    entry = {"id": stage.page.page.id, "changes": [{"field": "feed", "value": value}]}
    body = json.dumps({"object": "page", "entry": [entry]}).encode()
    stage.connect(verify_token="暗号").read([body])
    read, cursor = beside_webhooks(stage, "comments", cursor)
    assert {comment.id, unseen.id} <= {m.native_id for m in read}


def test_the_first_page_that_holds_anything_is_compared(stage: Stage) -> None:
    stage.page.graph.empty_pages = 2
    own = stage.page.post(stage.page.page, "新品", NOON)
    comment = stage.page.comment(stage.page.person(ANN), "多少钱", NOON, post=own)
    reader = Reader(stage, "comments")
    reader.turn()
    stage.page.change(comment, "多少钱？买不到！", stage.clock.at)
    assert [m.text for m in changed([*reader.turn(), *reader.turn()])] == ["多少钱？买不到！"]
