"""Pictures of a card and of the terminal, drawn from what the program would send.

`python -m aggregator.destinations.preview docs/` writes them.
"""

from __future__ import annotations

import html
import io
import math
import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import rich.console
from rich.color import Color
from rich.style import Style
from rich.terminal_theme import MONOKAI

from aggregator.destinations.console import line
from aggregator.destinations.example import example, story
from aggregator.destinations.render_slack import Block, shown_in_slack
from aggregator.model import Notice

CARD: Final = 720  # widths in pixels
TERMINAL: Final = 980
HAN: Final = "'Noto Sans CJK SC','PingFang SC','Microsoft YaHei'"
SANS: Final = f"'Lato','Segoe UI',{HAN},'Noto Color Emoji',sans-serif"
MONO: Final = f"'DejaVu Sans Mono','Menlo','Consolas',{HAN},'Noto Color Emoji',monospace"
INK, PALE, LINE, BLUE = "#1d1c1d", "#616061", "#dddddd", "#1264a3"


def main(folder: str) -> None:
    """Write card.zh.svg, card.en.svg, terminal.zh.svg and terminal.en.svg into `folder`."""
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    for language in ("zh", "en"):
        card = draw(shown_in_slack(example(language)).blocks)
        (where / f"card.{language}.svg").write_text(card, encoding="utf-8")
        lines = terminal(story(language))
        (where / f"terminal.{language}.svg").write_text(lines, encoding="utf-8")


# --- Block Kit as a picture --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    style: str  # attributes of a tspan


class Sheet:
    """Lines of text from top to bottom, wrapped by estimated widths."""

    def __init__(self, *, left: float, width: float, y: float, latin: float) -> None:
        self.left = left
        self.width = width
        self.y = y
        self.latin = latin  # the width of a Latin letter, in ems
        self.parts: list[str] = []

    def write(
        self,
        pieces: list[Piece],
        *,
        size: float,
        indent: float = 0,
        hang: float = 0,
        bar: bool = False,
    ) -> None:
        """`indent` is for all rows, `hang` for all but the first; `bar` draws a quote's bar beside them."""
        step = size * 1.5
        room = (self.width - self.left - 20 - indent - hang) / size
        for number, row in enumerate(_wrapped(pieces, room, self.latin)):
            self.y += step
            x = self.left + indent + (hang if number else 0)
            if bar:
                top = self.y - step + size * 0.35
                self.parts.append(
                    f'<rect x="{self.left}" y="{top:.1f}" width="4" height="{step:.1f}" fill="{LINE}"/>'
                )
            spans = "".join(
                f"<tspan {piece.style}>{html.escape(piece.text)}</tspan>" for piece in row
            )
            self.parts.append(
                f'<text x="{x}" y="{self.y:.1f}" font-size="{size}" '
                f'xml:space="preserve">{spans}</text>'
            )


def draw(blocks: tuple[Block, ...]) -> str:
    """An SVG of a message with these blocks, near to how Slack shows it."""
    sheet = Sheet(left=76, width=CARD, y=30, latin=0.55)
    for block in blocks:
        sheet.y += 6
        if block["type"] == "header":
            title = html.unescape(block["text"]["text"])
            sheet.write([Piece(title, _ink(INK, "800"))], size=18)
        elif block["type"] == "section":
            for text in block["text"]["text"].split("\n"):
                _paragraph(sheet, text, size=15, ink=INK)
        else:
            joined = "    ".join(element["text"] for element in block["elements"])
            for text in joined.split("\n"):
                _paragraph(sheet, text, size=13, ink=PALE)
    height = math.ceil(sheet.y + 22)
    return (
        _svg(CARD, height, SANS)
        + f'<rect x="0.5" y="0.5" width="{CARD - 1}" height="{height - 1}" rx="8" '
        f'fill="#ffffff" stroke="{LINE}"/>\n'
        '<rect x="24" y="16" width="36" height="36" rx="6" fill="#4a154b"/>'
        '<text x="42" y="41" font-size="20" font-weight="800" fill="#ffffff" '
        'text-anchor="middle">in</text>\n'
        f'<text x="76" y="30" font-size="15"><tspan font-weight="800" fill="{INK}">inboxd</tspan>'
        f'<tspan dx="6" font-size="10" fill="{PALE}">APP</tspan>'
        f'<tspan dx="6" font-size="12" fill="{PALE}">14:20</tspan></text>\n'
        + "\n".join(sheet.parts)
        + "\n</svg>\n"
    )


def _svg(width: int, height: int, font: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="{font}">\n'
    )


def _paragraph(sheet: Sheet, text: str, *, size: float, ink: str) -> None:
    quoted = text.startswith("> ")
    sheet.write(
        _pieces(text[2:] if quoted else text, ink),
        size=size,
        indent=14 if quoted else 0,
        bar=quoted,
    )


_MARKUP = re.compile(r"<([^<>]+)>|(?<!\w)\*([^*\n]+)\*(?!\w)|(?<!\w)_([^_\n]+)_(?!\w)")


def _pieces(text: str, ink: str, weight: str = "400") -> list[Piece]:
    """mrkdwn read as Slack reads it, as far as our own cards use it."""
    plain = f'font-weight="{weight}" fill="{ink}"'
    pieces: list[Piece] = []
    end = 0
    for found in _MARKUP.finditer(text):
        pieces.append(Piece(html.unescape(text[end : found.start()]), plain))
        end = found.end()
        control, bold, italic = found.groups()
        if bold:
            pieces += _pieces(bold, ink, "700")
        elif italic:
            pieces.append(Piece(html.unescape(italic), f'{plain} font-style="italic"'))
        elif control.startswith("!date^"):
            pieces.append(Piece(control.rpartition("|")[2], plain))
        elif control.startswith(("!", "@")):
            pieces.append(Piece("@social-oncall", f'fill="{BLUE}"'))
        else:
            pieces.append(Piece(html.unescape(control.rpartition("|")[2]), f'fill="{BLUE}"'))
    pieces.append(Piece(html.unescape(text[end:]), plain))
    return [piece for piece in pieces if piece.text]


def _wrapped(pieces: list[Piece], ems: float, latin: float) -> list[list[Piece]]:
    """Rows of at most `ems`; Latin words stay whole."""
    rows: list[list[Piece]] = [[]]
    used = 0.0
    for piece in pieces:
        for word in re.findall(r"[!-~]+ ?|\s|.", piece.text):
            width = sum(_ems(char, latin) for char in word)
            if used + width > ems and used > 0:
                rows.append([])
                used = 0.0
            if rows[-1] and rows[-1][-1].style == piece.style:
                rows[-1][-1] = Piece(rows[-1][-1].text + word, piece.style)
            else:
                rows[-1].append(Piece(word, piece.style))
            used += width
    return rows


def _ems(char: str, latin: float) -> float:
    if unicodedata.category(char) in ("Mn", "Cf"):
        return 0.0
    if unicodedata.east_asian_width(char) in "WF":
        return 1.25 if char > "\uffff" else 1.0
    return latin


# --- the terminal as a picture -----------------------------------------------------------------------


def terminal(notices: Sequence[Notice]) -> str:
    """An SVG of the lines that the console prints."""
    console = rich.console.Console(
        file=io.StringIO(), width=4000, force_terminal=True, color_system="truecolor"
    )
    sheet = Sheet(left=22, width=TERMINAL, y=34, latin=0.61)
    for notice in notices:
        pieces = []
        for segment in console.render(line(notice)):
            style = segment.style or Style()
            ink = (style.color or Color.default()).get_truecolor(MONOKAI).hex
            weight = "700" if style.bold else "400"
            if style.bgcolor is not None:
                ink = style.bgcolor.get_truecolor(MONOKAI).hex
            pieces.append(Piece(segment.text.rstrip("\n"), _ink(ink, weight, dim=bool(style.dim))))
        sheet.write([piece for piece in pieces if piece.text], size=13.5, hang=54)
        sheet.y += 5
    height = math.ceil(sheet.y + 20)
    dots = "".join(
        f'<circle cx="{22 + 18 * index}" cy="18" r="5.5" fill="{ink}"/>'
        for index, ink in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return (
        _svg(TERMINAL, height, MONO)
        + f'<rect width="{TERMINAL}" height="{height}" rx="8" fill="#1b1d21"/>\n{dots}\n'
        + "\n".join(sheet.parts)
        + "\n</svg>\n"
    )


def _ink(ink: str, weight: str, *, dim: bool = False) -> str:
    faint = ' fill-opacity="0.6"' if dim else ""
    return f'font-weight="{weight}" fill="{ink}"{faint}'


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "docs")
