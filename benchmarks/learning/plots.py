"""The pictures of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

__all__ = ["draw_gains", "draw_modes", "draw_training"]

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "learning",
    "text.color": "#808080",
    "axes.labelcolor": "#808080",
    "axes.edgecolor": "#808080",
    "xtick.color": "#808080",
    "ytick.color": "#808080",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_COLOURS = {
    "diverse": "#4c6ef5",
    "episode": "#e8590c",
    "step": "#1098ad",
    "single": "#2b8a3e",
    "none": "#868e96",
    "shuffled": "#c2255c",
}

Figures = Mapping[str, Any]


def draw_gains(
    path: Path, gains: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]
) -> None:
    """Draw (before, after) of every seed and arm: a line each, for each split of `gains`."""
    with _figure(path, (7.0, 3.0), len(gains)) as panels:
        for axes, (split, arms) in zip(panels, gains.items(), strict=True):
            for i, (arm, pairs) in enumerate(arms.items()):
                for before, after in pairs:
                    axes.plot(
                        [i - 0.2, i + 0.2],
                        [100 * before, 100 * after],
                        color=_COLOURS[arm],
                        marker="o",
                        markersize=3,
                        lw=1,
                    )
            axes.set_xticks(range(len(arms)), list(arms), fontsize=8)
            axes.set_title(split, fontsize=9)
            axes.set_ylabel("relative gain, %: before, after")


def draw_modes(path: Path, curves: Mapping[str, Sequence[Sequence[Figures]]]) -> None:
    """Draw the reward of first steps over wall-clock and environment seconds, by arm.

    Thin lines are seeds, and thick ones the mean over them after each update.
    """
    axis = {"wall_s": "seconds of PPO", "env_s": "seconds in environments"}
    with _figure(path, (7.0, 3.0), len(axis)) as panels:
        for axes, (key, label) in zip(panels, axis.items(), strict=True):
            for arm, runs in curves.items():
                lines = [([point[key] for point in run], _smoothed(run)) for run in runs]
                for times, rewards in lines:
                    axes.plot(times, rewards, color=_COLOURS[arm], lw=0.7, alpha=0.5)
                if lines:
                    times, rewards = (
                        [fmean(values) for values in zip(*series, strict=False)]
                        for series in zip(*lines, strict=True)
                    )
                    axes.plot(times, rewards, color=_COLOURS[arm], lw=2, label=arm)
            axes.set_xlabel(label)
            axes.set_ylabel("reward of first steps")
            _legend(axes)


def draw_training(path: Path, runs: Mapping[str, Sequence[Sequence[Figures]]]) -> None:
    """Draw reward, KL and entropy of every update of every arm."""
    keys = {"reward": "reward", "kl": "KL to the start", "entropy": "entropy, nats a token"}
    with _figure(path, (9.0, 2.8), len(keys)) as panels:
        for axes, (key, label) in zip(panels, keys.items(), strict=True):
            for arm, seeds in runs.items():
                for number, updates in enumerate(seeds):
                    kept = [(u["update"], u[key]) for u in updates if u[key] is not None]
                    if kept:
                        axes.plot(
                            *zip(*kept, strict=True),
                            color=_COLOURS[arm],
                            lw=1,
                            label=None if number else arm,
                        )
            axes.set_xlabel("update")
            axes.set_ylabel(label)
        _legend(panels[0])


def _legend(axes: Any) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7, frameon=False, labelcolor="#808080")


def _smoothed(points: Sequence[Figures], width: int = 3) -> list[float]:
    """Return the running mean of the rewards, each update weighted by its first steps."""
    means = []
    for i in range(len(points)):
        part = [p for p in points[max(0, i - width + 1) : i + 1] if p["reward"] is not None]
        weights = sum(p["first_steps"] for p in part)
        means.append(
            sum(p["reward"] * p["first_steps"] for p in part) / weights if weights else float("nan")
        )
    return means


@contextmanager
def _figure(path: Path, size: tuple[float, float], panels: int) -> Iterator[list[Any]]:
    """Give panels side by side, and save them in the end."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure: Any = Figure(figsize=size, layout="constrained")
        yield list(figure.subplots(1, panels, squeeze=False)[0])
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})
