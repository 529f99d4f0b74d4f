"""While `make run` is up, a second terminal answers the sandbox's customers, by the sandbox's clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aggregator.app import Daemon
from aggregator.now import utc_now
from aggregator.sandbox.base import Line, Person
from aggregator.sandbox.play import PlayClock
from aggregator.sandbox.world import World
from aggregator.settings import with_sandbox
from aggregator.staging import leave_word, take_down
from storage import history
from tests.cli_stage import inboxd
from tests.e2e.stage import settings_for
from tests.fakes import plain_rules

TEXT = "您好，已为您加急处理。"


@dataclass
class Stage:
    folder: Path
    daemon: Daemon
    world: World
    clock: PlayClock


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    settings_for(tmp_path, f"sqlite:///{tmp_path}/inboxd.db")
    path = tmp_path / "settings.yaml"
    lines = path.read_text("utf-8").splitlines()
    rules = f"rules: {plain_rules(tmp_path)}"
    path.write_text(
        "\n".join(rules if one.startswith("rules:") else one for one in lines) + "\n", "utf-8"
    )
    from aggregator.settings import load

    settings = load(path, {})
    clock = PlayClock(utc_now, minutes=600, seconds=1)  # ten hours from the wall's time
    world = World(clock.now)
    world.start()
    given = with_sandbox(settings, world.accounts(every="10h"), world.destinations())
    daemon = Daemon(given, now=clock.now, fresh=True)
    daemon.start()
    world.attach(f"http://127.0.0.1:{daemon.server.port}/callbacks")
    yield Stage(tmp_path, daemon, world, clock)
    daemon.stop(2.0)
    world.stop()


def rows(stage: Stage) -> list[dict[str, Any]]:
    with stage.daemon.db.read() as conn:
        return list(history.messages(conn))


def test_an_answer_goes_to_the_stand_in_and_bears_the_sandboxs_time(stage: Stage) -> None:
    poller = stage.daemon.pollers["wecom_demo"]
    poller.tick()
    who = Person(77, "小满", "xiaoman")
    line = Line(0, "wecom", "direct_message", "q", who, "请问还有货吗？")
    stage.world.wecom.play(line, stage.clock.now(), {})
    until = time.monotonic() + 20
    while not rows(stage) and time.monotonic() < until:
        poller.wake("messages")
        poller.tick()
    [row] = rows(stage)
    leave_word(stage.daemon.db, stage.world.accounts(), stage.clock)
    ran = inboxd("reply", row["id"], TEXT, "--yes", cwd=stage.folder)
    assert (ran.code, ran.err) == (0, ""), ran.out
    assert [one["text"]["content"] for one in stage.world.wecom.desk.sent.values()] == [TEXT]
    asked, ours = rows(stage)
    assert ours["text"] == TEXT
    sent_at = datetime.fromisoformat(ours["received_at"])
    assert abs(sent_at - stage.clock.now()) < timedelta(minutes=1)
    assert abs(sent_at - utc_now()) > timedelta(hours=9)
    assert asked["conversation_id"] == ours["conversation_id"]


def test_without_a_running_sandbox_a_person_is_told_to_start_it(stage: Stage) -> None:
    ran = inboxd("reply", "1", TEXT, "--yes", cwd=stage.folder)
    assert ran.code == 1
    assert "the sandbox is not running" in ran.err
    leave_word(stage.daemon.db, stage.world.accounts(), stage.clock)
    take_down(stage.daemon.db)
    assert "the sandbox is not running" in inboxd("reply", "1", TEXT, cwd=stage.folder).err


def test_a_clock_is_told_to_another_process_before_while_and_after_it_runs_fast() -> None:
    wall = [datetime(2026, 3, 4, tzinfo=UTC)]
    clock = PlayClock(lambda: wall[0], minutes=60, seconds=75)
    second = timedelta(seconds=1)
    for _ in range(2):
        told = PlayClock.of(clock.told(), lambda: wall[0])
        assert abs(told.now() - clock.now()) < second
        clock.begin()
    fast = clock.told()
    assert fast["fast_for"] == pytest.approx(75, abs=1)
    wall[0] += timedelta(seconds=10)  # ten seconds later, by the other's wall clock
    later = PlayClock.of(fast, lambda: wall[0])
    assert abs(later.now() - (clock.now() + 480 * second)) < 60 * second
    wall[0] += timedelta(seconds=200)
    after = PlayClock.of(fast, lambda: wall[0])
    assert abs(after.now() - (clock.now() + 3600 * second + 135 * second)) < 60 * second
