"""Text from outside, made fit to be shown: nothing invisible, nothing that steers, never cut inside a character."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

MAX_STACKED = (
    4  # combining marks that one character may carry; the rest is paint over its neighbours
)

# Sequences first, so that their parameters do not stay behind as litter.
_ANSI = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])?|\x9b[0-?]*[@-~]"
)
_LINES = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
# Bidi controls, zero-widths, fillers and tags; the joiner (200D) and the flag tags are looked at apart.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u200c\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U000e0100-\U000e01ef]"
)
_JOINER = re.compile(
    "(?<![\u2190-\u2bff\ufe0f\U0001f000-\U0001faff])\u200d|\u200d(?![\u2190-\u2bff\U0001f000-\U0001faff])"
)
_TAGS = re.compile("(?<!\U0001f3f4)(?<![\U000e0020-\U000e007e])[\U000e0000-\U000e007f]+")
_MARKS = "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_STACKED = re.compile(f"({_MARKS}{{{MAX_STACKED}}}){_MARKS}+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BLANK_LINES = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")


def shown(text: str) -> str:
    """The display copy of a text, lines kept. The stored text stays as it was written."""
    text = _LINES.sub("\n", _SURROGATE.sub("\ufffd", _ANSI.sub("", text)))
    text = _CONTROLS.sub("", text.replace("\t", " "))
    text = _TAGS.sub("", _JOINER.sub("", _INVISIBLE.sub("", text)))
    return _BLANK_LINES.sub("\n\n", _STACKED.sub(r"\1", text)).strip()


def one_line(text: str) -> str:
    """The display copy on a single line: for names, titles, terminals."""
    return " ".join(shown(text).split())


def units(text: str) -> int:
    """Length in UTF-16 units: the largest of the ways in which other sides count characters."""
    return len(text) + sum(char > "\uffff" for char in text)


def octets(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def fit(
    text: str,
    limit: int,
    *,
    escape: Callable[[str], str] = str,
    measure: Callable[[str], int] = units,
    ellipsis: str = "…",
) -> str:
    """`text` escaped, at most `limit` by `measure` with the ellipsis; whole graphemes and entities only.

    `escape` is applied to one grapheme at a time, so what it makes of one is never cut.
    """
    parts: list[str] = []
    used = kept = kept_parts = 0
    room = limit - measure(ellipsis)
    for cluster in clusters(text):
        part = escape(cluster)
        used += measure(part)
        if used > limit:
            return "".join(parts[:kept_parts]).rstrip() + ellipsis if room >= 0 else ""
        parts.append(part)
        if used <= room:
            kept, kept_parts = used, len(parts)
    assert kept <= limit
    return "".join(parts)


def clusters(text: str) -> Iterator[str]:
    """What a reader takes for one character: marks, emoji sequences, flags and Hangul stay whole."""
    start = 0
    regional = 0
    for index in range(1, len(text)):
        before, char = text[index - 1], text[index]
        regional = regional + 1 if _is_regional(before) else 0
        if char < "\u0300" and not (before == "\r" and char == "\n"):
            joined = False  # nothing below U+0300 joins to the left
        else:
            joined = _joins(before, char) or (_is_regional(char) and regional % 2 == 1)
        if not joined:
            yield text[start:index]
            start = index
            if not _is_regional(before):
                regional = 0
    if text:
        yield text[start:]


def _is_regional(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _joins(before: str, char: str) -> bool:
    if before == "\u200d" or char == "\u200d" or (before == "\r" and char == "\n"):
        return True
    if "\U0001f3fb" <= char <= "\U0001f3ff" or "\U000e0020" <= char <= "\U000e007f":
        return True
    category = unicodedata.category(char)
    if category in ("Mn", "Me", "Mc") or char in "\u0e33\u0eb3":
        return before != "\n"
    if category == "Lo" and unicodedata.combining(before) == 9:  # a virama binds the next consonant
        return True
    return _joins_hangul(before, char)


def _joins_hangul(before: str, char: str) -> bool:
    leading = "\u1100" <= before <= "\u115f" or "\ua960" <= before <= "\ua97c"
    vowel = "\u1160" <= char <= "\u11a7" or "\ud7b0" <= char <= "\ud7c6"
    trailing = "\u11a8" <= char <= "\u11ff" or "\ud7cb" <= char <= "\ud7fb"
    if leading:
        return vowel or "\u1100" <= char <= "\u115f" or "\uac00" <= char <= "\ud7a3"
    syllable = "\uac00" <= before <= "\ud7a3" or "\u1160" <= before <= "\u11ff"
    return (vowel or trailing) and (syllable or "\ud7b0" <= before <= "\ud7fb")


# --- Slack ------------------------------------------------------------------------------------------

_FORMAT = re.compile(r"(?<![A-Za-z0-9])[*_~]|[*_~](?![A-Za-z0-9])|`")
_QUOTE = re.compile(r"^(\s*)>", re.MULTILINE)


def entities(text: str) -> str:
    """& < > as Slack wants them; with these gone nothing can page or link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def mrkdwn(text: str, limit: int) -> str:
    """Outside text for a mrkdwn field: shown as written, formats nothing, pages nobody, ≤ `limit` units.

    Slack has no escape for * _ ~ ` and a leading >; a zero-width space of ours beside them takes their
    effect. Inside a word (a_b) they have none and stay alone.
    """
    broken = _QUOTE.sub("\\1\u200b>", _FORMAT.sub("\\g<0>\u200b", shown(text)))
    return fit(broken, limit, escape=entities)


def plain(text: str, limit: int) -> str:
    """Outside text for a plain_text field or the fallback `text`: escaped all the same."""
    return fit(shown(text), limit, escape=entities)


_LINK_BAD = re.compile(
    r"[\s<>|\"'`\\^{}\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)


def link(url: str | None, limit: int = 2000) -> str | None:
    """A web address fit for `<url|label>`; None where it is none, is too long or hides who it goes to."""
    if not url:
        return None
    url = _LINK_BAD.sub(
        lambda bad: "".join(f"%{byte:02X}" for byte in bad[0].encode("utf-8", "replace")),
        url.strip(),
    )
    match = re.fullmatch(r"(?i)(https?)://([^/?#]+)(.*)", _SURROGATE.sub("%EF%BF%BD", url))
    if match is None or "@" in match[2]:
        return None
    url = entities(match[0])
    return url if units(url) <= limit else None
