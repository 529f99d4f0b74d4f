"""What a measurement says, and whether it is what was promised."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

HOLDS = {"≥": operator.ge, "≤": operator.le, "<": operator.lt}


@dataclass(frozen=True, slots=True)
class Figure:
    """`target` is a comparison and a number in the same unit ("≤ 1.5"); None where nothing is promised."""

    name: str
    value: float
    unit: str = ""
    target: str | None = None

    @property
    def holds(self) -> bool:
        if self.target is None:
            return True
        sign, _, limit = self.target.partition(" ")
        return bool(HOLDS[sign](self.value, float(limit)))


def show(title: str, figures: Iterable[Figure]) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", min_width=78)
    table.add_column("figure", ratio=1)
    table.add_column("value", justify="right")
    table.add_column("target", justify="right")
    table.add_column("")
    for one in figures:
        verdict = "" if one.target is None else "ok" if one.holds else "[bold red]not met[/]"
        value = f"{one.value:,.0f}" if abs(one.value) >= 1000 else f"{one.value:.3g}"
        table.add_row(one.name, f"{value} {one.unit}".strip(), one.target or "–", verdict)
    Console(highlight=False).print(table)
