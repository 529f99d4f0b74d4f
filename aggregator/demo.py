"""What `make run` shows: the busy hour played into the real daemon, each alert as it lands, and a table."""

from __future__ import annotations

import html
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from rich.text import Text

from aggregator.app import Daemon
from aggregator.destinations.escape import one_line
from aggregator.errors import Unavailable
from aggregator.now import utc_now
from aggregator.sandbox.play import PlayClock, Player
from aggregator.sandbox.script import MINUTES, busy_hour
from aggregator.sandbox.slack import Post
from aggregator.sandbox.world import World
from aggregator.settings import Settings, with_sandbox
from aggregator.staging import leave_word, take_down
from storage import history
from storage.engine import Database
from storage.outbox import backlog
from storage.polls import streams

SECONDS = 75.0  # the hour, on the wall clock
SETTLE_S = 20.0
STYLES = {"P1": "bold white on red", "P2": "bold red", "P3": "yellow", "P4": "dim"}

WORDS = {
    "zh": {
        "intro": "沙盒：露沐（Lumo）繁忙的一小时，{seconds:.0f} 秒播完。四个平台、Slack 和工单系统都是本机的替身，SDK 是真的。",
        "health": "健康检查 {url}/healthz · 指标 {url}/metrics · Ctrl-C 退出",
        "came": "收到",
        "told": "Slack 卡片",
        "tickets": "工单",
        "answered": "已回复",
        "median": "首响中位",
        "late": "超时",
        "open": "等待中",
        "all": "合计",
        "minutes": "{:.1f} 分钟",
        "title": "这一小时",
        "done": "剧本演完了；守护进程继续运行。试试：inboxd status · inboxd export messages · inboxd report response-times",
        "missing": "有 {count} 条没有入库，这是一个缺陷。",
    },
    "en": {
        "intro": "Sandbox: a busy hour of Lumo, played in {seconds:.0f} s. The platforms, Slack and the ticket system are stand-ins on this machine; the SDKs are real.",
        "health": "health {url}/healthz · metrics {url}/metrics · Ctrl-C stops",
        "came": "came",
        "told": "Slack cards",
        "tickets": "tickets",
        "answered": "answered",
        "median": "median reply",
        "late": "late",
        "open": "waiting",
        "all": "all",
        "minutes": "{:.1f} min",
        "title": "The hour",
        "done": "The script is over; the daemon runs on. Try: inboxd status · inboxd export messages · inboxd report response-times",
        "missing": "{count} were not stored: that is a defect.",
    },
}


@contextmanager
def staged(settings: Settings) -> Iterator[tuple[Settings, World]]:
    """The settings with an empty, silent stage: for `check --online` and `poll` in the sandbox."""
    world = World(utc_now)
    world.start()
    try:
        yield with_sandbox(settings, world.accounts(), world.destinations()), world
    finally:
        world.stop()


def show(settings: Settings, stopping: threading.Event, *, seconds: float = SECONDS) -> None:
    """Play the hour until it is over, then run on until `stopping`."""
    words = WORDS[settings.language]
    console = Console(highlight=False)
    clock = PlayClock(utc_now, minutes=MINUTES, seconds=seconds)
    world = World(clock.now)
    world.start()
    set_out = with_sandbox(settings, world.accounts(), world.destinations())
    daemon = Daemon(set_out, now=clock.now, fresh=True)
    zone = ZoneInfo(settings.timezone)
    world.slack.on_post = _Printer(console, zone, {"C0SOCIAL": "#social", "C0LEADS": "#leads"})
    daemon.start()
    address = f"http://{_near(settings.http.host)}:{daemon.server.port}"
    world.attach(f"{address}/callbacks")
    leave_word(daemon.db, world.accounts(), clock)
    console.print(words["intro"].format(seconds=seconds))
    console.print(words["health"].format(url=address), style="dim")
    player = Player(busy_hour(), world.platforms, clock)
    try:
        if _first_polls_done(daemon, stopping):
            player.start()
            player.began.wait(5)
            leave_word(daemon.db, world.accounts(), clock)
            while not player.done.wait(0.2) and not stopping.is_set():
                pass
            if player.failed is not None:
                raise player.failed
            if not stopping.is_set():
                _settled(daemon.db, stopping)
                _table(console, daemon.db, player, words)
                console.print(words["done"], style="dim")
        stopping.wait()
    finally:
        player.stopping.set()
        with suppress(Unavailable):
            take_down(daemon.db)
        daemon.stop()
        world.stop()


def _near(host: str) -> str:
    """Where this machine reaches what listens on `host`: a container listens on all addresses."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{host}]" if ":" in host else host


class _Printer:
    """One line an alert, as Slack took it."""

    def __init__(self, console: Console, zone: ZoneInfo, rooms: Mapping[str, str]) -> None:
        self._console = console
        self._zone = zone
        self._rooms = rooms

    def __call__(self, post: Post) -> None:
        if post.thread_ts is not None or post.edits:
            return
        text = one_line(html.unescape(post.text))
        at = datetime.fromtimestamp(float(post.ts), self._zone)
        line = Text(f"{at:%H:%M}  {self._rooms.get(post.channel, post.channel):7} ", style="dim")
        priority = next((name for name in STYLES if name in text[:12]), None)
        line.append(text, style=STYLES.get(priority or "", ""))
        self._console.print(line, overflow="ellipsis", no_wrap=True)


def _first_polls_done(daemon: Daemon, stopping: threading.Event) -> bool:
    """What is sent before an account's first poll is history: the script waits for it."""
    until = time.monotonic() + 30
    while not stopping.wait(0.05) and time.monotonic() < until:
        if _all_polled(daemon):
            return True
    return not stopping.is_set()


def _all_polled(daemon: Daemon) -> bool:
    with daemon.db.read() as conn:
        for account, poller in daemon.pollers.items():
            rows = streams(conn, account)
            pushed = getattr(poller.connector, "pushed", ())
            for stream in poller.connector.streams:
                if stream not in pushed and (
                    stream not in rows or rows[stream].last_success_at is None
                ):
                    return False
    return True


def _settled(db: Database, stopping: threading.Event) -> None:
    """Wait, a bounded time, until everything played is read and told."""
    until = time.monotonic() + SETTLE_S
    quiet = 0
    while quiet < 10 and time.monotonic() < until and not stopping.wait(0.3):
        with db.read() as conn:
            quiet = 0 if sum(backlog(conn).values()) else quiet + 1


def _table(console: Console, db: Database, player: Player, words: Mapping[str, str]) -> None:
    table = Table(title=words["title"], title_justify="left")
    names = ("came", "told", "tickets", "answered", "median", "late", "open")
    table.add_column("")
    for name in names:
        table.add_column(words[name], justify="right")
    played = [truth for truth in player.told.values() if truth.exported]
    with db.read() as conn:
        messages = list(history.messages(conn))
        clocks = list(history.clocks(conn))
        sent = [row for row in history.deliveries(conn) if row["state"] == "sent"]
    platform_of = {row["conversation_id"]: row["platform"] for row in messages}
    for platform in (*sorted({truth.platform for truth in played}), None):
        mine = [row for row in messages if platform in (None, row["platform"])]
        runs = [
            clock
            for clock in clocks
            if clock["kind"] != "resolution"
            and platform in (None, platform_of.get(clock["conversation_id"]))
        ]
        first = [c for c in runs if c["kind"] == "first_response"]
        waits = [
            c["wall_ms"] / 60000 for c in first if c["stopped_at"] and c["wall_ms"] is not None
        ]
        told = {
            (row["destination"], row["conversation_id"])
            for row in sent
            if row["kind"] == "card" and platform in (None, platform_of.get(row["conversation_id"]))
        }
        expected = sum(1 for truth in played if platform in (None, truth.platform))
        table.add_row(
            platform or words["all"],
            f"{len(mine)}/{expected}",
            str(sum(1 for destination, _ in told if destination in ("social", "leads"))),
            str(sum(1 for destination, _ in told if destination == "desk")),
            str(len(waits)),
            words["minutes"].format(statistics.median(waits)) if waits else "–",
            str(sum(1 for c in runs if c["outcome"] == "breached")),
            str(sum(1 for c in runs if c["stopped_at"] is None and c["outcome"] is None)),
            end_section=platform is not None and platform == "x",
        )
    console.print(table)
    stored = {(row["platform"], row["kind"], row["native_id"]) for row in messages}
    lost = [t for t in played if (t.platform, t.kind, t.native_id) not in stored]
    if lost:
        console.print(words["missing"].format(count=len(lost)), style="bold red")
