"""WeCom's connector against its stand-in, where it is hard: answers, failed sends, lost days."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aggregator.errors import Rejected, Unavailable
from aggregator.model import Gap
from aggregator.sandbox.base import Line, Person
from tests.connectors.test_wechat_sandbox import world

LI = Person(2, "李雷", "li")
SYNC, SEND = "/cgi-bin/kf/sync_msg", "/cgi-bin/kf/send_msg"


def ask(there: Any, daemon: Any, now: Any, label: str = "q") -> Any:
    told = there.play(Line(0, "wecom", "direct_message", label, LI, "在吗"), now(), {})
    there.caller.settle()
    daemon.round()
    return told, daemon.found[f"direct_message:{told.native_id}"]


def test_an_answer_is_its_own_only_record_and_is_taken_back_when_it_does_not_arrive() -> None:
    with world("wecom") as (there, daemon, now):
        _, asked = ask(there, daemon, now)
        there.desk.fail_next.append(6)
        sent = daemon.account.reply(asked, "您好，请讲", "k1")
        assert list(there.desk.sent) == [sent.native_id]
        known = set(daemon.found)
        now.on(minutes=1)
        daemon.round()
        assert set(daemon.found) == known  # the stream does not bring it
        assert daemon.gone == {sent.key}
        assert there.errors == []


def test_after_a_cut_the_second_attempt_is_the_same_message() -> None:
    with world("wecom") as (there, daemon, now):
        _, asked = ask(there, daemon, now)
        there.fault("cut_after", path=SEND)
        with pytest.raises(Unavailable):
            daemon.account.reply(asked, "您好", "k1")
        daemon.account.reply(asked, "您好", "k1")
        assert list(there.desk.sent) == ["k1"]


def test_a_conversation_that_a_colleague_took_is_theirs_until_the_customer_writes_anew() -> None:
    with world("wecom") as (there, daemon, now):
        told, asked = ask(there, daemon, now)
        there.play(
            Line(0, "wecom", "direct_message", "a", None, "我来", to="q"), now(), {"q": told}
        )
        with pytest.raises(Rejected, match=there.servicer):
            daemon.account.reply(asked, "您好", "k1")
        assert there.desk.sent == {}


def test_lost_days_are_a_gap_and_a_forgotten_cursor_alone_is_none() -> None:
    with world("wecom") as (there, daemon, now):
        gaps: list[Gap] = []

        def read() -> None:
            for _ in range(50):
                page = daemon.account.poll("messages", daemon.cursors.get("messages"))
                gaps.extend(page.gaps)
                daemon.take(page.messages)
                daemon.cursors["messages"] = page.cursor
                if not page.more:
                    return

        line = Line(0, "wecom", "direct_message", "q", LI, "在吗")
        known = [there.play(line, now(), {})]
        read()
        there.forget_cursors()
        now.on(days=2)
        known.append(there.play(line, now(), {}))
        read()
        assert gaps == []
        last = now()
        now.on(hours=1)
        there.play(line, now(), {})  # nobody reads it in time
        now.on(days=4)
        known.append(there.play(line, now(), {}))
        read()
        (gap,) = gaps
        assert (gap.since, gap.until) == (last, now() - timedelta(days=3))
        assert {one.native_id for one in known} == {one.native_id for one in daemon.found.values()}
