"""Which connectors there are. A new one is a file, a line here and its fixtures."""

from __future__ import annotations

from importlib import import_module
from typing import Any

CONNECTORS: dict[str, str] = {
    "x": "connectors.x:X",
    "facebook": "connectors.facebook:Facebook",
    "weibo": "connectors.weibo:Weibo",
    "wechat": "connectors.wechat:WeChat",
    "wecom": "connectors.wecom:WeCom",
    "push": "connectors.push:PushAccount",
}


def connector_class(name: str) -> Any:
    """The class behind a name in the settings; its module (and SDK) is imported here, when first used."""
    module, _, attribute = CONNECTORS[name].partition(":")
    return getattr(import_module(module), attribute)
