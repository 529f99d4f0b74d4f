"""`inboxd run`: signals, the daemon, and in the sandbox the stage around it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Collection

import structlog

from aggregator.app import ROLES, Daemon
from aggregator.errors import SettingsError, Unavailable
from aggregator.settings import Settings

log = structlog.get_logger()


def run_daemon(settings: Settings, roles: Collection[str] | None) -> None:
    """Run until SIGTERM or SIGINT, drain, and leave with 0."""
    stopping = _asked_to_stop()
    if settings.sandbox:
        from aggregator.demo import show

        show(settings, stopping)
    else:
        daemon = Daemon(settings, roles=roles or ROLES)
        try:
            daemon.start()
        except Unavailable as error:
            daemon.stop(1.0)
            raise SettingsError(
                f"http: {error.reason}; free the port, or set http.listen"
            ) from error
        stopping.wait()
        daemon.stop()
    sys.stdout.flush()
    sys.stderr.flush()
    # A call that outlived the drain would keep the interpreter waiting for its thread; its lease will end.
    os._exit(0)


def _asked_to_stop() -> threading.Event:
    """Set by SIGTERM or SIGINT. To be called before any other thread is there.

    A thread waits for the signal: a handler runs in the main thread only, and one that comes just as that
    begins to wait for the event is not run until the next signal, or finds the event's own lock held.
    """
    stopping = threading.Event()
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)

    def wait() -> None:
        signal.sigwait(signals)
        stopping.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    return stopping
