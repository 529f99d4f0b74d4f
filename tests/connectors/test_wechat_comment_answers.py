"""Answers to comments under articles, and comments that are gone: against the stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.errors import RateLimited, Rejected, Unavailable
from aggregator.model import Direction, Message
from connectors.wechat import spans
from connectors.wechat.comment import number_of
from tests.connectors.test_wechat_comments import LIST, walk, watching

ARTICLE = (2247480001, 0)
REPLY = "/cgi-bin/comment/reply/add"
TEXT = "抱歉，已经补发，单号在私信里"


@dataclass
class Place:
    there: Any
    daemon: Any
    now: Any

    def write(self, text: str, who: str = "oLumo7") -> int:
        return int(self.there.comments.write(ARTICLE, who, self.now(), text))

    def read(self, *, minutes: int = 10) -> list[Message]:
        """The next round: a withdrawal is in `deleted_at`."""
        self.now.on(minutes=minutes)
        return walk(self.daemon)

    def stored(self, number: int) -> Message:
        (one,) = [
            one for one in self.read() if one.native_id == f"{ARTICLE[0]}/{ARTICLE[1]}/{number}"
        ]
        return one


@pytest.fixture
def place() -> Iterator[Place]:
    with watching(str(ARTICLE[0])) as (there, daemon, now):
        there.comments.publish(*ARTICLE)
        yield Place(there, daemon, now)


# --- answers ------------------------------------------------------------------------------------


def test_an_answer_stands_under_the_comment_and_has_the_id_that_the_list_gives(
    place: Place,
) -> None:
    asked = place.stored(place.write("包裹丢了"))
    sent = place.daemon.account.reply(asked, TEXT, "k1")
    assert (sent.direction, sent.reply_to, sent.root, sent.person) == (
        Direction.OUTBOUND,
        asked.native_id,
        asked.root,
        "oLumo7",
    )
    assert sent.sent_at == place.now()
    listed = {one.key: one.text for one in place.read(minutes=60)}
    assert listed[sent.key] == TEXT


def test_a_comment_takes_one_answer_whoever_gave_it(place: Place) -> None:
    asked = place.stored(place.write("在吗"))
    place.there.comments.answered(ARTICLE, 0, place.now(), "在的")
    with pytest.raises(Rejected, match="has an answer already"):
        place.daemon.account.reply(asked, TEXT, "k1")
    assert place.there.comments.articles[ARTICLE][0]["reply"]["content"] == "在的"


@pytest.mark.parametrize("kind", ["cut_after", "cut_body", "truncated", "html_ok"])
def test_an_answer_of_unknown_outcome_is_found_under_its_comment(place: Place, kind: str) -> None:
    for number in range(60):  # on the second page
        place.write(f"第 {number} 条")
    asked = next(one for one in place.read() if one.text == "第 3 条")
    place.there.fault(kind, path=REPLY)
    with pytest.raises(Unavailable) as caught:
        place.daemon.account.reply(asked, TEXT, "k1")
    assert caught.value.maybe_done
    found = place.daemon.account.find_reply(asked, TEXT, "k1", place.now())
    if kind == "html_ok":  # nothing was done there
        assert found is None
    else:
        assert (found.text, found.reply_to) == (TEXT, asked.native_id)
        with pytest.raises(Rejected, match="has an answer already"):
            place.daemon.account.reply(asked, TEXT, "k1")


def test_an_answer_that_did_not_arrive_is_not_found(place: Place) -> None:
    asked = place.stored(place.write("在吗"))
    place.there.fault("cut", path=REPLY)
    with pytest.raises(Unavailable):
        place.daemon.account.reply(asked, TEXT, "k1")
    assert place.daemon.account.find_reply(asked, TEXT, "k1", place.now()) is None
    assert place.daemon.account.reply(asked, TEXT, "k1").text == TEXT


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (88000, "no comments"),
        (88001, "this article"),
        (88002, "limited"),
        (88004, "withdrawn"),
        (88007, "too long"),
        (88008, "gone"),
        (48001, "unauthorized|told"),
    ],
)
def test_a_refused_answer_says_why(place: Place, code: int, words: str) -> None:
    asked = place.stored(place.write("在吗"))
    place.there.refuse(REPLY, code)
    with pytest.raises(Rejected, match=words):
        place.daemon.account.reply(asked, TEXT, "k1")


def test_a_used_up_quota_of_answers_is_not_asked_again_today(place: Place) -> None:
    asked = place.stored(place.write("在吗"))
    place.there.refuse(REPLY, 45009)
    for _ in range(3):
        with pytest.raises(RateLimited):
            place.daemon.account.reply(asked, TEXT, "k1")
    assert [path for _, path in place.there.calls].count(REPLY) == 1


def test_the_length_is_counted_in_characters_and_checked_before_the_platform_is_asked(
    place: Place,
) -> None:
    asked = place.stored(place.write("在吗"))
    limit = place.daemon.account.reply_limit(asked)
    assert (limit.count("退款🙂"), limit.longest) == (3, 600)
    with pytest.raises(Rejected, match="601"):
        place.daemon.account.reply(asked, "长" * 601, "k1")
    with pytest.raises(Rejected, match="without words"):
        place.daemon.account.reply(asked, " ", "k1")
    assert REPLY not in [path for _, path in place.there.calls]


@pytest.mark.parametrize("id", ["9/0/x", "9/0", "/0/1", "9/0/1/2", "九/0/1"])
def test_a_comment_without_a_number_is_not_answered_from_here(place: Place, id: str) -> None:
    asked = replace(place.stored(place.write("在吗")), native_id=id)
    with pytest.raises(Rejected, match="no number"):
        place.daemon.account.reply_limit(asked)


# --- withdrawals --------------------------------------------------------------------------------


def gone(found: list[Message]) -> list[str]:
    return [one.native_id.rpartition("/")[2] for one in found if one.deleted_at is not None]


def test_a_comment_that_is_withdrawn_is_told_once(place: Place) -> None:
    for number in range(60):
        place.write(f"第 {number} 条")
    assert gone(place.read()) == []
    place.there.comments.withdraw(ARTICLE, 3)
    (told,) = [one for one in place.read() if one.deleted_at is not None]
    assert (told.native_id, told.deleted_at, told.text) == ("2247480001/0/3", place.now(), None)
    assert gone(place.read(minutes=60)) == []


def test_one_in_the_place_of_another_is_seen_within_an_hour(place: Place) -> None:
    for number in range(60):
        place.write(f"第 {number} 条")
    place.read()
    place.there.comments.withdraw(ARTICLE, 5)
    place.write("新来的")
    assert gone(place.read(minutes=10)) == []  # the number of comments has not moved
    assert gone(place.read(minutes=60)) == ["5"]


def test_a_comment_that_is_shown_again_is_restored_and_may_go_again(place: Place) -> None:
    place.write("先撤回再放出来")
    place.read()
    place.there.comments.withdraw(ARTICLE, 0)
    assert gone(place.read()) == ["0"]
    place.there.comments.restore(ARTICLE, 0)
    (back,) = place.read()
    assert (back.restored_at, back.deleted_at, back.text) == (
        place.now(),
        None,
        "先撤回再放出来",
    )
    assert [one.restored_at for one in place.read()] == [None]
    place.there.comments.withdraw(ARTICLE, 0)
    assert gone(place.read()) == ["0"]


def test_pages_that_do_not_fit_together_withdraw_nothing(place: Place) -> None:
    for number in range(120):
        place.write(f"第 {number} 条")
    place.read()
    place.now.on(minutes=60)
    first = place.daemon.account.poll("comments", place.daemon.cursors["comments"])
    place.there.comments.withdraw(
        ARTICLE, 100
    )  # the rest moves up by one: 71 falls between two pages
    place.daemon.cursors["comments"] = first.cursor
    rest = walk(place.daemon)
    assert "2247480001/0/70" not in {one.native_id for one in (*first.messages, *rest)}
    assert gone(rest) == []
    again = place.read(minutes=10)
    assert "2247480001/0/70" in {one.native_id for one in again}
    assert gone(again) == ["100"]


def test_short_pages_withdraw_nothing(place: Place) -> None:
    place.there.comments.short_every = 2
    for number in range(150):
        place.write(f"第 {number} 条")
    for _ in range(5):
        assert gone(place.read(minutes=60)) == []


def test_a_walk_that_is_broken_off_and_resumed_still_sees_what_is_missing(place: Place) -> None:
    for number in range(120):
        place.write(f"第 {number} 条")
    place.read()
    place.there.comments.withdraw(ARTICLE, 2)
    place.now.on(minutes=60)
    page = place.daemon.account.poll("comments", place.daemon.cursors["comments"])
    place.daemon.cursors["comments"] = page.cursor
    place.there.fault("html", path=LIST)
    with pytest.raises(Unavailable):
        place.daemon.account.poll("comments", page.cursor)
    place.now.on(hours=3)
    assert gone(walk(place.daemon)) == ["2"]


def test_too_many_scattered_comments_are_not_remembered_and_none_is_taken_for_gone() -> None:
    assert spans.told(range(0, 4000, 2)) is None
    assert spans.told(range(100_000)) == "0-99999"


@given(st.sets(st.integers(0, 10_000), max_size=200))
def test_a_set_of_numbers_is_read_as_it_was_told(numbers: set[int]) -> None:
    assert spans.read(spans.told(numbers)) == numbers


@pytest.mark.parametrize("text", [None, 7, "x", "3-", "-3", "5-1", "1-99999999999999", "一"])
def test_what_is_no_set_of_numbers_is_an_empty_one(text: Any) -> None:
    assert spans.read(text) == set()


@pytest.mark.parametrize(
    ("id", "number"),
    [
        (0, 0),
        (7, 7),
        ("12", 12),
        ("012", None),
        (True, None),
        (-1, None),
        (2**63, None),
        ("x", None),
    ],
)
def test_only_a_plain_number_is_followed(id: Any, number: int | None) -> None:
    assert number_of({"user_comment_id": id}) == number


def test_what_only_a_first_page_has_shown_again_may_still_be_seen_to_go(place: Place) -> None:
    place.write("来来去去")
    place.write("一直都在")
    place.read()
    place.there.comments.withdraw(ARTICLE, 0)
    assert gone(place.read()) == ["0"]
    place.there.comments.restore(ARTICLE, 0)
    place.there.comments.withdraw(ARTICLE, 1)  # the number is as it was: one page is read
    assert [one.restored_at is not None for one in place.read()] == [True]
    place.there.comments.withdraw(ARTICLE, 0)
    place.there.comments.restore(ARTICLE, 1)
    place.read()
    assert gone(place.read(minutes=60)) == ["0"]


def test_a_comment_that_came_between_two_pages_is_seen_to_go(place: Place) -> None:
    for number in range(60):
        place.write(f"第 {number} 条")
    place.read()
    place.now.on(minutes=60)
    first = place.daemon.account.poll("comments", place.daemon.cursors["comments"])
    late = place.write("中途来的")
    place.daemon.cursors["comments"] = first.cursor
    walk(place.daemon)
    place.now.on(minutes=10)
    page = place.daemon.account.poll("comments", place.daemon.cursors["comments"])
    assert page.messages[0].native_id.endswith(f"/{late}")
    place.there.comments.withdraw(ARTICLE, late)
    place.daemon.cursors["comments"] = page.cursor
    found = [*walk(place.daemon), *place.read(minutes=10), *place.read(minutes=60)]
    assert gone(found) == [str(late)]
