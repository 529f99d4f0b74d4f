"""Where the model is that a site has learnt, and whether its settings want it."""

from __future__ import annotations

from pathlib import Path

from aggregator.settings import Settings
from aggregator.triage.modelfile import ModelFile
from aggregator.triage.ruleset import Ruleset

_FILE = "learned.json"
_SQLITE = "sqlite:///"


def model_path(settings: Settings) -> Path:
    """Beside the SQLite file; with PostgreSQL in `data/` beside the settings."""
    if settings.database.startswith(_SQLITE):
        return Path(settings.database.removeprefix(_SQLITE)).parent / _FILE
    return settings.path.parent / "data" / _FILE


def model_file(settings: Settings) -> ModelFile | None:
    """The model that the settings ask for; None where they ask for none."""
    if settings.learned == "off":
        return None
    return ModelFile(model_path(settings), live=settings.learned == "live")


def with_learned(settings: Settings, rules: Ruleset) -> Ruleset:
    """The rules with the site's model, as the daemon judges by them."""
    found = model_file(settings)
    return rules.having(found.current) if found is not None else rules
