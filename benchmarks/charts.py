"""The pictures of a report, as SVG that fits a light and a dark page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.figures import TaskFigures, Trajectory
from mlagent_train.charts import ACCENT, FAINT, GREY, STYLE, svg

__all__ = ["curves", "radar"]


def radar(figures: Mapping[str, TaskFigures]) -> str:
    """Draw the normalised gain of each task around a circle; 1 is the reference's gain."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    tasks = list(figures)
    angles = np.linspace(0, 2 * np.pi, len(tasks), endpoint=False)
    values = np.array([figures[task].normalised_gain.mean for task in tasks])
    shown = np.clip(values, 0, 1.5)  # what is worse than the starter stands in the table
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 5.0))
        axes: Any = figure.add_subplot(projection="polar")
        axes.plot([*angles, angles[0]], [*shown, shown[0]], color=ACCENT, marker="o", markersize=3)
        axes.fill(angles, shown, color=ACCENT, alpha=0.15)
        axes.set_xticks(angles, [task[:22] for task in tasks], fontsize=7)
        axes.set_ylim(0, max(1.0, float(shown.max(initial=0.0)) * 1.05))
        axes.grid(color=GREY, alpha=0.3)
        return svg(figure, "Normalised gain by task")


def curves(task: str, trajectories: Sequence[Trajectory]) -> str:
    """Draw the best score so far of each trajectory of a task, between starter and reference."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.6, 2.4), layout="constrained")
        axes: Any = figure.add_subplot()
        for row in trajectories:
            axes.plot(
                range(len(row.scores) + 1), [row.initial, *row.best_so_far], color=FAINT, lw=1
            )
            graded = [(i + 1, s) for i, s in enumerate(row.scores) if s is not None]
            axes.scatter(*zip(*graded, strict=True) if graded else ([], []), s=6, color=ACCENT)
        first = trajectories[0]
        axes.axhline(first.initial, color=GREY, lw=0.8, ls=":", label="starter")
        axes.axhline(first.reference, color="#2b8a3e", lw=0.8, ls="--", label="reference")
        axes.set_xlabel("step")
        axes.set_ylabel("score " + ("↑" if first.higher_is_better else "↓"))
        axes.legend(fontsize=7, frameon=False, labelcolor=GREY)
        return svg(figure, f"Best score so far on {task}")
