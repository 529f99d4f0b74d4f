"""An answer that the platform took and that never arrived: it answers nothing, whenever that is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from aggregator.errors import Unavailable
from aggregator.model import Attachment, Author, Direction, Message, Page
from storage import history, schema
from storage.cards import load_card
from storage.engine import Database
from storage.replies import ReplyState, replies_to
from tests.conftest import NOW
from tests.fakes import FakeConnector, House, said
from tests.test_replying import Answering, asked, replier

ASKED = said(1, "退款还没到")
SENT = said(
    2,
    "马上为您处理",
    direction=Direction.OUTBOUND,
    author=None,
    person="c1",
    sent_at=NOW + timedelta(seconds=5),
)
WHY = ("send.failed", "send.failed.too_many")
FAILED = replace(SENT, text=None, sent_at=None, deleted_at=NOW + timedelta(seconds=7), marks=WHY)


@pytest.fixture
def house(db: Database) -> Iterator[House]:
    house = House(db)
    yield house
    house.end()


def read(house: House, *pages: tuple[Message, ...]) -> None:
    steps = [Page((), "0"), *(Page(one, str(n)) for n, one in enumerate(pages, 1))]
    poller = house.poller(FakeConnector(messages=steps))
    poller.wake("messages")
    poller.tick()
    house.clock.on(seconds=10)
    for _ in pages:
        poller.wake("messages")
        poller.tick()


def outbound(house: House) -> dict[str, Any]:
    [row] = [one for one in house.rows(history.messages) if one["direction"] == "outbound"]
    return row


def odd(house: House, direction: str = "outbound") -> list[str]:
    with house.db.read() as conn:
        asked = select(schema.message.c.marks).where(schema.message.c.direction == direction)
        return list(json.loads(conn.execute(asked).scalar_one()))


def clock(house: House) -> dict[str, Any]:
    [row] = house.rows(history.clocks)
    return row


def state(house: House) -> str:
    [row] = house.rows(history.conversations)
    return str(row["state"])


def test_an_answer_stops_the_clock_until_it_is_told_not_to_have_arrived(house: House) -> None:
    read(house, (ASKED, SENT))
    assert (clock(house)["outcome"], state(house)) == ("met", "waiting")
    read(house, (FAILED,))
    row = clock(house)
    assert (row["outcome"], row["stopped_at"], row["started_at"]) == (
        None,
        None,
        "2026-03-04T02:00:01.000Z",
    )
    assert state(house) == "open"
    kept = outbound(house)
    assert (kept["text"], odd(house)) == ("马上为您处理", list(WHY))
    assert kept["deleted_at"] is not None


def test_the_card_is_edited_when_an_answer_did_not_arrive(house: House) -> None:
    read(house, (ASKED, SENT))
    before = len(house.deliveries())
    read(house, (FAILED,))
    assert [one["kind"] for one in house.deliveries()[before:]] == ["card"]
    [row] = house.rows(history.conversations)
    with house.db.read() as conn:
        card, _ = load_card(conn, int(row["id"]))
    assert card.answered is None
    assert card.clock is not None
    assert card.clock.stopped_at is None


def test_another_answer_is_the_one_that_stops_the_clock(house: House) -> None:
    read(house, (ASKED, SENT), (FAILED,))
    later = replace(SENT, native_id="m3", sent_at=NOW + timedelta(seconds=9))
    read(house, (later,))
    assert clock(house)["stopped_at"] == "2026-03-04T02:00:09.000Z"


def test_both_on_one_page_answer_nothing_in_either_order(house: House) -> None:
    for page in ((ASKED, SENT, FAILED), (ASKED, FAILED, SENT)):
        read(house, page)
        assert clock(house)["stopped_at"] is None
        assert odd(house) == list(WHY)
        assert outbound(house)["text"] == "马上为您处理"


def test_a_failure_that_is_told_before_its_words_is_kept_and_the_words_come_to_it(
    house: House,
) -> None:
    read(house, (ASKED,), (FAILED,))
    assert (outbound(house)["text"], odd(house)) == (None, list(WHY))
    read(house, (SENT,))
    row = outbound(house)
    assert (row["text"], odd(house)) == ("马上为您处理", list(WHY))
    assert row["deleted_at"] is not None
    assert clock(house)["stopped_at"] is None
    read(house, (SENT,), (FAILED,))  # again
    assert clock(house)["stopped_at"] is None


def test_a_picture_withdrawn_on_the_page_that_brings_it_is_kept_as_withdrawn(house: House) -> None:
    picture = replace(ASKED, text=None, attachments=(Attachment("image", media_id="i"),))
    gone = replace(ASKED, text=None, sent_at=None, deleted_at=NOW + timedelta(seconds=3))
    read(house, (picture, gone))
    [row] = house.rows(history.messages)
    assert row["deleted_at"] is not None
    assert clock(house)["outcome"] == "withdrawn"


def test_a_message_whose_withdrawal_stands_before_it_on_the_page_is_never_shown_as_current(
    house: House,
) -> None:
    gone = replace(ASKED, text=None, sent_at=None, deleted_at=NOW + timedelta(seconds=3))
    read(house, (gone, ASKED))
    [row] = house.rows(history.messages)
    assert row["deleted_at"] is not None
    assert row["text"] == "退款还没到"


def test_what_was_hidden_says_so_until_it_is_shown_again(house: House) -> None:
    hidden = replace(ASKED, text=None, deleted_at=NOW + timedelta(seconds=3), marks=("hidden",))
    read(house, (replace(ASKED, marks=("text.scrubbed",)),), (hidden,))
    assert odd(house, "inbound") == ["text.scrubbed", "hidden"]
    back = replace(ASKED, text=None, restored_at=NOW + timedelta(seconds=4))
    read(house, (back,))
    [row] = house.rows(history.messages)
    assert (odd(house, "inbound"), row["text"]) == (["text.scrubbed"], "退款还没到")


def test_an_answer_from_here_that_did_not_arrive_may_be_sent_again(house: House) -> None:
    connector = Answering()
    id = asked(house, connector)
    us = replier(house, connector)
    first = us.reply(id, "马上为您处理", "小林")
    assert first.state is ReplyState.SENT
    sent = connector.ours(said(1), "", "")
    gone = replace(
        sent,
        native_id=first.native_id or "",
        text=None,
        author=Author("us"),
        deleted_at=NOW + timedelta(seconds=40),
        marks=WHY,
    )
    read(house, (gone,))
    assert us.reply(id, "马上为您处理", "小林").state is ReplyState.SENT
    assert len(connector.sent) == 2


def test_an_answer_of_unknown_outcome_that_did_not_arrive_may_be_sent_again(house: House) -> None:
    connector = Answering(troubles=(Unavailable("cut", maybe_done=True),))
    id = asked(house, connector)
    us = replier(house, connector)
    assert us.reply(id, "马上为您处理", "小林").state is ReplyState.UNKNOWN
    with house.db.read() as conn:
        [row] = replies_to(conn, [id], states=[ReplyState.UNKNOWN])
    gone = replace(FAILED, native_id=row.key, author=Author("us"))
    read(house, (gone,))
    with house.db.read() as conn:
        [row] = replies_to(conn, [id], states=list(ReplyState))
    assert (row.state, row.reason) == (ReplyState.REFUSED, ", ".join(WHY))
    assert us.reply(id, "马上为您处理", "小林").state is ReplyState.SENT
