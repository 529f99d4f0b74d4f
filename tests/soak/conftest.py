"""The usual run soaks on SQLite; with SEEDS set each day is soaked on PostgreSQL too.

A day costs half a minute, and what differs between the databases is held by tests/storage and tests/e2e.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "SEEDS" in os.environ:
        return
    left_out = [one for one in items if _on_postgresql(one)]
    items[:] = [one for one in items if not _on_postgresql(one)]
    config.hook.pytest_deselected(items=left_out)


def _on_postgresql(item: pytest.Item) -> bool:
    return item.path.parent == Path(__file__).parent and "[postgresql" in item.name
