"""`inboxd reply` as a person types it, on every platform that takes answers: once, ours at once, never double."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aggregator.app import Daemon
from aggregator.now import utc_now
from aggregator.sandbox.base import Line, Person
from aggregator.sandbox.world import World
from aggregator.settings import load
from connectors.base import Replies
from connectors.registry import CONNECTORS, connector_class
from storage import history
from storage.replies import ReplyState
from tests.cli_stage import Ran, inboxd
from tests.fakes import plain_rules

TEXT = "抱歉让您久等了，退款今天到账 ✓"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to answer: `write` is the call that does it; `again`: a stream brings the answer back."""

    platform: str
    kind: str
    write: str
    under: bool = False
    again: bool = True


WAYS = {
    "x post": Way("x", "mention", r"/2/tweets"),
    "x message": Way("x", "direct_message", r"/2/dm_conversations/.+/messages"),
    "facebook comment": Way("facebook", "comment", r"/v[\d.]+/[^/]+/comments", under=True),
    "messenger": Way("facebook", "direct_message", r"/v[\d.]+/[^/]+/messages"),
    "weibo comment": Way("weibo", "comment", r"/2/comments/reply\.json", under=True),
    "weibo mention": Way("weibo", "mention", r"/2/comments/create\.json"),
    "weibo message": Way("weibo", "direct_message", r"/2/messages/reply\.json", again=False),
    "wechat": Way("wechat", "direct_message", r"/cgi-bin/message/custom/send", again=False),
    "wecom": Way("wecom", "direct_message", r"/cgi-bin/kf/send_msg", again=False),
}


class House:
    """A daemon whose polls are made by hand, and a second process beside it that answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World(utc_now)
        self.world.start()
        settings = {
            "database": f"sqlite:///{folder}/inboxd.db",
            "rules": str(plain_rules(folder)),
            "http": {"listen": "127.0.0.1:0"},
            "accounts": self.world.accounts(every="10h"),
            "destinations": {"social": {"kind": "console"}, "ops": {"kind": "console"}},
        }
        (folder / "settings.yaml").write_text(json.dumps(settings), "utf-8")
        self.daemon = Daemon(load(folder / "settings.yaml", {}))
        self.daemon.start()
        self.world.attach(f"http://127.0.0.1:{self.daemon.server.port}/callbacks")
        self.people = 5000
        for name in self.daemon.pollers:
            self.read(name)

    def end(self) -> None:
        self.daemon.stop(2.0)
        self.world.stop()

    def read(self, account: str) -> None:
        """Every stream of the account, now."""
        poller = self.daemon.pollers[account]
        for stream in poller.connector.streams:
            poller.wake(stream)
        poller.drain()
        poller.tick()

    def standin(self, platform: str) -> Any:
        return self.world.platforms[platform]

    def rows(self, what: Any) -> list[dict[str, Any]]:
        with self.daemon.db.read() as conn:
            return list(what(conn))

    def asked(self, way: Way) -> dict[str, Any]:
        """A customer writes; the row of it."""
        self.people += 1
        told: dict[str, Any] = {}
        if way.under:
            post = Line(0, way.platform, "own_post", "post", None, "新品今天开售")
            told["post"] = self.standin(way.platform).play(post, utc_now(), told)
        who = Person(self.people, f"顾客{self.people}", f"c{self.people}")
        text = f"@Lumo官方 退款怎么还没到？{self.people}"
        under = "post" if way.under else None
        line = Line(0, way.platform, way.kind, "q", who, text, under=under)
        self.standin(way.platform).play(line, utc_now(), told)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            self.read(f"{way.platform}_demo")
            for row in self.rows(history.messages):
                if str(self.people) in (row["text"] or "") and row["direction"] == "inbound":
                    return row
            time.sleep(0.1)
        raise AssertionError("the question did not come in")

    def reply(self, id: str, text: str, *more: str) -> Ran:
        return inboxd("reply", id, text, "--yes", "--by", "小王", *more, cwd=self.folder)

    def writes(self, way: Way) -> int:
        """What the platform took; WeCom is asked again with the id of an attempt, and takes it once."""
        if way.platform == "wecom":
            return len(self.world.wecom.desk.sent)
        with self.standin(way.platform).lock:
            calls = list(self.standin(way.platform).calls)
        return sum(1 for verb, path in calls if verb == "POST" and re.fullmatch(way.write, path))

    def calls(self, platform: str) -> int:
        """But for those of the daemon, whose queue a callback may just have brought news of."""
        with self.standin(platform).lock:
            return sum(1 for _, path in self.standin(platform).calls if "sync_msg" not in path)

    def conversation(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        about = row["conversation_id"]
        return [one for one in self.rows(history.messages) if one["conversation_id"] == about]

    def said(self, row: dict[str, Any], text: str) -> int:
        """How often; X and Weibo put the customer's name before it."""
        return sum(1 for one in self.conversation(row) if text in (one["text"] or ""))

    def outcomes(self, row: dict[str, Any]) -> list[str | None]:
        about = row["conversation_id"]
        return [
            one["outcome"]
            for one in self.rows(history.clocks)
            if one["conversation_id"] == about and one["kind"] == "first_response"
        ]

    def repeated(self, platform: str) -> float:
        count = self.daemon.metrics.repeated.labels(f"{platform}_demo")
        return float(count._value.get())


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("replies"))
    yield made
    made.end()


def test_every_connector_that_can_answer_has_its_ways_here() -> None:
    answers = {one for one in CONNECTORS if issubclass(connector_class(one), Replies)}
    assert answers == {way.platform for way in WAYS.values()}


@pytest.mark.parametrize("name", WAYS)
def test_an_answer_is_sent_once_is_ours_at_once_and_does_not_come_twice(
    house: House, name: str
) -> None:
    way = WAYS[name]
    row = house.asked(way)
    assert house.outcomes(row) == [None]
    before = house.writes(way)
    text = f"{TEXT}（{house.people}）"
    ran = house.reply(row["id"], text)
    assert (ran.code, ran.err) == (0, ""), ran.out
    assert text in ran.out
    assert house.writes(way) == before + 1
    ours = house.conversation(row)[-1]
    assert (ours["direction"], text in ours["text"]) == ("outbound", True)
    assert ours["native_id"]
    assert house.outcomes(row) == ["met"]
    told = house.repeated(way.platform)
    until = time.monotonic() + 10
    while way.again and house.repeated(way.platform) == told and time.monotonic() < until:
        house.read(f"{way.platform}_demo")
    house.read(f"{way.platform}_demo")
    assert house.said(row, text) == 1
    assert not way.again or house.repeated(way.platform) > told
    second = house.reply(row["id"], text)
    assert second.code == 0
    assert "this was sent before; nothing was sent now" in second.out
    assert house.writes(way) == before + 1


@pytest.mark.parametrize("name", WAYS)
def test_an_answer_that_was_cut_off_after_it_was_taken_is_looked_up_and_never_sent_again(
    house: House, name: str
) -> None:
    way = WAYS[name]
    row = house.asked(way)
    text = f"{TEXT}（{house.people}）"
    before = house.writes(way)
    path = way.write.replace("\\.", ".").partition("[")[0].partition(".+")[0]
    house.standin(way.platform).fault("cut_after", path=_start(house, way, row, path))
    ran = house.reply(row["id"], text)
    assert list(house.standin(way.platform).faults) == []
    assert house.writes(way) == before + 1, ran.out + ran.err
    state = ran.out.strip().splitlines()[-1].partition(":")[0]
    assert state in (ReplyState.SENT, ReplyState.UNKNOWN)
    house.read(f"{way.platform}_demo")
    again = house.reply(row["id"], text)
    assert house.writes(way) == before + 1, again.out + again.err
    if way.again:
        assert again.code == 0, again.out + again.err
        assert house.said(row, text) == 1
        assert house.outcomes(row) == ["met"]
    else:
        said = again.out + again.err
        assert "sent" in said or "look on the platform" in said


def _start(house: House, way: Way, row: dict[str, Any], path: str) -> str:
    """How the path of the write begins, so exactly that no reading has it."""
    if way.platform != "facebook":
        return path
    return f"/v26.0/{row['native_id']}/" if way.kind == "comment" else "/v26.0/"


@pytest.mark.parametrize("name", WAYS)
def test_what_is_too_long_is_refused_before_any_call(house: House, name: str) -> None:
    way = WAYS[name]
    row = house.asked(way)
    calls = house.calls(way.platform)
    ran = house.reply(row["id"], "很长" * 12_000)
    assert ran.code == 1
    assert "too long" in ran.err
    assert "Traceback" not in ran.err
    assert house.calls(way.platform) == calls


def test_a_closed_window_and_a_used_quota_are_refused_before_any_call(house: House) -> None:
    from sqlalchemy import update

    from storage.schema import conversation
    from storage.sql import to_ms

    way = WAYS["wecom"]
    for values, words in (
        ({"reply_window_closes_at": to_ms(utc_now()) - 1}, "reply window is closed"),
        ({"reply_window_left": 0}, "takes no further answer"),
    ):
        row = house.asked(way)
        this = conversation.c.id == int(row["conversation_id"])
        house.daemon.db.write(
            lambda conn, this=this, values=values: conn.execute(
                update(conversation).where(this).values(**values)
            )
        )
        calls = house.calls("wecom")
        ran = house.reply(row["id"], TEXT)
        assert ran.code == 1
        assert words in ran.err
        assert house.calls("wecom") == calls


def test_a_person_who_does_not_agree_sends_nothing(house: House) -> None:
    row = house.asked(WAYS["wecom"])
    before = house.writes(WAYS["wecom"])
    ran = inboxd("reply", row["id"], TEXT, cwd=house.folder)
    assert ran.code == 1
    assert house.writes(WAYS["wecom"]) == before
