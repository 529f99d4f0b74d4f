"""The whole stage: every stand-in, started on loopback, and the settings that lead the daemon to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from aggregator.sandbox.base import Platform
from aggregator.sandbox.facebook import FacebookStandin
from aggregator.sandbox.slack import SlackStandin
from aggregator.sandbox.wechat import WeChatStandin
from aggregator.sandbox.wecom import WeComStandin
from aggregator.sandbox.weibo import WeiboStandin
from aggregator.sandbox.x import XStandin
from aggregator.sandbox.zendesk import ZendeskStandin

PUSHED = ("facebook", "weibo", "wechat", "wecom")  # platforms that call us back


class World:
    """Stand-ins by platform, and the two places that are told. Their limits are wide: an hour passes in a minute.

    `attempts` and `retry_s` (real seconds): how long the platforms that push try to get a message across.
    """

    def __init__(
        self, now: Callable[[], datetime], *, attempts: int = 5, retry_s: float = 1.0
    ) -> None:
        self.x = XStandin(now, rate_factor=100)
        self.facebook = FacebookStandin(
            now, conversations_per_second=50.0, attempts=attempts, retry_s=retry_s
        )
        self.weibo = WeiboStandin(
            now,
            brand="Lumo官方",
            quota=100_000,
            ip_quota=1_000_000,
            attempts=attempts,
            retry_s=retry_s,
        )
        self.wechat = WeChatStandin(now, attempts=attempts, retry_s=retry_s)
        self.wecom = WeComStandin(now, attempts=attempts, retry_s=retry_s)
        self.wecom.tokenless_per_minute = 100_000
        self.slack = SlackStandin(now)
        self.zendesk = ZendeskStandin(now, per_minute=10_000, updates_per_10_min=10_000)
        self.platforms: Mapping[str, Platform] = {
            "x": self.x,
            "facebook": self.facebook,
            "weibo": self.weibo,
            "wechat": self.wechat,
            "wecom": self.wecom,
        }

    def start(self) -> None:
        for platform in self.platforms.values():
            platform.start()
        self.slack.start()
        self.zendesk.start()

    def stop(self) -> None:
        for platform in self.platforms.values():
            platform.stop()
        self.slack.stop()
        self.zendesk.stop()

    def accounts(self, *, every: str = "1s") -> dict[str, dict[str, str]]:
        """`accounts:` of the settings."""
        return {
            f"{name}_demo": {"connector": name, "every": every, **platform.options()}
            for name, platform in self.platforms.items()
        }

    def destinations(self) -> dict[str, dict[str, str]]:
        """`destinations:` of the settings."""
        return {
            "social": {"kind": "slack", **self.slack.options("C0SOCIAL")},
            "leads": {"kind": "slack", **self.slack.options("C0LEADS")},
            "desk": {"kind": "zendesk", **self.zendesk.options()},
            "ops": {"kind": "console"},
        }

    def attach(self, callbacks: str) -> None:
        """Tell the platforms that push where to: `callbacks` is http://host:port/callbacks."""
        for name in PUSHED:
            getattr(self, name).attach(f"{callbacks}/{name}_demo")
