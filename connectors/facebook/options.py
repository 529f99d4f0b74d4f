"""What an account of a Facebook Page is configured with."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from connectors.base import Options


def _with_v(value: object) -> object:
    return f"v{value}" if isinstance(value, str) and value[:1].isdigit() else value


class FacebookOptions(Options):
    """A Page's token; or `app_id` and `app_secret`, and a token from `inboxd auth`."""

    page_id: str = Field(pattern=r"^[0-9]{1,20}$")
    access_token: SecretStr | None = None
    app_id: str | None = Field(default=None, pattern=r"^[0-9]{1,20}$")
    app_secret: SecretStr | None = None
    callback_url: str = "https://www.facebook.com/connect/login_success.html"
    verify_token: SecretStr | None = None  # with app_secret: webhooks are taken
    instagram: bool = False
    human_agent: bool = False  # the app may use the tag of that name: seven days instead of one
    graph_version: Annotated[
        str, BeforeValidator(_with_v), Field(pattern=r"^v[0-9]{1,3}\.[0-9]$")
    ] = "v26.0"

    @model_validator(mode="after")
    def _has_a_token(self) -> FacebookOptions:
        if self.access_token is None and (self.app_id is None or self.app_secret is None):
            raise ValueError(
                "give access_token, or app_id and app_secret and run inboxd auth for a token"
            )
        return self
