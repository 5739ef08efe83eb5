"""The pictures of a report, as SVG that fits a light and a dark page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.figures import TaskFigures, Trajectory

__all__ = ["curves", "radar"]

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "text.color": "#808080",
    "axes.labelcolor": "#808080",
    "axes.edgecolor": "#808080",
    "xtick.color": "#808080",
    "ytick.color": "#808080",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_MINE, _EACH = "#4c6ef5", "#91a7ff"


def radar(figures: Mapping[str, TaskFigures]) -> str:
    """Draw the normalised gain of each task around a circle; 1 is the reference's gain."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    tasks = list(figures)
    angles = np.linspace(0, 2 * np.pi, len(tasks), endpoint=False)
    values = np.array([figures[task].normalised_gain.mean for task in tasks])
    shown = np.clip(values, 0, 1.5)  # what is worse than the starter stands in the table
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.6, 5.0))
        axes: Any = figure.add_subplot(projection="polar")
        axes.plot([*angles, angles[0]], [*shown, shown[0]], color=_MINE, marker="o", markersize=3)
        axes.fill(angles, shown, color=_MINE, alpha=0.15)
        axes.set_xticks(angles, [task[:22] for task in tasks], fontsize=7)
        axes.set_ylim(0, max(1.0, float(shown.max(initial=0.0)) * 1.05))
        axes.grid(color="#808080", alpha=0.3)
        return _svg(figure, "Normalised gain by task")


def curves(task: str, trajectories: Sequence[Trajectory]) -> str:
    """Draw the best score so far of each trajectory of a task, between starter and reference."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(3.6, 2.4), layout="constrained")
        axes: Any = figure.add_subplot()
        for row in trajectories:
            axes.plot(
                range(len(row.scores) + 1), [row.initial, *row.best_so_far], color=_EACH, lw=1
            )
            graded = [(i + 1, s) for i, s in enumerate(row.scores) if s is not None]
            axes.scatter(*zip(*graded, strict=True) if graded else ([], []), s=6, color=_MINE)
        first = trajectories[0]
        axes.axhline(first.initial, color="#808080", lw=0.8, ls=":", label="starter")
        axes.axhline(first.reference, color="#2b8a3e", lw=0.8, ls="--", label="reference")
        axes.set_xlabel("step")
        axes.set_ylabel("score " + ("↑" if first.higher_is_better else "↓"))
        axes.legend(fontsize=7, frameon=False, labelcolor="#808080")
        return _svg(figure, f"Best score so far on {task}")


def _svg(figure: Any, title: str) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Title": title})
    svg = text.getvalue()
    return svg[svg.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
