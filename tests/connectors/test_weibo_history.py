"""What appears late, what a list no longer shows, what was withdrawn, and history apart from what is new."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from aggregator.errors import RateLimited, Rejected, Unauthorized
from aggregator.model import Gap
from aggregator.sandbox.base import Answer, Request
from connectors.weibo import Weibo, WeiboOptions
from tests.connectors.loopback import MemoryKeep
from tests.connectors.test_weibo_answers import play
from tests.connectors.test_weibo_planner import LISTS, NINE, Day, day, reader

WIDE = 100_000


def gaps(today: Day, stream: str = "mentions") -> list[Gap]:
    found: list[Gap] = []
    while True:
        page = today.account.poll(stream, today.cursors[stream])
        today.cursors[stream] = page.cursor
        found += page.gaps
        for one in page.messages:
            today.found.setdefault(one.native_id, (one, today.clock()))
        if not page.more:
            return found


def many(today: Day, count: int, *, apart_s: int = 1) -> list[str]:
    ids = []
    for _ in range(count):
        ids.append(today.say())
        today.clock.on(seconds=apart_s)
    return ids


# --- late ones ------------------------------------------------------------------------------------


def test_a_post_that_was_held_back_for_hours_is_found_by_the_daily_look_back() -> None:
    with day(NINE) as today:
        today.weibo.late["第1条"] = 5 * 3600
        wanted = today.say()
        today.minutes(4 * 60, news_every=20)
        assert wanted not in today.found
        today.minutes(26 * 60, news_every=20)
        assert wanted in today.found


def test_a_post_that_was_held_back_for_an_hour_is_found_with_the_next_page_that_is_read() -> None:
    with day(NINE) as today:
        today.weibo.late["第1条"] = 3600
        wanted = today.say()
        today.minutes(30, news_every=10)
        assert wanted not in today.found
        today.minutes(60, news_every=10)
        assert wanted in today.found


def test_a_list_with_small_pages_is_looked_through_once_a_day() -> None:
    with day(NINE) as today:
        later_pages = Counter[str]()
        say = today.weibo.handle

        def handle(request: Request) -> Answer:
            if request.path.endswith("comments/to_me.json") and "max_id" in request.query:
                later_pages[f"{today.clock() + timedelta(hours=8):%d}"] += 1
            return say(request)

        today.weibo.handle = handle  # type: ignore[method-assign]
        play(today, "own_post", "新品", "新品上市")
        for number in range(3 * 24 * 6):
            play(today, "comment", f"{number}", f"第{number}条", under="新品")
            today.minutes(10)
        today.minutes(90)
        assert set(later_pages.values()) == {1}
        assert len(later_pages) == 3
        assert {one.native_id for one in today.told.values() if one.exported} <= set(today.found)


# --- gaps -----------------------------------------------------------------------------------------


def test_what_a_short_history_lost_is_told_with_its_bounds() -> None:
    with day(NINE, quota=WIDE) as today:
        many(today, 3)
        assert gaps(today) == []
        last = today.clock()
        today.clock.on(hours=5)
        many(today, 20, apart_s=60)
        today.weibo.history = 6
        (gap,) = gaps(today)
        assert not gap.recoverable
        assert gap.since is not None
        assert abs(gap.since - last) <= timedelta(seconds=2)
        assert gap.until is not None
        assert gap.until > gap.since + timedelta(hours=5)
        today.clock.on(minutes=5)
        assert gaps(today) == []


def test_a_deleted_newest_post_is_no_gap() -> None:
    with day(NINE, quota=WIDE) as today:
        many(today, 3)
        gaps(today)
        newest = max(today.weibo.statuses)
        today.weibo.statuses[newest].gone = True
        today.clock.on(hours=3)
        many(today, 2)
        assert gaps(today) == []


def test_a_long_silence_and_an_empty_account_are_no_gaps() -> None:
    with day(NINE, quota=WIDE) as today:
        assert gaps(today) == []
        today.clock.on(days=5)
        many(today, 2)
        assert gaps(today) == []
        today.clock.on(days=20)
        many(today, 1)
        assert gaps(today) == []


# --- withdrawn ------------------------------------------------------------------------------------


def test_a_repost_of_a_deleted_post_brings_a_tombstone_for_it() -> None:
    with day(NINE, quota=WIDE) as today:
        first = play(today, "mention", "原文", "@青山家电 漏电了")
        today.clock.on(seconds=5)
        today.tick()
        assert today.found[first][0].text == "@青山家电 漏电了"
        today.weibo.statuses[int(first)].gone = True
        play(today, "mention", "转发", "转发微博 @青山家电 //@路人: 真的？", under="原文")
        today.clock.on(minutes=1)
        page = today.account.poll("mentions", today.cursors["mentions"])
        (repost,) = [one for one in page.messages if one.deleted_at is None]
        (gone,) = [one for one in page.messages if one.deleted_at is not None]
        assert (gone.native_id, gone.text) == (first, None)
        assert repost.text == "转发微博 @青山家电 //@路人: 真的？"
        assert repost.quoted is None


def test_a_long_post_that_is_gone_when_it_is_asked_for_keeps_its_words_and_is_withdrawn() -> None:
    with day(NINE, quota=WIDE) as today:
        wanted = play(today, "mention", "长文", "@青山家电 " + "说来话长，" * 60)
        body = b'{"error": "target weibo does not exist!", "error_code": "20101"}'
        today.weibo.fault("status", path="/2/statuses/show", status=400, body=body)
        today.tick()
        message = today.found[wanted][0]
        assert message.deleted_at is not None
        assert (message.text or "").startswith("@青山家电 说来话长")
        assert message.marks == ("text.cut",)


# --- history --------------------------------------------------------------------------------------


def test_history_comes_newest_first_to_the_end_and_resumes_in_another_process() -> None:
    with day(NINE, quota=WIDE) as today:
        ids = many(today, 450)
        cursor: str | None = None
        found: list[str] = []
        for _ in range(20):
            account = reader(today.weibo, today.clock, MemoryKeep())
            page = account.backfill("mentions", cursor)
            found += [one.native_id for one in page.messages]
            cursor = page.cursor
            if not page.more:
                break
        assert found == ids[::-1]
        again = reader(today.weibo, today.clock, MemoryKeep()).backfill("direct_messages", None)
        assert (again.messages, again.more) == ((), False)


def test_history_waits_while_its_calls_are_needed_for_what_is_new() -> None:
    with day(NINE) as today:
        many(today, 900)
        cursor: str | None = None
        pages = 0
        for _ in range(10 * 60):
            today.tick()
            today.clock.on(minutes=1)
            try:
                page = today.account.backfill("mentions", cursor)
            except RateLimited as error:
                assert 1 <= error.retry_after_s <= 45 * 60
                continue
            cursor = page.cursor
            pages += 1
        assert pages >= 3
        wanted = today.say()
        today.minutes(30)
        assert wanted in today.found
        assert len(today.metered()) <= 80


# --- check ----------------------------------------------------------------------------------------


def test_check_costs_a_call_a_list_once_a_day_and_none_for_what_was_read() -> None:
    with day(NINE) as today:
        today.tick()
        before = len(today.metered())
        identity = today.account.check()
        assert len(today.metered()) == before + 1  # the name
        assert identity.name == today.weibo.brand
        assert {identity.streams[one] for one in LISTS} == {"ok"}
        assert identity.token_expires_at == today.weibo.gate.expires_at
        today.account.check()
        assert len(today.metered()) == before + 1


@pytest.mark.parametrize(("code", "word"), [(10014, "denied"), (21337, "denied"), (10024, "quota")])
def test_check_says_which_list_is_closed_and_why(code: int, word: str) -> None:
    with day(NINE) as today:
        today.weibo.gate.closed["/2/comments/by_me"] = code
        streams = today.account.check().streams
        assert streams["own_comments"].startswith(f"{word}: ")
        assert str(code) in streams["own_comments"]
        assert streams["mentions"] == "ok"


def test_check_asks_no_list_when_the_day_is_used_up() -> None:
    with day(NINE) as today:
        today.weibo.gate.spend(100)
        today.account._planner.calls()
        identity = today.account.check()
        assert today.metered() == []
        assert identity.streams["mentions"].startswith("quota: ")
        assert "0 of 100 calls left" in (identity.note or "")


def test_a_token_near_its_end_brings_the_link_for_another() -> None:
    with day(NINE) as today:
        today.clock.on(days=27)
        account = reader(
            today.weibo,
            today.clock,
            MemoryKeep(),
            app_key="778899",
            redirect_uri="https://brand.example/回调",
        )
        note = account.check().note or ""
        assert "the token ends in 3 days" in note
        assert "client_id=778899&redirect_uri=https%3A%2F%2Fbrand.example%2F" in note
        today.clock.on(days=4)
        with pytest.raises(Unauthorized, match="client_id=778899"):
            account.check()
            account.poll("mentions", None)


# --- the walk to a token --------------------------------------------------------------------------


def walker(today: Day, keep: MemoryKeep, **more: str) -> Weibo:
    gate = today.weibo.gate
    given = {
        "uid": str(today.weibo.uid),
        "app_key": gate.app_key,
        "app_secret": gate.app_secret,
        "redirect_uri": gate.redirect_uri,
        "base_url": today.weibo.base_url,
    }
    return Weibo(WeiboOptions(**(given | more)), keep=keep, now=today.clock)


def agreed(url: str) -> str:
    answer = requests.get(url, allow_redirects=False, timeout=5)
    return answer.headers["Location"]


def test_the_walk_ends_with_a_token_that_reads() -> None:
    keep = MemoryKeep()
    with day(NINE) as today:
        account = walker(today, keep)
        with pytest.raises(Unauthorized, match="inboxd auth"):
            account.poll("mentions", None)
        walk = Weibo.authorization(account._options, keep=keep, now=today.clock)
        url, state = walk.begin()
        assert parse_qs(urlsplit(url).query)["state"] == [state]
        back = agreed(url)
        walk.finish(back)
        assert account.poll("mentions", None).cursor is not None
        with pytest.raises(Rejected, match="used up"):
            walk.finish(back)


@pytest.mark.parametrize("answer", ["", "not a code", "https://brand.example/weibo?state=x&code=1"])
def test_an_answer_to_another_beginning_is_refused(answer: str) -> None:
    keep = MemoryKeep()
    with day(NINE) as today:
        walk = Weibo.authorization(walker(today, keep)._options, keep=keep, now=today.clock)
        walk.begin()
        with pytest.raises(Rejected):
            walk.finish(answer)
        assert "token" not in keep.rows


def test_whoever_says_no_or_is_somebody_else_leaves_no_token() -> None:
    keep = MemoryKeep()
    with day(NINE) as today:
        walk = Weibo.authorization(walker(today, keep)._options, keep=keep, now=today.clock)
        today.weibo.gate.denied = True
        with pytest.raises(Rejected, match="21330"):
            walk.finish(agreed(walk.begin()[0]))
        today.weibo.gate.denied = False
        other = walker(today, keep, uid="1234567890")
        walk = Weibo.authorization(other._options, keep=keep, now=today.clock)
        with pytest.raises(Rejected, match="log in as that one"):
            walk.finish(agreed(walk.begin()[0]))
        assert "token" not in keep.rows


def test_a_wrong_app_secret_is_told_with_what_to_set() -> None:
    keep = MemoryKeep()
    with day(NINE) as today:
        options = walker(today, keep, app_secret="wrong")._options
        walk = Weibo.authorization(options, keep=keep, now=today.clock)
        with pytest.raises(Unauthorized, match="app_key and app_secret") as caught:
            walk.finish(agreed(walk.begin()[0]))
        assert "wrong" not in str(caught.value)


def test_an_account_without_a_token_or_a_way_to_one_is_refused() -> None:
    with pytest.raises(ValueError, match="access_token missing"):
        WeiboOptions(uid="1655548273")
