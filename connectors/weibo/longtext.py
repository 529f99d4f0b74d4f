"""The whole text of a long post: lists cut it at 140 characters, and say so."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from aggregator.errors import Rejected, Unavailable
from connectors.payload import mapping, native
from connectors.weibo.api import GONE, Api, Refused
from connectors.weibo.share import Share

MOST_KEPT = 256
TRIES = 3


class Gone(Exception):
    """The post was withdrawn between the list and the question."""


class Later(Exception):
    """The text did not come, and may the next time."""


class LongTexts:
    """Asks for a post once, though the overlap brings it in many polls: a call is one of few a day.

    `share` and `allowed` take the call, so that a wave of long posts leaves some for the lists.
    """

    def __init__(self, api: Api, *, share: Share, allowed: Callable[[], bool]) -> None:
        self._api = api
        self._share = share
        self._allowed = allowed
        self._kept: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._failed: OrderedDict[tuple[str, str], int] = OrderedDict()

    def whole(self, item: dict[str, Any]) -> str | None:
        """The whole text, None where it is not to be had. Raises Gone where there is no such post any more.

        Raises Later while it may still come: a post is stored once, and better a little late than cut for
        good. The third failure in a row gives up. A limit of this call says nothing about the lists.
        """
        here = _long_text(item)
        if here is not None:
            return here
        key = (native(item.get("idstr")) or native(item.get("id")) or "", str(item.get("text")))
        if not key[0]:
            return None
        if key not in self._kept:
            if not (self._share.take() and self._allowed()):
                return None
            try:
                found = mapping(self._api.get("statuses/show", {"id": key[0], "isGetLongText": 1}))
            except Refused as error:
                if error.code in GONE:
                    raise Gone from None
                return None
            except Rejected:
                return None
            except Unavailable:
                _put(self._failed, key, self._failed.get(key, 0) + 1)
                if self._failed[key] >= TRIES:
                    return None
                raise Later from None
            text = _long_text(found) or found.get("text")
            if not isinstance(text, str):
                return None
            _put(self._kept, key, text)
        return self._kept[key]


def _put(kept: OrderedDict[tuple[str, str], Any], key: tuple[str, str], value: Any) -> None:
    kept[key] = value
    while len(kept) > MOST_KEPT:
        kept.popitem(last=False)


def _long_text(item: dict[str, Any]) -> str | None:
    found = mapping(item.get("longText"))
    text = found.get("longTextContent") or found.get("content")
    return text if isinstance(text, str) else None
