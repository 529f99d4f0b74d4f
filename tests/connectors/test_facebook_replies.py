"""Answers on Facebook: sent once, checked first, found again where nobody knows whether they arrived."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from aggregator.errors import Rejected, Unauthorized, Unavailable
from aggregator.model import Direction, Message
from connectors.base import Replies
from tests.connectors.test_facebook_quota import ANN, NOON, Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    one = Stage()
    one.page.graph.short_pages = False
    one.page.start()
    yield one
    one.page.stop()
    assert one.page.errors == []


def read(stage: Stage, stream: str) -> list[Message]:
    found: dict[str, Message] = {}
    cursor = None
    for _ in range(20):
        stage.clock.on(seconds=1)
        page = stage.connect().poll(stream, cursor)
        cursor = page.cursor
        found.update((message.key, message) for message in page.messages)
        if not page.more:
            break
    return list(found.values())


def asked_in_public(stage: Stage) -> Message:
    post = stage.page.post(stage.page.page, "新品上市", stage.clock.at - timedelta(minutes=5))
    stage.page.comment(stage.page.person(ANN), "多少钱？", stage.clock.at, post=post)
    (comment,) = read(stage, "comments")
    return comment


def asked_directly(stage: Stage) -> Message:
    stage.page.letter(stage.page.correspondent(ANN), "退款呢", stage.clock.at)
    (letter,) = read(stage, "messages")
    stage.clock.on(seconds=1)  # conversations are asked for twice a second at most
    return letter


def test_a_comment_is_answered_under_it_and_polling_brings_the_same(stage: Stage) -> None:
    asked = asked_in_public(stage)
    connector = stage.connect()
    assert isinstance(connector, Replies)
    assert connector.reply_limit(asked).longest == 8000
    sent = connector.reply(asked, "299 元，今日包邮", "k1")
    assert sent.direction is Direction.OUTBOUND
    assert (sent.reply_to, sent.root) == (asked.native_id, asked.root)
    (polled,) = [m for m in read(stage, "comments") if m.direction is Direction.OUTBOUND]
    assert (polled.native_id, polled.reply_to, polled.root) == (
        sent.native_id,
        sent.reply_to,
        sent.root,
    )
    assert (polled.text, polled.person) == (sent.text, sent.person)
    assert asked.text == "多少钱？"  # and the comment itself was not written over


def test_a_post_and_a_review_are_answered_with_comments(stage: Stage) -> None:
    stage.page.post(stage.page.person(ANN), "没有人接电话", stage.clock.at)
    stage.page.review(stage.page.person(ANN), "客服太差", stage.clock.at)
    for stream in ("posts", "reviews"):
        (asked,) = read(stage, stream)
        sent = stage.connect().reply(asked, "非常抱歉", "k")
        assert sent.root == sent.reply_to == asked.native_id
        assert sent.native_id in {m.native_id for m in read(stage, "comments")}


def test_a_message_is_answered_with_our_key_in_it(stage: Stage) -> None:
    asked = asked_directly(stage)
    assert asked.reply_window is not None
    assert asked.reply_window.closes_at == asked.sent_at + timedelta(hours=24)  # type: ignore[operator]
    assert stage.connect().reply_limit(asked).longest == 2000
    sent = stage.connect().reply(asked, "已经退回", "delivery-7")
    assert sent.reply_window is None
    (polled,) = [m for m in read(stage, "messages") if m.direction is Direction.OUTBOUND]
    assert (polled.native_id, polled.person, polled.text) == (
        sent.native_id,
        asked.person,
        "已经退回",
    )


@pytest.mark.parametrize("text", ["", "  \n", "长" * 2001])
def test_what_cannot_be_sent_is_refused_before_it_is_sent(stage: Stage, text: str) -> None:
    asked = asked_directly(stage)
    calls = stage.calls()
    with pytest.raises(Rejected):
        stage.connect().reply(asked, text, "k")
    assert stage.calls() == calls


def test_a_closed_window_is_told_before_and_after_asking(stage: Stage) -> None:
    asked = asked_directly(stage)
    stage.clock.on(hours=25)
    calls = stage.calls()
    with pytest.raises(Rejected, match="the window closed at 2026-11-22"):
        stage.connect().reply(asked, "还在吗", "k")
    assert stage.calls() == calls
    with pytest.raises(Rejected, match="more than 24 hours"):
        stage.connect().reply(replace(asked, reply_window=None), "还在吗", "k")


def test_a_person_may_answer_for_a_week_where_the_app_has_the_tag(stage: Stage) -> None:
    asked = asked_directly(stage)
    stage.page.writes.human_agent = True
    stage.clock.on(days=3)
    assert stage.connect(human_agent="true").reply(asked, "久等了", "k").text == "久等了"
    stage.clock.on(days=5)
    with pytest.raises(Rejected, match="window closed"):
        stage.connect(human_agent="true").reply(asked, "久等了", "k")


@pytest.mark.parametrize(
    ("code", "subcode", "word"),
    [
        (551, 1545041, "cannot be written to"),
        (100, 2018001, "nobody of that id"),
        (10, 2018278, "window is closed"),
        (10, 1893063, "for now"),
        (368, None, "policy"),
        (100, 33, "gone"),
        (200, None, "pages_messaging"),
        (10, None, "pages_messaging"),
    ],
)
def test_what_will_never_work_is_rejected_with_the_reason(
    stage: Stage, code: int, subcode: int | None, word: str
) -> None:
    asked = asked_directly(stage)
    stage.page.refuse(code, "(#) no", subcode=subcode, path=f"/v26.0/{stage.page.page.id}/messages")
    with pytest.raises(Rejected, match=word):
        stage.connect()._answers().send(asked, "好的", "k", now=stage.clock.at)


def test_the_permission_to_answer_comments_is_named(stage: Stage) -> None:
    asked = asked_in_public(stage)
    stage.page.apps.scopes.remove("pages_manage_engagement")
    with pytest.raises(Rejected, match="pages_manage_engagement"):
        stage.connect().reply(asked, "好的", "k")


def test_a_dead_token_is_no_reason_against_the_message(stage: Stage) -> None:
    asked = asked_in_public(stage)
    stage.page.gate.trouble = 460
    with pytest.raises(Unauthorized, match="password"):
        stage.connect().reply(asked, "好的", "k")


def test_a_write_that_was_done_and_then_refused_is_found_and_not_repeated(stage: Stage) -> None:
    for asked in (asked_in_public(stage), asked_directly(stage)):
        stage.page.writes.ambiguous = 1
        stage.clock.on(seconds=5)
        sent = stage.connect().reply(asked, "马上  为您\n处理", "k")
        assert sent.direction is Direction.OUTBOUND
    ours = [one for one in stage.page.edges.comments if one.author.id == stage.page.page.id]
    assert len(ours) == 1
    assert len(stage.page.edges.threads[0].letters) == 2


@pytest.mark.parametrize("kind", ["cut_after", "html", "truncated", "cut_body", "code 1", "code 2"])
def test_an_unknown_outcome_is_told_as_such_and_can_be_looked_up(stage: Stage, kind: str) -> None:
    path = f"/v26.0/{stage.page.page.id}/messages"
    asked = asked_directly(stage)
    began = stage.clock.at
    connector = stage.connect()
    assert connector.find_reply(asked, "在处理", "k", began) is None
    stage.clock.on(seconds=1)
    if kind.startswith("code"):
        stage.page.refuse(int(kind[-1]), "An unknown error occurred", path=path)
    else:
        stage.page.fault(kind, path=path)
    with pytest.raises(Unavailable) as caught:
        connector.reply(asked, "在处理", "k")
    assert caught.value.maybe_done
    stage.clock.on(seconds=1)
    found = connector.find_reply(asked, "在处理", "k", began)
    done = kind in ("cut_after", "truncated", "cut_body")
    assert (found is not None) is done
    if found is not None:
        assert found.native_id == stage.page.edges.threads[0].letters[-1].id.removeprefix("m_")


def test_only_our_own_words_since_then_are_the_answer(stage: Stage) -> None:
    asked = asked_in_public(stage)
    post = stage.page.edges.posts[0]
    parent = stage.page.edges.comments[0]
    stage.page.comment(stage.page.person(ANN), "好的", stage.clock.at, post=post, parent=parent)
    stage.page.comment(stage.page.page, "别的话", stage.clock.at, post=post, parent=parent)
    old = stage.clock.at - timedelta(hours=1)
    stage.page.comment(stage.page.page, "好的", old, post=post, parent=parent)
    connector = stage.connect()
    assert connector.find_reply(asked, "好的", "k", stage.clock.at) is None
    assert connector.find_reply(asked, "好的", "k", NOON - timedelta(hours=2)) is not None


def test_what_has_no_id_or_no_person_cannot_be_answered(stage: Stage) -> None:
    comment, letter = asked_in_public(stage), asked_directly(stage)
    connector = stage.connect()
    for broken in (replace(comment, marks=("id.missing",)), replace(letter, person=None)):
        with pytest.raises(Rejected):
            connector.reply_limit(broken)
        with pytest.raises(Rejected):
            connector.reply(broken, "好的", "k")
