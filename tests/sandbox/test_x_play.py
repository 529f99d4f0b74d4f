"""A script's lines on the stand-in of X, and what the export must say of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from aggregator.sandbox.base import Line, Person, Truth
from aggregator.sandbox.x import XStandin

NOON = datetime(2026, 3, 4, 12, 0, 0, 250_000, tzinfo=UTC)
ANN = Person(1, "安妮", "ann_reads", 120)
BEN = Person(2, "Ben", "benb", 4)


class Stage:
    """Plays lines a minute apart."""

    def __init__(self) -> None:
        self.x = XStandin(lambda: NOON)
        self.told: dict[str, Truth] = {}
        self.minute = 0

    def play(
        self,
        kind: str,
        label: str,
        who: Person | None,
        text: str | None,
        *,
        to: str | None = None,
        under: str | None = None,
        attachment: str | None = None,
        action: str = "say",
    ) -> Truth:
        self.minute += 1
        at = NOON + timedelta(minutes=self.minute)
        line = Line(self.minute, "x", kind, label, who, text, to, under, attachment, action)
        told: Mapping[str, Truth] = self.told
        truth = self.x.play(line, at, told)
        self.told[label] = truth
        return truth


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_mention_and_our_answer_are_one_conversation(stage: Stage) -> None:
    asked = stage.play("mention", "a", ANN, "@lumo 退款还没到 <急>")
    answer = stage.play("mention", "b", None, "已加急", to="a")
    assert asked.kind == answer.kind == "mention"
    assert (asked.direction, answer.direction) == ("inbound", "outbound")
    assert asked.text == "@lumo 退款还没到 <急>"
    assert answer.text == "@ann_reads 已加急"
    assert asked.author["handle"] == "ann_reads"
    assert answer.author == {"native_id": str(stage.x.brand.id), "name": "Lumo", "handle": "lumo"}
    assert answer.reply_to == asked.native_id == asked.root == answer.root
    assert asked.conversation == answer.conversation
    assert asked.url == f"https://x.com/ann_reads/status/{asked.native_id}"
    assert asked.sent_at == datetime(2026, 3, 4, 12, 1, tzinfo=UTC)


def test_an_own_post_is_not_exported_and_whoever_answers_it_has_a_conversation_of_their_own(
    stage: Stage,
) -> None:
    own = stage.play("own_post", "p", None, "新品上市")
    ann = stage.play("comment", "a", ANN, "多少钱？", under="p")
    ben = stage.play("comment", "b", BEN, "Nice!", under="p")
    answer = stage.play("comment", "c", None, "299", to="a", under="p")
    assert not own.exported
    assert ann.exported
    assert ann.text == "@lumo 多少钱？"  # as X's app begins an answer
    assert ann.root == ben.root == own.native_id
    assert ann.conversation == answer.conversation != ben.conversation
    assert {one.kind for one in (own, ann, ben, answer)} == {"mention"}


def test_a_mention_without_our_handle_gets_it(stage: Stage) -> None:
    stage.play("mention", "a", ANN, "有人管吗")
    assert stage.told["a"].text == "@lumo 有人管吗"
    other = stage.play("mention", "b", BEN, "same here", to="a")
    assert other.text == "@ann_reads @lumo same here"


def test_direct_messages_are_grouped_by_person(stage: Stage) -> None:
    asked = stage.play("direct_message", "a", ANN, "账号被盗了")
    answer = stage.play("direct_message", "b", None, "已冻结", to="a")
    again = stage.play("direct_message", "c", ANN, "谢谢")
    third = stage.play("direct_message", "d", None, "不客气", to="b")
    other = stage.play("direct_message", "e", BEN, "hi")
    assert asked.conversation == answer.conversation == again.conversation == third.conversation
    assert other.conversation != asked.conversation
    assert (answer.direction, answer.text, answer.reply_to) == ("outbound", "已冻结", None)
    assert asked.root is None
    assert asked.url is not None
    assert asked.url.startswith("https://x.com/messages/")


def test_attachments_are_media_first_then_each_link_once(stage: Stage) -> None:
    text = "看 https://a.example/1 和 https://b.example/2 还有 https://a.example/1"
    truth = stage.play("mention", "a", ANN, text, attachment="image")
    assert truth.attachments == ("image", "link", "link")
    assert truth.text is not None
    assert "example" not in truth.text
    assert truth.text.count("https://t.co/") == 4
    shared = stage.play("direct_message", "b", ANN, None, attachment="video")
    assert shared.attachments == ("video",)
    assert shared.text is not None
    assert shared.text.startswith("https://t.co/")
    assert stage.play("mention", "c", BEN, "look", attachment="link").attachments == ("link",)


def test_a_long_post_is_true_in_full(stage: Stage) -> None:
    truth = stage.play("mention", "a", ANN, "@lumo " + "退" * 400)
    assert truth.text == "@lumo " + "退" * 400


def test_an_edit_keeps_the_first_id_and_time_and_has_the_new_words(stage: Stage) -> None:
    first = stage.play("mention", "a", ANN, "@lumo 没到")
    edited = stage.play("mention", "b", ANN, "@lumo 到了", to="a", action="edit")
    assert edited.label == "a"
    assert (edited.native_id, edited.sent_at) == (first.native_id, first.sent_at)
    assert (edited.text, edited.edited_at) == (
        "@lumo 到了",
        datetime(2026, 3, 4, 12, 2, tzinfo=UTC),
    )
    assert edited.conversation == first.conversation
    assert edited.url != first.url  # the newest version has its own address
    answer = stage.play("mention", "c", None, "太好了", to="a")
    assert answer.reply_to == first.native_id
    gone = stage.play("mention", "d", ANN, None, to="a", action="delete")
    assert gone.deleted
    assert not first.deleted


@pytest.mark.parametrize(
    ("kind", "attachment", "action"),
    [("review", None, "say"), ("mention", "voice", "say"), ("mention", "sticker", "say")],
)
def test_what_x_does_not_have_is_no_line_of_a_script(
    stage: Stage, kind: str, attachment: str | None, action: str
) -> None:
    with pytest.raises(ValueError, match="on X"):
        stage.play(kind, "a", ANN, "文字", attachment=attachment, action=action)
