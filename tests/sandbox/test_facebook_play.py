"""A script's lines on the stand-in of Facebook, and what the export must say of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aggregator.sandbox.base import Line, Person, Truth
from aggregator.sandbox.facebook import FacebookStandin

NOON = datetime(2026, 3, 4, 12, 0, 0, 250_000, tzinfo=UTC)
ANN = Person(1, "安妮", "ann")
BEN = Person(2, "Ben", "ben")


class Stage:
    """Plays lines a minute apart."""

    def __init__(self) -> None:
        self.page = FacebookStandin(lambda: NOON)
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
        line = Line(self.minute, "facebook", kind, label, who, text, to, under, attachment, action)
        truth = self.page.play(line, at, self.told)
        self.told[label] = truth
        return truth


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_comments_under_our_post_are_grouped_by_person(stage: Stage) -> None:
    own = stage.play("own_post", "p", None, "新品上市")
    ann = stage.play("comment", "a", ANN, "会发热吗", under="p")
    ben = stage.play("comment", "b", BEN, "same here", to="a", under="p")
    answer = stage.play("comment", "c", None, "请停止使用", to="a", under="p")
    more = stage.play("comment", "d", ANN, "好的", under="p")
    assert not own.exported
    assert ann.conversation == answer.conversation == more.conversation != ben.conversation
    assert ann.root == ben.root == answer.root == own.native_id
    assert (ann.reply_to, ben.reply_to, answer.reply_to) == (
        own.native_id,
        ann.native_id,
        ann.native_id,
    )
    assert answer.direction == "outbound"
    assert answer.author["native_id"] == stage.page.page.id
    assert ann.sent_at == datetime(2026, 3, 4, 12, 2, tzinfo=UTC)
    assert ann.url is not None
    assert ann.url.startswith("https://www.facebook.com/")


def test_a_visitors_post_is_a_mention_and_our_answer_a_comment(stage: Stage) -> None:
    asked = stage.play("mention", "a", ANN, "包裹在哪")
    answer = stage.play("comment", "b", None, "明天送到", to="a")
    assert (asked.kind, answer.kind) == ("mention", "comment")
    assert asked.root == asked.native_id == answer.reply_to
    assert asked.conversation == answer.conversation
    tagging = stage.play("mention", "c", BEN, "I love @Lumo")
    assert tagging.native_id.startswith(stage.page.person(BEN).id)


def test_a_post_without_words_has_no_text(stage: Stage) -> None:
    truth = stage.play("mention", "a", ANN, None, attachment="image")
    assert (truth.text, truth.attachments) == (None, ("image",))


def test_direct_messages_are_grouped_by_person_under_another_id(stage: Stage) -> None:
    asked = stage.play("direct_message", "a", ANN, "重复扣款")
    answer = stage.play("direct_message", "b", None, "已退回", to="a")
    assert asked.conversation == answer.conversation == f"d:{stage.page.correspondent(ANN).id}"
    assert not asked.native_id.startswith("m_")
    assert answer.direction == "outbound"
    public = stage.play("mention", "c", ANN, "还是我")
    assert public.author["native_id"] != asked.author["native_id"]


def test_a_review_is_answered_under_its_story(stage: Stage) -> None:
    review = stage.play("review", "a", ANN, "客服太差")
    answer = stage.play("comment", "b", None, "非常抱歉", to="a")
    assert (review.kind, review.attachments, review.url) == ("review", ("rating",), None)
    assert answer.root == review.native_id == answer.reply_to
    assert review.conversation == answer.conversation
    gone = stage.play("review", "c", ANN, None, to="a", action="delete")
    assert (gone.label, gone.deleted) == ("a", True)


def test_an_edit_keeps_the_id_and_has_the_new_words(stage: Stage) -> None:
    first = stage.play("mention", "a", ANN, "没到")
    edited = stage.play("mention", "b", ANN, "到了", to="a", action="edit")
    assert (edited.label, edited.native_id, edited.text) == ("a", first.native_id, "到了")
    gone = stage.play("mention", "c", ANN, None, to="a", action="delete")
    assert gone.deleted


def test_two_pages_share_no_id_and_ids_are_beyond_what_a_float_can_hold(stage: Stage) -> None:
    one = FacebookStandin(lambda: NOON, salt=1)
    two = FacebookStandin(lambda: NOON, salt=2)
    posts = [page.post(page.page, "新品", NOON).id for page in (one, two) for _ in range(50)]
    assert len(set(posts)) == 100
    assert int(posts[0].split("_")[1]) > 2**53
    assert one.person(ANN).id != two.person(ANN).id


@pytest.mark.parametrize(
    ("kind", "action"), [("shout", "say"), ("direct_message", "edit"), ("review", "edit")]
)
def test_what_facebook_does_not_have_is_no_line_of_a_script(
    stage: Stage, kind: str, action: str
) -> None:
    known = "direct_message" if kind == "shout" else kind
    stage.play(known, "a", ANN, "原话")
    with pytest.raises(ValueError, match="on Facebook"):
        stage.play(kind, "b", ANN, "改过", to="a" if action != "say" else None, action=action)
