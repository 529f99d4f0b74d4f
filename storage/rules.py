"""The rule sets that were ever in force, by version, and the text of each that was good last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, select

from storage.schema import rule_file, rule_version
from storage.sql import bulk_insert, clean, dumps, to_ms


def save_version(
    connection: Connection, version: str, sources: Mapping[str, str], now: datetime
) -> None:
    """Note that these files are in force, as `version`, and keep them as the last good ones."""
    texts = {clean(name): clean(text) for name, text in sorted(sources.items())}
    row = (version, to_ms(now), dumps(texts))
    bulk_insert(connection, rule_version, [row], replace="version")
    connection.execute(delete(rule_file))
    bulk_insert(connection, rule_file, [(name, text, to_ms(now)) for name, text in texts.items()])


def last_good(connection: Connection) -> dict[str, str]:
    """File name → text, of the rules that were in force last; empty before the first."""
    return {row.name: row.text for row in connection.execute(select(rule_file))}


def version_sources(connection: Connection, version: str) -> dict[str, str] | None:
    """The files of a version that was in force once; None where it never was."""
    found = connection.execute(
        select(rule_version.c.sources).where(rule_version.c.version == version)
    ).scalar()
    if found is None:
        return None
    texts: dict[str, str] = json.loads(found)
    return texts
