"""A report as a picture, SVG or PNG, by matplotlib (the extra `charts`), which is loaded only when asked for."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from aggregator.errors import SettingsError

FORMATS = ("svg", "png")
_MOST = 24  # groups of one picture; the largest stay
# What is installed of these writes Chinese, whatever else is there.
_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "PingFang SC"),
    *("Hiragino Sans GB", "Microsoft YaHei", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "SimHei"),
    "DejaVu Sans",
)
_GREEN, _RED, _GREY, _BLUE, _PALE = "#2e7d55", "#c4453c", "#c9ccd1", "#2f6db3", "#9cc0e6"
_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        **{one: one for one in ("met", "breached")},
        "other": "other",
        "clocks": "first responses",
        "minutes": "business minutes until the first answer",
        "messages": "messages",
        "week": "First responses: {count}, in time {share}",
        "nothing": "nothing to show",
    },
    "zh": {
        "met": "达标",
        "breached": "超时",
        "other": "其他",
        "clocks": "首次响应",
        "minutes": "首次答复所用营业分钟",
        "messages": "消息数",
        "week": "首次响应 {count} 次，达标率 {share}",
        "nothing": "没有数据",
    },
}

Line = Mapping[str, Any]


def chart(lines: Sequence[Line], by: Sequence[str], form: str, language: str) -> bytes:
    """The report as `form` (svg or png): messages of each group, or its first responses and their times.

    Raises SettingsError where matplotlib is not installed.
    """
    words = _WORDS[language]
    volume = not any("clock" in one for one in lines)
    shown = [one for one in lines if volume or one["clock"] == "first_response"]
    if "day" not in by:
        largest = sorted(shown, key=lambda one: -one["count"])[:_MOST]
        shown = [one for one in shown if one in largest]
    names = [" · ".join("–" if one[of] is None else str(one[of]) for of in by) for one in shown]
    with _Drawing(2 if not volume else 1, max(3.2, 1.4 + 0.32 * len(shown))) as drawing:
        first = drawing.axes[0]
        rows = range(len(shown))
        if not shown:
            first.text(0.5, 0.5, words["nothing"], ha="center", transform=first.transAxes)
        elif volume:
            first.barh(rows, [one["count"] for one in shown], color=_BLUE)
            first.set_xlabel(words["messages"])
        else:
            _stacked(first.barh, "left", rows, shown, words)
            first.set_xlabel(words["clocks"])
            times = drawing.axes[1]
            for rank, colour, height in ((90, _PALE, 0.8), (50, _BLUE, 0.5)):
                took = [(one[f"business_p{rank}_ms"] or 0) / 60_000 for one in shown]
                times.barh(rows, took, height, color=colour, label=f"p{rank}")
            times.set_xlabel(words["minutes"])
            times.set_yticks([])
            for axes in (first, times):
                axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False)
            times.invert_yaxis()
        first.set_yticks(rows, names)
        first.invert_yaxis()
        return drawing.bytes(form)


def picture(lines: Sequence[Line], language: str) -> bytes:
    """A PNG for a digest: the first responses of each day, from a report by `day`. Raises SettingsError."""
    words = _WORDS[language]
    days = [one for one in lines if one["clock"] == "first_response"]
    judged = sum(one["judged"] for one in days)
    share = f"{100 * sum(one['met'] for one in days) / judged:.0f} %" if judged else "–"
    with _Drawing(1, 3.6) as drawing:
        axes = drawing.axes[0]
        rows = range(len(days))
        _stacked(axes.bar, "bottom", rows, days, words)
        axes.set_xticks(rows, [str(one["day"])[5:] for one in days])
        axes.set_title(
            words["week"].format(count=sum(one["count"] for one in days), share=share), loc="left"
        )
        if days:
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False)
        return drawing.bytes("png")


def legible() -> bool:
    """Whether a font is installed that writes Chinese. Raises ImportError without matplotlib."""
    from matplotlib import font_manager

    return bool({*_FONTS[:-1]} & {*font_manager.get_font_names()})


def _stacked(
    bars: Any, side: str, rows: Sequence[int], lines: Sequence[Line], words: Mapping[str, str]
) -> None:
    upto = [0] * len(lines)
    for name, colour in (("met", _GREEN), ("breached", _RED), ("other", _GREY)):
        counts = [one["count"] - one["judged"] if name == "other" else one[name] for one in lines]
        bars(rows, counts, color=colour, label=words[name], **{side: upto})
        upto = [a + b for a, b in zip(upto, counts, strict=True)]


class _Drawing:
    """Axes side by side, in fonts that know Chinese; text is text, never a formula."""

    def __init__(self, columns: int, height: float) -> None:
        try:
            import matplotlib as library
            from matplotlib import font_manager
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError as error:
            raise SettingsError(
                "--chart: pictures need matplotlib; install it with pip install 'inboxd[charts]'"
            ) from error
        fonts = [one for one in _FONTS if one in set(font_manager.get_font_names())]
        self._style = library.rc_context(
            {
                "font.family": fonts,
                "text.parse_math": False,
                "axes.unicode_minus": False,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "svg.hashsalt": "inboxd",
            }
        )
        self._figure: Any = None
        self._make = (Figure, FigureCanvasAgg, columns, height)
        self.axes: Any = ()

    def __enter__(self) -> _Drawing:
        self._style.__enter__()
        figure, canvas, columns, height = self._make
        self._figure = figure(figsize=(10, height), layout="constrained")
        canvas(self._figure)
        self.axes = self._figure.subplots(1, columns, squeeze=False)[0]
        return self

    def __exit__(self, *failed: Any) -> None:
        self._style.__exit__(*failed)

    def bytes(self, form: str) -> bytes:
        out = io.BytesIO()
        plain: dict[str, Any] = {"Date": None} if form == "svg" else {}
        with warnings.catch_warnings():
            # Where no font writes Chinese there are boxes; `legible` says so.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            self._figure.savefig(out, format=form, dpi=110, metadata=plain)
        return out.getvalue()
