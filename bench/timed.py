"""`inboxd run`, which also writes down when each push was committed: `python -m bench.timed FILE VERB…`."""

from __future__ import annotations

import sys
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from aggregator.model import Accepted
from aggregator.web import callbacks


def main(path: Path) -> None:
    out = path.open("w", encoding="utf-8", buffering=1)

    class Timed(callbacks.Callbacks):
        """A line for each commit: monotonic seconds, and the raw push's number of its kind."""

        def stored(self, account: str, accepted: Accepted) -> Future[int] | None:
            future = super().stored(account, accepted)
            if future is not None:
                nonce = _nonce(accepted.store[0])
                future.add_done_callback(
                    lambda _: print(f"{time.monotonic():.6f} {nonce}", file=out)
                )
            return future

    callbacks.Callbacks = Timed  # type: ignore[misc]  # app.py imports it when it listens
    from aggregator.cli import main as inboxd

    inboxd()


def _nonce(body: Any) -> str:
    """The load ends each text with its nonce."""
    return bytes(body).split(b'"text": "', 1)[1].split(b'"', 1)[0].rsplit(b" ", 1)[-1].decode()


if __name__ == "__main__":
    where = Path(sys.argv.pop(1))
    main(where)
