"""What a medium looks like in the stream of WeCom customer service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

MEDIA: Mapping[str, Callable[[str, str], dict[str, Any]]] = {
    "image": lambda ref, words: {"media_id": ref},
    "voice": lambda ref, words: {"media_id": ref},
    "video": lambda ref, words: {"media_id": ref},
    "location": lambda ref, words: {
        "latitude": 31.230416,
        "longitude": 121.473701,
        "name": words or "人民广场",
        "address": "上海市黄浦区",
    },
    "link": lambda ref, words: {
        "title": words or "链接",
        "desc": "",
        "url": f"https://mp.weixin.qq.com/s/{ref}",
        "pic_url": "",
    },
}
