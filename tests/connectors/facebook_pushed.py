"""An account that takes webhooks, and a door through which a played Page pushes to it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aggregator.model import Message, Page, Push
from aggregator.sandbox.base import Answer, Person, Request, Standin
from aggregator.sandbox.facebook import FacebookStandin
from connectors.facebook import Facebook, FacebookOptions
from tests.connectors.facebook_fake import NOW, PAGE, SECRET, TOKEN
from tests.connectors.loopback import Clock, MemoryKeep

FIXTURES = Path(__file__).parents[1] / "fixtures" / "facebook"
POST = f"{PAGE}_9002"
ANN, OMAR, CUSTOMER = "7100000000000001", "7100000000000002", "5200000000000001"
AT = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
VERIFY = "给Meta看的口令"
ANNIE = Person(1, "安妮", "ann")


def account(keep: MemoryKeep | None = None, **more: Any) -> Facebook:
    given = {
        "page_id": PAGE,
        "access_token": TOKEN,
        "app_secret": SECRET,
        "verify_token": VERIFY,
        "base_url": "http://127.0.0.1:9",
    }
    options = FacebookOptions.model_validate({**given, **more})
    return Facebook(options, keep=keep or MemoryKeep(), now=lambda: NOW)


def body(name: str) -> bytes:
    return (FIXTURES / f"webhook__{name}.json").read_bytes()


def read(name: str, **more: Any) -> Page:
    return account(**more).read([body(name)])


def facts(message: Message) -> tuple[Any, ...]:
    sent = message.sent_at.replace(microsecond=0) if message.sent_at else None
    return (
        *(message.platform, message.kind, message.direction, message.text, sent),
        *(message.root, message.reply_to, message.author and message.author.native_id),
        *([a.kind for a in message.attachments], message.reply_window),
    )


class Door(Standin):
    """A daemon's door: what the connector takes is kept."""

    def __init__(self, page: FacebookStandin, clock: Clock) -> None:
        super().__init__(clock)
        self.taken: list[bytes] = []
        self._page = page
        self._clock = clock
        self._account: Facebook | None = None

    @property
    def account(self) -> Facebook:
        if self._account is None:
            given = {**self._page.options(), "verify_token": self._page.hooks.verify_token}
            options = FacebookOptions.model_validate(given)
            self._account = Facebook(options, keep=MemoryKeep(), now=self._clock)
        return self._account

    def handle(self, request: Request) -> Answer:
        push = Push(request.method, request.query, request.headers, request.body, self.now())
        taken = self.account.verify(push)
        self.taken += taken.store
        return Answer(taken.answer, content_type=taken.content_type)
