"""Which kinds of destination there are. A new one is a file, a line here and its fixtures."""

from __future__ import annotations

from importlib import import_module
from typing import Any

DESTINATIONS: dict[str, str] = {
    "slack": "aggregator.destinations.slack:Slack",
    "zendesk": "aggregator.destinations.zendesk:Zendesk",
    "console": "aggregator.destinations.console:Console",
}


def destination_class(kind: str) -> Any:
    """The class behind a kind in the settings; its module is imported here, when first used."""
    module, _, attribute = DESTINATIONS[kind].partition(":")
    return getattr(import_module(module), attribute)
