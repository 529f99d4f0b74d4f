"""`python -m bench [name …]`: each measurement's figures, beside what issue and README promise."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module

from aggregator import logs
from bench.figures import Figure, show

# name → what it is; each module has `measure() -> list[Figure]`
BENCHES = {
    "ingest": "Store a page: our share of the bare driver's speed",
    "pickup": "Commit to pick-up",
    "triage": "Judge a message",
    "backtest": "Judge stored messages again: rules backtest",
    "callback": "Answer a platform that pushes",
    "reports": "Reports over a million conversations",
    "start": "Start and stop",
    "idle": "Idle",
    "throughput": "A burst of 5,000 messages, end to end",
}


def main(names: list[str]) -> int:
    """1 where something promised does not hold, 2 for a name that is none."""
    if unknown := set(names) - set(BENCHES):
        print(f"no {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    logs.configure({"INBOXD_LOG_LEVEL": "error", "INBOXD_LOG_FORMAT": "json"})
    # Of the embedded PostgreSQL, where root has no XDG_RUNTIME_DIR.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    fine = True
    for name in names or BENCHES:
        measured: list[Figure] = import_module(f"bench.{name}").measure()
        show(f"{name}: {BENCHES[name]}", measured)
        fine = fine and all(one.holds for one in measured)
    return 0 if fine else 1


sys.exit(main(sys.argv[1:]))
