"""What settings.yaml may say of an account of X."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from connectors.base import Options

StreamName = Literal["mentions", "direct_messages", "own_posts", "search", "activity"]
STREAMS: tuple[StreamName, ...] = ("mentions", "direct_messages", "own_posts")
LONGEST_QUERY = 512  # of a self-serve app
KEYS = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")


def _listed(value: object) -> object:
    return [one.strip() for one in value.split(",")] if isinstance(value, str) else value


class Budget(BaseModel):
    """What reading may cost. `owned`: false where the app belongs to another account than the one it reads,
    whose posts cost five times as much.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    per_day: float = Field(gt=0, le=100_000, allow_inf_nan=False)  # USD, from 00:00 to 24:00 UTC
    owned: bool = True


class XOptions(Options):
    """Four keys (OAuth 1.0a), or `client_id` and a token from `inboxd auth` (OAuth 2.0)."""

    user_id: str = Field(pattern=r"^[0-9]{1,19}$")
    consumer_key: SecretStr | None = None
    consumer_secret: SecretStr | None = None
    access_token: SecretStr | None = None
    access_token_secret: SecretStr | None = None
    bearer_token: SecretStr | None = None  # the app's own: the activity stream takes no other
    client_id: str | None = None
    client_secret: SecretStr | None = None
    callback_url: str = "http://127.0.0.1:8080/x"  # as the app's settings at X name it
    streams: Annotated[tuple[StreamName, ...], BeforeValidator(_listed)] = STREAMS
    search: str | tuple[str, ...] | None = None  # a query in X's own words, or words to find
    budget: Budget | None = None
    deletions: Literal["off", "daily"] = "off"

    @model_validator(mode="before")
    @classmethod
    def _asks_for_what_it_searches(cls, given: Any) -> Any:
        """Naming words to search for is asking for the stream."""
        if isinstance(given, dict) and given.get("search") and "search" not in _named(given):
            return {**given, "streams": [*_named(given), "search"]}
        return given

    @model_validator(mode="after")
    def _has_keys_and_words(self) -> XOptions:
        missing = [one for one in KEYS if getattr(self, one) is None]
        if self.client_id is None and missing:
            raise ValueError(
                f"{', '.join(missing)} missing; give all of {', '.join(KEYS)},"
                " or a client_id and run inboxd auth"
            )
        if self.client_id is not None and len(missing) < len(KEYS):
            raise ValueError(f"give either client_id or {', '.join(KEYS)}, not both")
        if "search" in self.streams and not self.search:
            raise ValueError("the stream search needs the words to look for: add search: [word, …]")
        if "activity" in self.streams and self.bearer_token is None:
            raise ValueError("the stream activity needs the app's bearer_token")
        if self.search and len(query(self.search)) > LONGEST_QUERY - 32:
            raise ValueError(f"search is longer than X takes ({LONGEST_QUERY} characters)")
        return self


def query(search: str | tuple[str, ...]) -> str:
    """The words as a query: a text as it stands, a list as any of its phrases."""
    if isinstance(search, str):
        return search.strip()
    phrases = [f'"{one}"' for word in search if (one := word.replace('"', " ").strip())]
    return phrases[0] if len(phrases) == 1 else f"({' OR '.join(phrases)})"


def _named(given: dict[str, Any]) -> list[Any]:
    named = _listed(given.get("streams", list(STREAMS)))
    return list(named) if isinstance(named, list | tuple) else []
