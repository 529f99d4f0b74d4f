"""WeCom's queue where it is hard: its cursor, three days, and a frequency limit that nobody is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aggregator.errors import RateLimited, Unavailable
from tests.connectors.loopback import T0, MemoryKeep
from tests.connectors.wecom_place import (
    EVENT,
    HINT,
    NOW,
    SYNC,
    corp,
    message,
    page,
    place,
)

# --- the cursor ---------------------------------------------------------------------------------


def test_an_empty_page_with_more_behind_it_is_no_end() -> None:
    with corp() as (told, server, account, _):
        told.pages = {
            "": page(message("a"), next_cursor="c1", has_more=1),
            "c1": page(next_cursor="c2", has_more=1),
            "c2": page(message("b"), next_cursor="c3"),
        }
        cursor, ids, more = None, [], True
        while more:
            found = account.poll("messages", cursor)
            cursor, more = found.cursor, found.more
            ids += [one.native_id for one in found.messages]
        assert (ids, place(cursor)) == (["a", "b"], "c3")
        assert "cursor" not in server.asked(SYNC)[0].json()
        assert server.asked(SYNC)[0].json()["voice_format"] == 0


@pytest.mark.parametrize("following", ["c1", "", None, 7])
def test_a_cursor_that_does_not_move_is_no_endless_walk(following: Any) -> None:
    with corp() as (told, _, account, _):
        told.pages["c1"] = page(message("a"), next_cursor=following, has_more=1)
        found = account.poll("messages", "c1")
    assert (place(found.cursor), found.more, len(found.messages)) == ("c1", False, 1)


def test_a_refused_cursor_begins_anew_without_one() -> None:
    with corp() as (told, _, account, _):
        told.refused = {("expired", None): 40058}
        found = account.poll("messages", "expired")
    assert (len(found.messages), place(found.cursor)) == (13, "4gw7MepFLfgF2VC5npN")


def test_a_parameter_that_stays_refused_is_unavailable() -> None:
    with corp() as (told, server, account, _):
        told.refused = {("c", None): 40058, (None, None): 40058}
        with pytest.raises(Unavailable):
            account.poll("messages", "c")
        assert len(server.asked(SYNC)) == 2


# --- three days --------------------------------------------------------------------------------


def test_the_first_reading_has_no_gap_and_a_late_one_says_what_is_lost() -> None:
    with corp() as (told, _, account, clock):
        told.pages = {"": page(message("a"), next_cursor="c1"), "c1": page(next_cursor="c1")}
        first = account.poll("messages", None)
        assert first.gaps == ()
        clock.on(days=2, hours=23, minutes=50)
        assert account.poll("messages", first.cursor).gaps == ()
        clock.on(minutes=11)
        late = account.poll("messages", first.cursor)
        (gap,) = late.gaps
        assert (gap.since, gap.until) == (T0, clock() - timedelta(days=3))
        assert not gap.recoverable
        assert "three days" in gap.reason
        assert account.poll("messages", late.cursor).gaps == ()  # told once


def test_a_refused_cursor_loses_nothing_while_the_three_days_reach_back_far_enough() -> None:
    with corp() as (told, _, account, clock):
        first = account.poll("messages", None)
        told.refused = {(place(first.cursor), None): 40058}
        clock.on(days=1)
        found = account.poll("messages", first.cursor)
        assert (found.gaps, len(found.messages)) == ((), 13)
        clock.on(days=4)
        told.refused = {(place(found.cursor), None): 95007}
        (gap,) = account.poll("messages", found.cursor).gaps
        assert gap.until == clock() - timedelta(days=3)


def test_a_refused_cursor_of_an_unknown_time_is_a_gap_of_unknown_length() -> None:
    with corp() as (told, _, account, _):
        told.refused = {("old", None): 40058}
        (gap,) = account.poll("messages", "old").gaps
    assert (gap.since, gap.until) == (None, T0 - timedelta(days=3))


def test_a_walk_broken_off_for_days_tells_the_part_that_has_ended_meanwhile() -> None:
    with corp() as (told, _, account, clock):
        old = {**message("a"), "send_time": NOW - 2 * 86400}
        told.pages = {
            "": page(old, next_cursor="c1", has_more=1),
            "c1": page(next_cursor="c2", has_more=1),
            "c2": page(message("b"), next_cursor="c3"),
        }
        first = account.poll("messages", None)
        clock.on(days=2)
        second = account.poll("messages", first.cursor)
        (gap,) = second.gaps
        assert (gap.since, gap.until) == (T0 - timedelta(days=2), T0 - timedelta(days=1))
        assert account.poll("messages", second.cursor).gaps == ()


def test_an_idle_accounts_cursor_is_not_written_anew_with_every_poll() -> None:
    with corp() as (told, _, account, clock):
        told.pages = {"": page(message("a"), next_cursor="c1"), "c1": page(next_cursor="c1")}
        first = account.poll("messages", None).cursor
        clock.on(minutes=9)
        assert account.poll("messages", first).cursor == first
        clock.on(minutes=2)
        assert account.poll("messages", first).cursor != first


@pytest.mark.parametrize("stored", ["{", "{}", '{"cursor": 7}', '{"cursor": ""}', ""])
def test_a_cursor_that_cannot_be_read_begins_anew_or_is_taken_as_it_is(stored: str) -> None:
    with corp() as (told, _, account, _):
        told.pages["{"] = page(message("a"), next_cursor="c")
        assert account.poll("messages", stored).messages


# --- how often ------------------------------------------------------------------------------------


def test_without_a_callback_each_refusal_doubles_the_wait_and_a_callback_cuts_it_short() -> None:
    with corp() as (told, server, account, clock):
        told.codes = [45009]
        with pytest.raises(RateLimited):
            account.poll("messages", None)
        asked = len(server.asked(SYNC))
        clock.on(seconds=59)
        page_ = account.poll("messages", None)
        assert (page_.messages, page_.cursor, page_.more) == ((), None, False)
        assert len(server.asked(SYNC)) == asked
        account.read([EVENT.encode()])
        assert account.poll("messages", None).messages
        assert server.asked(SYNC)[-1].json()["token"] == HINT


def test_the_pace_is_learnt_and_forgotten_after_a_day() -> None:
    keep = MemoryKeep()
    with corp(keep) as (told, server, account, clock):
        for wait in (60, 120, 240, 480, 600, 600):
            told.codes = [45009]
            with pytest.raises(RateLimited):
                account.poll("messages", None)
            clock.on(seconds=wait - 1)
            asked = len(server.asked(SYNC))
            account.poll("messages", None)
            assert len(server.asked(SYNC)) == asked
            clock.on(seconds=1)
        assert account.poll("messages", None).messages
        assert account.poll("messages", None).messages == ()  # what was learnt still holds
        clock.on(days=2)
        assert account.poll("messages", None).messages
        assert account.poll("messages", None).messages
    assert "sync_pace" not in keep.rows
