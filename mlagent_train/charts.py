"""Charts as SVG text that fits a light and a dark page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["ACCENT", "FAINT", "GREY", "STYLE", "line_chart", "svg"]

GREY, ACCENT, FAINT = "#808080", "#4c6ef5", "#91a7ff"

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "text.color": GREY,
    "axes.labelcolor": GREY,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
"""For ``matplotlib.rc_context``."""

Points = Sequence[tuple[float, float]]


def svg(figure: Any, title: str) -> str:
    """Return a matplotlib figure as an ``<svg>`` element, the same text for the same figure."""
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Title": title})
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :].replace(
        "<svg ", f'<svg role="img" aria-label="{title}" ', 1
    )


def line_chart(title: str, lines: Mapping[str, Points], x_label: str = "update") -> str:
    """Draw lines by name, each a sequence of (x, y).

    A legend is drawn when there are several.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.8, 2.4), layout="constrained")
        axes: Any = figure.add_subplot()
        for name, points in lines.items():
            style = {"color": ACCENT} if len(lines) == 1 else {}
            axes.plot(*zip(*points, strict=True), marker="o", ms=2, lw=1.2, label=name, **style)
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_xlabel(x_label)
        axes.grid(color=GREY, alpha=0.2)
        if len(lines) > 1:
            axes.legend(fontsize=6, frameon=False, labelcolor=GREY)
        return svg(figure, title)
