"""What `rules backtest` costs a message: read from the store, judged by two rulesets, counted.

Run: python -m bench.backtest [MESSAGES]
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
import tracemalloc
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aggregator.backtesting import add
from aggregator.model import Direction, Kind, Message, StoredMessage
from aggregator.triage.backtest import Tally
from aggregator.triage.loader import load_texts
from aggregator.triage.ruleset import Ruleset, Subject
from bench.figures import Figure, show
from bench.posts import RULES, corpus
from storage.engine import Database
from storage.message_rows import message_row
from storage.replay import Replay, looking
from storage.schema import message
from storage.sql import bulk_insert

TITLE = "Backtest: the shipped rules against a change of them, from SQLite, one core"
START = datetime(2026, 3, 2, tzinfo=UTC)
POSTS = 3_000  # different ones
MANY = "≥ 1000000"
CHANGE = "schema: 1\ntune: [{rules: [safety-incident], add_any: [冒烟了], set: {urgency: 2}}]\n"


def main(messages: int = 60_000) -> None:
    show(TITLE, measure(messages))


def measure(messages: int = 60_000) -> list[Figure]:
    """What `python -m bench` shows of it. In processor time: others may be at work on the machine."""
    sources = {
        one.relative_to(RULES).as_posix(): one.read_text("utf-8")
        for one in sorted(RULES.rglob("*.yaml"))
    }
    old = load_texts(sources, tests=False)
    new = load_texts({**sources, "99-change.yaml": CHANGE}, tests=False)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'inboxd.db'}"
        fill(url, corpus(POSTS).posts, messages, old)
        with looking(url) as store:
            known, floor = timed(store, old, new)
            anew, _ = timed(store, replace(old, version="of another day"), new)
            memory = held(store, old, new)
    return [
        Figure("messages a minute, stored as the rules in force judged them", 60 / known, "", MANY),
        Figure("… times the floor (NFKC + casefold)", known / floor, "x"),
        Figure("messages a minute, where both rulesets judge anew", 60 / anew, ""),
        Figure("memory above what is there before, at most", memory, "MB", "≤ 64"),
    ]


def timed(store: Replay, old: Ruleset, new: Ruleset) -> tuple[float, float]:
    """Seconds a message: of a backtest, and of the floor, page by page in turn."""
    took = floor = 0.0
    tally, pages = Tally(old, new), store.judged(START)
    gc.collect()
    gc.disable()
    while True:
        began = time.process_time()
        page = next(pages, None)
        if page is None:
            break
        add(tally, old, page)
        took += time.process_time() - began
        began = time.process_time()
        for one in page:
            unicodedata.normalize("NFKC", one.text or "").casefold()
        floor += time.process_time() - began
    gc.enable()
    return took / tally.total, floor / tally.total


def held(store: Replay, old: Ruleset, new: Ruleset) -> float:
    """Megabytes that it takes at its height; apart, since counting them costs time."""
    tracemalloc.start()
    tally = Tally(old, new)
    for page in store.judged(START):
        add(tally, old, page)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def fill(url: str, texts: Sequence[str], count: int, rules: Ruleset) -> None:
    """Messages of two or three to a conversation, as `rules` judge them."""
    verdicts = rules.evaluate_many([Subject(one, platform="weibo") for one in texts])
    first = Message(
        native_id="",
        platform="weibo",
        kind=Kind.MENTION,
        direction=Direction.INBOUND,
        author=None,
        text=None,
        sent_at=START,
    )
    db = Database.open(url, now=lambda: START)
    rows = []
    for at in range(count):
        received = START + timedelta(seconds=at * 10)
        text, verdict = texts[at % len(texts)], verdicts[at % len(texts)]
        stored = StoredMessage(
            id=at + 1,
            account="weibo_acme",
            message=replace(first, native_id=str(at), text=text, sent_at=received),
            received_at=received,
            conversation_id=at - at % 5 % 3,
            contact_id=None,
            verdict=verdict,
            rules_version=rules.version,
            history=False,
        )
        rows.append(message_row(stored))
        if len(rows) == 5_000 or at + 1 == count:
            db.write(lambda conn, some=tuple(rows): bulk_insert(conn, message, some))
            rows.clear()
    db.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60_000)
