"""What Weibo took out of its lists without a word: noticed, asked for by its id, and told only then."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from aggregator.errors import Rejected
from aggregator.model import Gap, Message
from aggregator.sandbox.base import Answer
from connectors.weibo.recent import Recent
from connectors.weibo.walk import Walk, id_at
from tests.connectors.loopback import T0, Clock, MemoryKeep
from tests.connectors.test_weibo_answers import commented, play
from tests.connectors.test_weibo_history import WIDE, gaps, many
from tests.connectors.test_weibo_planner import NINE, Day, day, reader
from tests.connectors.weibo_fake import NOW, item, walk, weibos

BY_ID = ("/2/statuses/show.json", "/2/comments/show_batch.json")


def read(today: Day, times: int = 3, *, minutes: int = 6) -> list[Message]:
    """What some pages say of what is gone or back."""
    told = []
    for _ in range(times):
        today.clock.on(minutes=minutes)
        for stream, cursor in list(today.cursors.items()):
            page = today.account.poll(stream, cursor)
            today.cursors[stream] = page.cursor
            assert page.gaps == ()
            for one in page.messages:
                today.found.setdefault(one.native_id, (one, today.clock()))
                if one.deleted_at is not None or one.restored_at is not None:
                    told.append(one)
    return told


def asked_by_id(today: Day) -> int:
    return sum(path in BY_ID for _, path in today.weibo.calls)


def test_a_post_that_its_author_deleted_is_told_once() -> None:
    with day(NINE, quota=WIDE) as today:
        ids = many(today, 5)
        today.tick()
        today.weibo.statuses[int(ids[2])].gone = True
        (gone,) = read(today)
        assert (gone.key, gone.text, gone.marks) == (f"mention:{ids[2]}", None, ())
        assert gone.deleted_at is not None
        assert read(today, 5) == []
        assert asked_by_id(today) == 1


def test_a_post_that_weibo_hides_is_not_said_to_be_deleted() -> None:
    with day(NINE, quota=WIDE) as today:
        ids = many(today, 5)
        today.tick()
        today.weibo.hide(ids[1])
        assert read(today, 5) == []
        assert asked_by_id(today) == 1  # and it is not asked for again and again
        today.weibo.hide(ids[1], hidden=False)
        assert read(today) == []


@pytest.mark.parametrize("deleted", [True, False])
def test_a_comment_that_nobody_shows_us_any_more_is_hidden_and_comes_back(deleted: bool) -> None:
    """Comments are asked for together, and the answer lacks both what is deleted and what is hidden."""
    with day(NINE, quota=WIDE) as today:
        wanted = commented(today)
        for number in range(3):
            play(today, "comment", f"{number}", f"还有 {number}", under="新品")
        today.tick()
        said = today.weibo.comments[int(wanted.native_id)]
        said.gone, said.hidden = deleted, not deleted
        (gone,) = read(today)
        assert (gone.key, gone.marks) == (wanted.key, ("hidden",))
        said.gone = said.hidden = False
        (back,) = read(today)
        assert (back.key, back.text) == (wanted.key, "买了三天就坏")
        assert back.restored_at is not None
        assert read(today) == []


def test_many_deleted_comments_cost_one_call() -> None:
    with day(NINE, quota=WIDE) as today:
        play(today, "own_post", "新品", "新品上市")
        ids = [
            play(today, "comment", f"{number}", f"骂人 {number}", under="新品")
            for number in range(12)
        ]
        today.tick()
        for id in ids[1:10]:
            today.weibo.comments[int(id)].gone = True
        assert {one.native_id for one in read(today)} == set(ids[1:10])
        assert asked_by_id(today) == 1


def test_a_list_that_ends_higher_up_than_before_is_not_asked_for_each_post_below() -> None:
    with day(NINE, quota=WIDE) as today:
        many(today, 40)
        today.tick()
        today.weibo.history = 20
        assert read(today, 4) == []
        assert asked_by_id(today) == 0


def test_a_page_that_is_short_once_and_a_post_that_is_late_make_no_holes() -> None:
    with day(NINE, quota=WIDE) as today:
        ids = many(today, 6)
        today.tick()
        today.weibo.late["第7条"] = 600
        late = today.say()
        for id in ids[:2]:
            today.weibo.hide(id)
        read(today, 1)
        for id in ids[:2]:
            today.weibo.hide(id, hidden=False)
        assert read(today) == []
        assert late in today.found
        assert asked_by_id(today) == 0


def test_what_is_older_than_the_page_reaches_is_not_missed() -> None:
    recent = Recent(ids=(9, 8, 7, 3, 2))
    again = recent.after([9, 7], low=6, high=100).after([9, 7], low=6, high=100)
    assert again.doubtful == [8]
    assert recent.after([], low=100, high=100).holes == {}


def test_no_call_is_spent_on_it_while_others_may_be_needed() -> None:
    with day(NINE) as today:
        ids = many(today, 5)
        today.minutes(3)
        today.weibo.statuses[int(ids[2])].gone = True
        today.weibo.gate.spend(77)  # what others used leaves a call or two
        today.minutes(6 * 60)
        assert asked_by_id(today) == 0


def test_an_open_app_notices_within_half_a_day_and_within_its_calls() -> None:
    with day(NINE) as today:
        ids = many(today, 5)
        today.minutes(3)
        today.weibo.statuses[int(ids[2])].gone = True
        today.minutes(12 * 60)
        assert asked_by_id(today) == 1
        assert len(today.metered()) <= 80
        assert f"mention:{ids[2]}" in {one.key for one in today.gone}


@pytest.mark.parametrize("trouble", ["10014", "10024", "html", "cut"])
def test_trouble_with_asking_by_id_is_none_of_the_lists(trouble: str) -> None:
    with day(NINE, quota=WIDE) as today:
        ids = many(today, 5)
        today.tick()
        today.weibo.statuses[int(ids[2])].gone = True
        if trouble.isdecimal():
            today.weibo.gate.closed["/2/statuses/show"] = int(trouble)
        else:
            today.weibo.fault(trouble, path="/2/statuses/show")
        assert read(today, 6) == []
        assert asked_by_id(today) == 1  # not again within the hour
        today.weibo.gate.closed.clear()
        assert len(read(today, 3, minutes=60 * 8)) == 1


def test_a_refusal_that_does_not_say_which_comment_is_meant_marks_none() -> None:
    with day(NINE, quota=WIDE) as today:
        play(today, "own_post", "新品", "新品上市")
        ids = [play(today, "comment", f"{n}", f"第 {n}", under="新品") for n in range(4)]
        today.tick()
        for id in ids[:2]:
            today.weibo.comments[int(id)].gone = True
        body = b'{"error": "comment does not exist", "error_code": "20201"}'
        today.weibo.fault("status", path="/2/comments/show_batch", status=400, body=body, times=3)
        told = read(today, 6)
        assert {one.native_id for one in told} == set(ids[:2])
        assert [one.marks for one in told] == [(), ()]  # by then they were asked for singly


# --- what an answer came upon ---------------------------------------------------------------------


@pytest.mark.parametrize("what", ["comment", "post"])
def test_an_answer_that_comes_too_late_tells_what_is_gone(what: str) -> None:
    with day(NINE, quota=WIDE) as today:
        if what == "comment":
            to = commented(today)
            today.weibo.comments[int(to.native_id)].gone = True
        else:
            today.say()
            today.tick()
            to = next(iter(today.found.values()))[0]
            today.weibo.statuses[int(to.native_id)].gone = True
        with pytest.raises(Rejected, match="20"):
            today.account.reply(to, "您好", "k")
        told = read(today, 1)
        assert [(one.key, one.marks) for one in told] == [(to.key, ())]
        assert read(today, 4) == []


def test_a_tombstone_is_told_until_its_page_was_stored() -> None:
    with day(NINE, quota=WIDE) as today:
        to = commented(today)
        today.weibo.comments[int(to.native_id)].gone = True
        with pytest.raises(Rejected):
            today.account.reply(to, "您好", "k")
        for _ in range(3):  # the process is killed before it can store the page
            today.clock.on(minutes=6)
            today.account = reader(today.weibo, today.clock, today.keep)
            page = today.account.poll("comments", today.cursors["comments"])
            assert [one.key for one in page.messages if one.deleted_at] == [to.key]
        for _ in range(2):
            today.clock.on(hours=1)
            page = today.account.poll("comments", page.cursor)
            assert [one.key for one in page.messages if one.deleted_at] == []
        assert "gone" not in today.keep.rows


# --- gaps, hidden pages ---------------------------------------------------------------------------


def test_a_page_of_which_all_is_hidden_is_not_the_end_of_the_list() -> None:
    with day(NINE, quota=WIDE) as today:
        today.tick()
        ids = many(today, 450)
        today.clock.on(minutes=6)
        for id in ids[-400:-100]:
            today.weibo.hide(id)
        assert gaps(today) == []
        assert set(ids[:50]) | set(ids[-100:]) <= set(today.found)
        fresh = reader(today.weibo, today.clock, MemoryKeep())
        cursor, found = None, set()
        for _ in range(9):
            page = fresh.backfill("mentions", cursor)
            cursor = page.cursor
            found |= {one.native_id for one in page.messages}
            if not page.more:
                break
        assert found == set(ids[:50]) | set(ids[-100:])


def test_hidden_pages_are_walked_through_though_the_walk_has_few_pages() -> None:
    now = T0 + timedelta(hours=5)
    ids = [id_at(NOW + n * 60) for n in range(300)]
    hidden = set(ids[100:280])
    state = Walk.resume(json.dumps({"seen": ids[0], "scanned": 1}), now, again=1, overlap=1)
    got: list[int] = []
    for _ in range(20):
        window = [id for id in reversed(ids) if state.since < id <= (state.below or 1 << 70)]
        page, rest = window[:50], window[50:]
        shown = [id for id in page if id not in hidden]
        got += shown
        state = state.after(shown, last=not rest, now=now, following=rest[0] if rest else 0)
        if not state.going:
            break
    assert set(ids[1:]) - hidden <= set(got)


@pytest.mark.parametrize("following", [10**30, 7, -5, "x", None, True, [1]])
def test_an_empty_page_that_leads_to_an_odd_place_ends_the_walk(following: Any) -> None:
    with weibos() as (told, server, account, _):
        told.listed = lambda key, _: Answer(  # type: ignore[method-assign]
            json.dumps({key: [], "next_cursor": following}).encode()
        )
        ids, _ = walk(account, json.dumps({"seen": id_at(NOW - 100), "scanned": 10**9}))
    assert ids == []
    assert len(server.asked("/2/statuses/mentions.json")) <= 2


def test_all_that_was_known_may_be_deleted_and_that_is_no_gap() -> None:
    with day(NINE, quota=WIDE) as today:
        ids = many(today, 3)
        assert gaps(today) == []
        for id in ids:
            today.weibo.statuses[int(id)].gone = True
        today.clock.on(hours=3)
        many(today, 2)
        assert gaps(today) == []


def test_a_gap_waits_for_the_call_that_shows_it() -> None:
    with day(NINE) as today:
        many(today, 3)
        today.minutes(2)
        today.clock.on(hours=5)
        many(today, 20, apart_s=60)
        today.weibo.history = 6
        cursor = today.cursors["mentions"]
        spent = today.account._planner.extra
        today.account._lists._planner.extra = lambda: False  # type: ignore[method-assign]
        page = today.account.poll("mentions", cursor)
        assert (len(page.messages), page.cursor, page.gaps) == (6, cursor, ())
        today.account._lists._planner.extra = spent  # type: ignore[method-assign]
        today.clock.on(hours=1)
        told: list[Gap] = gaps(today)
        assert [one.recoverable for one in told] == [False]


# --- the row in the cursor ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        7,
        {"ids": "x", "holes": [1], "gone": {}, "told": 5, "looked": "soon"},
        {"ids": [1.5, None, "7"], "holes": {"x": 1, "9" * 5000: 2, "8": "y"}, "gone": [None]},
        {"told": [None, 5, {}]},
    ],
)
def test_a_row_that_cannot_be_read_is_an_empty_one(told: Any) -> None:
    assert Recent.read(told) == Recent()


def test_the_row_survives_the_cursor_and_stays_small() -> None:
    recent = Recent()
    for number in range(1000):
        recent = recent.after([id_at(NOW + number)], low=id_at(NOW + number), high=id_at(NOW * 2))
    recent = recent.settled(recent.ids[:150], gone=True)
    kept = Walk.resume(None, T0).told(recent=recent.cursor())
    assert Recent.read(json.loads(kept)["recent"]) == recent
    assert len(kept) < 12_000
    assert Walk.resume(kept, Clock()()) == Walk.resume(None, T0)


def test_a_commercial_app_notices_too() -> None:
    with weibos(tier="commercial") as (told, server, account, clock):
        told.items = [item(n * 60) for n in range(10)]
        _, cursor = walk(account, None)
        del told.items[4]
        for _ in range(4):
            clock.on(minutes=6)
            _, cursor = walk(account, cursor)
        assert len(server.asked("/2/statuses/show.json")) == 1
