"""`inboxd export`: rows as JSON lines or as CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

from aggregator.report_table import csv_safe

# The keys of interface.md, in its order: a CSV of nothing has a header too.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "messages": (
        *("id", "account", "platform", "kind", "direction", "native_id", "conversation_id"),
        *("author", "text", "lang", "url", "sent_at", "received_at", "edited_at", "deleted_at"),
        *("reply_to", "attachments", "priority", "urgency", "importance", "sentiment", "tags"),
        *("matches", "rules_version", "corrected"),
    ),
    "conversations": (
        *("id", "account", "contact_id", "kind", "state", "opened_at", "last_inbound_at"),
        *("last_outbound_at", "priority", "reply_window_closes_at", "reply_window_left"),
    ),
    "clocks": (
        *("conversation_id", "kind", "cycle", "started_at", "due_at", "stopped_at", "outcome"),
        *("business_ms", "wall_ms", "policy"),
    ),
    "deliveries": (
        *("id", "destination", "conversation_id", "kind", "state", "attempts", "created_at"),
        *("sent_at", "external_id", "reason"),
    ),
    "gaps": ("id", "account", "stream", "since", "until", "reason", "recoverable", "noted_at"),
}


def write_jsonl(rows: Iterable[Mapping[str, Any]], out: IO[str]) -> Iterator[int]:
    """One object a line; yields how many were written, after each."""
    for count, row in enumerate(rows, 1):
        out.write(json.dumps(row, ensure_ascii=False) + "\n")
        yield count


def write_csv(what: str, rows: Iterable[Mapping[str, Any]], out: IO[str]) -> Iterator[int]:
    """With a header; lists and objects as JSON. Yields how many rows were written, after each."""
    writer = csv.writer(out, lineterminator="\n")
    names = COLUMNS[what]
    writer.writerow(names)
    for count, row in enumerate(rows, 1):
        writer.writerow([_cell(row[name]) for name in names])
        yield count


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str):
        # Before Python 3.13 csv leaves a lone carriage return unquoted where lines end in a line feed.
        return csv_safe(value).replace("\r\n", "\n").replace("\r", "\n")
    return json.dumps(value, ensure_ascii=False)
