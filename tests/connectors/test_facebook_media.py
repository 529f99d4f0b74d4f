"""Comments under what the linked Instagram account posted: new ones wherever they stand, hidden ones, deleted ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from aggregator.errors import Rejected, Unavailable
from aggregator.model import Direction, Kind, Message
from aggregator.sandbox.facebook_media import Media, Remark
from aggregator.sandbox.facebook_objects import Who
from connectors.facebook.media import SMALL
from tests.connectors.test_facebook_quota import Stage

YUKI, BEN = Who("6100000000000061", "yuki"), Who("6100000000000062", "ben")


@pytest.fixture
def stage() -> Iterator[Stage]:
    one = Stage()
    one.page.start()
    yield one
    one.page.stop()
    assert one.page.errors == []


class Reader:
    def __init__(self, stage: Stage, **options: str) -> None:
        self.stage = stage
        self.options = {"instagram": "true", **options}
        self.cursor: str | None = None
        self.turn()

    def turn(self) -> list[Message]:
        self.stage.clock.on(minutes=5)
        return self.go()

    def go(self, *, history: bool = False) -> list[Message]:
        found: list[Message] = []
        cursor = None if history else self.cursor
        for _ in range(80):
            account = self.stage.connect(**self.options)
            read = account.backfill if history else account.poll
            page = read("instagram_comments", cursor)
            found += page.messages
            cursor = page.cursor
            if not page.more:
                self.cursor = self.cursor if history else cursor
                return found
        raise AssertionError("no end")


def say(stage: Stage, text: str, under: Media | Remark, who: Who = YUKI) -> Remark:
    return stage.page.gram.remark(who, text, stage.clock.at, under=under)


def told(found: list[Message]) -> dict[str, str | None]:
    return {m.native_id: m.text for m in found}


def test_a_comment_and_our_answer_to_it_are_told_with_who_and_under_what(stage: Stage) -> None:
    media = stage.page.gram.post("新品上市", stage.clock.at - timedelta(days=1))
    reader = Reader(stage)
    asked = say(stage, "多少钱？", media)
    ours = say(stage, "请看私信", asked, stage.page.instagram)
    found = {m.native_id: m for m in reader.turn()}
    question, answer = found[asked.id], found[ours.id]
    assert (question.platform, question.kind) == ("instagram", Kind.COMMENT)
    assert (question.root, question.reply_to, question.person) == (media.id, media.id, YUKI.id)
    assert question.author is not None
    assert (question.author.native_id, question.author.handle) == (YUKI.id, "yuki")
    assert question.url == media.url
    assert question.sent_at == stage.clock.at - timedelta(minutes=5)
    assert (answer.direction, answer.reply_to, answer.person) == (
        Direction.OUTBOUND,
        asked.id,
        YUKI.id,
    )


def test_an_answer_deep_down_is_found_by_the_number_of_comments(stage: Stage) -> None:
    began = stage.clock.at - timedelta(days=2)
    media = stage.page.gram.post("抽奖", began)
    deep = [
        stage.page.gram.remark(YUKI, f"第 {n} 条", began + timedelta(minutes=n), under=media)
        for n in range(2 * SMALL)
    ]
    reader = Reader(stage)
    late = say(stage, "我也想知道", deep[3], BEN)
    before = stage.calls()
    assert late.id in told(reader.turn())
    assert stage.calls() - before < 15
    before = stage.calls()
    reader.turn()
    # Nothing new: the list of media, one page, and who we are, since each poll is a new process here.
    assert stage.calls() - before <= 4


def test_more_answers_than_come_along_are_read_to_the_end(stage: Stage) -> None:
    media = stage.page.gram.post("问答", stage.clock.at)
    reader = Reader(stage)
    top = say(stage, "大家怎么看", media)
    answers = [say(stage, f"回 {n}", top, BEN).id for n in range(70)]
    found = told(reader.turn())
    assert set(answers) <= set(found)


def test_an_answer_is_found_though_another_comment_went(stage: Stage) -> None:
    media = stage.page.gram.post("新品", stage.clock.at)
    gone = say(stage, "发错了", media)
    kept = say(stage, "颜色很美", media)
    reader = Reader(stage)
    reader.turn()
    stage.page.gram.withdraw(gone)
    late = say(stage, "同感", kept, BEN)
    found = {m.native_id: m for m in (*reader.turn(), *reader.turn())}
    assert found[late.id].text == "同感"
    assert found[gone.id].deleted_at is not None
    assert found[gone.id].platform == "instagram"


def test_a_hidden_comment_is_withdrawn_and_comes_back(stage: Stage) -> None:
    media = stage.page.gram.post("新品", stage.clock.at)
    rude = say(stage, "骗子", media)
    reader = Reader(stage)
    rude.hidden = True
    (hidden,) = [m for m in reader.turn() if m.native_id == rude.id]
    assert (hidden.deleted_at is not None, hidden.marks) == (True, ("hidden",))
    rude.hidden = False
    (shown,) = [m for m in reader.turn() if m.native_id == rude.id]
    assert (shown.restored_at is not None, shown.text) == (True, "骗子")


def test_what_was_there_before_is_history_and_read_beside_what_is_new(stage: Stage) -> None:
    began = stage.clock.at - timedelta(days=3)
    media = stage.page.gram.post("旧帖", began)
    old = stage.page.gram.remark(YUKI, "三天前", began, under=media)
    reader = Reader(stage)
    new = say(stage, "刚刚", media)
    assert new.id in told(reader.turn())
    assert {old.id, new.id} <= set(told(reader.go(history=True)))


def test_a_webhook_and_a_list_tell_the_same_comment(stage: Stage) -> None:
    media = stage.page.gram.post("新品", stage.clock.at)
    entries: list[dict[str, object]] = []
    stage.page.gram.push = lambda entry, _: entries.append(entry)
    reader = Reader(stage)
    asked = say(stage, "多少钱？", media)
    say(stage, "请看私信", asked, stage.page.instagram)
    listed = {m.key: m for m in reader.turn()}
    account = stage.connect(instagram="true", verify_token="暗号")
    us = stage.page.instagram.id
    body = {"object": "instagram", "entry": [{"id": us, **one} for one in entries]}
    pushed = account.read([json.dumps(body).encode()]).messages
    assert len(pushed) == 2
    for message in pushed:
        twin = listed[message.key]
        for what in ("text", "author", "sent_at", "root", "reply_to", "direction", "kind"):
            assert getattr(message, what) == getattr(twin, what)


def test_a_page_without_a_linked_account_has_no_such_stream(stage: Stage) -> None:
    stage.page.edges.page = type(stage.page.edges.page)(stage.page.page, "lumo")
    with pytest.raises(Rejected, match="linked"):
        stage.connect(instagram="true").poll("instagram_comments", None)
    told = stage.connect(instagram="true").check().streams
    assert "no Instagram business account" in told["instagram_comments"]


def test_an_answer_of_unknown_outcome_is_looked_for_among_the_answers(stage: Stage) -> None:
    media = stage.page.gram.post("新品", stage.clock.at)
    asked = say(stage, "多少钱？", media)
    reader = Reader(stage)
    account = stage.connect(instagram="true")
    message = next(m for m in reader.go(history=True) if m.native_id == asked.id)
    since = stage.clock.at
    assert account.find_reply(message, "请看私信", "k", since) is None
    stage.page.fault("cut_after", path=f"/v26.0/{asked.id}/replies")
    with pytest.raises(Unavailable) as caught:
        account.reply(message, "请看私信", "k")
    assert caught.value.maybe_done
    found = account.find_reply(message, "请看私信", "k", since)
    assert found is not None
    assert found.direction is Direction.OUTBOUND
    again = account.reply(message, "还有货", "k2")
    assert again.root == media.id
    assert again.native_id in {one.id for one in media.remarks}


@pytest.mark.parametrize("empty", [0, 2])
def test_a_media_that_is_gone_takes_its_comments_along(stage: Stage, empty: int) -> None:
    stage.page.graph.empty_pages = empty
    media = stage.page.gram.post("新品", stage.clock.at)
    asked = say(stage, "多少钱？", media)
    other = stage.page.gram.post("旧品", stage.clock.at - timedelta(days=1))
    say(stage, "便宜吗", other)
    reader = Reader(stage)
    reader.turn()
    say(stage, "再问", media)
    stage.page.gram.withdraw(asked)
    found = {m.native_id: m for m in (*reader.turn(), *reader.turn())}
    assert found[asked.id].deleted_at is not None
