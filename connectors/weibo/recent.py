"""What a list showed of late, so that what it shows no longer is noticed, and what it shows late too."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.payload import items, mapping, name

MOST = 200  # ids: what one page of mentions holds, and four of comments
MOST_GONE = 100
SURE = 2  # pages that lack an item, before it is asked for: one may be short for any reason
LOOK_S = 300.0  # a page that reaches back costs no call more, but it is a long one


@dataclass(frozen=True, slots=True)
class Recent:
    """Part of the cursor, so that it is never ahead of what is stored.

    `ids`: the newest that were listed and not withdrawn since. `holes`: id → pages that should have had
    it. `gone`: ids that we told to be withdrawn; they may come back. `told`: dedup keys that the page of
    this cursor told to be withdrawn. `looked`: Unix seconds of the last page that reached back.
    """

    ids: tuple[int, ...] = ()
    holes: Mapping[int, int] = field(default_factory=dict)
    gone: tuple[int, ...] = ()
    told: tuple[str, ...] = ()
    looked: float = 0.0

    @classmethod
    def read(cls, told: Any) -> Recent:
        """From the cursor; what cannot be read is left out."""
        found = mapping(told)
        ids = tuple(one for one in items(found.get("ids")) if type(one) is int)
        holes = {
            int(id): pages
            for id, pages in mapping(found.get("holes")).items()
            if id.isdecimal() and len(id) < 30 and type(pages) is int
        }
        gone = tuple(one for one in items(found.get("gone")) if type(one) is int)
        keys = tuple(key for one in items(found.get("told")) if (key := name(one)))
        looked = found.get("looked")
        at = float(looked) if isinstance(looked, int | float) else 0.0
        return cls(ids[:MOST], holes, gone[:MOST_GONE], keys, at)

    def cursor(self) -> dict[str, Any]:
        holes = {str(id): pages for id, pages in self.holes.items()}
        return {"ids": self.ids, "holes": holes, "gone": self.gone, "told": self.told} | {
            "looked": int(self.looked)
        }

    def due(self, now: float) -> bool:
        return not 0 <= now - self.looked < LOOK_S

    def after(self, ids: Collection[int], *, low: int, high: int) -> Recent:
        """A page that holds all that is listed of (low, high]; `ids` of it, nothing from the future among them."""
        here = set(ids)
        newest = sorted({*self.ids, *here} - {0}, reverse=True)[:MOST]
        holes = {id: pages for id, pages in self.holes.items() if id in newest and id not in here}
        for id in newest:
            if low < id <= high and id not in here:
                holes[id] = min(holes.get(id, 0) + 1, SURE)
        gone = tuple(id for id in self.gone if id not in here)
        return replace(self, ids=tuple(newest), holes=holes, gone=gone)

    @property
    def doubtful(self) -> list[int]:
        """What is missing for sure, the newest first; not why."""
        return sorted((id for id, pages in self.holes.items() if pages >= SURE), reverse=True)

    def settled(self, ids: Collection[int], *, gone: bool) -> Recent:
        """It is known what became of these: no list needs to show them any more."""
        left = tuple(id for id in self.ids if id not in ids)
        holes = {id: pages for id, pages in self.holes.items() if id not in ids}
        more = (*ids, *self.gone)[:MOST_GONE] if gone else self.gone
        return replace(self, ids=left, holes=holes, gone=more)
