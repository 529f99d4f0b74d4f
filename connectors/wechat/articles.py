"""Which articles' comments are read: those in settings.yaml, and those that the platform said went out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from connectors.base import Keep, Now
from connectors.payload import integer, items, mapping

KEY = "articles"
MOST = 50
WATCHED = timedelta(days=30)
RACES = 8


@dataclass(frozen=True, slots=True, order=True)
class Article:
    """`id`: its msg_data_id; `place`: which of the articles in one push it is, from 0."""

    id: str
    place: int = 0

    def __str__(self) -> str:
        return f"{self.id}/{self.place}"


def _listed(value: object) -> object:
    """A list, from a list of numbers or words or from one line with commas."""
    if isinstance(value, str):
        return tuple(one.strip() for one in value.split(",") if one.strip())
    if isinstance(value, list | tuple):
        return tuple(str(one) if type(one) is int else one for one in value)
    return value


def _readable(given: tuple[str, ...]) -> tuple[str, ...]:
    for one in given:
        id, _, place = one.partition("/")
        if not (one.isascii() and id.isdigit() and (place or "0").isdigit()):
            raise ValueError("an article is its msg_data_id, or msg_data_id/index")
    return given


Articles = Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(_readable)]


class Watched:
    """The articles to look at; those that were learnt are forgotten after a month."""

    def __init__(self, given: Iterable[str], keep: Keep, now: Now) -> None:
        parts = (one.partition("/") for one in given)
        self._given = [Article(id, int(place or 0)) for id, _, place in parts]
        self._keep = keep
        self._now = now

    def all(self) -> list[Article]:
        """Those of the settings first, then the newest; each once."""
        learnt = sorted(self._learnt(self._keep.get(KEY)).items(), key=lambda one: -one[1])
        return list(dict.fromkeys([*self._given, *(article for article, _ in learnt)]))

    def learn(self, articles: Iterable[Article]) -> None:
        now = int(self._now().timestamp())
        self._change(add=dict.fromkeys(articles, now), drop=frozenset())

    def forget(self, article: Article) -> bool:
        """Of what was learnt; False: it stands in the settings, and only a person takes it out there."""
        if article in self._given:
            return False
        self._change(add={}, drop=frozenset({article}))
        return True

    def _change(self, *, add: dict[Article, int], drop: frozenset[Article]) -> None:
        """A replica that was faster each of RACES times has learnt the same: the callbacks are shared."""
        for _ in range(RACES):
            raw = self._keep.get(KEY)
            before = self._learnt(raw)
            after = {**add, **before}
            newest = sorted(after.items(), key=lambda one: -one[1])[:MOST]
            rows: list[list[Any]] = [
                [one.id, one.place, at] for one, at in newest if one not in drop
            ]
            told = json.dumps(rows) if rows else None
            if told == raw or self._keep.swap(KEY, raw, told):
                return

    def _learnt(self, raw: str | None) -> dict[Article, int]:
        try:
            rows = items(json.loads(raw or "[]"))
        except ValueError:
            return {}
        oldest = (self._now() - WATCHED).timestamp()
        found = (mapping(dict(zip("ipt", items(row), strict=False))) for row in rows)
        return {
            Article(str(one["i"]), integer(one["p"])): integer(one["t"])
            for one in found
            if len(one) == 3 and integer(one["t"]) >= oldest
        }
