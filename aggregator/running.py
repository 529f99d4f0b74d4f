"""`inboxd run`: signals, the daemon, and in the sandbox the stage around it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Collection
from types import FrameType

import structlog

from aggregator.app import ROLES, Daemon
from aggregator.settings import Settings

log = structlog.get_logger()


def run_daemon(settings: Settings, roles: Collection[str] | None) -> None:
    """Run until SIGTERM or SIGINT, drain, and leave with 0."""
    stopping = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if settings.sandbox:
        from aggregator.demo import show

        show(settings, stopping)
    else:
        daemon = Daemon(settings, roles=roles or ROLES)
        daemon.start()
        stopping.wait()
        daemon.stop()
    sys.stdout.flush()
    sys.stderr.flush()
    # A call that outlived the drain would keep the interpreter waiting for its thread; its lease will end.
    os._exit(0)
