"""An answer goes out at most once, inside the platform's rules, and is ours in the store at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aggregator.answering import lines
from aggregator.errors import RateLimited, Rejected, Unavailable
from aggregator.model import Author, Backfill, Direction, Message, Page, ReplyWindow
from aggregator.replying import Draft, Replier
from connectors.base import ReplyLimit
from storage import history
from storage.engine import Database
from tests.cli_stage import inboxd, write_settings
from tests.conftest import NOW
from tests.fakes import FakeConnector, House, said

TEXT = "抱歉让您久等，退款今天到账。"


class Answering(FakeConnector):
    """Takes answers; `troubles` come first, one an attempt; `lost` ones arrive all the same."""

    def __init__(self, *pages: Page, troubles: tuple[Exception, ...] = ()) -> None:
        super().__init__(messages=pages)
        self.troubles = deque(troubles)
        self.sent: list[tuple[str, str, str]] = []
        self.arrives_anyway = False
        self.findable = True

    def reply_limit(self, to: Message) -> ReplyLimit:
        return ReplyLimit(20, len)

    def reply(self, to: Message, text: str, key: str) -> Message:
        if self.troubles:
            if self.arrives_anyway:
                self.sent.append((to.native_id, text, key))
            raise self.troubles.popleft()
        self.sent.append((to.native_id, text, key))
        return self.ours(to, text, key)

    def find_reply(self, to: Message, text: str, key: str, since: datetime) -> Message | None:
        there = self.findable and any(one == key for _, _, one in self.sent)
        return self.ours(to, text, key) if there else None

    def ours(self, to: Message, text: str, key: str) -> Message:
        return replace(
            to,
            native_id=f"a-{key}",
            direction=Direction.OUTBOUND,
            author=Author("us"),
            text=text,
            sent_at=NOW + timedelta(seconds=30),
            reply_window=None,
        )


@pytest.fixture
def house(db: Database) -> Iterator[House]:
    house = House(db)
    yield house
    house.end()


def replier(house: House, connector: Any) -> Replier:
    return Replier(
        connectors=lambda name: (connector, Backfill.SILENT),
        db=house.db,
        leases=house.leases,
        rules=lambda: house.rules,
        now=house.clock,
        told=house._told,
    )


def asked(house: House, connector: Answering, **more: Any) -> int:
    """A customer wrote; returns our id of it."""
    window = ReplyWindow(NOW + timedelta(hours=48), 2)
    one = said(1, "退款呢？", **{"reply_window": window, **more})
    connector.steps["messages"].extend([Page((), "0"), Page((one,), "1")])
    poller = house.poller(connector)
    poller.tick()
    house.clock.on(seconds=20)
    poller.wake("messages")
    poller.tick()
    house.clock.on(seconds=20)
    return int(house.rows(history.messages)[-1]["id"])


def test_an_answer_is_stored_stops_the_clock_and_spends_one_of_the_window(house: House) -> None:
    connector = Answering()
    id = asked(house, connector)
    outcome = replier(house, connector).reply(id, TEXT, "小王")
    assert outcome.state == "sent"
    assert [text for _, text, _ in connector.sent] == [TEXT]
    rows = house.rows(history.messages)
    assert [row["direction"] for row in rows] == ["inbound", "outbound"]
    assert rows[0]["conversation_id"] == rows[1]["conversation_id"]
    assert [row["outcome"] for row in house.rows(history.clocks)] == ["met"]
    [about] = house.rows(history.conversations)
    assert about["reply_window_left"] == 1
    assert [one["kind"] for one in house.deliveries()][-1] == "card"


def test_what_the_stream_brings_again_is_the_same_message(house: House) -> None:
    connector = Answering()
    id = asked(house, connector)
    replier(house, connector).reply(id, TEXT, "小王")
    _, text, key = connector.sent[0]
    connector.steps["messages"].append(Page((connector.ours(said(1), text, key),), "2"))
    poller = house.poller(connector)
    poller.wake("messages")
    poller.tick()
    assert len(house.rows(history.messages)) == 2


def test_the_same_words_are_not_sent_twice_unless_asked_for(house: House) -> None:
    connector = Answering()
    id = asked(house, connector)
    answers = replier(house, connector)
    answers.reply(id, TEXT, "小王")
    second = answers.reply(id, TEXT, "小李")
    assert (second.state, len(connector.sent)) == ("sent", 1)
    assert "before" in (second.reason or "")
    answers.reply(id, TEXT, "小李", again=True)
    assert len(connector.sent) == 2


def test_an_unknown_outcome_is_looked_up_and_found(house: House) -> None:
    connector = Answering(troubles=(Unavailable("连接中断", maybe_done=True),))
    id = asked(house, connector)
    connector.arrives_anyway = True
    outcome = replier(house, connector).reply(id, TEXT, "小王")
    assert (outcome.state, len(connector.sent)) == ("sent", 1)
    assert len(house.rows(history.messages)) == 2


def test_an_unknown_outcome_that_is_not_found_is_not_tried_again(house: House) -> None:
    connector = Answering(troubles=(Unavailable("timeout", maybe_done=True),))
    id = asked(house, connector)
    connector.arrives_anyway, connector.findable = True, False
    answers = replier(house, connector)
    assert answers.reply(id, TEXT, "小王").state == "unknown"
    assert answers.reply(id, TEXT, "小王").state == "unknown"
    assert len(connector.sent) == 1
    connector.findable = True  # the platform shows it late
    assert answers.reply(id, TEXT, "小王").state == "sent"
    assert len(connector.sent) == 1
    assert len(house.rows(history.messages)) == 2


def test_a_process_that_dies_while_it_sends_is_looked_up_by_the_next(house: House) -> None:
    class Killed(BaseException):
        pass

    connector = Answering()
    id = asked(house, connector)
    send = connector.reply

    def cut(to: Message, text: str, key: str) -> Message:
        send(to, text, key)
        raise Killed

    connector.reply = cut  # type: ignore[method-assign]
    with pytest.raises(Killed):
        replier(house, connector).reply(id, TEXT, "小王")
    connector.reply = send  # type: ignore[method-assign]
    assert replier(house, connector).reply(id, TEXT, "小王").state == "sent"
    assert len(connector.sent) == 1


def test_what_the_platform_refuses_is_told_and_may_be_tried_again(house: House) -> None:
    connector = Answering(troubles=(Rejected("对方已拒收"), Unavailable("503")))
    id = asked(house, connector)
    answers = replier(house, connector)
    first = answers.reply(id, TEXT, "小王")
    assert (first.state, first.reason) == ("refused", "对方已拒收")
    assert answers.reply(id, TEXT, "小王").state == "refused"
    assert answers.reply(id, TEXT, "小王").state == "sent"
    assert len(connector.sent) == 1


@pytest.mark.parametrize(
    ("text", "more", "words"),
    [
        ("好" * 21, {}, "21 of 20"),
        (" \n", {}, "needs words"),
        (TEXT, {"reply_window": ReplyWindow(NOW + timedelta(seconds=5))}, "window is closed"),
        (TEXT, {"reply_window": ReplyWindow(None, 0)}, "no further answer"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is_asked(
    house: House, text: str, more: dict[str, Any], words: str
) -> None:
    connector = Answering()
    id = asked(house, connector, **more)
    with pytest.raises(Rejected, match=words):
        replier(house, connector).reply(id, text, "小王")
    assert connector.sent == []


def test_a_platform_without_answers_and_our_own_messages_are_refused(house: House) -> None:
    connector = Answering()
    id = asked(house, connector)
    with pytest.raises(Rejected, match="answer on the platform itself"):
        replier(house, FakeConnector(messages=[])).draft(id, TEXT)
    replier(house, connector).reply(id, TEXT, "小王")
    ours = int(house.rows(history.messages)[-1]["id"])
    with pytest.raises(Rejected, match="our own"):
        replier(house, connector).draft(ours, TEXT)
    with pytest.raises(Rejected, match="no message 5"):
        replier(house, connector).draft(5, TEXT)


def test_a_draft_shows_what_a_person_should_know(house: House) -> None:
    connector = Answering()
    id = asked(house, connector)
    draft = replier(house, connector).draft(id, TEXT)
    assert (draft.account, draft.public, draft.length, draft.longest) == (
        "fake_acme",
        False,
        14,
        20,
    )
    assert draft.window == ReplyWindow(NOW + timedelta(hours=48), 2)


def test_the_verb_says_why_nothing_can_be_sent(tmp_path: Path) -> None:
    write_settings(tmp_path)
    ran = inboxd("reply", "5", TEXT, "--yes", cwd=tmp_path)
    assert ran.code == 1
    assert "no message 5" in ran.err


def test_the_verb_shows_exactly_what_goes_out_and_where() -> None:
    window = ReplyWindow(NOW + timedelta(hours=2), 3)
    draft = Draft(said(1, "退款呢？"), "weibo_acme", TEXT, False, 14, 300, window)
    shown = lines(draft, "Asia/Shanghai")
    assert shown[0] == "as:      weibo_acme, directly to them"
    assert shown[2] == f"text:    {TEXT}"
    assert shown[3:] == ["length:  14 of 300", "window:  closes 2026-03-04 12:00, 3 left"]


def test_an_unknown_outcome_is_settled_by_what_a_stream_brings(house: House) -> None:
    connector = Answering(troubles=(Unavailable("连接中断", maybe_done=True),))
    id = asked(house, connector)
    connector.arrives_anyway, connector.findable = True, False
    answers = replier(house, connector)
    assert answers.reply(id, TEXT, "小王").state == "unknown"
    house.clock.on(seconds=30)
    ours = replace(connector.ours(said(1), TEXT, "echo"), sent_at=house.clock())
    connector.steps["messages"].append(Page((ours,), "2"))
    poller = house.poller(connector)
    poller.wake("messages")
    poller.tick()
    second = answers.reply(id, TEXT, "小王")
    assert (second.state, second.native_id) == ("sent", "a-echo")
    assert len(connector.sent) == 1
    assert len(house.rows(history.messages)) == 2


def test_what_a_colleague_wrote_before_or_in_other_words_settles_nothing(house: House) -> None:
    connector = Answering(troubles=(Unavailable("timeout", maybe_done=True),))
    id = asked(house, connector)
    before = replace(connector.ours(said(1), TEXT, "old"), sent_at=house.clock())
    connector.steps["messages"].append(Page((before,), "2"))
    poller = house.poller(connector)
    poller.wake("messages")
    poller.tick()
    house.clock.on(seconds=1)
    connector.findable = False
    answers = replier(house, connector)
    assert answers.reply(id, TEXT, "小王").state == "unknown"
    other = replace(connector.ours(said(1), f"不是{TEXT}", "new"), sent_at=house.clock())
    connector.steps["messages"].append(Page((other,), "3"))
    poller.wake("messages")
    poller.tick()
    assert answers.reply(id, TEXT, "小王").state == "unknown"


def test_a_look_keeps_the_platforms_pace_instead_of_giving_up(house: House) -> None:
    connector = Answering(troubles=(Unavailable("cut", maybe_done=True),))
    id = asked(house, connector)
    connector.arrives_anyway = True
    find, waits = connector.find_reply, deque([RateLimited("2 calls a second", retry_after_s=0.01)])

    def paced(to: Message, text: str, key: str, since: datetime) -> Message | None:
        if waits:
            raise waits.popleft()
        return find(to, text, key, since)

    connector.find_reply = paced  # type: ignore[method-assign]
    assert replier(house, connector).reply(id, TEXT, "小王").state == "sent"
