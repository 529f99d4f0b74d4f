"""A small store, and `inboxd` run against it as a person would."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import structlog

from aggregator.cli import main
from aggregator.intake import AccountFacts, decide
from aggregator.model import Author, Backfill, Direction, Kind, Message, Page
from aggregator.now import utc_now
from aggregator.triage.loader import load
from storage.engine import Database
from storage.leases import acquire, release
from storage.polls import begin_account, commit_poll, known, poll_failed

ROOT = Path(__file__).parent.parent

SETTINGS = """\
database: sqlite:///{database}
timezone: Asia/Shanghai
language: {language}
rules: {rules}
accounts:
  weibo_lumo: {{connector: weibo, uid: "1750070171", access_token: lumo-weibo-token, base_url: "http://127.0.0.1:9"}}
destinations:
  social: {{kind: console}}
  leads: {{kind: console}}
  desk: {{kind: console}}
  ops: {{kind: console}}
"""

FIRST = "充电宝起火了，救命！"
FORMULA = '=HYPERLINK("http://evil.example","退款")'
OLD = "上个月买的，早就退了"


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    out: str
    err: str


def inboxd(*words: str, cwd: Path, env: dict[str, str] | None = None) -> Ran:
    """The verb, in this process; an exception that a person would see as a traceback fails the test."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    code: object = 0
    with (
        patch.dict(os.environ, environment(env), clear=True),
        patch.object(sys, "argv", ["inboxd", *words]),
        chdir(cwd),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as left:
            code = left.code or 0
        finally:
            root.handlers[:] = before
            root.setLevel(level)
            structlog.reset_defaults()
    assert isinstance(code, int)
    return Ran(code, _said(out), _said(err))


def _said(stream: io.TextIOWrapper) -> str:
    stream.flush()
    raw = stream.buffer
    assert isinstance(raw, io.BytesIO)
    return raw.getvalue().decode()


def process(*words: str, cwd: Path, env: dict[str, str] | None = None, stdout: Any = None) -> Ran:
    """The verb, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "aggregator", *words],
        cwd=cwd,
        env=environment(env),
        stdout=stdout or subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    return Ran(done.returncode, (done.stdout or b"").decode(), done.stderr.decode())


def environment(more: dict[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INBOXD_")}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "INBOXD_LOG_LEVEL": "error",
        "COLUMNS": "100",
        **(more or {}),
    }


def write_settings(folder: Path, *, language: str = "zh", rules: Path = ROOT / "rules") -> Path:
    path = folder / "settings.yaml"
    text = SETTINGS.format(database=folder / "inboxd.db", language=language, rules=rules)
    path.write_text(text, "utf-8")
    return path


def message(number: int, text: str | None, sent_at: datetime, **more: Any) -> Message:
    given: dict[str, Any] = {
        "native_id": f"50{number:014d}",
        "platform": "weibo",
        "kind": Kind.COMMENT,
        "direction": Direction.INBOUND,
        "author": Author(f"u{number}", f"顾客{number}", None, 12, False),
        "text": text,
        "sent_at": sent_at,
        "root": f"post{number}",
        "person": f"u{number}",
        "url": f"https://weibo.example/{number}",
    }
    return Message(**{**given, **more})


def fill(folder: Path) -> None:
    """Four customers since the first poll, one from before it, an answer of ours; a second stream that fails."""
    now = utc_now().replace(microsecond=0)
    begun = now - timedelta(hours=1)
    db = Database.open(f"sqlite:///{folder / 'inboxd.db'}", now=utc_now)
    try:
        rules = load(ROOT / "rules", destinations=("social", "leads", "desk", "ops"))
        db.write(lambda conn: begin_account(conn, "weibo_lumo", "weibo", begun))
        messages = (
            message(1, FIRST, now - timedelta(minutes=30)),
            message(2, FORMULA, now - timedelta(minutes=20)),
            message(3, "好喜欢！👍\x1b[2J", now - timedelta(minutes=10)),
            message(4, None, now - timedelta(minutes=9)),
            message(5, OLD, begun - timedelta(days=30)),
            message(
                6,
                "您好，请立即停用，我们马上联系您",
                now - timedelta(minutes=25),
                direction=Direction.OUTBOUND,
                author=Author("1750070171", "露沐官方", None, None, None),
                root="post1",
                person="u1",
                reply_to="5000000000000001",
            ),
        )
        _commit(db, rules, messages, now)
    finally:
        db.close()


def _commit(db: Database, rules: Any, messages: Sequence[Message], now: datetime) -> None:
    fence = db.write(lambda conn: acquire(conn, "account:weibo_lumo", "舞台", 1))
    assert fence is not None
    with db.read() as conn:
        before = known(conn, "weibo_lumo", messages)
    decision = decide(
        Page(tuple(messages), "c1"),
        before,
        account=AccountFacts("weibo_lumo", Backfill.SILENT),
        rules=rules,
        now=now,
        new_id=db.new_id,
    )
    db.write(
        lambda conn: commit_poll(
            conn,
            fence=fence,
            account="weibo_lumo",
            stream="comments",
            page_cursor="c1",
            decision=decision,
            now=now,
            next_poll_at=now + timedelta(minutes=1),
        )
    )
    db.write(
        lambda conn: poll_failed(
            conn,
            fence=fence,
            account="weibo_lumo",
            stream="mentions",
            error="Weibo says: 用户请求超过上限",
            retry_at=now + timedelta(hours=1),
            pause_until=now + timedelta(hours=1),
        )
    )
    db.write(lambda conn: release(conn, fence))
