"""What hangs on a post or a comment: pictures, a video, a place, links. Metadata only.

The words keep their short links and emoticons as written. Page: https://open.weibo.com/wiki/常见返回对象数据结构
"""

from __future__ import annotations

from typing import Any

from aggregator.model import Attachment
from connectors.payload import integer, items, mapping, name

_SIZES = ("original_pic", "bmiddle_pic", "thumbnail_pic")
_WHOLE = ("largest", "original", "large", "bmiddle")
_PICTURES = (
    "https://wx1.sinaimg.cn/large/{}.jpg"  # where pictures are found that are named by id only
)
_VIDEOS = frozenset({"video", "11", "live", "story"})
_NOTHING = frozenset({"topic", "search_topic", "vote"})  # pages about the words, not beside them
_MOST = 50


def attached(found: dict[str, Any]) -> tuple[Attachment, ...]:
    """In the order of the post: pictures, its card, its place, the targets of its links."""
    card = _card(mapping(found.get("page_info")))
    links = [one for one in _links(found) if card is None or one.url != card.url]
    told = (*_pictures(found), *([card] if card else ()), *_place(found.get("geo")), *links)
    return told[:_MOST]


def _pictures(found: dict[str, Any]) -> list[Attachment]:
    """A post names each picture's thumbnail and the whole of the first, or only ids."""
    thumbnails = [_url(mapping(one).get("thumbnail_pic")) for one in items(found.get("pic_urls"))]
    first = next((url for size in _SIZES if (url := _url(found.get(size)))), None)
    if thumbnails or first:
        urls = [first or thumbnails[0], *thumbnails[1:]] if thumbnails else [first]
        return [Attachment("image", url=url) for url in urls if url]
    sizes = mapping(found.get("pic_infos"))
    told = []
    for one in items(found.get("pic_ids")):
        id = name(one)
        if id is None:
            continue
        known = mapping(sizes.get(id))
        whole = (_url(mapping(known.get(size)).get("url")) for size in _WHOLE)
        url = next((url for url in whole if url), None)
        if url is None and id.isascii() and id.isalnum():
            url = _PICTURES.format(id)
        told.append(Attachment("image", url=url, media_id=id))
    single = mapping(found.get("pic"))  # a comment has one at most
    if not told and (
        url := _url(mapping(single.get("large")).get("url")) or _url(single.get("url"))
    ):
        told.append(Attachment("image", url=url, media_id=name(single.get("pid"))))
    return told


def _card(page: dict[str, Any]) -> Attachment | None:
    """What a post shows below its words: a video, an article, a place."""
    kind = str(page.get("object_type") or page.get("type")).lower()
    titles = (name(page.get(key)) for key in ("page_title", "title", "content1"))
    title, url = next((one for one in titles if one), None), _url(page.get("page_url"))
    if not page or kind in _NOTHING:
        return None
    if kind in _VIDEOS or page.get("media_info"):
        id = integer(page.get("media_id")) or name(page.get("object_id"))
        return Attachment("video", url=url, title=title, media_id=str(id) if id else None)
    if kind == "place":
        return Attachment("location", url=url, title=title)
    return Attachment("link", url=url, title=title) if url else None


def _place(geo: Any) -> list[Attachment]:
    """Latitude first, as everywhere in what Weibo calls a geo."""
    at = items(mapping(geo).get("coordinates"))
    if len(at) != 2 or not all(type(one) in (int, float) for one in at):
        return []
    return [Attachment("location", title=f"{at[0]},{at[1]}")]


def _links(found: dict[str, Any]) -> list[Attachment]:
    told: dict[str, Attachment] = {}
    for one in map(mapping, items(found.get("url_struct"))):
        url = _url(one.get("long_url")) or _url(one.get("ori_url"))
        if url is not None:
            told.setdefault(url, Attachment("link", url=url, title=name(one.get("url_title"))))
    return list(told.values())


def _url(value: Any) -> str | None:
    """An address that a browser opens; the app's own (sinaweibo://) are none."""
    url = name(value)
    if url is None:
        return None
    if url.startswith("//"):
        return f"https:{url}"
    return url if url.startswith(("http://", "https://")) else None
