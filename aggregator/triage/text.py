"""How a text is read for matching: folded, split into own and quoted words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from itertools import islice
from pathlib import Path

ZWJ = "\u200d"
REPOSTS = 50  # that are told apart
BREAK = "\n"  # stands between pieces of a reading; no folded text holds one

_ATOMS = 0xF0000  # emoticons become one private character each, from here on
_LAST_ATOM = 0xFFFFD
_EMOJI = "\u2190-\u2bff\u3030\u303d\U0001f000-\U0001faff"
_CJK = (
    "\u1100-\u11ff\u2e80-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_PUNCTUATION = r"_!\"#%&'()*,\-./:;?@\[\\\]{}¡§«¶·»¿\u2010-\u2027\u2030-\u205e\u3001-\u3003\u3008-\u3011\u3014-\u301f\u30fb"

# After the table, folding only ever deletes what these find.
_LOOSE_ZWJ = re.compile(f"(?<![{_EMOJI}]){ZWJ}|{ZWJ}(?![{_EMOJI}])")
_SPACES = re.compile(f"(?<=[{_CJK} ]) +| +(?=[{_CJK}])")
_RUN = re.compile(rf"([^\W\d_]|[{_PUNCTUATION}])\1\1+")
_REPEATS_ONE = re.compile(rf"[^\W\d_]|[{_PUNCTUATION}]")
_EMOJI_ONE = re.compile(f"[{_EMOJI}]")

_CJK_ONE = re.compile(f"[{_CJK}]")
# Scripts written without spaces between words, besides CJK: Thai, Lao, Burmese, Khmer.
_UNSPACED_ONE = re.compile(f"[{_CJK}\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
_BRACKETED = r"\[[^\[\]\s]{1,8}\]"

_CHAIN = re.compile(r"//\s*@\s*[^\s:：/@]{1,30}\s*[:：]")
_REPLY = re.compile(r"\s*回[复覆復]\s*[@＠]\s*[^\s:：/@]{1,30}\s*[:：]")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_LATIN_WORD = re.compile("[A-Za-z][A-Za-z'’]*")
_OTHER_LETTER = re.compile("[^\\W\\d_A-Za-z\u3400-\u4dbf\u4e00-\u9fff]")
_NOT_WORDS = re.compile(r"https?://\S+|[@＠][\w\-·]+|" + _BRACKETED)


def _han() -> dict[str, str]:
    lines = Path(__file__).with_name("han.txt").read_text(encoding="utf-8").splitlines()
    return {
        line[at]: line[at + 1]
        for line in lines
        if not line.startswith("#")
        for at in range(0, len(line), 2)
    }


class _Table(dict[int, str]):
    """Code point → its fold, worked out when first met and kept; a pure function all the same."""

    def __init__(self) -> None:
        super().__init__()
        self._han = _han()

    def __missing__(self, point: int) -> str:
        folded = self[point] = self._fold(chr(point))
        return folded

    def _fold(self, char: str) -> str:
        if char.isspace():
            return " "
        if char in "’‘ʼ":  # phones type these where a keyword has '
            return "'"
        category, point = unicodedata.category(char), ord(char)
        if category == "Cs" or _ATOMS <= point <= _LAST_ATOM:
            return "\ufffd"  # a lone half of a pair, or what we use for emoticons
        if char == ZWJ:
            return char
        if category in ("Cc", "Cf") or _invisible(point):
            return ""
        once = unicodedata.normalize("NFKC", char).casefold()
        once = "".join(self._han.get(one, one) for one in once)
        return once if once == char else "".join(self[ord(one)] for one in once)


def _invisible(point: int) -> bool:
    return (
        0xFE00 <= point <= 0xFE0F  # variation selectors
        or 0xE0100 <= point <= 0xE01EF
        or 0x180B <= point <= 0x180F
        or 0x1F3FB <= point <= 0x1F3FF  # skin tones
        or 0x0334 <= point <= 0x0338  # strokes laid over letters
        or point in (0x034F, 0x115F, 0x1160, 0x3164, 0xFFA0)  # fillers
    )


TABLE = _Table()


class Folder:
    """Folds texts and keywords alike, for one table of emoticons.

    Per character NFKC, casefold, Traditional to Simplified; zero-width characters and variation
    selectors go; runs of one letter, Han character or punctuation mark longer than two become two;
    whitespace is one space, and none next to a CJK character. An emoticon of the table (`[怒]`, `/::@`)
    becomes one private character, read before folding. Folding twice changes nothing.
    """

    def __init__(self, emoticons: Iterable[str] = ()) -> None:
        codes = sorted({_code(one) for one in emoticons})
        self._atoms = {code: chr(_ATOMS + at) for at, code in enumerate(codes)}
        plain = sorted((re.escape(one) for one in codes if one[0] != "["), key=len, reverse=True)
        self._pattern = re.compile(f"({'|'.join([_BRACKETED, *plain])})")
        self._names = {atom: code for code, atom in self._atoms.items()}

    def fold(self, text: str) -> str:
        if self._atoms and ("[" in text or "/:" in text):
            parts = self._pattern.split(text)  # every second one may be an emoticon
            parts[::2] = [part.translate(TABLE) for part in parts[::2]]
            parts[1::2] = [self._atom(part) or part.translate(TABLE) for part in parts[1::2]]
            text = "".join(parts)
        else:
            text = text.translate(TABLE)
        if ZWJ in text:
            text = _LOOSE_ZWJ.sub("", text)
        if " " in text:
            text = _SPACES.sub("", text)
        return _RUN.sub(r"\1\1", text)

    def atoms(self, text: str) -> tuple[list[str], dict[str, str]]:
        """The text in parts, every second of which may be an emoticon; and those that are, as private characters."""
        if not self._atoms or not ("[" in text or "/:" in text):
            return [], {}
        parts = self._pattern.split(text)
        atoms = ((code, self._atom(code)) for code in set(parts[1::2]))
        return parts, {code: atom for code, atom in atoms if atom is not None}

    def name(self, atom: str) -> str:
        """The emoticon that a private character stands for; any other character as it is."""
        return self._names.get(atom, atom)

    def _atom(self, code: str) -> str | None:
        return self._atoms.get(code) or self._atoms.get(_code(code))


def _code(emoticon: str) -> str:
    """`[笑CRY]` and `[笑cry]` are one; WeChat's codes differ by case (`/::D`, `/::d`)."""
    return emoticon.translate(TABLE) if emoticon.startswith("[") else emoticon


def cjk(char: str) -> bool:
    """Han, Kana, Hangul and their punctuation."""
    return _CJK_ONE.match(char) is not None


def emoji(char: str) -> bool:
    """What a zero-width joiner joins."""
    return _EMOJI_ONE.match(char) is not None


def repeats(char: str) -> bool:
    """A letter, Han character or punctuation mark, of which three in a row say no more than two."""
    return _REPEATS_ONE.match(char) is not None


@cache
def joins(char: str) -> bool:
    """A letter or digit of a script that puts spaces between words: it would lengthen a word."""
    return char.isalnum() and _UNSPACED_ONE.match(char) is None


def split(text: str) -> tuple[tuple[int, int], tuple[tuple[int, int], ...]]:
    """Where the author's own words stand, and those of the people in a repost chain `//@name:`.

    Names are nobody's words: `回复@name:` before a piece and the `//@name:` itself belong to none. From
    the last of REPOSTS on, a chain is one piece.
    """
    replies = "回" in text
    start, bounds = 0, []
    for mark in islice(_CHAIN.finditer(text), REPOSTS) if "//" in text else ():
        bounds.append((_after_reply(text, start, mark.start()) if replies else start, mark.start()))
        start = mark.end()
    bounds.append((_after_reply(text, start, len(text)) if replies else start, len(text)))
    return bounds[0], tuple([piece for piece in bounds[1:] if piece[0] < piece[1]])


def _after_reply(text: str, start: int, end: int) -> int:
    found = _REPLY.match(text, start, end)
    return found.end() if found else start


def language(text: str) -> str | None:
    """`zh` or `en` by the letters; None where neither is clear (no letters, another script)."""
    words = _NOT_WORDS.sub(" ", text)
    han = len(_HAN.findall(words))
    latin = len(_LATIN_WORD.findall(words))
    other = len(_OTHER_LETTER.findall(words))
    if other * 4 > max(han, latin):  # kana between Han characters is Japanese
        return None
    if (
        han and han >= latin
    ):  # a word says about as much as two characters do; names are Latin often
        return "zh"
    return "en" if latin else None
