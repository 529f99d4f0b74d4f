"""`inboxd silence …`: what a person may ask for, what is refused and why, and where it shows."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli_stage import Ran, fill, inboxd, write_settings


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("silent")
    write_settings(folder)
    fill(folder)
    return folder


def fine(ran: Ran) -> str:
    assert ran.code == 0, ran.err
    assert "Traceback" not in ran.err
    return ran.out


def listed(shop: Path, *more: str) -> list[dict[str, object]]:
    out = fine(inboxd("silence", "list", "--json", *more, cwd=shop))
    return [json.loads(line) for line in out.splitlines()]


def test_a_silence_is_added_shown_everywhere_and_ended_with_who_did_it(shop: Path) -> None:
    words = ("platform=微博", "label=refund", "kind=评论", "--until", "2h", "--by", "李雷")
    said = fine(inboxd("silence", "add", *words, "--why", "系统升级", cwd=shop))
    id = said.split()[1]
    assert "platform=weibo label=refund kind=public" in said
    [one] = [row for row in listed(shop) if row["id"] == id]
    assert (one["state"], one["by"], one["why"]) == ("holds", "李雷", "系统升级")
    assert "系统升级" in fine(inboxd("silence", "list", cwd=shop))
    assert f"silence {id}: platform=weibo" in fine(inboxd("status", cwd=shop))
    state = json.loads(fine(inboxd("status", "--json", cwd=shop)))
    assert [row["id"] for row in state["silences"]] == [id]
    fine(inboxd("silence", "expire", id, "--by", "韩梅", cwd=shop))
    assert listed(shop) == []
    [one] = [row for row in listed(shop, "--all") if row["id"] == id]
    assert (one["state"], one["ended_by"]) == ("over", "韩梅")
    again = inboxd("silence", "expire", id, cwd=shop)
    assert (again.code, "is in force" in again.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("platfrom=weibo", "--until", "2h"),
            "there is no matcher platfrom; did you mean platform?",
        ),
        (("label=refunds", "--until", "2h"), "there is no label refunds; did you mean refund?"),
        (("account=weibo_lum", "--until", "2h"), "did you mean weibo_lumo?"),
        (("priority=P5", "--until", "2h"), "there is no priority P5"),
        (("kind=小红书", "--until", "2h"), "there are: direct, public"),
        (("route=", "--until", "2h"), "a value is missing; write route=…"),
        (("conversation=abc", "--until", "2h"), "abc is no id"),
        (("--until", "2h"), "name what is to be silent, as in platform=weibo"),
        (("label=refund", "--until", "明天"), "--until takes 90m, 2h, 3d"),
        (("label=refund", "--until", "2020-01-01T00:00:00Z"), "is over already"),
        (("label=refund", "--until", "2099-01-01T00:00:00"), "add a zone"),
        (("label=refund", "--interval", "夜里"), "targets.yaml has no 夜里 under intervals"),
    ],
)
def test_a_mistake_is_told_with_its_remedy_and_nothing_is_silenced(
    shop: Path, words: tuple[str, ...], told: str
) -> None:
    ran = inboxd("silence", "add", *words, cwd=shop)
    assert ran.code == 1
    assert told in ran.err
    assert listed(shop) == []


def test_no_silence_is_for_ever(shop: Path) -> None:
    ran = inboxd("silence", "add", "label=refund", cwd=shop)
    assert ran.code == 2


def test_what_is_held_is_listed_and_explained(shop: Path, tmp_path: Path) -> None:
    write_settings(tmp_path)
    with (
        sqlite3.connect(shop / "inboxd.db") as there,
        sqlite3.connect(tmp_path / "inboxd.db") as here,
    ):
        there.backup(here)
        here.execute(
            "UPDATE delivery SET state = 'held', held_by = 'quiet:night',"
            " reason = 'quiet: night until 2026-03-05 08:00 Asia/Shanghai'"
            " WHERE id = (SELECT min(id) FROM delivery WHERE destination != 'nobody')"
        )
        [[about]] = here.execute("SELECT conversation_id FROM delivery WHERE state = 'held'")
        [message] = here.execute(
            "SELECT id FROM message WHERE conversation_id = ? LIMIT 1", (about,)
        ).fetchone()
    out = fine(inboxd("deliveries", "list", "--state", "held", "--json", cwd=tmp_path))
    [row] = [json.loads(line) for line in out.splitlines()]
    assert row["reason"] == "quiet: night until 2026-03-05 08:00 Asia/Shanghai"
    said = fine(inboxd("explain", str(message), cwd=tmp_path))
    assert "held back since" in said
    assert "quiet: night until" in said
    assert "deliveries list --state held" in fine(inboxd("status", cwd=tmp_path))
