"""What a script pushes, over HTTP and into the store: answered after the commit, stored once, clocks and all."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event

from aggregator.metrics import Metrics
from aggregator.web.callbacks import Callbacks
from aggregator.web.receiving import JSON_LIMIT
from aggregator.web.server import Server, site
from connectors.push import PushAccount, PushOptions
from connectors.push.item import FIELDS
from storage import history
from storage.engine import Database
from tests.conftest import NOW
from tests.connectors.loopback import MemoryKeep
from tests.connectors.test_push import BOTH, FIXTURES, JSON, SECRET, bearer, signed
from tests.fakes import House
from tests.web.site import Answered, Site

ROOT = Path(__file__).parents[2]
PLAIN = "push-token-0123456789abcdef"  # what a shell and a script can put into a header
KIND = {"Content-Type": "application/json"}
SOON = NOW + timedelta(seconds=5)


def connectors(now: Callable[[], datetime]) -> dict[str, PushAccount]:
    words = {
        "forum": {**BOTH, "platform": "论坛"},
        "forum_acme": {"token": PLAIN, "secret": SECRET, "platform": "forum"},
    }
    return {
        name: PushAccount(PushOptions.model_validate(given), keep=MemoryKeep(), now=now)
        for name, given in words.items()
    }


@contextmanager
def serving(db: Database, now: Callable[[], datetime]) -> Iterator[Site]:
    accounts, metrics = connectors(now), Metrics("0.0.0")
    made = Site(0, db, metrics, accounts)
    callbacks = Callbacks(
        connectors=accounts, db=db, now=now, wake=made.woken.append, metrics=metrics
    )
    server = Server(
        site(callbacks=callbacks, ready=db.healthy, metrics=metrics.text), host="127.0.0.1", port=0
    )
    server.start()
    made.port = server.port
    try:
        yield made
    finally:
        server.stop(5.0)


@pytest.fixture
def here(db: Database, now: Callable[[], datetime]) -> Iterator[Site]:
    with serving(db, now) as made:
        yield made


@pytest.fixture
def door(sqlite_template: Path, tmp_path: Path, now: Callable[[], datetime]) -> Iterator[Site]:
    path = tmp_path / "door.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database.open(f"sqlite:///{path}", now=now)
    try:
        with serving(database, now) as made:
            yield made
    finally:
        database.close()


def push(where: Site, told: Any, headers: dict[str, str] | None = None) -> Answered:
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    proof = bearer() if headers is None else headers
    return where.ask("POST", "/callbacks/forum", body=body, headers={**KIND, **proof})


@pytest.fixture
def house(here: Site) -> Iterator[House]:
    made = House(here.db)
    yield made
    made.end()


def drained(house: House, where: Site) -> list[dict[str, Any]]:
    """Everything stored, once the poller has read what was pushed."""
    poller = house.poller(where.connectors["forum"], account="forum")
    poller.drain()
    assert where.stored() == []
    return house.rows(history.messages)


def said(number: int, text: str = "充电宝鼓包了，怎么退？", **more: Any) -> dict[str, Any]:
    return {
        "native_id": f"c-{number}",
        "kind": "comment",
        "root": "p-1",
        "author": {"native_id": "u-1", "name": "小满"},
        "text": text,
        "sent_at": (SOON + timedelta(seconds=number)).isoformat(),
        **more,
    }


# --- what is taken ------------------------------------------------------------------------------


def test_a_list_is_stored_answered_with_202_and_wakes_the_poller(here: Site) -> None:
    answer = push(here, [said(1), said(2, "再不回就投诉了")])
    assert answer.status == 202
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.body) == {"accepted": 2, "errors": []}
    assert [row[:2] for row in here.stored()] == [("forum", "messages")] * 2
    assert here.woken == ["forum"]


def test_a_list_with_errors_stores_what_is_right_and_names_the_rest(here: Site) -> None:
    answer = push(here, (FIXTURES / "messages__with_errors.json").read_bytes())
    assert answer.status == 202
    told = json.loads(answer.body)
    assert (told["accepted"], {one["index"] for one in told["errors"]}) == (2, {1, 2, 4})
    assert len(here.stored()) == 2


def test_where_nothing_is_right_nothing_is_stored_and_nobody_is_woken(here: Site) -> None:
    answer = push(here, [{"native_id": "c-1", "kind": "评论"}])
    assert answer.status == 400
    assert json.loads(answer.body)["errors"][0]["field"] == "kind"
    assert (here.stored(), here.woken) == ([], [])


def test_the_answer_comes_only_after_the_commit(here: Site) -> None:
    started, go_on, answers = threading.Event(), threading.Event(), []

    def slow(_: Connection) -> None:
        started.set()
        assert go_on.wait(20)

    waiting = here.db.submit(slow)
    assert started.wait(20)
    sender = threading.Thread(target=lambda: answers.append(push(here, said(1))))
    sender.start()
    sender.join(0.2)
    assert answers == []
    go_on.set()
    sender.join(20)
    waiting.result(20)
    assert [one.status for one in answers] == [202]
    assert len(here.stored()) == 1


def test_a_signed_push_is_taken_and_the_same_one_again_too(here: Site, house: House) -> None:
    body = json.dumps(said(1), ensure_ascii=False).encode()
    for _ in range(3):
        assert push(here, body, signed(body)).status == 202
    assert len(here.stored()) == 1
    assert len(drained(house, here)) == 1
    assert push(here, body, signed(body)).status == 202
    assert len(drained(house, here)) == 1


def test_the_same_message_in_other_words_is_still_the_same(here: Site, house: House) -> None:
    one = said(1)
    assert push(here, [one, {**one, "text": "另一种说法"}, {**one, "lang": None}]).status == 202
    assert len(drained(house, here)) == 1
    push(here, {**one, "native_id": "c-1", "url": "https://forum.example/1"})
    assert len(drained(house, here)) == 1


def test_what_is_pushed_reads_as_it_was_sent(here: Site, house: House) -> None:
    house.clock.on(hours=1)
    push(here, (FIXTURES / "messages__every_kind.json").read_bytes())
    push(here, (FIXTURES / "messages__hostile.json").read_bytes())
    rows = {row["native_id"]: row for row in drained(house, here)}
    assert {row["platform"] for row in rows.values()} == {"论坛"}
    assert "9007199254740993" in rows
    assert rows["p-1"]["text"] == "@露沫科技 已经解决，谢谢！"
    assert rows["p-1"]["edited_at"] == "2026-03-04T02:30:00.000Z"
    assert rows["r-1"]["attachments"][0] == {
        **rows["r-1"]["attachments"][0],
        "kind": "rating",
        "title": "1.5",
    }
    assert (rows["带空格"]["author"], rows["c-2"]["author"]["native_id"]) == (None, "论坛")


def test_an_answer_of_ours_stops_the_clock_in_whatever_order_they_come(
    here: Site, house: House
) -> None:
    drained(house, here)  # the account's first poll: what is older is history
    house.clock.on(minutes=5)
    ours = {"direction": "outbound", "kind": "comment", "author": {"name": "客服小李"}}
    push(here, {**ours, "native_id": "a-2", "reply_to": "c-2", "sent_at": SOON.timestamp() + 90})
    drained(house, here)
    push(
        here, [said(1), said(2, author={"native_id": "u-2"}), said(3, author={"native_id": "u-3"})]
    )
    push(
        here,
        {
            **ours,
            "native_id": "a-1",
            "root": "p-1",
            "person": "u-1",
            "sent_at": SOON.timestamp() + 60,
        },
    )
    rows = drained(house, here)
    assert {row["native_id"] for row in rows} == {"c-1", "c-2", "c-3", "a-1", "a-2"}
    by_conversation = {row["native_id"]: row["conversation_id"] for row in rows}
    assert by_conversation["a-1"] == by_conversation["c-1"]
    assert by_conversation["a-2"] == by_conversation["c-2"]
    first = {
        row["conversation_id"]: row
        for row in house.rows(history.clocks)
        if row["kind"] == "first_response"
    }
    outcomes = [first[by_conversation[f"c-{n}"]]["outcome"] for n in (1, 2, 3)]
    assert outcomes == ["met", "met", None]
    assert first[by_conversation["c-1"]]["wall_ms"] == 59_000


def test_a_message_that_was_withdrawn_is_marked_and_keeps_its_words(
    here: Site, house: House
) -> None:
    push(here, said(1))
    drained(house, here)
    push(here, {"native_id": "c-1", "kind": "comment", "deleted_at": SOON.isoformat()})
    (row,) = drained(house, here)
    assert row["deleted_at"] is not None
    assert row["text"] == said(1)["text"]


# --- what is not --------------------------------------------------------------------------------


@contextmanager
def counted(db: Database) -> Iterator[list[str]]:
    """Every statement that the database is asked, whoever asks."""
    asked: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    engines = (db._writing, db._reading)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


def test_a_flood_of_wrong_proofs_asks_the_database_nothing(door: Site) -> None:
    body = json.dumps([said(n) for n in range(500)]).encode()
    wrong = signed(body, key=b"a key that nobody else would have")
    with counted(door.db) as asked:
        for number in range(60):
            headers = (wrong, bearer(f"猜 {number}"), {})[number % 3]
            assert push(door, body, headers).status == 401
        assert asked == []
        assert push(door, body).status == 202
        assert asked != []
    assert door.woken == ["forum"]


def test_a_push_to_an_account_that_nobody_named_is_404(door: Site) -> None:
    answer = door.ask("POST", "/callbacks/laden", body=b"{}", headers={**KIND, **bearer()})
    assert answer.status == 404


def test_a_mebibyte_is_taken_and_a_byte_more_is_not(door: Site) -> None:
    body = json.dumps(said(1)).encode()
    fits = body + b" " * (JSON_LIMIT - len(body))
    assert push(door, fits + b" ").status == 413
    assert push(door, fits).status == 202


def test_no_header_of_a_stranger_is_a_5xx(door: Site) -> None:
    for value in ("Bearer \xff\xfe", "Bearer 令牌".encode().decode("latin-1"), "v1," + "A" * 20000):
        for name in ("authorization", "webhook-id", "webhook-timestamp", "webhook-signature"):
            headers = {**signed(b"{}"), "authorization": "Bearer no", name: value}
            assert push(door, b"{}", headers).status in (400, 401)  # 400: one is a right signature
    assert door.stored() == []


ITEMS = st.fixed_dictionaries(
    {"native_id": st.integers() | st.text(min_size=1), "kind": st.just("comment")},
    optional={name: JSON for name in FIELDS if name not in ("native_id", "kind")},
)


@given(told=st.lists(ITEMS | JSON, max_size=4) | JSON)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_json_is_pushed_is_202_or_400(door: Site, told: Any) -> None:
    answer = push(door, told)
    assert answer.status in (202, 400)
    said = json.loads(answer.body)
    assert (answer.status == 400) == (said["accepted"] == 0 and said["errors"] != [])


def test_whatever_was_taken_can_be_stored(here: Site, house: House) -> None:
    deep = [
        {**said(n), "text": text}
        for n, text in enumerate(("\ud83d", "\0", "🧨" * 50_000, "\u202eسلام"))
    ]
    odd = [
        {
            "native_id": "id" * 100,
            "kind": "review",
            "author": {"native_id": "坏" * 200, "followers": 2**53 - 1},
        },
        {
            "native_id": -(10**199 - 1),
            "kind": "mention",
            "root": "根" * 200,
            "person": "\ud800" * 200,
        },
        {"native_id": "t", "kind": "mention", "sent_at": "9999-12-31T23:59:59.999999Z"},
        {
            "native_id": "a",
            "kind": "comment",
            "attachments": [{"kind": "file", "title": "\0" * 1000}] * 50,
        },
    ]
    answer = push(here, deep + odd)
    assert json.loads(answer.body) == {"accepted": 8, "errors": []}
    rows = drained(house, here)
    assert len(rows) == 8
    assert not any("unreadable" in json.dumps(row) for row in rows)


# --- the page -----------------------------------------------------------------------------------

PAGE = (ROOT / "docs" / "push.md").read_text("utf-8")
# For a machine without curl; where there is one, that one is found first.
CURL = f"""#!{sys.executable}
import sys, urllib.request
words, headers, data = iter(sys.argv[1:]), {{}}, b""
for word in words:
    if word == "-H":
        name, _, value = next(words).partition(": ")
        headers[name] = value
    elif word == "-d":
        data = next(words).encode()
    elif not word.startswith("-"):
        url = word
print(urllib.request.urlopen(urllib.request.Request(url, data, headers)).read().decode())
"""


def shown(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.S | re.M)


def ran(where: Site, folder: Path, *command: str) -> Any:
    curl = folder / "curl"
    curl.write_text(CURL, "utf-8")
    curl.chmod(0o755)
    env = {
        "PATH": f"{os.environ['PATH']}{os.pathsep}{folder}",
        "INBOX": f"http://127.0.0.1:{where.port}",
        "PUSH_TOKEN": PLAIN,
        "PUSH_SECRET": SECRET,
        "PYTHONIOENCODING": "utf-8",
    }
    done = subprocess.run(command, env=env, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return json.loads(done.stdout)


def test_the_curl_of_the_page_works(door: Site, tmp_path: Path) -> None:
    (command,) = shown("sh")
    sh = shutil.which("sh")
    assert sh is not None
    assert ran(door, tmp_path, sh, "-c", command) == {"accepted": 1, "errors": []}
    ((account, _, body),) = door.stored()
    assert account == "forum_acme"
    assert json.loads(body)["author"]["name"] == "小满"


def test_the_scripts_of_the_page_work(sqlite_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "real.db"
    path.write_bytes(sqlite_template.read_bytes())
    at = datetime.now().astimezone()  # the script signs with the time that it is
    database = Database.open(f"sqlite:///{path}", now=lambda: at)
    try:
        with serving(database, lambda: at) as where:
            told = [ran(where, tmp_path, sys.executable, "-c", one) for one in shown("python")]
            assert told == [{"accepted": 2, "errors": []}, {"accepted": 1, "errors": []}]
            raw = [body for _, _, body in where.stored()]
            page = where.connectors["forum_acme"].read(raw)
    finally:
        database.close()
    question, answer, review = page.messages
    assert answer.reply_to == question.native_id
    assert answer.sent_at is not None
    assert question.sent_at is not None
    assert answer.sent_at > question.sent_at
    assert (review.native_id, review.attachments[0].title) == ("8123456789012345678", "1")


def test_the_scripts_of_the_page_are_short() -> None:
    assert all(len(one.splitlines()) <= 17 for one in shown("python"))
