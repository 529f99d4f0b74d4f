"""However a platform cuts its pages, the store ends up the same: decided, committed and read back for real."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregator.intake import AccountFacts, decide
from aggregator.model import Author, Backfill, Direction, Kind, Message, Page
from aggregator.triage.loader import load_texts
from storage import history
from storage.engine import Database
from storage.leases import acquire
from storage.polls import begin_account, commit_poll, known
from tests.conftest import NOW
from tests.test_intake import FILES

# All of one priority: what makes a conversation worse counts from when it is known, so there order matters.
TEXTS = ("你好，请问怎么退货？", "在吗", "still waiting", "谢谢", "有人吗 👀")
ACCOUNTS = count(1)
RULES = load_texts(FILES)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Database]:
    path = tmp_path_factory.mktemp("paging") / "inboxd.db"
    shutil.copy(sqlite_template, path)
    db = Database.open(f"sqlite:///{path}", now=lambda: NOW)
    yield db
    db.close()


@dataclass(frozen=True, slots=True)
class Told:
    """What a platform tells over time, in the order in which it is read, and where its pages are cut."""

    messages: tuple[Message, ...]
    cuts: tuple[int, ...]
    backfill: Backfill
    first_poll_h: float


@st.composite
def told(draw: st.DrawFn, *, gaps: bool = False) -> Told:
    """Conversations of a few people, answered, edited, withdrawn and read again."""
    hour = 0.0
    said: list[Message] = []
    for number in range(draw(st.integers(1, 9))):
        hour += draw(st.sampled_from((0.1, 1, 30, 100, 169, 400) if gaps else (0, 0.05, 0.5, 2)))
        asked = [one for one in said if one.direction is Direction.INBOUND]
        if asked and draw(st.integers(0, 2)) == 0:
            said.append(_answer(f"a{number}", draw(st.sampled_from(asked)), hour))
        else:
            said.append(_question(f"m{number}", draw, hour))
    read = list(said) if gaps else list(draw(st.permutations(said)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(read) - 1))
        after = draw(st.integers(at + 1, len(read)))
        read.insert(after, _later(read[at], draw))
    cuts = draw(st.lists(st.integers(0, len(read)), max_size=4).map(sorted))
    backfill = draw(st.sampled_from(list(Backfill)))
    return Told(tuple(read), tuple(cuts), backfill, draw(st.sampled_from((-1.0, hour / 2))))


def _question(native_id: str, draw: st.DrawFn, hour: float) -> Message:
    who = draw(st.sampled_from(("c1", "c2", "客户三")))
    kind = draw(st.sampled_from((Kind.COMMENT, Kind.DIRECT_MESSAGE, Kind.MENTION)))
    root = {Kind.COMMENT: "p1", Kind.MENTION: native_id}.get(kind)
    return Message(
        native_id=native_id,
        platform="weibo",
        kind=kind,
        direction=Direction.INBOUND,
        author=Author(who, f"名字{who}"),
        text=draw(st.sampled_from(TEXTS)),
        sent_at=_at(hour),
        root=root,
        person=who,
        raw=b"{}",
    )


def _answer(native_id: str, asked: Message, hour: float) -> Message:
    direct = asked.kind is Kind.DIRECT_MESSAGE
    return replace(
        asked,
        native_id=native_id,
        kind=asked.kind if direct else Kind.COMMENT,
        direction=Direction.OUTBOUND,
        author=Author("us", "露沐"),
        text="抱歉让您久等",
        sent_at=_at(hour),
        reply_to=None if direct else asked.native_id,
    )


def _later(message: Message, draw: st.DrawFn) -> Message:
    """The same message read again: as it was, edited, or withdrawn."""
    what = draw(st.sampled_from(("same", "edited", "withdrawn")))
    assert message.sent_at is not None
    if what == "edited" and message.deleted_at is None:
        later = (message.edited_at or message.sent_at) + timedelta(seconds=7)
        return replace(message, text="改过的话", edited_at=later)
    if what == "withdrawn" and message.deleted_at is None:
        return replace(message, text=None, deleted_at=message.sent_at + timedelta(minutes=3))
    return message


START = NOW - timedelta(days=100)


def _at(hour: float) -> Any:
    return START + timedelta(hours=hour)


def _read(db: Database, given: Told, cuts: tuple[int, ...]) -> dict[str, Any]:
    """Take the pages in as the poller does, and read everything back, with our own ids taken out."""
    account = f"weibo_{next(ACCOUNTS)}"
    facts = AccountFacts(account, given.backfill)
    fence = db.write(lambda conn: acquire(conn, f"account:{account}", "我", 3600))
    assert fence is not None
    db.write(lambda conn: begin_account(conn, account, "weibo", _at(given.first_poll_h)))
    keys: list[str] = []
    edges = (0, *cuts, len(given.messages))
    for begin, end in pairwise(edges):
        page = Page(given.messages[begin:end], f"c{end}")
        with db.read() as conn:
            before = known(conn, account, page.messages)
        decision = decide(page, before, account=facts, rules=RULES, now=NOW, new_id=db.new_id)
        keys += [row.key for row in decision.deliveries]
        db.write(
            lambda conn, decision=decision, page=page: commit_poll(  # type: ignore[misc]
                conn,
                fence=fence,
                account=account,
                stream="all",
                page_cursor=page.cursor,
                decision=decision,
                now=NOW,
                next_poll_at=NOW,
            )
        )
    assert len(keys) == len(set(keys)), "a delivery key came twice"
    return _exported(db, account)


def _exported(db: Database, account: str) -> dict[str, Any]:
    with db.read() as conn:
        messages = [row for row in history.messages(conn) if row["account"] == account]
        conversations = [row for row in history.conversations(conn) if row["account"] == account]
        clocks = list(history.clocks(conn))
    names = [(row["kind"], row["native_id"]) for row in messages]
    assert len(names) == len(set(names)), "a message is stored twice"
    members: dict[str, set[str]] = {row["id"]: set() for row in conversations}
    for row in messages:
        if row["conversation_id"] is not None:
            members[row["conversation_id"]].add(row["native_id"])
    called = {id: "+".join(sorted(one)) for id, one in members.items()}
    ours = ("id", "account", "contact_id", "conversation_id")
    return {
        "messages": sorted(
            str([row[key] for key in ("native_id", "kind", "text", "edited_at", "deleted_at")])
            for row in messages
        ),
        "conversations": {
            called[row["id"]]: {key: value for key, value in row.items() if key not in ours}
            for row in conversations
        },
        "clocks": sorted(
            f"{called[row['conversation_id']]} "
            + " ".join(f"{key}={value}" for key, value in row.items() if key not in ours)
            for row in clocks
            if row["conversation_id"] in called
        ),
    }


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(told())
def test_pages_cut_anywhere_and_read_in_any_order_leave_the_same_behind(
    store: Database, given: Told
) -> None:
    assert _read(store, given, given.cuts) == _read(store, given, ())


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(told(gaps=True))
def test_pages_cut_anywhere_leave_the_same_behind_over_weeks_of_silence(
    store: Database, given: Told
) -> None:
    assert _read(store, given, given.cuts) == _read(store, given, ())
