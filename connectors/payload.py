"""Reading what a platform sent, which may hold anything: nothing here raises on an odd value."""

from __future__ import annotations

import hashlib
from typing import Any

from connectors.fields import digest, scrub, text_id

MAX_ID = (
    200  # ids are index keys, and a database bounds those; the longest real one has 64 characters
)


def mapping(value: Any) -> dict[str, Any]:
    """`value` where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def words(value: Any, marks: list[str]) -> str | None:
    """A text fit to store, None where there is none; what had to be taken out is marked."""
    if not isinstance(value, str) or not value:
        return None
    clean, changed = scrub(value)
    if changed and "text.scrubbed" not in marks:
        marks.append("text.scrubbed")
    return clean


def name(value: Any) -> str | None:
    """A short word of the platform's (a name, a title, a URL), fit to store."""
    return words(value, [])


def native(value: Any) -> str | None:
    """An id as text, exact beyond 2**53; None for what is no id (0, empty, an object)."""
    found = text_id(value)
    if found is None or found == "0":
        return None
    return found if len(found) <= MAX_ID else digest(found)


def integer(value: Any) -> int:
    """A whole number, from a JSON number or text; 0 for what is none."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str) and len(value) <= 40 and value.isascii() and value.isdigit():
        return int(value)
    return 0


def joined(*parts: Any) -> str:
    """The id of what the platform gives none: its fields with `|` between them, as a digest."""
    told = "|".join("" if one is None else str(one) for one in parts)
    return hashlib.sha256(told.encode("utf-8", "backslashreplace")).hexdigest()[:32]
