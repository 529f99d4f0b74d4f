"""The five outcomes, named by what the daemon does next."""

from __future__ import annotations


class SettingsError(Exception):
    """Refuse: what a person wrote cannot be used. The last good version, if any, stays.

    `problems` are lines of the form `file:line[:column]: what is wrong, and the remedy`.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Unavailable(Exception):
    """Back off and retry. `maybe_done` says that the other side may have acted all the same."""

    def __init__(self, reason: str, *, maybe_done: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.maybe_done = maybe_done


class RateLimited(Unavailable):
    """Wait `retry_after_s` seconds (by the other side's clock), then go on."""

    def __init__(self, reason: str, *, retry_after_s: float) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Unauthorized(Exception):
    """Pause this account or destination and tell a person once, with the remedy."""

    def __init__(self, reason: str, *, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy


class Rejected(Exception):
    """This item never again. For an HTTP request to us: the 4xx that answers it."""

    def __init__(self, reason: str, *, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
