"""The contract of a destination: it hands one notice to one place. It never retries: the dispatcher does."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from aggregator.model import Notice, Receipt


class Options(BaseModel):
    """Options that every destination has; a kind adds its own. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    language: str | None = None  # zh or en; else the settings' language
    per_minute: int | None = None  # at most so many calls a minute


class Destination(Protocol):
    """`send` raises the outcomes of aggregator/errors.py and nothing else that is expected."""

    options: ClassVar[type[Options]]

    def check(self) -> str:
        """Who we are there, in one line. Raises as `send` does."""
        ...

    def send(self, notice: Notice) -> Receipt:
        """Create, update or thread, by `notice.kind` and `notice.earlier`.

        Raises Unavailable with `maybe_done` where the other side may have acted.
        """
        ...


@runtime_checkable
class Finds(Protocol):
    """A destination that can be asked whether a notice arrived, after an ambiguous failure."""

    def find(self, notice: Notice) -> Receipt | None: ...
