"""IANA time zones by name."""

from __future__ import annotations

import difflib
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones


def zone_named(name: str) -> ZoneInfo:
    """The zone. Raises ValueError with the remedy; never reads outside the zone database."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder such as `America`
        places = {one.rpartition("/")[2].lower(): one for one in sorted(available_timezones())}
        asked = name.strip().replace(" ", "_").rpartition("/")[2].lower()
        near = difflib.get_close_matches(asked, places, n=1)
        remedy = f"did you mean {places[near[0]]!r}?" if near else "write it like Asia/Shanghai"
        raise ValueError(f"{name!r} is no time zone; {remedy}") from None
