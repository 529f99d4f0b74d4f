"""The table of what is added up day by day, so that reports need not read every clock."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary

from storage.columns import a_key, a_table, an_id, an_int

# A local day (20260304) of one group of clocks. `facet` is empty or label, route, person, hour; `dims` are the
# group's values as a JSON list (storage/facts.py says which); `times` is a histogram (storage/histogram.py).
rollup = a_table(
    "rollup",
    a_key("facet"),
    an_id("day"),
    a_key("dims"),
    an_int("count", null=False),
    an_int("met", null=False),
    an_int("breached", null=False),
    an_int("unanswered", null=False),
    an_int("not_needed", null=False),
    an_int("withdrawn", null=False),
    Column("times", LargeBinary, nullable=False),
)
